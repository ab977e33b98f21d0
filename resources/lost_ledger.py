"""The ledger of one run, which asks a server that is gone no more.

Belongs here: remembering that the server was lost. Does not belong here: a ledger, or what a driver's errors mean (the
adapters say that).

Every step of a close asks the ledger. Were each to wait for a silent server until its patience ends, a run that cannot
succeed any more would take many minutes to say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TypeVar

from trading.book.journal import Event, Head
from trading.errors import StoreUnavailable
from trading.ports import Entry, Health, Ledger, Recorded

Answer = TypeVar("Answer")


class LosableLedger:
    """Asks the ledger `of` until it says StoreUnavailable; from then on says the same at once."""

    def __init__(self, of: Ledger) -> None:
        self.of = of
        self._lost: StoreUnavailable | None = None

    def record(self, events: Sequence[Event]) -> Recorded:
        """As the port."""
        return self._asked(lambda: self.of.record(events))

    def entries(
        self,
        *,
        after: Mapping[str, int] | None = None,
        kinds: Sequence[str] | None = None,
        through: date | None = None,
        streams: Sequence[str] | None = None,
        upto: Mapping[str, int] | None = None,
    ) -> Iterator[Entry]:
        """As the port."""
        found = self.of.entries(after=after, kinds=kinds, through=through, streams=streams, upto=upto)
        while (entry := self._asked(lambda: next(found, None))) is not None:
            yield entry

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port."""
        return self._asked(lambda: self.of.rows(projection, where))

    def heads(self) -> Mapping[str, Head]:
        """As the port."""
        return self._asked(self.of.heads)

    def sequence(self) -> int:
        """As the port."""
        return self._asked(self.of.sequence)

    def content_hash(self) -> str:
        """As the port."""
        return self._asked(self.of.content_hash)

    def search(self, text: str, limit: int = 50) -> list[Entry]:
        """As the port."""
        return self._asked(lambda: self.of.search(text, limit))

    def health(self) -> Health:
        """As the port: always asked."""
        return self.of.health()

    def migrate(self) -> str:
        """As the port."""
        return self._asked(self.of.migrate)

    def _asked(self, question: Callable[[], Answer]) -> Answer:
        if self._lost is not None:
            raise StoreUnavailable(str(self._lost)) from self._lost
        try:
            return question()
        except StoreUnavailable as lost:
            self._lost = lost
            raise
