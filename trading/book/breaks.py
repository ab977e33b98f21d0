"""Breaks with the broker as values: what kinds there are, what is open on a session, how old it is, what it locks.

Belongs here: findings and breaks, and reading the ledger's rows of them. Does not belong here: finding differences
(`reconciliation.py`, `trade_matching.py`), or what opens and closes a break (`break_life.py`).

A finding is a difference on one session; a break is a difference with a life, from the first session that shows it to
its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

import numpy as np

MISSING_HERE, MISSING_THERE, QUANTITY = "missing_here", "missing_there", "quantity"
PRICE, CASH = "price", "cash"
TRADE_MISSING_HERE, TRADE_MISSING_THERE, TRADE = "trade_missing_here", "trade_missing_there", "trade"
STRATEGY_TOTAL, WITHDRAWN_FILLED, UNKNOWN_CONTRACT = "strategy_total", "withdrawn_filled", "unknown_contract"
STALE, STATEMENT_MISSING = "stale", "statement_missing"

POSITION_KINDS = frozenset({MISSING_HERE, MISSING_THERE, QUANTITY})
TRADE_KINDS = frozenset({TRADE_MISSING_HERE, TRADE_MISSING_THERE, TRADE})
NO_ANSWER = frozenset({STALE, STATEMENT_MISSING})
KINDS = POSITION_KINDS | TRADE_KINDS | NO_ANSWER | {PRICE, CASH, STRATEGY_TOTAL, WITHDRAWN_FILLED, UNKNOWN_CONTRACT}
LOCKING = POSITION_KINDS | TRADE_KINDS | {UNKNOWN_CONTRACT}

RECONCILIATION = "reconciliation"  # who closes what healed
AGES = ((0, "new"), (1, "1 session"), (4, "2 to 4"), (9, "5 to 9"), (None, "10 and more"))  # up to so many sessions
Key = tuple[str, str]  # kind, item
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference on one session. `item` is instrument/contract, with the fill after it for a trade and the strategy
    for its total; a currency, an order, a broker, or the broker's own name of a contract.

    `tolerance` is the difference that would still agree, None where nothing but equality does; `timing` says that one
    side booked after the other's cut-off, so that the next statement has it.
    """

    kind: str
    item: str
    session: date
    ours: float | None
    theirs: float | None
    message: str
    proposed_fix: str = ""
    tolerance: float | None = None
    timing: bool = False

    @property
    def key(self) -> Key:
        """What it is about: the same on every session."""
        return (self.kind, self.item)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What comparing one session came to: its findings, the kinds that were compared at all, and what could not be
    compared today although its kind was. A break of neither is left as it is. `healed` says how some were, by key."""

    findings: tuple[Finding, ...]
    compared: frozenset[str]
    undecided: frozenset[Key] = frozenset()
    healed: Mapping[Key, str] = field(default_factory=dict)

    def rules_out(self, found: Break) -> bool:
        """Whether it looked for a break and did not find it."""
        looked = found.kind in self.compared and found.key not in self.undecided
        return looked and found.key not in {finding.key for finding in self.findings}


@dataclass(frozen=True, slots=True)
class Break:
    """A break as the ledger keeps it: opened and seen last on these sessions, state `open` or `closed`, and by whom it
    was closed and why (`reconciliation` where it healed)."""

    break_id: str
    kind: str
    item: str
    opened: date
    seen: date
    ours: float | None
    theirs: float | None
    tolerance: float | None
    timing: bool
    owner: str | None
    state: str
    proposed_fix: str
    message: str
    closed: date | None = None
    closed_by: str | None = None
    reason: str | None = None

    @property
    def key(self) -> Key:
        """What it is about."""
        return (self.kind, self.item)

    @property
    def healed(self) -> bool:
        """Whether the reconciliation closed it."""
        return self.closed_by == RECONCILIATION

    @property
    def locks(self) -> bool:
        """As `locks`."""
        return locks(self.kind, self.timing, self.tolerance)

    def open_on(self, session: date) -> bool:
        """Whether it was open after a session: from the first that shows it until the one it was closed on."""
        return self.opened <= session and (self.state == "open" or (self.closed or session) > session)


def locks(kind: str, timing: bool, tolerance: float | None) -> bool:
    """Whether a break is of a kind that leaves open how many contracts are held. A trade whose price alone differs (it
    has a tolerance) does not, nor does what is known to be late."""
    return kind in LOCKING and not timing and not (kind == TRADE and tolerance is not None)


def stops(kind: str, timing: bool, tolerance: float | None) -> bool:
    """Whether a close must not go on with it: how much is held is in doubt, or nobody could compare it."""
    return locks(kind, timing, tolerance) or kind in NO_ANSWER | {STRATEGY_TOTAL, WITHDRAWN_FILLED}


def break_of(row: Row) -> Break:
    """A row of the ledger's breaks."""
    values = {column.name: row.get(column.name) for column in fields(Break)}
    days = {name: values[name] and date.fromisoformat(str(values[name])) for name in ("opened", "seen", "closed")}
    return Break(**{**values, **days, "timing": bool(values["timing"]), "proposed_fix": values["proposed_fix"] or ""})  # type: ignore[arg-type]


