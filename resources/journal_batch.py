"""What every ledger does with a batch of events in one transaction: skip repeats, refuse conflicts, fold, chain, write.

Belongs here: the procedure, and the rows it keeps between batches. Does not belong here: a database (each adapter gives
a `Transaction` of its own), or the folds (`trading/book/fold.py`).

Rows that were written or read stay in memory with the head of their stream: while the stream's head in the database is
still that one, nobody else has changed them, and they need not be read again. A batch is tried first on trust: ids are
taken to be new, which the database's own uniqueness holds. Where that fails (`Repeated`) or a head is not what it was
(`HeadMoved`), the adapter rolls back, forgets, and tries again with `careful`, which reads everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from trading.book.fold import FOLDS, Place, Row, RowKey, View, apply, settle
from trading.book.journal import NO_HEAD, PROJECTIONS, SCHEMA, Event, Head, Projection, Scalar, link
from trading.errors import EventConflict, IllegalMove, LedgerError, LedgerSchemaError, UsageError
from trading.ports import Entry, Recorded

KEPT_ROWS = 50_000
_Ask = tuple[str, Callable[[Mapping[str, Scalar]], RowKey]]


class Repeated(Exception):
    """An event or a row that was taken to be new is there."""


class HeadMoved(Exception):
    """Another writer was there since the stream's head was read."""


class Written(NamedTuple):
    """An entry and its payload as canonical text."""

    entry: Entry
    payload_text: str


class Transaction(Protocol):
    """What a database does for a batch, all of it in one transaction."""

    def heads(self, streams: Sequence[str], believed: Mapping[str, Head]) -> Mapping[str, Head]:
        """Heads of streams, locked against other writers (or `believed`, if `advance` tells when they were not)."""
        ...

    def contents(self, event_ids: Sequence[str]) -> Mapping[str, str]:
        """Contents of those of the events that are in the journal, by id."""
        ...

    def rows(self, projection: str, keys: Sequence[RowKey]) -> Iterable[Row]:
        """Those of the rows that are there."""
        ...

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        """Rows of fills of one contract of one book."""
        ...

    def insert(self, written: Sequence[Written]) -> None:
        """Adds entries. Raises Repeated on an event id that is there."""
        ...

    def write(self, projection: str, rows: Sequence[Row], fresh: bool) -> None:
        """Writes rows, each with every column. `fresh` ones are new: raises Repeated where one is there."""
        ...

    def advance(self, moves: Mapping[str, tuple[Head, Head]]) -> None:
        """Moves heads from one to another. Raises HeadMoved."""
        ...


@dataclass(slots=True)
class Kept:
    """Rows as they stand at the heads of their streams. Threads that write hold the guard of their streams."""

    heads: dict[str, Head] = field(default_factory=dict)
    rows: dict[Place, Row] = field(default_factory=dict)
    places: dict[str, set[Place]] = field(default_factory=dict)
    locks: dict[str, threading.RLock] = field(default_factory=dict)

    @contextmanager
    def guard(self, streams: Iterable[str]) -> Iterator[None]:
        """Alone in this process with some streams; always taken in order of name, so that nobody waits for ever."""
        with ExitStack() as held:
            for stream in sorted(set(streams)):
                held.enter_context(self.locks.setdefault(stream, threading.RLock()))
            yield

    def forget(self, streams: Iterable[str]) -> None:
        """Drops what is known of streams."""
        for stream in streams:
            self.heads.pop(stream, None)
            for place in tuple(self.places.pop(stream, ())):  # its own writer may be adding to it
                self.rows.pop(place, None)

    def keep(self, heads: Mapping[str, Head], rows: Mapping[str, Mapping[Place, Row]]) -> None:
        """What holds after a batch that was committed, by stream."""
        if len(self.rows) > KEPT_ROWS:
            self.forget(list(self.heads))
        self.heads.update(heads)
        for stream, changed in rows.items():
            self.rows.update(changed)
            self.places.setdefault(stream, set()).update(changed)


@dataclass(slots=True)
class Batch:
    """A batch that was written; `settle` it when the transaction is committed, and not before."""

    recorded: Recorded
    heads: dict[str, Head]
    rows: dict[str, dict[Place, Row]]

    def settle(self, kept: Kept) -> Recorded:
        """Remembers what was written."""
        kept.keep(self.heads, self.rows)
        return self.recorded


def enter(database: Transaction, events: Sequence[Event], kept: Kept, careful: bool) -> Batch:
    """Writes a batch of events within the adapter's transaction.

    Raises EventConflict where an id has other content, LedgerError on a kind no fold knows or a number that is not
    finite, IllegalMove; Repeated and HeadMoved as the module says.
    """
    of = {id(event): event.stream for event in events}
    streams = sorted(set(of.values()))
    stored = database.contents([event.event_id for event in events]) if careful else {}
    new = new_events(events, stored)
    before = dict(database.heads(streams, dict(kept.heads)))  # a writer of other streams may forget them meanwhile
    kept.forget([stream for stream in streams if kept.heads.get(stream) != before.get(stream, NO_HEAD)])
    view = View(_Rows(database, kept))
    fresh = _looked_up(view, new, kept, careful)
    _fold(view, new, careful)
    after, written = _chained(new, of, before)
    if new:
        database.insert(written)
        _write(database, view, fresh)
        database.advance({stream: (before.get(stream, NO_HEAD), head) for stream, head in after.items()})
    heads = {stream: after.get(stream, before.get(stream, NO_HEAD)) for stream in streams}
    recorded = Recorded(len(new), len(events) - len(new), sum(head.number for head in heads.values()))
    return Batch(recorded, heads, _by_stream(view))


