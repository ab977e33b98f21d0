"""The clean layer: of every raw row the version the desk knows now, without what a rule refused, one row a time.

Belongs here: choosing, refusing and setting aside rows. Does not belong here: changing a value, or a rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.judging import codes_in, rule_context
from assets.layers import Sources, Written
from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from trading.config.models import DeskSettings
from trading.frames import (
    CLEAN_BARS,
    CLEAN_FX_RATES,
    CLEAN_MULTIPLE_PRICES,
    QUARANTINE,
    RAW_BARS,
    RAW_FX_RATES,
    RAW_MULTIPLE_PRICES,
    Dataset,
    to_pandas,
    to_table,
)
from trading.market.arrivals import current, deduplicate
from trading.ports import FrameStore, ReferenceStore, Span
from trading.quality.examination import examine, rules_for
from trading.quality.quarantine import split


@dataclass(frozen=True, slots=True)
class Cleaning:
    """Which raw dataset becomes which clean one, and the columns of which a row must have one to say anything; the
    first decides between rows of the same time."""

    raw: Dataset
    clean: Dataset
    values: tuple[str, ...]

    def update(self, sources: Sources, first: date, last: date) -> Written:
        """Cleans sessions `first` to `last`; refused rows go to the quarantine of the same sessions."""
        known = current(sources.rows(self.raw, last, first), self.raw)
        kept, refused = self._judged(sources, known, first, last)
        rows = _saying(deduplicate(kept, self.raw, self.values[0]), self.values)
        rows = rows.select(self.clean.schema.names).cast(self.clean.schema)
        # Clean first: dying in between leaves a refused row nowhere, never in both; the next run sets it aside.
        version = sources.frames.replace(self.clean, rows, Span(first, last))
        sources.frames.replace(QUARANTINE, refused, Span(first, last, (self.raw.name,)))
        shown = {"raw rows": known.num_rows, "quarantined": refused.num_rows}
        return Written(rows, version, shown)

    def _judged(self, sources: Sources, known: pa.Table, first: date, last: date) -> tuple[pa.Table, pa.Table]:
        refusing = [rule for rule in rules_for(self.raw) if rule.quarantine]
        frame = to_pandas(known)
        examination = examine(self.raw, frame, rule_context(sources, self.raw, first, last, codes_in(known)), refusing)
        kept, refused = split(frame, examination)
        return known.take(pa.array(kept.index)), to_table(refused, QUARANTINE)


def _saying(rows: pa.Table, values: Sequence[str]) -> pa.Table:
    """Rows with at least one of the values; NaN says as little as null."""
    present = [pc.fill_null(pc.is_finite(rows[name]), False) for name in values]
    return rows.filter(reduce(pc.or_, present))


CLEANINGS = (
    Cleaning(RAW_BARS, CLEAN_BARS, ("close",)),
    Cleaning(RAW_MULTIPLE_PRICES, CLEAN_MULTIPLE_PRICES, ("price", "carry", "forward")),
    Cleaning(RAW_FX_RATES, CLEAN_FX_RATES, ("rate",)),
)


def _clean_asset(cleaning: Cleaning) -> dg.AssetsDefinition:
    @dg.asset(**described(cleaning.clean, deps=[cleaning.raw.name]), **by_session())
    def asset(
        context: dg.AssetExecutionContext,
        frames: dg.ResourceParam[FrameStore],
        reference: dg.ResourceParam[ReferenceStore],
        desk: dg.ResourceParam[DeskSettings],
        clock: dg.ResourceParam[Callable[[], datetime]],
    ) -> dg.MaterializeResult:
        sources = Sources(frames, reference, desk, clock())
        written = cleaning.update(sources, *session_range(context))
        return session_result(context, facts(written.rows, written.version, written.shown))

    return asset


ASSETS = [_clean_asset(cleaning) for cleaning in CLEANINGS]
