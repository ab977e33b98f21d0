"""A journal as a file of JSON lines, for snapshots of a ledger that lives on a server, and back.

Belongs here: writing all entries of a ledger, reading them, and recording them in an empty one as they were. Does not
belong here: where such a file is kept (`snapshots.py`).

The first line says what the file is and where each stream stands; each other line is an entry with its story and link.
Batches are recorded again as they were, so that numbers, links and heads come back the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from trading.book.journal import NO_HEAD, SCHEMA, Event, Head, content_hash, link
from trading.errors import BackupError, UsageError
from trading.ports import Entry, Ledger


def write_journal(ledger: Ledger, file: Path) -> None:
    """Writes all entries of a ledger, as it stands now."""
    heads = ledger.heads()
    upto = {stream: head.number for stream, head in heads.items()}
    places = {stream: [head.number, head.link] for stream, head in heads.items()}
    with file.open("w", encoding="utf-8") as lines:
        lines.write(f"{json.dumps({'journal': SCHEMA, 'heads': places}, sort_keys=True)}\n")
        for entry in ledger.entries(upto=upto):
            lines.write(f"{json.dumps(_document(entry), sort_keys=True)}\n")


def record_journal(journal: JournalFile, ledger: Ledger) -> None:
    """Records all entries of a file in an empty ledger, in the batches they were recorded in. Raises UsageError where
    it is not empty, BackupError where it does not come to the same."""
    require_empty(ledger)
    streams = [list(batches) for batches in journal.streams().values()]
    for together in zip_longest(*streams, fillvalue=()):  # streams know nothing of each other
        ledger.record([entry.event for entry in chain.from_iterable(together)])
    if dict(ledger.heads()) != journal.heads:
        raise BackupError(f"{journal.file} came back different: its streams do not stand where they stood.")


def require_empty(ledger: Ledger) -> None:
    """Raises UsageError where a ledger holds anything."""
    if ledger.sequence():
        raise UsageError(
            f"the ledger to restore into is not empty ({ledger.health().detail}), and a journal is never written over "
            "another. Nothing was restored. Name an empty database in MONGODB_URI or POSTGRES_URI, and restore again."
        )


class JournalFile:
    """The journal in `file`, and where its streams stand by `heads`. Raises BackupError where it is not what a ledger
    wrote."""

    def __init__(self, file: Path) -> None:
        self.file = Path(file)
        first = next(self._lines(), {})
        if first.get("journal") != SCHEMA:
            raise BackupError(
                f"{self.file} holds a journal of schema {first.get('journal')}, and this Daybook reads {SCHEMA}. "
                "Restore it with the version of Daybook that took the snapshot."
            )
        self.heads = {stream: Head(*place) for stream, place in first["heads"].items()}

    def sequence(self) -> int:
        """Entries of all streams."""
        return sum(head.number for head in self.heads.values())

    def content_hash(self) -> str:
        """As that of the ledger it was written from."""
        found = self.streams()
        return content_hash({name: (e.event for batch in found[name] for e in batch) for name in found})

    def streams(self) -> dict[str, list[list[Entry]]]:
        """Batches by stream, as they were recorded, each checked against its link."""
        found: dict[str, list[list[Entry]]] = {}
        heads: dict[str, Head] = {}
        batch: list[Entry] = []
        for entry in self._entries():
            batch.append(entry)
            if entry.link is not None:
                heads[entry.stream] = self._linked(heads.get(entry.stream, NO_HEAD), batch)
                found.setdefault(entry.stream, []).append(batch)
                batch = []
        if batch or heads != self.heads:
            raise BackupError(f"{self.file} ends before its journal does. Choose another snapshot.")
        return found

    def _linked(self, before: Head, batch: list[Entry]) -> Head:
        """The head after a batch that is what was recorded."""
        last = batch[-1]
        places = [(last.stream, before.number + step) for step in range(1, len(batch) + 1)]
        expected = link(before.link, (entry.event.record_text() for entry in batch))
        if [(entry.stream, entry.number) for entry in batch] != places or last.link != expected:
            raise BackupError(
                f"{self.file}: entries {batch[0].number} to {last.number} of {last.stream} are not what was recorded: "
                "their link does not fit. Choose another snapshot."
            )
        return Head(last.number, expected)

    def _entries(self) -> Iterator[Entry]:
        lines = self._lines()
        next(lines)
        return map(_entry, lines)

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            with self.file.open(encoding="utf-8") as lines:
                yield from map(json.loads, lines)
        except ValueError as cause:
            raise BackupError(f"{self.file} is damaged: {cause}. Choose another snapshot.") from cause


def _document(entry: Entry) -> dict[str, Any]:
    event = entry.event
    return {
        "stream": entry.stream, "number": entry.number, "link": entry.link, "id": event.event_id, "kind": event.kind,
        "session": event.session.isoformat(), "at": event.at.isoformat(), "actor": event.actor, "cause": event.cause,
        "correlation": event.correlation, "payload": dict(event.payload),
    }  # fmt: skip


def _entry(said: Mapping[str, Any]) -> Entry:
    day, at = date.fromisoformat(said["session"]), datetime.fromisoformat(said["at"])
    event = Event(said["id"], said["kind"], day, at, said["actor"], said["payload"], said["cause"], said["correlation"])
    return Entry(said["stream"], said["number"], event, said["link"])
