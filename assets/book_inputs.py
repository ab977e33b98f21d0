"""What closing a range of sessions reads: every dataset once, laid out by session.

Belongs here: reading and laying out. Does not belong here: any step of the close (`trading/book/close.py`), writing.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from assets.risk_inputs import earned, risk_facts
from trading.book.account import ZERO, booked, to_base, value_local, valued
from trading.book.booking import BOOK_KINDS, ORDER_KINDS
from trading.book.fills import MOVEMENT_KINDS
from trading.book.journal import Event
from trading.book.marks import Contract, Mark, marks
from trading.book.positions import Key
from trading.book.rolls import Roll
from trading.book.state import BookState, SessionInputs
from trading.config.models import DeskSettings
from trading.frames import DAILY_PRICES, EQUITY, FX_RATES, OPTIMAL_POSITIONS, POSITIONS, ROLL_GAPS, Dataset
from trading.ports import FrameStore, Ledger, ReferenceStore
from trading.risk.limit_table import needs_facts
from trading.risk.standing import Curves
from trading.strategies.targets import Wanted

# How far back prices are read for marks. A contract not quoted for longer keeps the mark it was last valued at.
MARK_DAYS = 400
DAY = timedelta(days=1)
Rows = list[dict[str, Any]]
CLOSE = "close"  # who asks the broker for fills
CLOSING = frozenset({*ORDER_KINDS, "fill"})  # what only a close, or the order job, records


@dataclass(slots=True)
class Opening:
    """Where a range of sessions starts: the last session closed before it, the account's value then by currency and the
    contracts then held as they were written, the state then, the journal's events of each session from the first on,
    earlier sessions whose fills or cash in the journal were never valued, the newest session that has orders or fills,
    and when a close last asked the broker for fills."""

    closed: date | None
    values_local: dict[str, float]
    held: dict[Key, int]
    state: BookState
    recorded: dict[date, list[Event]]
    unvalued: list[date]
    newest: date | None = None
    told: datetime | None = None

    def has_later(self, session: date) -> bool:
        """Whether the journal knows a later session that was closed: then the orders of this one are history. What a
        person entered for a later one closes nothing."""
        return self.newest is not None and self.newest > session


def opening(frames: FrameStore, ledger: Ledger, desk: DeskSettings, first: date) -> Opening:
    """The book as it stood before the session `first`."""
    last_equity = _latest(frames, EQUITY, first - DAY)
    closed = max((row["session"] for row in last_equity), default=None)
    account = next((r["account_base"] for r in last_equity if r["session"] == closed), desk.capital.capital_base)
    state = BookState(account)
    recorded: dict[date, list[Event]] = {}
    filled: set[date] = set()
    paid: dict[date, list[Event]] = {}
    told: datetime | None = None
    for entry in ledger.entries(kinds=(*BOOK_KINDS, "cash_booked")):
        if entry.event.actor == CLOSE and (told is None or entry.event.at > told):
            told = entry.event.at
        if entry.event.session < first:
            state.apply([entry.event])
            filled |= {entry.event.session} if entry.event.kind in MOVEMENT_KINDS else set()
            if entry.event.kind == "cash_booked":
                paid.setdefault(entry.event.session, []).append(entry.event)
        else:
            recorded.setdefault(entry.event.session, []).append(entry.event)
    known = _rows(frames, DAILY_PRICES, closed or first - DAY, first - MARK_DAYS * DAY)
    state.marks |= _last_marks(frames, closed) | marks(known)
    state.held_contracts |= _held(known)
    unvalued = sorted({day for day in filled if day > (closed or date.min)} | _unbooked(paid, frames))
    values = {row["currency"]: row["value_local"] for row in last_equity if row["session"] == closed}
    newest = max((day for day, events in recorded.items() if any(e.kind in CLOSING for e in events)), default=None)
    held = {(row["strategy"], row["instrument"], row["contract"]): row["quantity_contracts"]
            for row in _rows_of(frames, POSITIONS, closed)}  # fmt: skip
    return Opening(closed, values, held, state, recorded, unvalued, newest, told)


def earned_before(frames: FrameStore, desk: DeskSettings, first: date) -> Curves:
    """What the account came to and strategies gained by session, before `first`."""
    account, gains, _ = earned(frames, first - DAY)
    return Curves(desk.capital.capital_base, account, gains)


def _unbooked(paid: Mapping[date, list[Event]], frames: FrameStore) -> set[date]:
    """Sessions of which interest or fees in the journal are not what the account was changed by."""
    if not paid:
        return set()
    written: dict[date, list[dict[str, Any]]] = {}
    for row in _rows(frames, EQUITY, max(paid), min(paid)):
        written.setdefault(row["session"], []).append(row)
    return {day for day, events in paid.items() if _missing(events, written.get(day, []))}


def _missing(events: Iterable[Event], rows: Rows) -> bool:
    """Whether rows of equity lack interest or fees, to 1e-9 of the larger amount."""
    known = {row["currency"]: row for row in rows}
    return any(
        name not in known
        or not math.isclose(
            float(to_base(amount, known[name]["rate"])), known[name]["booked_base"] or 0.0, rel_tol=1e-9
        )
        for name, amount in booked(events).items()
    )


def revalued(start: Opening, reference: ReferenceStore) -> list[str]:
    """Currencies in which the book is worth something else than what was written when the last session was closed, and
    instruments of which it holds something else: its prices, reference data or fills were corrected since. Values to
    1e-9 of the larger one."""
    if start.closed is None:
        return []
    now = value_local(valued(start.state.account, start.state.marks), reference.instruments(start.closed))
    known = {currency: float(now.get(currency, ZERO)) for currency in {*now, *start.values_local}}
    moved = {key[1] for key, _ in start.held.items() ^ start.state.positions.items()}
    return sorted(
        currency
        for currency, value in known.items()
        if not math.isclose(value, start.values_local.get(currency, 0.0), rel_tol=1e-9, abs_tol=1e-9)
    ) + sorted(moved)


def session_inputs(
    frames: FrameStore, reference: ReferenceStore, desk: DeskSettings, sessions: Sequence[date], closed: date | None
) -> Iterator[SessionInputs]:
    """The inputs of each session in order, reading every dataset once. `closed` is the last session closed before."""
    first, last = sessions[0], sessions[-1]
    since = closed + DAY if closed else first
    prices, gaps, wanted, quoted = (
        _by_session(_rows(frames, dataset, last, since))
        for dataset in (DAILY_PRICES, ROLL_GAPS, OPTIMAL_POSITIONS, FX_RATES)
    )
    rates = _carry({desk.capital.base_currency: 1.0}, _latest(frames, FX_RATES, first - DAY))
    facts = risk_facts(frames, reference, desk, first, last) if needs_facts(desk) else None
    for session in sessions:
        days = [since + i * DAY for i in range((session - since).days + 1)]
        seen = [row for day in days for row in prices.get(day, [])]
        yield SessionInputs(
            session,
            marks(seen),
            _held(seen),
            _wanted(wanted.get(session, [])),
            dict(_carry(rates, quoted.get(session, []))),
            reference.instruments(session),
            tuple(_roll(row) for day in days for row in gaps.get(day, [])),
            desk.capital.base_currency,
            facts and facts.market(session),
            reference.roll_parameters(session),
        )
        since = session + DAY


def _rows(frames: FrameStore, dataset: Dataset, through: date, since: date) -> Rows:
    """Rows of a dataset in order of session, or none where it was never written."""
    if dataset.name not in frames.written():
        return []
    rows: Rows = frames.history(dataset, through=through, since=since).to_pylist()
    return sorted(rows, key=lambda row: (row["session"], row.get("stamp") or row["session"]))


def _last_marks(frames: FrameStore, closed: date | None) -> dict[Contract, Mark]:
    """What the contracts then held were valued at, for those not quoted for so long that their price is not read."""
    rows = _rows_of(frames, POSITIONS, closed)
    return {(row["instrument"], row["contract"]): Mark(row["mark_points"], row["marked_on"]) for row in rows}


def _rows_of(frames: FrameStore, dataset: Dataset, session: date | None) -> Rows:
    """Rows of one session; none of no session."""
    return _rows(frames, dataset, session, session) if session else []


def _latest(frames: FrameStore, dataset: Dataset, through: date) -> Rows:
    if dataset.name not in frames.written():
        return []
    rows: Rows = frames.latest(dataset, through=through).to_pylist()
    return rows


def _by_session(rows: Rows) -> dict[date, Rows]:
    return {day: list(group) for day, group in groupby(rows, key=lambda row: row["session"])}


def _carry(known: dict[str, float], rows: Rows) -> dict[str, float]:
    """Exchange rates by currency, changed by a session's quotes."""
    known.update({row["currency"]: row["rate"] for row in rows if not math.isnan(_number(row["rate"]))})
    return known


def _held(rows: Rows) -> dict[str, int]:
    return {row["instrument"]: row["price_contract"] for row in rows if row["price_contract"] is not None}


def _wanted(rows: Rows) -> Mapping[tuple[str, str], Wanted]:
    return {
        (row["strategy"], row["instrument"]): Wanted(
            _number(row["forecast"]),
            _number(row["daily_volatility_base"]),
            _number(row["optimal_contracts"]),
            _number(row["half_width_contracts"]),
        )
        for row in rows
    }


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _roll(row: Mapping[str, Any]) -> Roll:
    return Roll(row["instrument"], row["from_contract"], row["to_contract"], row["price_before"], row["forward_before"])
