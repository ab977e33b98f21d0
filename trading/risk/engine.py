"""The risk engine: an order judged by every limit of the book, and headroom held for those that pass.

Belongs here: names to places, one reference to the arrays in force, orders at work by id. Does not belong here: sums
and values (`trading/kernels/risk_checks.py`), words (`wording.py`), reading anything, or the clock: instants are passed
in, seconds of one clock that does not go back.

Threads share an engine. Judging takes no lock: one call into the kernel sees the book as it is, and holds headroom in
the same step, so two orders cannot both take the last of it. Arrays that are replaced (another book, other facts) are
closed first, and who meets closed ones takes the new reference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from threading import Event, Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading.config.models import DeskSettings
from trading.errors import ConfigError, UsageError
from trading.kernels import risk_checks as k
from trading.kernels.risk_state import State, handle_of
from trading.risk.book import Book
from trading.risk.compiled import MODES, Places, levels_of, measure_by, state_of
from trading.risk.decision import BESIDE, Asked, Decision, Explained, Judged, Measured, Mode, Outcome, Reason, Versions
from trading.risk.headroom import Standing
from trading.risk.limit_table import Limits, LimitTable, Slot, axes_of, limit_table
from trading.risk.market import Market
from trading.risk.wording import OUTCOME, OUTCOMES, Wording

Floats = npt.NDArray[np.float64]
LARGEST = 1e9  # contracts of an order
WAIT_S = 1.0  # for arrays that are being replaced
WAYS: Mapping[Mode, int] = {"all": k.ALL, "prefix": k.PREFIX, "scale": k.SCALE}
FOREVER = math.inf
Leg = tuple[int, int, int, float, float]


def no_time() -> float:
    """The timer of who does not ask how long anything took."""
    return 0.0


class Working(NamedTuple):
    """Where an order at work is held, and what it was."""

    place: int
    birth: int
    asked: Asked


class Drift(NamedTuple):
    """How far sums kept were from sums made anew: the largest difference, of the sum's size or of 1,000 units of
    money or contracts where that is larger (NaN where a sum is no number), and of how many."""

    largest: float
    sums: int


@dataclass(frozen=True, slots=True, eq=False)
class _Arrays:
    """One version of everything: replaced as a whole."""

    state: State
    handle: State
    slots: tuple[Slot, ...]
    market: Market
    table: LimitTable
    places: Places
    strategies: tuple[str, ...]
    line_codes: npt.NDArray[np.int64]
    wording: Wording
    published: Event
    width: int

    def versions(self, changes: int | None = None) -> Versions:
        """What was judged by, after so many changes of the book; as it is now without."""
        book = int(self.state.counts[k.C_CHANGES]) if changes is None else changes
        return Versions(book, self.market.version, self.table.configuration)


_CLAIMED = Working(k.NONE, 0, Asked("", "", 0, 0))


class RiskEngine:
    """One book under one set of limits. `timer` measures how long decisions take, in seconds. `limits` says which
    limits a desk has, of what is judged here."""

    def __init__(
        self, desk: DeskSettings, market: Market, book: Book, configuration: str = "",
        timer: Callable[[], float] = no_time, limits: Limits = limit_table,
    ) -> None:  # fmt: skip
        self._timer, self._limits = timer, limits
        self._working: dict[str, Working] = {}
        self._named: dict[int, str] = {}  # orders at work by birth
        self._gone: set[int] = set()  # births that were over before they had a name here
        self._writers = Lock()  # of who replaces arrays; nobody who judges takes it
        self._desk, self._configuration = desk, configuration
        self._capacity = desk.risk.service.max_reservations  # of this engine, whatever settings say later
        self._arrays = self._compiled(desk, market, book, configuration)
        self._arrays.published.set()

    # --- judging ------------------------------------------------------------------------------------------------------
    def check(self, asked: Asked, now: float = 0.0) -> Decision:
        """What would become of one order; nothing is held for it."""
        return self._judged_one(asked, now, FOREVER, commit=False)

    def check_each(self, orders: Sequence[Asked], now: float = 0.0) -> list[Outcome]:
        """What would become of each of many orders if it were the only one; nothing is held, and why is not told. Those
        that cannot be judged at all are refused."""
        while True:
            arrays = self._arrays
            legs = _legs(orders, arrays.places)
            known = np.flatnonzero(_can_be_judged(legs))
            known = known[np.argsort(legs[known, k.L_INSTRUMENT], kind="stable")]  # neighbours in memory, one by one
            worst = np.empty(len(known), np.uint8)
            values, outcomes = np.empty((1, arrays.width)), np.empty((1, arrays.width), np.uint8)
            if k.judge_each(arrays.handle, legs[known], int(now), worst, values, outcomes) != k.CLOSED:
                break
            arrays.published.wait(WAIT_S)
        found = np.full(len(orders), k.REFUSE, np.uint8)
        found[known] = worst
        return [OUTCOMES[outcome] for outcome in found.tolist()]

    def check_list(
        self, orders: Sequence[Asked], mode: Mode = "all", netted: bool = False, now: float = 0.0
    ) -> list[Decision]:
        """What would become of a list, in its order. `mode`: all of it or nothing, its longest prefix, or the largest
        percentage of every order. `netted`: its orders are judged as if filled together, so that those which offset
        each other count as what they come to; else one after another."""
        return self._judged(tuple(orders), mode, netted, now, None)

    def reserve(self, asked: Asked, now: float = 0.0, expires: float = FOREVER) -> Decision:
        """As `check`, and holds the headroom that the order needs until it is filled, released, or `expires`. It needs
        an `order_id` of its own: one at work is refused as `duplicate_order`."""
        claimed: list[str] = []
        try:
            wrong = self._claim((asked,), claimed)
            if wrong:
                return self._unseen((asked,), wrong, self._arrays, self._timer())[0]
            return self._judged_one(asked, now, expires, commit=True, claimed=claimed)
        finally:
            for name in claimed:
                self._working.pop(name, None)

    def reserve_list(
        self, orders: Sequence[Asked], mode: Mode = "all", netted: bool = False, now: float = 0.0,
        expires: float = FOREVER,
    ) -> list[Decision]:  # fmt: skip
        """As `check_list`, and holds headroom for what is granted, in the same step."""
        return self._judged(tuple(orders), mode, netted, now, expires)

    def _judged_one(
        self, asked: Asked, now: float, expires: float, commit: bool, claimed: list[str] | None = None
    ) -> Decision:
        begun = self._timer()
        while True:
            arrays = self._arrays
            reason = _fault(asked, arrays.places)
            if reason is not None:
                return self._unseen((asked,), {0: reason}, arrays, begun)[0]
            leg = _leg(asked, arrays.places)
            values, outcomes = np.empty((1, arrays.width)), np.empty((1, arrays.width), np.uint8)
            worst, place, birth, changes = k.judge_one(arrays.handle, *leg, commit, int(now), expires, values, outcomes)
            if worst != k.CLOSED:
                break
            arrays.published.wait(WAIT_S)
        if worst == k.FULL:
            return self._unseen((asked,), {0: _FULL}, arrays, begun)[0]
        if claimed and birth:
            self._name(Working(place, birth, asked))
            claimed.clear()
        explain = Measured(arrays.wording, leg, values, outcomes, 0)
        granted = 0 if worst == k.REFUSE else int(asked.quantity_contracts)
        taken = (self._timer() - begun) * 1e6
        return Decision(asked, OUTCOMES[worst], granted, arrays.versions(changes), taken, explain)

    def _judged(
        self, orders: tuple[Asked, ...], mode: Mode, netted: bool, now: float, expires: float | None
    ) -> list[Decision]:
        begun = self._timer()
        commit = expires is not None
        claimed: list[str] = []
        try:
            refused = self._claim(orders, claimed) if commit else None
            while True:
                arrays = self._arrays
                wrong = refused or _wrong(orders, arrays)
                if wrong:
                    return self._unseen(orders, wrong, arrays, begun)
                found = _Judging(orders, arrays)
                worst, count = found.run(WAYS[mode], netted, commit, now, FOREVER if expires is None else expires)
                if worst != k.CLOSED:
                    break
                arrays.published.wait(WAIT_S)
            if worst == k.FULL:
                return self._unseen(orders, dict.fromkeys(range(len(orders)), _FULL), arrays, begun)
            if commit and count:
                self._note(orders, found, count, claimed)
            return found.decisions(worst, count, (self._timer() - begun) * 1e6)
        finally:
            for name in claimed:
                self._working.pop(name, None)

    def _claim(self, orders: Sequence[Asked], claimed: list[str]) -> dict[int, Reason]:
        """Takes the ids of orders, so that nobody else uses them meanwhile; what stands in the way."""
        wrong = {}
        for number, asked in enumerate(orders):
            if not asked.order_id:
                raise UsageError("an order without order_id cannot be held headroom for. Give it one of its own.")
            mine = _CLAIMED._replace(asked=asked)
            if self._working.setdefault(asked.order_id, mine) is mine:
                claimed.append(asked.order_id)
            else:
                wrong[number] = Reason(
                    "duplicate_order", f"order {asked.order_id} is at work already. Give every order an id of its own."
                )
        return wrong

    def _note(self, orders: Sequence[Asked], found: _Judging, count: int, claimed: list[str]) -> None:
        """Orders at work by id, and by birth."""
        for number in range(count):
            asked = orders[int(found.chosen[number])]
            place, birth = int(found.places[number, 0]), int(found.places[number, 1])
            self._name(Working(place, birth, asked))
            claimed.remove(asked.order_id)

    def _name(self, working: Working) -> None:
        """An order that was brought to work is known by its id from now on, unless its time was over before that."""
        self._working[working.asked.order_id] = working
        self._named[working.birth] = working.asked.order_id
        if working.birth in self._gone:
            self._forget(working.asked.order_id, working.birth)

    def _unseen(
        self, orders: Sequence[Asked], wrong: Mapping[int, Reason], arrays: _Arrays, begun: float
    ) -> list[Decision]:
        """Refusals of a list in which an order cannot be judged at all."""
        taken, versions = (self._timer() - begun) * 1e6, arrays.versions()
        return [
            Decision(asked, "refuse", 0, versions, taken, _said(wrong.get(number, BESIDE)))
            for number, asked in enumerate(orders)
        ]

    # --- what becomes of orders ---------------------------------------------------------------------------------------
    def fill(self, asked: Asked, now: float = 0.0) -> int:
        """A fill moves the book; the order it is of, if that is at work, holds so much less. `asked` has the contracts
        filled, and the order's id or none. What the order still holds. Raises UsageError on a fill of something that
        is not known: load the book anew."""
        while True:
            arrays = self._arrays
            wrong = _wrong((asked,), arrays)
            if wrong:
                raise UsageError(f"a fill cannot be booked: {wrong[0].message}")
            working = self._working.get(asked.order_id, _CLAIMED)
            if working.place >= 0 and working.asked[:3] != asked[:3]:
                raise UsageError(
                    f"a fill of {asked.strategy}'s {asked.instrument}/{asked.contract} cannot be of order "
                    f"{asked.order_id}, which is of {working.asked.strategy}'s {working.asked.instrument}/"
                    f"{working.asked.contract}. Correct the order's id, or leave it out."
                )
            leg = np.array(_leg(asked, arrays.places))
            left = k.fill(arrays.handle, working.place, working.birth, leg, int(now))
            if not math.isnan(left):
                break
            arrays.published.wait(WAIT_S)
        if left == 0.0:
            self._forget(asked.order_id, working.birth)
        return int(left)

    def release(self, order_id: str) -> int:
        """Gives back what an order holds: it was cancelled, or rejected. How many contracts that was; 0 of an order
        that is not at work."""
        working = self._working.get(order_id, _CLAIMED)
        if working.place < 0:
            return 0
        while True:
            arrays = self._arrays
            left = k.release(arrays.handle, working.place, working.birth)
            if not math.isnan(left):
                break
            arrays.published.wait(WAIT_S)
        self._forget(order_id, working.birth)
        return int(left)

    def adopt(self, orders: Sequence[Asked], netted: bool = False, now: float = 0.0, expires: float = FOREVER) -> None:
        """Brings orders to work that were granted elsewhere, unjudged: headroom is held for them here too. Raises
        UsageError on what is not known here, an id at work, and where there is no room: nothing is held then."""
        claimed: list[str] = []
        if not orders:
            return
        try:
            wrong = self._claim(orders, claimed)
            while True:
                arrays = self._arrays
                wrong = wrong or _wrong(orders, arrays)
                if wrong:
                    raise UsageError(f"orders granted elsewhere cannot be held: {next(iter(wrong.values())).message}")
                found = _Judging(tuple(orders), arrays)
                count = k.adopt(arrays.handle, found.asked, netted, int(now), expires, found.places)
                if count != k.CLOSED:
                    break
                arrays.published.wait(WAIT_S)
            if count == k.FULL:
                raise UsageError(f"orders granted elsewhere cannot be held: {_FULL.message}")
            found.chosen[:] = np.arange(len(orders))
            self._note(orders, found, len(orders), claimed)
        finally:
            for name in claimed:
                self._working.pop(name, None)

    def expire(self, now: float) -> list[str]:
        """Gives back what orders hold whose time is over, and says which."""
        names: list[str] = []
        births = np.zeros(1024, np.int64)
        while True:
            arrays = self._arrays
            count = k.expire(arrays.handle, now, births)
            if count == k.CLOSED:
                arrays.published.wait(WAIT_S)
                continue
            for birth in births[:count].tolist():
                if birth not in self._named:
                    self._gone.add(birth)  # who is just bringing it to work sees this, or is seen here
                name = self._named.get(birth)
                if name is not None:
                    names.append(name)
                    self._forget(name, birth)
            if count < len(births):
                return sorted(names)

    def working(self) -> dict[str, Asked]:
        """Orders at work by id, as they were asked for."""
        return {name: held.asked for name, held in list(self._working.items()) if held.place >= 0}

    def _forget(self, order_id: str, birth: int) -> None:
        self._named.pop(birth, None)
        self._gone.discard(birth)
        held = self._working.get(order_id)
        if held is not None and held.birth == birth:
            self._working.pop(order_id, None)

    # --- what changes meanwhile ---------------------------------------------------------------------------------------
    def limit(self, desk: DeskSettings, configuration: str = "") -> None:
        """Other limits, in force for whoever asks next, and the confidence and exit that they are measured by; what
        else `risk.model` says counts with other facts (`load`), and `max_reservations` for another engine. Orders at
        work stay. Raises ConfigError where limits mean nothing; then the old ones stay."""
        with self._writers:
            arrays = self._arrays
            table = self._limits(desk, arrays.market, arrays.strategies, configuration)
            model, was = desk.risk.model, self._desk.risk.model
            if (model.confidence, model.exit_fraction) != (was.confidence, was.exit_fraction):
                measure_by(arrays.state, arrays.market, model.confidence, model.exit_fraction)
                k.recompute(arrays.handle, arrays.line_codes, arrays.state.totals.copy())
            levels, flags = levels_of(table)
            state = arrays.state._replace(levels=levels, flags=flags)
            arrays.state.holdings[k.MODE] = _modes(desk, arrays.market, arrays.strategies)
            self._desk, self._configuration = desk, configuration
            wording = replace(arrays.wording, table=table)
            self._arrays = replace(arrays, state=state, handle=handle_of(state), table=table, wording=wording)

    def load(self, market: Market, book: Book) -> None:
        """Another book and other facts; orders at work stay, and hold headroom there. Raises ConfigError where one of
        them is of an instrument, contract or strategy that is not known any more; then everything stays."""
        with self._writers:
            new = self._compiled(self._desk, market, book, self._configuration, recomputed=False)
            old = self._arrays
            old.published.clear()  # who meets closed arrays waits until others are there
            while not k.close(old.handle, int(old.state.counts[k.C_CHANGES])):
                pass
            try:
                _carry(old, new)
            except KeyError as cause:
                old.state.counts[k.C_CLOSED] = 0
                old.published.set()
                raise ConfigError(
                    f"an order at work is of {cause.args[0]}, which the new book does not know. Release the order, or "
                    "load facts that have it."
                ) from cause
            k.recompute(new.handle, new.line_codes, new.state.totals.copy())
            self._arrays = new
            new.published.set()
            old.published.set()

    def stop(self, modes: npt.NDArray[np.float64]) -> None:
        """Halts by strategy and instrument, shape (strategies, instruments): FREE_MODE, REDUCE_ONLY, CLOSE_ONLY or
        NOTHING of the kernel."""
        with self._writers:
            self._arrays.state.holdings[k.HALT] = modes.reshape(-1)

    def recompute(self) -> Drift:
        """All sums anew, and how far those kept had drifted."""
        arrays = self._arrays
        apart = np.empty_like(arrays.state.totals)
        while k.recompute(arrays.handle, arrays.line_codes, apart) == k.CLOSED:
            arrays.published.wait(WAIT_S)
            arrays = self._arrays
            apart = np.empty_like(arrays.state.totals)
        return Drift(float(np.max(apart)), len(apart))

    def standing(self, now: float = 0.0) -> tuple[Judged, ...]:
        """What the book as it stands comes to, orders at work included, by rule and element: every value that needs no
        order to be asked about, with what is left of its limit."""
        arrays = self._arrays
        state = arrays.state
        held = state._replace(
            lines=state.lines.copy(), own=state.own.copy(), holdings=state.holdings.copy(), totals=state.totals.copy()
        )
        return Standing(held, arrays.slots, arrays.wording.axes, arrays.table, int(now)).rows()

    @property
    def instruments(self) -> tuple[str, ...]:
        """Instruments it knows."""
        return self._arrays.market.instruments

    @property
    def strategies(self) -> tuple[str, ...]:
        """Strategies it knows."""
        return self._arrays.strategies

    @property
    def capacity(self) -> int:
        """Orders that can be at work at once."""
        return len(self._arrays.state.orders)

    @property
    def session_orders(self) -> int:
        """Orders of the session so far, but those that only reduced."""
        return int(self._arrays.state.counts[k.C_SESSION])

    @session_orders.setter
    def session_orders(self, orders: int) -> None:
        """For who knows of orders that were not granted here."""
        self._arrays.state.counts[k.C_SESSION] = orders

    @property
    def versions(self) -> Versions:
        """What decisions are made from now."""
        return self._arrays.versions()

    def _compiled(
        self, desk: DeskSettings, market: Market, book: Book, configuration: str, recomputed: bool = True
    ) -> _Arrays:
        table = self._limits(desk, market, book.strategies, configuration)
        model, modes = desk.risk.model, _modes(desk, market, book.strategies)
        state, slots = state_of(market, book, table, modes, self._capacity, model.confidence, model.exit_fraction)
        axes = axes_of(market, book.strategies)
        wording = Wording(slots, state.rows, state.groups, axes, table, dict(book.locks), book.capital_base)
        codes = np.ascontiguousarray(market.contract_instrument, dtype=np.int64)
        handle = handle_of(state)
        if recomputed:
            k.recompute(handle, codes, state.totals.copy())
        return _Arrays(
            state,
            handle,
            slots,
            market,
            table,
            Places(market, book.strategies),
            book.strategies,
            codes,
            wording,
            Event(),
            len(slots),
        )


class _Judging:
    """One call into the kernel: what goes in and what comes out."""

    __slots__ = ("_arrays", "_changes", "_orders", "asked", "chosen", "legs", "outcomes", "places", "values")

    def __init__(self, orders: tuple[Asked, ...], arrays: _Arrays) -> None:
        self._orders, self._arrays, self._changes = orders, arrays, 0
        count, rows = len(orders), len(arrays.slots)
        self.asked = np.array([_leg(asked, arrays.places) for asked in orders]).reshape(-1, k.LEG_COLUMNS)
        self.legs = np.empty((count, k.LEG_COLUMNS))
        self.chosen = np.empty(count, np.int64)
        self.places = np.empty((count, 2), np.int64)
        self.values = np.full((count, rows), np.nan)
        self.outcomes = np.full((count, rows), k.UNLIMITED, np.uint8)

    def run(self, way: int, netted: bool, commit: bool, now: float, expires: float) -> tuple[int, int]:
        """The worst outcome and how many orders are granted anything."""
        worst, count, self._changes = k.judge(
            self._arrays.handle, self.asked, way, netted, commit, int(now), expires, self.legs, self.chosen,
            self.values, self.outcomes, self.places,
        )  # fmt: skip
        return int(worst), int(count)

    def decisions(self, worst: int, count: int, microseconds: float) -> list[Decision]:
        """Answers in the order asked. Of a list that is refused nothing is granted, whatever each order came to."""
        versions = self._arrays.versions(int(self._changes))
        granted = {int(self.chosen[number]): number for number in range(count)}
        found = []
        for number, asked in enumerate(self._orders):
            row = granted.get(number, number if not count else k.NONE)
            if row < 0:
                found.append(Decision(asked, "refuse", 0, versions, microseconds, _said(_CUT)))
                continue
            outcome = _outcome(self.outcomes[row]) if count else "refuse"
            contracts = int(self.legs[row, k.L_CONTRACTS]) if count else 0
            found.append(Decision(asked, outcome, contracts, versions, microseconds, self._explain(number, row)))
        return found

    def _explain(self, number: int, row: int) -> Measured:
        leg = tuple(self.asked[number].tolist())
        return Measured(self._arrays.wording, leg, self.values, self.outcomes, row)


_FULL = Reason(
    "reservations_full",
    "as many orders are at work as there may be. Wait for some of them to be filled or cancelled, or raise "
    "risk.service.max_reservations.",
)
_CUT = Reason("list", "the part of the list that may be sent leaves nothing of this order. Send it later.")


def _outcome(outcomes: npt.NDArray[np.uint8]) -> Outcome:
    found = [OUTCOMES[int(outcome) & OUTCOME] for outcome in set(outcomes.tolist())]
    return "refuse" if "refuse" in found else "warn" if "warn" in found else "pass"


def _said(reason: Reason) -> Callable[[], Explained]:
    return lambda: ((reason,), ())


def _leg(asked: Asked, places: Places) -> Leg:
    """Places of strategy, instrument and contract, contracts, and the price: NaN at market."""
    instrument = asked.instrument
    return (
        places.strategies[asked.strategy], places.instruments[instrument], places.contracts[instrument, asked.contract],
        float(asked.quantity_contracts), math.nan if asked.limit_points is None else asked.limit_points,
    )  # fmt: skip


def _legs(orders: Sequence[Asked], places: Places) -> Floats:
    """As `_leg`, of many orders, (orders, columns): -1 for what is not known, and an infinite price for one that is no
    number."""
    legs = np.empty((len(orders), k.LEG_COLUMNS))
    if not len(orders):
        return legs
    strategies, instruments, contracts, quantities, prices, *_ = zip(*orders, strict=True)
    lines = map(places.contracts.get, zip(instruments, contracts, strict=True), repeat(-1))
    legs[:, k.L_STRATEGY] = np.fromiter(map(places.strategies.get, strategies, repeat(-1)), np.float64, len(orders))
    legs[:, k.L_INSTRUMENT] = np.fromiter(map(places.instruments.get, instruments, repeat(-1)), np.float64, len(orders))
    legs[:, k.L_LINE] = np.fromiter(lines, np.float64, len(orders))
    legs[:, k.L_CONTRACTS] = [q if -LARGEST <= q <= LARGEST else math.nan for q in quantities]
    legs[:, k.L_PRICE] = [math.nan if p is None else p if math.isfinite(p) else math.inf for p in prices]
    return legs


def _can_be_judged(legs: Floats) -> npt.NDArray[np.bool_]:
    """Of which orders everything is known, as `_fault` says it of one."""
    contracts = legs[:, k.L_CONTRACTS]
    found: npt.NDArray[np.bool_] = (
        (legs[:, : k.L_CONTRACTS].min(axis=1) >= 0.0)
        & (contracts == np.trunc(contracts))
        & (contracts != 0.0)
        & (legs[:, k.L_PRICE] != math.inf)
    )
    return found


def _wrong(orders: Sequence[Asked], arrays: _Arrays) -> dict[int, Reason]:
    """What keeps orders from being judged at all, by number."""
    found = {}
    for number, asked in enumerate(orders):
        reason = _fault(asked, arrays.places)
        if reason is not None:
            found[number] = reason
    return found


def _fault(asked: Asked, places: Places) -> Reason | None:
    quantity, price = asked.quantity_contracts, asked.limit_points
    if not -LARGEST <= quantity <= LARGEST:
        said = "is no number" if quantity != quantity else f"is past {LARGEST:,.0f}: nobody means that"
        return Reason("quantity_too_large" if quantity == quantity else "quantity_not_a_number",
                      f"the order's quantity {said}. Give whole contracts, bought positive.")  # fmt: skip
    if quantity == 0:
        return Reason("quantity_zero", "the order's quantity is 0: it asks for nothing. Leave it out.")
    if quantity != int(quantity):
        return Reason("quantity_not_whole", f"the order's quantity is {quantity}. Futures come in whole contracts.")
    if price is not None and not math.isfinite(price):
        return Reason("price_not_a_number", "the order's limit price is no number. Give one, or none for the market's.")
    if asked.strategy not in places.strategies:
        return Reason("unknown_strategy", f"strategy {asked.strategy} is not one of the desk's. Name one that is.")
    if asked.instrument not in places.instruments:
        return Reason("unknown_instrument", f"instrument {asked.instrument} is not known. Load prices for it.")
    if (asked.instrument, asked.contract) not in places.contracts:
        return Reason(
            "unknown_contract",
            f"contract {asked.contract} of {asked.instrument} has no price, so what it is worth is unknown. Load "
            "prices for it.",
        )
    return None


def _modes(desk: DeskSettings, market: Market, strategies: Sequence[str]) -> list[int]:
    return [MODES[desk.symbol(code, name).trading_mode] for name in strategies for code in market.instruments]


def _carry(old: _Arrays, new: _Arrays) -> None:
    """Orders at work, counts and halts go along to new arrays. Raises KeyError on what these do not know."""
    orders = old.state.orders.copy()
    for place in np.flatnonzero((orders[:, k.O_BIRTH] > 0.0) & (orders[:, k.O_LEFT] != 0.0)):
        instrument, contract = old.market.contracts[int(orders[place, k.O_LINE])]
        orders[place, k.O_STRATEGY] = new.places.strategies[old.strategies[int(orders[place, k.O_STRATEGY])]]
        orders[place, k.O_INSTRUMENT] = new.places.instruments[instrument]
        orders[place, k.O_LINE] = new.places.contracts[instrument, contract]
    new.state.orders[:] = orders
    new.state.free[:] = old.state.free
    session = max(int(new.state.counts[k.C_SESSION]), 0)
    new.state.counts[:] = old.state.counts
    new.state.counts[k.C_CLOSED], new.state.counts[k.C_SESSION] = 0, session
    new.state.counts[k.C_CHANGES] += 1
    _carry_by_name(old, new)


def _carry_by_name(old: _Arrays, new: _Arrays) -> None:
    """Counts of the last minute and halts, of strategies and instruments that both have."""
    before, after = (len(arrays.market.instruments) for arrays in (old, new))
    for name, place in new.places.strategies.items():
        if name not in old.places.strategies:
            continue
        was = old.places.strategies[name]
        new.state.ticks[1 + place], new.state.seconds[1 + place] = old.state.ticks[1 + was], old.state.seconds[1 + was]
        for code, column in new.places.instruments.items():
            if code in old.places.instruments:
                held = was * before + old.places.instruments[code]
                new.state.holdings[k.HALT, place * after + column] = old.state.holdings[k.HALT, held]
    new.state.ticks[0], new.state.seconds[0] = old.state.ticks[0], old.state.seconds[0]