def _fold(view: View, events: Sequence[Event], careful: bool) -> None:
    try:
        for event in events:
            apply(view, event)
        settle(view)
    except IllegalMove as cause:
        if careful:
            raise
        raise Repeated from cause  # told a second time, a move may look illegal


def new_events(events: Sequence[Event], stored: Mapping[str, str]) -> list[Event]:
    """Events that are not stored yet, each once and in order. `stored` maps ids to contents.

    Raises EventConflict where an id has other content, LedgerError on a kind no fold knows.
    """
    seen: dict[str, Event] = {}
    new = []
    for event in events:
        if event.kind not in FOLDS:
            raise LedgerError(f"event {event.event_id} is of kind {event.kind}, which the journal does not know.")
        if event.event_id in stored:
            _same(event, stored[event.event_id])
        elif event.event_id in seen:
            _same(event, seen[event.event_id].content())
        else:
            seen[event.event_id] = event
            new.append(event)
    return new


def _same(event: Event, content: str) -> None:
    if event.content() != content:
        raise EventConflict(
            f"event {event.event_id} ({event.kind}, session {event.session}) is in the journal with other content. "
            "Nothing of the batch was recorded. Find out which is right; record a correction under its own id."
        )


def text_of(event: Event) -> str:
    """The payload as canonical text. Raises LedgerError on a number that is not finite."""
    try:
        return event.payload_text()
    except ValueError as cause:
        raise LedgerError(
            f"event {event.event_id} holds a number that is not finite. Nothing of the batch was recorded. Give null "
            "for a number that is not known."
        ) from cause


def projection_of(name: str, where: Mapping[str, object] | None) -> Projection:
    """A projection by name. Raises UsageError if there is none, or if `where` names a column it does not have."""
    if name not in PROJECTIONS:
        raise UsageError(f"the ledger has no projection {name}. It has: {', '.join(sorted(PROJECTIONS))}.")
    projection = PROJECTIONS[name]
    unknown = [column for column in where or {} if column not in projection.columns]
    if unknown:
        raise UsageError(f"{name} has no column {unknown[0]}. It has: {', '.join(projection.columns)}.")
    return projection


# --- reading ----------------------------------------------------------------------------------------------------------
class _Rows:
    """Rows out of what is kept, else out of the database."""

    def __init__(self, database: Transaction, kept: Kept) -> None:
        self._database, self._kept = database, kept

    def row(self, projection: str, key: RowKey) -> Row | None:
        """As the source of a view."""
        found = self._kept.rows.get((projection, key))
        return found if found is not None else next(iter(self._database.rows(projection, [key])), None)

    def fills_of(self, strategy: str, instrument: str, contract: int) -> list[Row]:
        """As the source of a view."""
        return self._database.fills_of(strategy, instrument, contract)


# What an event will ask for first: the projection, and the key by its payload.
_BY_ORDER: _Ask = ("orders", lambda payload: (payload["order_id"],))
_OF_FILL: tuple[_Ask, ...] = (
    ("fills", lambda payload: (payload["fill_id"],)),
    ("orders", lambda payload: (payload.get("order_id"),)),
    ("positions", lambda payload: (payload["strategy"], payload["instrument"], payload["contract"])),
)
_ASKS: Mapping[str, tuple[_Ask, ...]] = {
    **{kind: (_BY_ORDER,) for kind in FOLDS if kind.startswith("order_")},
    "order_created": (_BY_ORDER, ("orders", lambda payload: (payload.get("parent_id"),))),
    **dict.fromkeys(("fill", "fill_corrected", "fill_busted"), _OF_FILL),
}
_NEW_ROW = {"fill": "fills", "order_created": "orders"}  # the row such an event makes, unless it was announced before
_NOBODY = (None,)


def _looked_up(view: View, events: Sequence[Event], kept: Kept, careful: bool) -> set[Place]:
    """Brings the rows that events will ask for into the view, one read a projection; returns the places that are taken
    to be empty without having looked."""
    fresh: set[Place] = set()
    missing: dict[Place, None] = {}
    rows, known = view.rows, kept.rows
    for event in events:
        trusted = None if careful else _NEW_ROW.get(event.kind)
        for projection, key_of in _ASKS.get(event.kind, ()):
            key = key_of(event.payload)
            place = (projection, key)
            if place in rows or place in missing or key == _NOBODY:
                continue
            row = known.get(place)
            if row is not None:
                rows[place] = row
            elif projection == trusted:
                fresh.add(place)
                rows[place] = None
            else:
                missing[place] = None
            trusted = None  # only what an event asks for first is what it makes
    _read(view, missing)
    parents = {("orders", (row["parent_id"],)): None for place, row in rows.items()
               if row is not None and place[0] == "orders" and row["parent_id"] is not None}  # fmt: skip
    _read(view, {place: None for place in parents if place not in rows})
    return fresh