def breaks_of(rows: Iterable[Row]) -> list[Break]:
    """Rows of the ledger's breaks, the oldest first."""
    return sorted(map(break_of, rows), key=lambda found: (found.opened, found.break_id))


def open_breaks(breaks: Iterable[Break], session: date | None = None) -> list[Break]:
    """Breaks open after a session, or now."""
    return [found for found in breaks if (found.state == "open" if session is None else found.open_on(session))]


def open_before(breaks: Iterable[Break], session: date) -> list[Break]:
    """Breaks of earlier sessions that were open when a session was reconciled, also where that closed them."""
    return [
        found
        for found in breaks
        if found.opened < session and (found.state == "open" or (found.closed or session) >= session)
    ]


# --- age --------------------------------------------------------------------------------------------------------------
def age_sessions(opened: date, session: date) -> int:
    """Desk sessions (Monday to Friday without New Year's Day) since a break was opened: 0 on its first."""
    years = range(opened.year, session.year + 1)
    return max(0, int(np.busday_count(opened, session, holidays=[f"{year}-01-01" for year in years])))


def age_group(age: int) -> str:
    """The group of AGES an age in sessions belongs to."""
    return next(name for most, name in AGES if most is None or age <= most)


def session_rows(breaks: Iterable[Break], session: date, comparison: Comparison | None = None) -> list[dict[str, Any]]:
    """Rows of the dataset `breaks`: what is open after a session, with its age and the difference, theirs - ours.

    With the session's `comparison`, a break that it looked for and did not find is left out, also where later sessions
    have seen it: the session was put right since.
    """
    return [
        asdict(found)
        | {
            "session": session,
            "age_sessions": age_sessions(found.opened, session),
            "difference": None if found.ours is None or found.theirs is None else found.theirs - found.ours,
        }
        for found in open_breaks(breaks, session)
        if comparison is None or not comparison.rules_out(found)
    ]


# --- the lock ---------------------------------------------------------------------------------------------------------
def locked(break_rows: Iterable[Row], override_rows: Iterable[Row], session: date | None = None) -> dict[str, str]:
    """Instruments that take no new orders, each with the reason as a sentence: those with an open break about how many
    contracts are held, unless an override (scope `instrument`) with a name and a reason says otherwise.

    With a `session`, as its own orders are decided: by breaks of sessions before it, so that what the session's own
    statement opened or healed later does not change its orders when it is closed again. A break that a person closed
    holds nothing back from then on. Without, as of now.
    """
    free = {str(row["item"]) for row in override_rows if _frees(row, session)}
    found: dict[str, str] = {}
    for each in breaks_of(break_rows):
        code = _instrument(each.item)
        if each.locks and code not in free and _holds(each, session):
            found.setdefault(code, _locked_by(code, each))
    return found


def _instrument(item: str) -> str:
    """The instrument an item is about: all before the first slash or blank."""
    return item.partition("/")[0].partition(" ")[0]


def _holds(found: Break, session: date | None) -> bool:
    if session is None:
        return found.state == "open"
    return found.opened < session and (found.state == "open" or (found.healed and (found.closed or session) >= session))


def _frees(row: Row, session: date | None) -> bool:
    return override_in_force(row, "instrument", None if session is None else session.isoformat())


def override_in_force(row: Row, scope: str, session: object) -> bool:
    """Whether a row of overrides is set, of that scope, and for that session or for all."""
    return row["state"] == "set" and row["scope"] == scope and row.get("session") in (None, session)


def _locked_by(code: str, found: Break) -> str:
    return (
        f"{code} takes no new orders since {found.opened}: {found.message} Heal the break, or close it "
        f"(`daybook breaks close '{found.break_id}' --reason WHY`), or override the lock "
        f"(`daybook override --instrument {code} --reason WHY`)."
    )


# --- the gate ---------------------------------------------------------------------------------------------------------
def stopping(rows: Iterable[Row], break_rows: Iterable[Row]) -> list[Row]:
    """Of rows of the dataset `breaks`, those a close must not go on with: see `stops`. What a person has closed since,
    by the ledger's rows, stops nothing."""
    answered = {found.break_id for found in breaks_of(break_rows) if found.state == "closed" and not found.healed}
    return [
        row for row in rows if stops(row["kind"], row["timing"], row["tolerance"]) and row["break_id"] not in answered
    ]
