"""The reconciliation layer: our book against the broker's statement of each session.

Belongs here: asking both sides, and recording what becomes of breaks. Does not belong here: comparing them
(`trading/book/reconciliation.py`), or the life of a break (`trading/book/break_life.py`).

A session is reconciled from the journal alone, so that a range of any length is one pass over it. Recorded is only what
happens to a break.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import dagster as dg
import pandas as pd

from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from assets.pictures import image
from trading.book.break_life import Reporter, follow
from trading.book.breaks import Break, Comparison, breaks_of, open_before, session_rows
from trading.book.journal import NO_HEAD, STREAMS, Event
from trading.book.our_side import KINDS, OurSide
from trading.book.reconciliation import Asked, reconcile
from trading.config.models import DeskSettings
from trading.config.trading import ReconciliationSettings
from trading.errors import BrokerError, DatasetNotFound
from trading.frames import BREAKS, EQUITY, FILLS, POSITIONS, empty, to_table
from trading.ports import Broker, FrameStore, Ledger, ReferenceStore, Span
from trading.reports import break_ages

Worth = Callable[[date], Mapping[str, float] | None]
Positions = Mapping[tuple[str, str, int], int]
STREAM = STREAMS["break_opened"]


@dataclass(slots=True)
class Known:
    """The breaks of a ledger, read again only when something was recorded."""

    ledger: Ledger
    breaks: list[Break] = field(default_factory=list)
    entries: int = 0

    def read(self) -> None:
        """Takes the ledger's breaks in."""
        self.breaks = breaks_of(self.ledger.rows("breaks"))
        self.entries = self.ledger.heads().get(STREAM, NO_HEAD).number

    def follow(self, comparison: Comparison, session: date, at: datetime, owner: str | None) -> None:
        """Records what a session's comparison does to them."""
        events = follow(comparison, self.breaks, Reporter(session, at, stream=self.entries, owner=owner))
        if events:
            self.ledger.record(events)
            self.read()


def asked(broker: Broker, session: date) -> Asked:
    """What the broker says of a session. That it could not answer is an answer too, and never a flat account."""
    try:
        return Asked(broker.name, broker.statement(session))
    except BrokerError as cause:
        return Asked(broker.name, None, str(cause))


def reconciled(
    sessions: Sequence[date],
    ledger: Ledger,
    broker: Broker,
    reference: ReferenceStore,
    settings: ReconciliationSettings,
    clock: Callable[[], datetime],
    worth: Worth = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """Reconciles sessions in order, and gives the rows of `breaks` of each. Ours is the fold of the journal through the
    session; `worth` is the account at its marks by currency."""
    by_day, later = _by_session(ledger, sessions[-1])
    ours, known = OurSide(), Known(ledger)
    known.read()
    for session in sessions:
        for day in [day for day in by_day if day < session]:
            ours.take(by_day.pop(day), reference.instruments(day))
        instruments = reference.instruments(session)
        ours.take(by_day.pop(session, []), instruments)
        said = asked(broker, session)
        averages = said.statement.average_points if said.statement else ()
        kept = _kept(ledger) if session == sessions[-1] and not later else None
        side = ours.ours(instruments, averages, _needed(worth, said, session), kept)
        comparison = reconcile(side, said, session, settings, open_before(known.breaks, session))
        known.follow(comparison, session, clock(), settings.owner)
        yield from session_rows(known.breaks, session, comparison)


def _by_session(ledger: Ledger, last: date) -> tuple[dict[date, list[Event]], bool]:
    """The journal's events by session through the last one, in order; and whether there are later ones."""
    by_day: dict[date, list[Event]] = {}
    for entry in ledger.entries(kinds=KINDS):
        by_day.setdefault(entry.event.session, []).append(entry.event)
    days = sorted(by_day)
    return {day: by_day[day] for day in days if day <= last}, bool(days) and days[-1] > last


def _kept(ledger: Ledger) -> Positions:
    """Contracts as the ledger's own table has them."""
    rows: Iterable[dict[str, Any]] = ledger.rows("positions")
    return {
        (row["strategy"], row["instrument"], row["contract"]): row["quantity_contracts"]
        for row in rows
        if row["quantity_contracts"]
    }


def _needed(worth: Worth, said: Asked, session: date) -> Mapping[str, float] | None:
    return worth(session) if said.statement is not None and said.statement.settles_daily else None


def account_worth(frames: FrameStore, first: date, last: date) -> Worth:
    """The account at its marks by currency, for sessions of a range; read when first asked for."""
    read: dict[date, dict[str, float]] = {}
    done: list[bool] = []

    def worth(session: date) -> Mapping[str, float] | None:
        if not done:
            done.append(True)
            for row in _equity(frames, first, last):
                read.setdefault(row["session"], {})[row["currency"]] = row["value_local"]
        return read.get(session)

    return worth


def _equity(frames: FrameStore, first: date, last: date) -> list[dict[str, Any]]:
    try:
        return frames.history(EQUITY, through=last, since=first).to_pylist()
    except DatasetNotFound:
        return []


@dg.asset(**described(BREAKS, deps=[POSITIONS.name, FILLS.name, EQUITY.name], kinds=("delta",)), **by_session())
def breaks(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    broker: dg.ResourceParam[Broker],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> dg.MaterializeResult:
    """Contracts, prices, trades and cash of both sides, compared; breaks opened, aged and closed."""
    first, last = session_range(context)
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    worth = account_worth(frames, first, last)
    found = list(reconciled(sessions, ledger, broker, reference, desk.trading.reconciliation, clock, worth))
    rows = to_table(pd.DataFrame(found), BREAKS) if found else empty(BREAKS)
    version = frames.replace(BREAKS, rows, Span(first, last))
    return session_result(context, facts(rows, version, pictures(found, last)))


def pictures(rows: Sequence[Mapping[str, Any]], last: date) -> dict[str, Any]:
    """What is open after the last session, by age."""
    newest = [row for row in rows if row["session"] == last]
    if not newest:
        return {}
    return {"open breaks": image(break_ages.breaks_by_age(pd.DataFrame(newest)), "open breaks by age")}