def _read(view: View, missing: Mapping[Place, None]) -> None:
    source = view.source
    assert isinstance(source, _Rows)
    by_projection: dict[str, list[RowKey]] = {}
    for projection, key in missing:
        kept = source._kept.rows.get((projection, key))
        view.rows[projection, key] = kept
        if kept is None:
            by_projection.setdefault(projection, []).append(key)
    for projection, keys in by_projection.items():
        names = PROJECTIONS[projection].key
        for row in source._database.rows(projection, keys):
            view.rows[projection, tuple(row[name] for name in names)] = row


# --- writing ----------------------------------------------------------------------------------------------------------
def _chained(
    events: Sequence[Event], streams: Mapping[int, str], before: Mapping[str, Head]
) -> tuple[dict[str, Head], list[Written]]:
    """Entries with their numbers, the last of each stream with the batch's link, and the heads after them."""
    by_stream: dict[str, list[Event]] = {}
    for event in events:
        by_stream.setdefault(streams[id(event)], []).append(event)
    after: dict[str, Head] = {}
    written: list[Written] = []
    for stream, own in by_stream.items():
        was = before.get(stream, NO_HEAD)
        texts = [text_of(event) for event in own]
        records = [event.record_text(text) for event, text in zip(own, texts, strict=True)]
        head = after[stream] = Head(was.number + len(own), link(was.link, records))
        numbers = range(was.number + 1, head.number)
        written += [Written(Entry(stream, n, event), text) for n, event, text in zip(numbers, own, texts, strict=False)]
        written.append(Written(Entry(stream, head.number, own[-1], head.link), texts[-1]))
    return after, written


def _write(database: Transaction, view: View, fresh: set[Place]) -> None:
    groups: dict[tuple[str, bool], list[Row]] = {}
    for place in view.changed:
        row = view.rows[place]
        assert row is not None
        groups.setdefault((place[0], place in fresh), []).append(row)
    for (projection, new), rows in groups.items():
        database.write(projection, rows, new)


def _by_stream(view: View) -> dict[str, dict[Place, Row]]:
    """Rows to keep, by stream. Fills are not kept: they are rarely asked for again, and then all of a contract."""
    kept: dict[str, dict[Place, Row]] = {}
    for place, row in view.rows.items():
        if row is not None and place[0] != "fills":
            stream = f"book/{row['strategy']}" if place[0] in _BOOK else _STREAMS[place[0]]
            kept.setdefault(stream, {})[place] = row
    return kept


_BOOK = frozenset({"orders", "positions"})
_STREAMS = {
    "cash": "cash", "limits": "limits", "overrides": "limits", "halts": "limits",
    "closes": "close", "signatures": "close", "breaks": "breaks", "process_state": "processes",
    "process_runs": "processes", "backtests": "backtests",
}  # fmt: skip


# --- what all of them answer ------------------------------------------------------------------------------------------
PAGE = 1_000


def paged(
    heads: Mapping[str, Head],
    page_of: Callable[[str, int, int], list[Entry]],
    after: Mapping[str, int] | None,
    streams: Sequence[str] | None,
    upto: Mapping[str, int] | None,
) -> Iterator[Entry]:
    """Entries of a journal that stands at `heads`, stream by stream, as `Ledger.entries` asks for them. `page_of` reads
    at most PAGE of a stream after one number and up to another, in order: a slow reader holds nobody up."""
    for stream in sorted(heads if streams is None else set(streams) & set(heads)):
        if upto is not None and stream not in upto:
            continue
        place, last = (after or {}).get(stream, 0), heads[stream].number
        last = last if upto is None else min(last, upto[stream])
        while place < last:
            page = page_of(stream, place, last)
            yield from page
            place = page[-1].number if len(page) == PAGE else last


def newest_first(entry: Entry) -> tuple[float, str, int]:
    """The order of what a search finds."""
    return (-entry.event.at.timestamp(), entry.stream, entry.number)


def refuse_schema(found: int | str, where: str) -> None:
    """Raises LedgerSchemaError where a ledger is not of this version's schema, and says what to do."""
    if int(found) == SCHEMA:
        return
    if int(found) < SCHEMA:
        raise LedgerSchemaError(
            f"the ledger {where} is of schema {found}, and this Daybook keeps schema {SCHEMA}. Nothing was changed. "
            "Run `daybook ledger migrate`, which keeps the old entries beside the new ones."
        )
    raise LedgerSchemaError(
        f"the ledger {where} is of schema {found}: a newer Daybook wrote it, and this one knows {SCHEMA}. Nothing was "
        "changed. Run that newer version."
    )
