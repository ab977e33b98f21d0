"""Trades of both sides, one by one.

Belongs here: which of our trades is which of the broker's, and what is left over. Does not belong here: positions and
cash (`reconciliation.py`), or how long something is left over (`break_life.py`).

Matched by the broker's id of the trade; what is left, by contract, quantity and price; then all that is left of a
contract at once, where both sides add up to the same at the same average price (one side books by execution, the other
by order); then by contract and quantity, which is the same trade at another price. A trade left over on an earlier
session is looked for again on every later one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from trading.book.breaks import TRADE, TRADE_KINDS, TRADE_MISSING_HERE, TRADE_MISSING_THERE, Break, Finding, Key
from trading.book.orders import Fill

Contract = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Trades:
    """Our side: what was booked on the session and still stands (`today`), corrections and adjustments booked on it,
    which explain a trade of the broker's but need none, and every fill that stands, by id."""

    today: Sequence[Fill]
    corrections: Sequence[Fill] = ()
    standing: Mapping[str, Fill] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Matched:
    """Findings about trades; `healed` tells how open breaks ended, by key; what is left over on either side today."""

    findings: tuple[Finding, ...]
    healed: Mapping[Key, str]
    only_here: tuple[Fill, ...]
    only_there: tuple[Fill, ...]


@dataclass(slots=True)
class _Matching:
    """Trades not matched yet, and pairs that are one trade told differently."""

    ours: list[Fill]
    theirs: list[Fill]
    soft: list[Fill]
    tolerance: float
    differing: list[tuple[Fill, Fill]] = field(default_factory=list)
    found_here: set[str] = field(default_factory=set)  # ids of ours that a trade of theirs turned out to be

    def by_id(self, standing: Mapping[str, Fill]) -> None:
        """Trades with one id on both sides, whenever ours was booked."""
        named = {fill.fill_id: fill for fill in self.ours}
        for trade in list(self.theirs):
            own = named.get(trade.fill_id) or standing.get(trade.fill_id)
            if own is not None and _contract(own) == _contract(trade):
                self._pair(own, trade)

    def by_content(self, earlier: Iterable[Fill]) -> None:
        """Trades of one contract, quantity and price; then whole contracts; then of one contract and quantity."""
        for own in [*self.ours, *self.soft, *earlier]:
            same = next((trade for trade in self.theirs if self._same(own, trade)), None)
            if same is not None:
                self._pair(own, same)
        for contract in {_contract(fill) for fill in self.ours}:
            self._whole(contract)
        for own in list(self.ours):
            like = next((trade for trade in self.theirs if _size(own) == _size(trade)), None)
            if like is not None:
                self._pair(own, like)

    def _same(self, own: Fill, trade: Fill) -> bool:
        return _size(own) == _size(trade) and close_to(own.price_points, trade.price_points, self.tolerance)

    def _whole(self, contract: Contract) -> None:
        ours, theirs = ([fill for fill in side if _contract(fill) == contract] for side in (self.ours, self.theirs))
        one_way = len({fill.quantity_contracts > 0 for fill in (*ours, *theirs)}) == 1
        if not theirs or not one_way or _sum(ours) != _sum(theirs):
            return
        if close_to(_average(ours), _average(theirs), self.tolerance):
            self.ours = [fill for fill in self.ours if fill not in ours]
            self.theirs = [fill for fill in self.theirs if fill not in theirs]

    def _pair(self, own: Fill, trade: Fill) -> None:
        self.found_here.add(own.fill_id)
        self.theirs.remove(trade)
        for side in (self.ours, self.soft):
            if own in side:
                side.remove(own)
        if not self._same(own, trade):
            self.differing.append((own, trade))


def match(
    ours: Trades,
    theirs: Sequence[Fill],
    known: Iterable[Break],
    session: date,
    as_of: datetime | None,
    price_tolerance: float,
) -> Matched:
    """Compares the trades of a session, and looks for what earlier sessions left open (`known`).

    `as_of` (UTC) is when the broker drew its statement up: what we did after it is not missing, only late.
    """
    carried = [found for found in known if found.kind in TRADE_KINDS and found.opened < session]
    late_here = _late(carried, TRADE_MISSING_THERE, ours.standing)
    matching = _Matching(list(ours.today), list(theirs), list(ours.corrections), price_tolerance)
    matching.by_id(ours.standing)
    healed = _came_here(carried, matching, ours.standing)
    matching.by_content(late_here.values())
    found = [_differs(own, trade, session, price_tolerance) for own, trade in matching.differing]
    found += [_missing_there(fill, session, as_of) for fill in matching.ours]
    found += [_missing_here(fill, session) for fill in matching.theirs]
    carry = _Carry(matching, ours.standing, session, as_of, price_tolerance)
    known_keys = {finding.key for finding in found} | set(healed)
    for each in carried:
        outcome = carry.outcome(each)
        if isinstance(outcome, str):
            healed.setdefault(each.key, outcome)
        elif each.key not in known_keys:
            found.append(outcome)
    return Matched(tuple(found), healed, tuple(matching.ours), tuple(matching.theirs))


def close_to(a: float, b: float, tolerance: float) -> bool:
    """Whether two prices agree within a fraction of the larger one."""
    return abs(a - b) <= tolerance * max(abs(a), abs(b))


# --- what earlier sessions left open ----------------------------------------------------------------------------------
def _late(carried: Iterable[Break], kind: str, standing: Mapping[str, Fill]) -> dict[str, Fill]:
    """Our fills that open breaks of a kind are about, by id; those taken back since are left out."""
    names = [_trade_id(found.item) for found in carried if found.kind == kind]
    return {name: standing[name] for name in names if name in standing}


