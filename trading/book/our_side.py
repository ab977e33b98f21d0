"""Our side of a reconciliation: the fold of the journal by contract and currency, session after session.

Belongs here: adding the journal up as a broker would. Does not belong here: comparing (`reconciliation.py`), or the
ledger's own tables (`fold.py`), which this must not use: that both agree is one of the things compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from trading.book.account import Cash, cash_local
from trading.book.fills import MOVEMENT_KINDS, Blotter, is_correction
from trading.book.journal import Event
from trading.book.orders import Fill
from trading.book.reconciliation import Contract, Ours, StrategyKey
from trading.book.trade_matching import Trades
from trading.market.instruments import Instrument

ENDED_KINDS = ("order_cancelled", "order_refused", "order_expired", "order_rejected")
KINDS = (*MOVEMENT_KINDS, *ENDED_KINDS, "cash_booked")


@dataclass(slots=True)
class OurSide:
    """The book by contract and currency, all strategies together, after the events so far."""

    blotter: Blotter = field(default_factory=Blotter)
    totals: dict[StrategyKey, int] = field(default_factory=dict)
    cash: Cash = field(default_factory=dict)
    booked: Cash = field(default_factory=dict)  # of it, what is no trade: deposits, interest, fees
    standing: dict[str, Fill] = field(default_factory=dict)
    of_contract: dict[Contract, dict[str, Fill]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    today: list[str] = field(default_factory=list)
    corrections: list[Fill] = field(default_factory=list)

    def take(self, events: Iterable[Event], instruments: Mapping[str, Instrument]) -> None:
        """The events of one more session, each book's in the order of the journal. `instruments` are as in force in it:
        cash is counted at the point value of the session it is booked in."""
        self.today, self.corrections = [], []
        for event in events:
            if event.kind in ENDED_KINDS:
                self.ended.add(str(event.payload["order_id"]))
            elif event.kind == "cash_booked":
                self._pay(str(event.payload["currency"]), Decimal(str(event.payload["amount_local"])))
            else:
                self._move(event, instruments)

    def _move(self, event: Event, instruments: Mapping[str, Instrument]) -> None:
        movements = self.blotter.apply(event)
        for movement in movements:
            key = (movement.strategy, movement.instrument, movement.contract)
            self.totals[key] = self.totals.get(key, 0) + movement.quantity_contracts
            self.corrections += [movement] if is_correction(movement) else []
        self.cash = cash_local(self.cash, movements, instruments)
        if event.kind == "position_adjusted":
            self._stand(movements[0])
        else:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        """What counts of a fill after an event about it."""
        name = str(event.payload["fill_id"])
        told = self.blotter.told[name]
        self._forget(name)
        if told.fill is not None and not told.busted:
            self._stand(told.fill)
        if event.kind == "fill" and name not in self.today:
            self.today.append(name)
            if told.fill is not None and told.fill.order_id in self.ended:
                self.withdrawn.add(name)

    def _stand(self, fill: Fill) -> None:
        self.standing[fill.fill_id] = fill
        self.of_contract.setdefault((fill.instrument, fill.contract), {})[fill.fill_id] = fill

    def _forget(self, name: str) -> None:
        was = self.standing.pop(name, None)
        if was is not None:
            self.of_contract[was.instrument, was.contract].pop(name)

    def _pay(self, currency: str, amount: Decimal) -> None:
        for money in (self.cash, self.booked):
            money[currency] = money.get(currency, Decimal(0)) + amount

    # --- the session's answer -----------------------------------------------------------------------------------------
    def ours(
        self,
        instruments: Mapping[str, Instrument],
        averages_of: Iterable[Contract] = (),
        worth_local: Mapping[str, float] | None = None,
        kept: Mapping[StrategyKey, int] | None = None,
    ) -> Ours:
        """Our side now. Average prices are calculated for the contracts named; `worth_local` is the account with all
        positions at their marks, by currency; `kept` are the ledger's positions, where they are to be compared."""
        totals = {key: quantity for key, quantity in self.totals.items() if quantity}
        return Ours(
            positions=_by_contract(totals),
            average_points={key: price for key in averages_of if (price := self.average(key)) is not None},
            cash_local={currency: float(amount) for currency, amount in self.cash.items()},
            settled_local=None if worth_local is None else self._settled(worth_local),
            trades=Trades([self.standing[name] for name in self.today if name in self.standing],
                          tuple(self.corrections), self.standing),
            withdrawn=self._withdrawn(),
            totals=None if kept is None else (kept, totals),
            worth={code: (found.currency, found.point_value_local) for code, found in instruments.items()},
        )  # fmt: skip

    def _settled(self, worth_local: Mapping[str, float]) -> dict[str, float]:
        """Cash of an account that pays profit out every day: what it is worth, and what was paid in."""
        currencies = {*worth_local, *self.booked}
        return {name: worth_local.get(name, 0.0) + float(self.booked.get(name, Decimal(0))) for name in currencies}

    def average(self, key: Contract) -> float | None:
        """Average price of what is held of a contract, as brokers count it: trades that open or add to a position move
        it, those that reduce it do not; None where it is flat."""
        held, average = 0, 0.0
        for fill in sorted(self.of_contract.get(key, {}).values(), key=_order):
            traded = fill.quantity_contracts
            if held * traded >= 0:
                average = (held * average + traded * fill.price_points) / (held + traded) if held + traded else 0.0
            elif abs(traded) > abs(held):
                average = fill.price_points
            held += traded
        return average if held else None

    def _withdrawn(self) -> dict[str, int]:
        """Contracts filled of orders after they were withdrawn, by order; those taken back since are left out."""
        found: dict[str, int] = {}
        for name in sorted(self.withdrawn & set(self.standing)):
            fill = self.standing[name]
            found[fill.order_id] = found.get(fill.order_id, 0) + fill.quantity_contracts
        return found


def _by_contract(totals: Mapping[StrategyKey, int]) -> dict[Contract, int]:
    held: dict[Contract, int] = {}
    for (_, code, contract), quantity in totals.items():
        held[code, contract] = held.get((code, contract), 0) + quantity
    return {key: quantity for key, quantity in held.items() if quantity}


def _order(fill: Fill) -> tuple[date, str, str]:
    return (fill.session, fill.executed_at or "", fill.fill_id)
