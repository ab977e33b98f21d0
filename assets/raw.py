"""The raw layer: what vendors delivered, append-only, each row with when the desk could have known it.

Belongs here: asking the vendor for sessions and keeping what is new. Does not belong here: judging or changing rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.layers import Sources
from assets.materialized import by_session, described, facts, in_span, session_result
from assets.partitions import session_range
from trading.config.data import Universe
from trading.config.models import DeskSettings
from trading.errors import ReferenceDataError, VendorError
from trading.frames import (
    RAW_ADJUSTED_PRICES,
    RAW_BARS,
    RAW_FX_RATES,
    RAW_MULTIPLE_PRICES,
    RAW_ROLL_CALENDARS,
    Dataset,
    empty,
)
from trading.market.arrivals import known, withdrawn
from trading.market.placing import groups_of, with_sessions
from trading.market.sessions import SessionCalendar
from trading.ports import Delivery, FrameStore, PriceVendor, ReferenceStore, Request, Version

FX_GROUP = "WEEKDAYS"
# A session may take rows stamped on the weekend beside it, and on a long run of holidays before it.
DAYS_BEFORE, DAYS_AFTER = 12, 4
MARGIN = timedelta(days=30)  # calendars reach this far beyond the rows they place


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a vendor answered, and its rows of the asked sessions; nothing of it is written yet."""

    delivery: Delivery
    placed: pa.Table


@dataclass(frozen=True, slots=True)
class Arrived:
    """What one request brought: the vendor's answer; its rows with their sessions, the last `withdrawn` of them rows
    that it delivers no longer, without values; those of them that are new to the desk; and the version they made (None:
    nothing new)."""

    delivery: Delivery
    placed: pa.Table
    withdrawn: int
    new: pa.Table
    version: Version | None


def calendars(
    groups: Mapping[str, str], first: date, last: date, reference: ReferenceStore, desk: DeskSettings
) -> dict[str, SessionCalendar | None]:
    """Calendar of each exchange group between two dates; None for all where the desk counts plain weekdays."""
    if desk.data.prices.calendar == "weekdays":
        return dict.fromkeys(groups.values())
    return {group: reference.calendar(group, first, last) for group in set(groups.values())}


def arrive(dataset: Dataset, span: tuple[date | None, date | None], vendor: PriceVendor, sources: Sources) -> Arrived:
    """Asks for one raw dataset over a span of sessions (None: open end) and appends what is new.

    Raises VendorError, after keeping what did come, where the vendor failed on a series, and ReferenceDataError before
    anything is kept, where contracts came of which nobody knows when to roll.
    """
    if dataset.name not in vendor.delivers:
        return Arrived(Delivery(empty(dataset)), empty(dataset), 0, empty(dataset), None)
    fetched = fetch(dataset, span, vendor, sources)
    refuse_unrollable(fetched, dataset, sources)
    arrived = keep(dataset, fetched, sources)
    refuse_failed(vendor.name, {dataset.name: arrived})
    return arrived


def fetch(dataset: Dataset, span: tuple[date | None, date | None], vendor: PriceVendor, sources: Sources) -> Fetched:
    """Asks for one raw dataset over a span of sessions (None: open end); nothing is written."""
    first, last = span
    request = Request(
        followed(sources.desk.data.universe, vendor),
        first - timedelta(days=DAYS_BEFORE) if first else None,
        last + timedelta(days=DAYS_AFTER) if last else None,
    )
    delivery = vendor.fetch(dataset, request)
    kept = _of_timeframes(delivery.rows, sources.desk.data.timeframes)
    return Fetched(delivery, in_span(_placed(kept, dataset, sources), first or date.min, last or date.max))


def followed(universe: Universe, vendor: PriceVendor) -> tuple[str, ...] | None:
    """The instruments to ask a vendor for; None for all it has."""
    if not universe.excluded:
        return universe.instruments or None
    return tuple(code for code in universe.instruments or vendor.instruments() if universe.follows(code))


def _of_timeframes(rows: pa.Table, timeframes: Sequence[str]) -> pa.Table:
    """Bars of the time frames that are kept; rows of other datasets have none."""
    if "frequency" not in rows.column_names:
        return rows
    return rows.filter(pc.is_in(rows["frequency"], pa.array(timeframes, pa.string())))