def _came_here(carried: Iterable[Break], matching: _Matching, standing: Mapping[str, Fill]) -> dict[Key, str]:
    """Trades of theirs that were missing here and are booked by now: by id, or by contract and quantity among what was
    booked today. What they are is not missing there."""
    healed: dict[Key, str] = {}
    for found in (each for each in carried if each.kind == TRADE_MISSING_HERE):
        named = standing.get(_trade_id(found.item))
        booked = [named] if named is not None else [*matching.ours, *matching.soft]
        own = next((fill for fill in booked if _item_size(found) == _size(fill)), None)
        if own is not None:
            healed[found.key] = f"it was booked here as {own.fill_id}"
            matching.ours = [fill for fill in matching.ours if fill.fill_id != own.fill_id]
            matching.soft = [fill for fill in matching.soft if fill.fill_id != own.fill_id]
    return healed


@dataclass(frozen=True, slots=True)
class _Carry:
    """What becomes of a break of an earlier session's trade: a finding where it is still so, or how it ended."""

    matching: _Matching
    standing: Mapping[str, Fill]
    session: date
    as_of: datetime | None
    tolerance: float

    def outcome(self, before: Break) -> Finding | str:
        """Of one open break."""
        own = self.standing.get(_trade_id(before.item))
        if before.kind == TRADE_MISSING_HERE:
            return _seen_again(before, self.session)
        if own is None:
            return "it was taken back here"
        if before.kind == TRADE_MISSING_THERE:
            return self._missing(own)
        if _now_as_theirs(before, own, self.tolerance) or own.fill_id in self.matching.found_here:
            return "both sides tell it alike now"
        return _seen_again(before, self.session)

    def _missing(self, own: Fill) -> Finding | str:
        if own.fill_id in self.matching.found_here:
            return f"the broker's statement of {self.session} has it"
        return _missing_there(own, self.session, self.as_of)


def _now_as_theirs(before: Break, own: Fill, tolerance: float) -> bool:
    if before.theirs is None:
        return False
    if before.tolerance is not None:
        return close_to(own.price_points, before.theirs, tolerance)
    return own.quantity_contracts == before.theirs


def _seen_again(before: Break, session: date) -> Finding:
    text = before.message if not before.timing else f"{before.message.partition(' It is known')[0]}"
    fix = before.proposed_fix
    return Finding(before.kind, before.item, session, before.ours, before.theirs, text, fix, before.tolerance)


# --- findings ---------------------------------------------------------------------------------------------------------
def _missing_there(fill: Fill, session: date, as_of: datetime | None) -> Finding:
    done = executed(fill)
    late = as_of is not None and done is not None and done > aware(as_of)
    text = f"{_told(fill)} is in the book and not on the broker's statement of {session}."
    text += f" It is known to be late: done at {done}, after the statement was drawn up." if late else ""
    fix = "none: the next statement has it" if late else f"ask the broker for {fill.fill_id}, or bust it here"
    return Finding(TRADE_MISSING_THERE, trade_item(fill), session, float(fill.quantity_contracts), 0.0, text, fix,
                   timing=late)  # fmt: skip


def _missing_here(trade: Fill, session: date) -> Finding:
    late = trade.session > session
    text = f"{_told(trade)} is on the broker's statement of {session} and not in the book."
    text += f" It is known to be early: the broker dates it {trade.session}." if late else ""
    fix = "none: our next session has it" if late else f"book {trade.fill_id}, or have the broker take it back"
    return Finding(TRADE_MISSING_HERE, trade_item(trade), session, 0.0, float(trade.quantity_contracts), text, fix,
                   timing=late)  # fmt: skip


def _differs(own: Fill, trade: Fill, session: date, tolerance: float) -> Finding:
    if _size(own) == _size(trade):
        ours, theirs, allowed = own.price_points, trade.price_points, tolerance * abs(own.price_points)
        what = f"at {ours:,.10g} in the book and at {theirs:,.10g} on the broker's statement"
    else:
        ours, theirs, allowed = float(own.quantity_contracts), float(trade.quantity_contracts), None
        what = f"{_told(own)} in the book and {_told(trade)} on the broker's statement"
    text = f"trade {own.fill_id} of {own.instrument}/{own.contract} is {what} of {session}."
    fix = "compare with the confirmation, then correct the side that is wrong"
    return Finding(TRADE, trade_item(own), session, ours, theirs, text, fix, allowed)


def trade_item(fill: Fill) -> str:
    """What a break of a trade is about: the contract, then the trade."""
    return f"{fill.instrument}/{fill.contract}/{fill.fill_id}"


def executed(fill: Fill) -> datetime | None:
    """When a trade was done, UTC, or None."""
    return None if not fill.executed_at else aware(datetime.fromisoformat(fill.executed_at))


def aware(instant: datetime) -> datetime:
    """An instant with its zone; one without is UTC."""
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _told(fill: Fill) -> str:
    return (
        f"{fill.instrument}/{fill.contract} {fill.quantity_contracts:+d} at {fill.price_points:,.10g} ({fill.fill_id})"
    )


def _trade_id(item: str) -> str:
    return item.split("/", 2)[2]


def _item_size(found: Break) -> tuple[str, int, int]:
    code, contract, _ = found.item.split("/", 2)
    return (code, int(contract), int(found.theirs or 0))


def _contract(fill: Fill) -> Contract:
    return (fill.instrument, fill.contract)


def _size(fill: Fill) -> tuple[str, int, int]:
    return (fill.instrument, fill.contract, fill.quantity_contracts)


def _sum(fills: Iterable[Fill]) -> int:
    return sum(fill.quantity_contracts for fill in fills)


def _average(fills: Sequence[Fill]) -> float:
    return sum(fill.quantity_contracts * fill.price_points for fill in fills) / _sum(fills)
