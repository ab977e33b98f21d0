"""A frame store as it was when a session was signed: pinned versions, read through that session, never written.

Belongs here: turning reads into reads of pinned versions. Does not belong here: where versions are pinned
(`trading/book/signature.py`), verifying them, or storing anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import pyarrow as pa

from resources.frame_rows import last_of_each_series, version_at
from trading.errors import DatasetNotFound, UsageError
from trading.frames import Dataset, content_hash
from trading.ports import AsOf, FrameStore, Span, Version


class PinnedFrames:
    """FrameStore over `frames`: of each dataset the version of `pins`, and versions before it, through `session`.

    A dataset that was not pinned was not written then. Writing raises UsageError.
    """

    def __init__(self, frames: FrameStore, session: date, pins: Mapping[str, int]) -> None:
        self._frames, self._session, self._pins = frames, session, dict(pins)

    def replace(self, dataset: Dataset, rows: pa.Table, span: Span, note: Mapping[str, str] | None = None) -> Version:
        """Refuses: UsageError."""
        raise self._signed(dataset)

    def append(self, dataset: Dataset, rows: pa.Table, note: Mapping[str, str] | None = None) -> Version:
        """Refuses: UsageError."""
        raise self._signed(dataset)

    def history(
        self,
        dataset: Dataset,
        *,
        through: date,
        since: date | None = None,
        series: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        as_of: AsOf = None,
    ) -> pa.Table:
        """As the port, through the signed session at most."""
        number = self._number(dataset, as_of)
        end = min(through, self._session)
        return self._frames.history(dataset, through=end, since=since, series=series, columns=columns, as_of=number)

    def latest(
        self, dataset: Dataset, *, through: date, rows: int = 1, series: Sequence[str] | None = None
    ) -> pa.Table:
        """As the port, through the signed session at most."""
        return last_of_each_series(self.history(dataset, through=through, series=series), dataset, rows)

    def versions(self, dataset: Dataset) -> list[Version]:
        """As the port: those up to the pinned one."""
        pinned = self._pins.get(dataset.name, -1)
        return [version for version in self._frames.versions(dataset) if version.number <= pinned]

    def content_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """As the port, of the rows through the signed session."""
        return content_hash(self.history(dataset, through=date.max, as_of=as_of), dataset)

    def stored_hash(self, dataset: Dataset, as_of: AsOf = None) -> str:
        """As the port."""
        return self._frames.stored_hash(dataset, self._number(dataset, as_of))

    def written(self) -> list[str]:
        """As the port: the pinned datasets."""
        return sorted(self._pins)

    def _number(self, dataset: Dataset, as_of: AsOf) -> int:
        if dataset.name not in self._pins:
            raise DatasetNotFound(f"{dataset.name} was not written yet when {self._session} was signed.")
        pinned = self._pins[dataset.name]
        if as_of is None or (isinstance(as_of, int) and as_of == pinned):
            return pinned
        if isinstance(as_of, datetime) or as_of < 0 or as_of > pinned:
            return version_at(self.versions(dataset), dataset.name, as_of).number
        return as_of

    def _signed(self, dataset: Dataset) -> UsageError:
        return UsageError(
            f"{dataset.name} of {self._session} is signed and cannot be changed. Correct the data and run "
            f"`daybook close --restate --session {self._session}`."
        )
