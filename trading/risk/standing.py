"""What a book stands at: what is held and was at the open, what the account lost, out of rows of the book.

Belongs here: the `Book` of a session. Does not belong here: reading rows (`assets/risk_inputs.py`), how positions and
profits come about (`trading/book/`), or sums of positions (`engine.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from trading.book.orders import Fill
from trading.config.models import DeskSettings
from trading.risk.book import WHOLE, Book, Holding, Standing

Curve = Sequence[tuple[date, float]]  # sessions in order, each with a value


@dataclass(frozen=True, slots=True)
class Held:
    """Contracts after a session and at its open, and contracts bought and sold in it, by instrument."""

    positions: Mapping[Holding, int] = field(default_factory=dict)
    opening: Mapping[Holding, int] = field(default_factory=dict)
    traded: Mapping[str, int] = field(default_factory=dict)


def held(movements: Iterable[Fill], session: date) -> Held:
    """What movements (fills, corrections, adjustments, by the session they are booked in) come to; those of later
    sessions do not count."""
    return next(held_through(movements, [session]))


def held_through(movements: Iterable[Fill], sessions: Iterable[date]) -> Iterator[Held]:
    """The same for sessions in order, in one pass."""
    now: dict[Holding, int] = defaultdict(int)
    coming = sorted(movements, key=lambda each: each.session, reverse=True)
    for session in sessions:
        while coming and coming[-1].session < session:
            _move(now, coming.pop())
        opening, traded = _not_flat(now), defaultdict[str, int](int)
        while coming and coming[-1].session == session:
            each = coming.pop()
            traded[each.instrument] += abs(each.quantity_contracts)
            _move(now, each)
        yield Held(_not_flat(now), opening, dict(traded))


def _move(contracts: dict[Holding, int], fill: Fill) -> None:
    contracts[fill.strategy, fill.instrument, fill.contract] += fill.quantity_contracts


def _not_flat(contracts: Mapping[Holding, int]) -> dict[Holding, int]:
    return {key: count for key, count in sorted(contracts.items()) if count}


def standing(curve: Curve, session: date, begun_base: float) -> Standing:
    """What a curve lost through a session, which began at `begun_base` before its first value. The session's loss is 0
    while it has no value of its own: nothing was lost yet that is known. The week begins on Monday. The drawdown is a
    fraction of the highest value so far, the beginning included; 1 where there is nothing left to draw down from."""
    known = [(day, value) for day, value in curve if day <= session]
    now = known[-1][1] if known else begun_base
    monday = session - timedelta(days=session.weekday())
    peak = max([begun_base, *(value for _, value in known)])
    return Standing(
        day_base=_before(known, session, begun_base) - now,
        week_base=_before(known, monday, begun_base) - now,
        drawdown_fraction=(peak - now) / peak if peak > 0.0 else 1.0,
    )


def _before(curve: Curve, day: date, begun_base: float) -> float:
    """The last value of an earlier day."""
    return next((value for earlier, value in reversed(curve) if earlier < day), begun_base)


def standings(account: Curve, gains: Mapping[str, Curve], session: date, capital_base: float) -> dict[str, Standing]:
    """Standing of the whole book, by the value of the account, and of each strategy, by its gains of each session on
    top of the capital."""
    return {WHOLE: standing(account, session, capital_base)} | {
        name: standing(_cumulated(curve, capital_base), session, capital_base) for name, curve in gains.items()
    }


def _cumulated(gains: Curve, begun_base: float) -> list[tuple[date, float]]:
    found, value = [], begun_base
    for day, gain in gains:
        value += gain
        found.append((day, value))
    return found


@dataclass(slots=True)
class Curves:
    """What the account and each strategy came to, session after session."""

    capital_base: float
    account: list[tuple[date, float]] = field(default_factory=list)
    gains: dict[str, list[tuple[date, float]]] = field(default_factory=dict)

    def after(self, session: date, account_base: float, gained: Mapping[str, float]) -> dict[str, Standing]:
        """Where all of them stand after one more session: what the account is worth, and what strategies gained."""
        self.account.append((session, account_base))
        for name, gain in gained.items():
            self.gains.setdefault(name, []).append((session, gain))
        return standings(self.account, self.gains, session, self.capital_base)


def book_of(
    desk: DeskSettings,
    session: date,
    holdings: Held,
    account: Curve = (),
    gains: Mapping[str, Curve] | None = None,
    locks: Mapping[str, str] | None = None,
    orders: int = 0,
) -> Book:
    """The book of a session, as the risk engine takes it. `account`: value of the account by session; `gains`: of each
    strategy, by session. Nothing later than the session counts. Strategies: the desk's, and any that holds something.
    `orders`: of the session so far, those that only reduced apart."""
    capital = desk.capital.capital_base
    known = [value for day, value in account if day <= session]
    names = {strategy.name for strategy in desk.strategies}
    names |= {strategy for strategy, _, _ in (*holdings.positions, *holdings.opening)}
    return Book(
        capital_base=capital,
        equity_base=known[-1] if known else capital,
        positions=dict(holdings.positions),
        opening=dict(holdings.opening),
        volatility_target_fraction=desk.capital.volatility_target_percent / 100,
        standing=standings(account, gains or {}, session, capital),
        traded_contracts=dict(holdings.traded),
        locks=dict(locks or {}),
        orders=orders,
        strategies=tuple(sorted(names)),
    )
