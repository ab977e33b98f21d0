"""The audit of a ledger: whether its journal is whole and unchanged, and its tables what the journal comes to.

Belongs here: finding what is wrong, as sentences that name stream and entry. Does not belong here: reading a ledger,
signatures over heads (`signature.py`), or repairing anything.

Chains show that stored bytes were changed. Whoever changes bytes can compute all links after them anew; what finds that
out is a signature over the heads, made with a key that the store does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from trading.book import fold
from trading.book.journal import NO_HEAD, PROJECTIONS, Event, Head, link
from trading.errors import DaybookError

SHOWN = 12  # characters of a hash


class Entry(Protocol):
    """An event with its place in the journal, as `trading.ports.Entry`."""

    @property
    def stream(self) -> str:
        """The stream it is in."""
        ...

    @property
    def number(self) -> int:
        """Its number there."""
        ...

    @property
    def event(self) -> Event:
        """What happened."""
        ...

    @property
    def link(self) -> str | None:
        """The link of the batch that it ends, else None."""
        ...

    def record_text(self) -> str:
        """The bytes that the chain covers."""
        ...


Rows = Mapping[str, Iterable[Mapping[str, object]]]


@dataclass(slots=True)
class _Stream:
    """One stream as far as it was read: the last number, the last link, and the records since it."""

    name: str
    number: int = 0
    link: str = ""
    since: list[str] = field(default_factory=list)
    began: int = 1


@dataclass(slots=True)
class _Audit:
    """What was read so far, and what was found wrong."""

    found: list[str] = field(default_factory=list)
    streams: dict[str, _Stream] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    tables: fold.Tables = field(default_factory=fold.Tables)
    touched: dict[fold.Place, str] = field(default_factory=dict)

    def read(self, entry: Entry) -> None:
        """Takes one entry in."""
        stream = self.streams.setdefault(entry.stream, _Stream(entry.stream))
        where = f"{entry.stream}, entry {entry.number}"
        self._numbered(stream, entry.number)
        self._chained(stream, entry)
        if entry.event.stream != entry.stream:
            self.found.append(f"{where}: the event {entry.event.event_id} belongs to stream {entry.event.stream}.")
        before = self.ids.setdefault(entry.event.event_id, where)
        if before != where:
            self.found.append(f"{where}: the event {entry.event.event_id} is there already: {before}.")
        self._folded(where, entry.event)

    def _numbered(self, stream: _Stream, number: int) -> None:
        expected = stream.number + 1
        if number > expected:
            missing = f"entry {expected} is" if number == expected + 1 else f"entries {expected} to {number - 1} are"
            self.found.append(f"{stream.name}, entry {number}: {missing} missing before it.")
        elif number < expected:
            self.found.append(f"{stream.name}, entry {number}: the number was used before.")
        stream.number = max(number, stream.number)

    def _chained(self, stream: _Stream, entry: Entry) -> None:
        stream.since.append(_text(entry))
        if entry.link is None:
            return
        comes_to = link(stream.link, stream.since)
        if comes_to != entry.link:
            where = _entries(stream.name, stream.began, entry.number)
            self.found.append(
                f"{where}: not what was recorded. The link kept is {entry.link[:SHOWN]}, they come to "
                f"{comes_to[:SHOWN]}: one was changed, added or taken away."
            )
        stream.link, stream.since, stream.began = entry.link, [], entry.number + 1

    def _folded(self, where: str, event: Event) -> None:
        view = fold.View(self.tables)
        try:
            fold.apply(view, event)
            fold.settle(view)
        except (DaybookError, KeyError, ValueError, TypeError, AssertionError) as cause:
            said = f"no table knows what {cause} is" if isinstance(cause, KeyError) else str(cause)
            self.found.append(f"{where}: {event.kind} {event.event_id} cannot be folded: {said.rstrip('.')}.")
            return
        self.tables.take(view)
        self.touched |= dict.fromkeys(view.changed, where)


def findings(entries: Iterable[Entry], heads: Mapping[str, Head], rows: Rows) -> list[str]:
    """Everything that is wrong with a ledger, one sentence each; empty for one that is intact.

    `entries` by stream and number, all of them; `heads` as the ledger keeps them; `rows` of its projections by name (a
    projection that is left out is not compared).
    """
    audit = _Audit()
    for entry in entries:
        audit.read(entry)
    for stream in audit.streams.values():
        if stream.since:
            audit.found.append(f"{_entries(stream.name, stream.began, stream.number)}: no link was kept with the last.")
    audit.found += _heads(audit.streams, heads)
    for name, kept in rows.items():
        audit.found += _differences(name, kept, audit)
    return audit.found


def _heads(streams: Mapping[str, _Stream], heads: Mapping[str, Head]) -> list[str]:
    found = []
    for name in sorted({*streams, *heads}):
        kept, read = heads.get(name, NO_HEAD), streams.get(name, _Stream(name))
        if kept.number != read.number:
            found.append(f"{name}, entry {read.number}: is the last there is, and the head says {kept.number}.")
        if kept.link != read.link:
            found.append(
                f"{name}, entry {read.number}: the head's link is {kept.link[:SHOWN] or 'empty'}, the last entry's "
                f"{read.link[:SHOWN] or 'empty'}."
            )
    return found


def _differences(name: str, kept: Iterable[Mapping[str, object]], audit: _Audit) -> list[str]:
    projection = PROJECTIONS[name]
    there: dict[Any, Mapping[str, object]] = {tuple(row[column] for column in projection.key): row for row in kept}
    folded = audit.tables.tables[name]
    found = []
    for key in sorted({*there, *folded}, key=str):
        said = "/".join(map(str, key))
        if key not in folded:
            found.append(f"{name} of {said}: is kept, and no entry of the journal makes it.")
            continue
        last = audit.touched[name, key]
        if key not in there:
            found.append(f"{name} of {said}: is missing; {last}, makes it.")
            continue
        wrong = [column for column in projection.columns if there[key][column] != folded[key][column]]
        found += [f"{name} of {said}: {column} is kept as {there[key][column]!r}, the journal comes to "
                  f"{folded[key][column]!r} (last changed by {last})." for column in wrong]  # fmt: skip
    return found


def _text(entry: Entry) -> str:
    """The bytes the chain covers; for a payload no ledger would have written, something it cannot equal."""
    try:
        return entry.record_text()
    except (TypeError, ValueError) as cause:
        return f"not writable: {cause}"


def _entries(stream: str, first: int, last: int) -> str:
    return f"{stream}, entry {last}" if first >= last else f"{stream}, entries {first} to {last}"