def keep(dataset: Dataset, fetched: Fetched, sources: Sources) -> Arrived:
    """Appends the rows of an answer that the desk does not have, and takes back those it has no longer."""
    stored = _stored(fetched.placed, dataset, sources)
    gone = withdrawn(stored, fetched.placed, dataset, sources.now).drop_columns(["loaded_at"])
    came = pa.concat_tables([fetched.placed.select(gone.column_names).cast(gone.schema), gone])
    fresh = known(stored, came, dataset, sources.now)
    wanted = fresh.num_rows or not sources.frames.versions(dataset)
    version = sources.frames.append(dataset, fresh) if wanted else None
    return Arrived(fetched.delivery, came, gone.num_rows, fresh, version)


def refuse_unrollable(fetched: Fetched, dataset: Dataset, sources: Sources) -> None:
    """Raises ReferenceDataError where daily bars of contracts came of instruments without roll parameters."""
    if dataset.name != RAW_BARS.name or not fetched.placed.num_rows:
        return
    daily = fetched.placed.filter(pc.equal(fetched.placed["frequency"], "daily"))
    codes = set(daily["instrument"].unique().to_pylist())
    missing = sorted(codes - set(sources.reference.roll_parameters(sources.now.date())))
    if missing:
        raise ReferenceDataError(
            f"{', '.join(missing)}: no row in the reference data (reference/roll_parameters.csv), so nobody knows when "
            "its contracts roll. Add one, or leave it out with --instruments."
        )


def refuse_failed(vendor: str, arrivals: Mapping[str, Arrived]) -> None:
    """Raises VendorError naming every series the vendor failed on, if there is one."""
    sentences = [
        _failed(vendor, name, arrived.delivery) for name, arrived in arrivals.items() if arrived.delivery.failed
    ]
    if sentences:
        raise VendorError(" ".join(sentences))


def _placed(rows: pa.Table, dataset: Dataset, sources: Sources) -> pa.Table:
    """Delivered rows with their sessions."""
    groups = groups_of(rows, sources.reference.instruments(sources.now.date()), FX_GROUP)
    if not rows.num_rows:
        return empty(dataset).drop_columns(["loaded_at"])
    stamps = rows["stamp"].to_numpy().astype("datetime64[D]")
    ends = stamps.min().item() - MARGIN, stamps.max().item() + MARGIN
    return with_sessions(rows, dataset, groups, calendars(groups, *ends, sources.reference, sources.desk))


def _stored(rows: pa.Table, dataset: Dataset, sources: Sources) -> pa.Table | None:
    """What the desk holds of the delivered sessions and of all later ones; None where nothing was ever written."""
    if not rows.num_rows or not sources.frames.versions(dataset):
        return None
    return sources.rows(dataset, date.max, pc.min(rows["session"]).as_py())


def _failed(vendor: str, dataset: str, delivery: Delivery) -> str:
    named = "; ".join(f"{failure.series}: {failure.reason}" for failure in delivery.failed)
    return (
        f"vendor {vendor} failed on {len(delivery.failed)} series of {dataset} ({named}). "
        "The rest was kept. Run the same command again, or take the series out of data.universe."
    )


def _raw_asset(dataset: Dataset) -> dg.AssetsDefinition:
    @dg.asset(**described(dataset, deps=["collecting"], kinds=("delta", "csv")), **by_session())
    def asset(
        context: dg.AssetExecutionContext,
        vendor: dg.ResourceParam[PriceVendor],
        frames: dg.ResourceParam[FrameStore],
        reference: dg.ResourceParam[ReferenceStore],
        desk: dg.ResourceParam[DeskSettings],
        clock: dg.ResourceParam[Callable[[], datetime]],
    ) -> dg.MaterializeResult:
        arrived = arrive(dataset, session_range(context), vendor, Sources(frames, reference, desk, clock()))
        answer = "delivered" if dataset.name in vendor.delivers else "this vendor does not deliver it"
        no_data = ", ".join(arrived.delivery.no_data) or "none"
        more = {"vendor": vendor.name, "answer": answer, "no data": no_data, "withdrawn": arrived.withdrawn}
        return session_result(context, facts(arrived.new, arrived.version, more))

    return asset


DELIVERED = (RAW_BARS, RAW_MULTIPLE_PRICES, RAW_ADJUSTED_PRICES, RAW_FX_RATES, RAW_ROLL_CALENDARS)
ASSETS = [_raw_asset(dataset) for dataset in DELIVERED]
