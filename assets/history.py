"""Loading history: every raw, clean and continuous dataset over a whole span in one unpartitioned step.

The session assets would write the same rows, one event a session and asset; ten years of those cost an hour of event
log and nothing else. So history is one asset, and the datasets it wrote are reported as observed.

Belongs here: the order of a bulk load. Does not belong here: what a layer does with its rows (the layers' own files).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets import continuous
from assets.clean import CLEANINGS
from assets.judging import codes_in, rule_context
from assets.layers import Sources, Written
from assets.materialized import OWNERS
from assets.raw import Arrived, Fetched, fetch, keep, refuse_failed, refuse_unrollable
from trading.config.models import DeskSettings
from trading.errors import UsageError
from trading.frames import (
    CLEAN_FX_RATES,
    DAILY_PRICES,
    DATASETS,
    INSTANT,
    RAW_FX_RATES,
    VIOLATIONS,
    Dataset,
    empty,
    to_pandas,
    to_table,
)
from trading.market.fx import require_pairs
from trading.ports import FrameStore, PriceVendor, ReferenceStore, Span
from trading.quality.examination import Examination, examine


class HistoryConfig(dg.Config):
    """Which sessions to load; empty: all the vendor has."""

    since: str = ""
    until: str = ""

    def span(self) -> tuple[date | None, date | None]:
        """First and last session, None where open. Raises UsageError on what is no date."""
        return _asked("since", self.since), _asked("until", self.until)


def _asked(setting: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as cause:
        raise UsageError(f"{setting} {text!r} is not a date. Write it as YYYY-MM-DD.") from cause


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a bulk load did: sessions covered, rows by dataset, and what the rules found in what came in."""

    first: date
    last: date
    rows: Mapping[str, int]
    examinations: tuple[Examination, ...]

    def refused(self) -> int:
        """How many rows were quarantined."""
        return sum(int(mask.sum()) for found in self.examinations for mask in found.refused.values())


Say = Callable[[str], None]


def load(sources: Sources, vendor: PriceVendor, span: tuple[date | None, date | None], say: Say) -> Loaded:
    """Loads a span from a vendor, all layers in order. Everything is asked for, and read, before the first row is
    written. Raises UsageError where the vendor has nothing for it, BadInput, MissingFxPair,
    UnknownInstrument, ReferenceDataError."""
    fetched = {name: fetch(DATASETS[name], span, vendor, sources) for name in vendor.delivers}
    placed = [answer.placed["session"] for answer in fetched.values() if answer.placed.num_rows]
    if not placed:
        raise UsageError(
            f"vendor {vendor.name} has no data from {span[0] or 'the start'} to {span[1] or 'the end'}. "
            "Choose other dates, or other instruments."
        )
    for name, answer in fetched.items():
        refuse_unrollable(answer, DATASETS[name], sources)
    _refuse_unconvertible(fetched, sources)
    arrivals = {name: keep(DATASETS[name], answer, sources) for name, answer in fetched.items()}
    for name, arrived in arrivals.items():
        say(f"{name}: {_counted(arrived)}{_without(arrived)}")
    refuse_failed(vendor.name, arrivals)
    gone = _gone(arrivals, sources)
    if gone:
        say(f"no data for {', '.join(gone)}, of which this desk holds prices: was a file taken away?")
    first = min(pc.min(sessions).as_py() for sessions in placed)
    last = max(pc.max(sessions).as_py() for sessions in placed)
    rows = {name: arrived.new.num_rows for name, arrived in arrivals.items()}
    for update, dataset in _updates(vendor):
        rows[dataset.name] = update(sources, first, last).rows.num_rows
        say(f"{dataset.name}: {rows[dataset.name]:,} rows")
    return Loaded(first, last, rows, tuple(_examined(sources, name, arrivals[name].placed) for name in arrivals))


def _gone(arrivals: Mapping[str, Arrived], sources: Sources) -> list[str]:
    """Instruments the desk holds prices of and follows, and of which nothing came."""
    held = set(codes_in(sources.rows(DAILY_PRICES, date.max, columns=["instrument"])))
    came = {code for arrived in arrivals.values() for code in codes_in(arrived.placed)}
    return sorted(code for code in held - came if sources.desk.data.universe.follows(code))


