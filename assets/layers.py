"""One shape for the assets of a layer: read through a session, call `trading`, replace the run's sessions.

Belongs here: what clean, continuous and analytics assets share. Does not belong here: any one dataset.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from trading.config.models import DeskSettings
from trading.errors import DatasetNotFound
from trading.frames import Dataset, empty, to_pandas, to_table
from trading.ports import FrameStore, ReferenceStore, Span, Version


@dataclass(frozen=True, slots=True)
class Sources:
    """What the calculations of a layer read from, and the instant they are made at."""

    frames: FrameStore
    reference: ReferenceStore
    desk: DeskSettings
    now: datetime

    def rows(
        self,
        dataset: Dataset,
        through: date,
        since: date | None = None,
        columns: Sequence[str] | None = None,
        series: Sequence[str] | None = None,
    ) -> pa.Table:
        """History of a dataset through a session; no rows where it was never written."""
        try:
            return self.frames.history(dataset, through=through, since=since, columns=columns, series=series)
        except DatasetNotFound:
            return empty(dataset) if columns is None else empty(dataset).select(list(columns))

    def frame(
        self,
        dataset: Dataset,
        through: date,
        since: date | None = None,
        columns: Sequence[str] | None = None,
        series: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """The same as pandas."""
        return to_pandas(self.rows(dataset, through, since, columns, series))

    def latest(self, dataset: Dataset, through: date, rows: int) -> pa.Table:
        """The last `rows` rows of each series through a session; no rows where it was never written."""
        try:
            return self.frames.latest(dataset, through=through, rows=rows)
        except DatasetNotFound:
            return empty(dataset)


@dataclass(frozen=True, slots=True)
class Written:
    """Rows now in force for a span of sessions, the version that holds them, and what to show beside them."""

    rows: pa.Table
    version: Version | None
    shown: Mapping[str, Any] = field(default_factory=dict)


Calculation = Callable[[Sources, date, date], pd.DataFrame | pa.Table]
Pictures = Callable[[Sources, pa.Table, date], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One dataset of a layer: what it is calculated from, how, and what is drawn of it."""

    dataset: Dataset
    deps: tuple[str, ...]
    calculate: Calculation
    pictures: Pictures | None = None

    def update(self, sources: Sources, first: date, last: date) -> Written:
        """Calculates sessions `first` to `last` and makes that all there is of them."""
        found = self.calculate(sources, first, last)
        rows = to_table(found, self.dataset) if isinstance(found, pd.DataFrame) else found
        return Written(rows, sources.frames.replace(self.dataset, rows, Span(first, last)))


def step_asset(step: Step) -> dg.AssetsDefinition:
    """The Dagster asset of a step, by session."""

    @dg.asset(**described(step.dataset, deps=step.deps), **by_session())
    def asset(
        context: dg.AssetExecutionContext,
        frames: dg.ResourceParam[FrameStore],
        reference: dg.ResourceParam[ReferenceStore],
        desk: dg.ResourceParam[DeskSettings],
        clock: dg.ResourceParam[Callable[[], datetime]],
    ) -> dg.MaterializeResult:
        first, last = session_range(context)
        sources = Sources(frames, reference, desk, clock())
        written = step.update(sources, first, last)
        shown = step.pictures(sources, written.rows, last) if step.pictures else {}
        return session_result(context, facts(written.rows, written.version, shown))

    return asset
