"""A ledger as it was when a session was signed: entries up to the signed heads, through that session, never written.

Belongs here: reading entries up to heads, and folding the tables from them. Does not belong here: verifying them
(`trading/book/signature.py`), or storing anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from resources.journal_batch import newest_first, projection_of
from trading.book.fold import Tables, folded
from trading.book.journal import Event, Head, Scalar, content_hash, searchable, words
from trading.errors import UsageError
from trading.ports import Entry, Health, Ledger, Recorded


class PinnedLedger:
    """Ledger over `ledger`: the entries that `heads` cover, of sessions through `session`. Tables are folded from them
    on first use. Recording raises UsageError."""

    def __init__(self, ledger: Ledger, session: date, heads: Mapping[str, Head]) -> None:
        self._ledger, self._session, self._heads = ledger, session, dict(heads)
        self._numbers = {stream: head.number for stream, head in heads.items()}
        self._tables: Tables | None = None

    def record(self, events: Sequence[Event]) -> Recorded:
        """Refuses: UsageError."""
        raise UsageError(f"the book of {self._session} is signed and cannot be changed. Record in the desk's own book.")

    def entries(
        self,
        *,
        after: Mapping[str, int] | None = None,
        kinds: Sequence[str] | None = None,
        through: date | None = None,
        streams: Sequence[str] | None = None,
        upto: Mapping[str, int] | None = None,
    ) -> Iterator[Entry]:
        """As the port, up to the signed heads and through the signed session at most."""
        known = self._numbers if upto is None else {name: upto[name] for name in self._numbers if name in upto}
        last = {name: min(number, self._numbers[name]) for name, number in known.items()}
        end = self._session if through is None else min(through, self._session)
        return self._ledger.entries(after=after, kinds=kinds, through=end, streams=streams, upto=last)

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port, folded from the entries."""
        projection_of(projection, where)
        if self._tables is None:
            self._tables = folded(entry.event for entry in self.entries())
        rows = self._tables.tables[projection]
        found = [rows[key] for key in sorted(rows, key=lambda key: tuple(map(_sortable, key)))]
        return [dict(row) for row in found if all(row[name] == value for name, value in (where or {}).items())]

    def heads(self) -> Mapping[str, Head]:
        """As the port: the signed ones."""
        return dict(self._heads)

    def sequence(self) -> int:
        """As the port: entries that the heads cover, of later sessions too where it was signed after them."""
        return sum(self._numbers.values())

    def content_hash(self) -> str:
        """As the port."""
        streams: dict[str, list[Event]] = {}
        for entry in self.entries():
            streams.setdefault(entry.stream, []).append(entry.event)
        return content_hash(streams)

    def search(self, text: str, limit: int = 50) -> list[Entry]:
        """As the port."""
        wanted = set(words(text))
        found = [entry for entry in self.entries() if wanted and wanted <= set(searchable(entry.event))]
        return sorted(found, key=newest_first)[:limit]

    def health(self) -> Health:
        """As the port: of the ledger it reads."""
        return self._ledger.health()

    def migrate(self) -> str:
        """Refuses: UsageError."""
        raise UsageError(f"the book of {self._session} is signed and cannot be changed. Migrate the desk's own book.")


def _sortable(value: Scalar) -> tuple[bool, Scalar]:
    return (value is not None, value)