def _counted(arrived: Arrived) -> str:
    delivered = f"{arrived.placed.num_rows - arrived.withdrawn:,} rows delivered, {arrived.new.num_rows:,} new"
    return f"{delivered}, {arrived.withdrawn:,} no longer delivered" if arrived.withdrawn else delivered


def _without(arrived: Arrived) -> str:
    return f"; no data for {', '.join(arrived.delivery.no_data)}" if arrived.delivery.no_data else ""


def _refuse_unconvertible(fetched: Mapping[str, Fetched], sources: Sources) -> None:
    """Raises MissingFxPair before anything is written, where an instrument's currency has no way to the base's."""
    codes = {code for answer in fetched.values() for code in codes_in(answer.placed)}
    instruments = sources.reference.instruments(sources.now.date())
    base = sources.desk.capital.base_currency
    rates = fetched[RAW_FX_RATES.name].placed if RAW_FX_RATES.name in fetched else empty(RAW_FX_RATES)
    stored = sources.rows(CLEAN_FX_RATES, date.max, columns=["pair"])
    pairs = {*rates["pair"].unique().to_pylist(), *stored["pair"].unique().to_pylist()}
    require_pairs(pairs, {instruments[code].currency for code in codes}, base)


def _updates(vendor: PriceVendor) -> Iterator[tuple[Callable[[Sources, date, date], Written], Dataset]]:
    for cleaning in CLEANINGS:
        if cleaning.raw.name in vendor.delivers:
            yield cleaning.update, cleaning.clean
    for step in continuous.STEPS:
        yield step.update, step.dataset


def _examined(sources: Sources, name: str, rows: pa.Table) -> Examination:
    """Judges what came in by every rule, and keeps the findings."""
    dataset = DATASETS[name]
    ends = pc.min_max(rows["session"]).as_py()
    first, last = ends["min"] or sources.now.date(), ends["max"] or sources.now.date()
    whole = rows.append_column("loaded_at", pa.repeat(pa.scalar(sources.now, INSTANT), rows.num_rows))
    found = examine(dataset, to_pandas(whole), rule_context(sources, dataset, first, last, codes_in(rows)))
    violations = to_table(found.violations(), VIOLATIONS)
    sources.frames.replace(VIOLATIONS, violations, Span(first, last, (name,)))
    return found


@dg.asset(
    description="All history of the desk's vendor, loaded in one step into the raw, clean and continuous datasets. The "
    "session assets keep the same datasets up to date afterwards. Safe to run again: equal rows add nothing.",
    group_name="raw",
    owners=OWNERS,
    kinds={"python", "delta"},
    tags={"daybook/layer": "raw"},
    check_specs=[
        dg.AssetCheckSpec("nothing_quarantined", asset="history", description="No delivered row was refused by a rule.")
    ],
)
def history(
    context: dg.AssetExecutionContext,
    config: HistoryConfig,
    vendor: dg.ResourceParam[PriceVendor],
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> dg.MaterializeResult:
    """Loads the configured span and says how many rows each dataset now has for it."""
    sources = Sources(frames, reference, desk, clock())
    loaded = load(sources, vendor, config.span(), context.log.info)
    for name, count in loaded.rows.items():
        context.log_event(dg.AssetObservation(asset_key=name, metadata={"dagster/row_count": count}))
    refused = loaded.refused()
    return dg.MaterializeResult(
        metadata={"vendor": vendor.name, "first": str(loaded.first), "last": str(loaded.last), **_counts(loaded)},
        check_results=[
            dg.AssetCheckResult(
                check_name="nothing_quarantined",
                passed=refused == 0,
                severity=dg.AssetCheckSeverity.ERROR,
                description=f"{refused} rows were refused and set aside; see `daybook violations`, or "
                "`daybook sql 'select * from quarantine'`. The rest is loaded.",
            )
        ],
    )


def _counts(loaded: Loaded) -> dict[str, int]:
    found = {f"rows {name}": count for name, count in loaded.rows.items()}
    outcomes = Counter(name for examination in loaded.examinations for name in examination.outcomes().elements())
    return {**found, **{f"rules {name}": count for name, count in outcomes.items()}, "quarantined": loaded.refused()}
