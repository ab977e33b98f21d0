"""The continuous layer: from contracts to one long price history an instrument, and from pairs to base currency.

Belongs here: reading clean rows, calling `trading.market`, keeping what it gives. Adjusted prices are not stored: each
roll would rewrite their history. Roll gaps are, and `adjusted_prices` stitches on read.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta

import dagster as dg
import pandas as pd
import pyarrow as pa

from assets.layers import Sources, Step, step_asset
from assets.materialized import OWNERS, by_session, session_result
from assets.partitions import session_range
from assets.pictures import image
from assets.stitched import warm
from trading.config.models import DeskSettings
from trading.frames import (
    CLEAN_BARS,
    CLEAN_FX_RATES,
    CLEAN_MULTIPLE_PRICES,
    DAILY_PRICES,
    FX_RATES,
    MULTIPLE_PRICES,
    ROLL_CALENDAR,
    ROLL_GAPS,
    ROLL_STATES,
    Dataset,
    to_pandas,
)
from trading.market import continuous, daily, fx, multiple, rolls
from trading.market.sessions import desk_dates
from trading.ports import Cache, FrameStore, ReferenceStore
from trading.reports import drawings

ROWS_BEFORE = 30  # so that the last with a held contract is among them


def _multiple_prices(sources: Sources, first: date, last: date) -> pd.DataFrame:
    bars, delivered = sources.frame(CLEAN_BARS, last), sources.frame(CLEAN_MULTIPLE_PRICES, last, first)
    return multiple.multiple_prices(bars, delivered, sources.reference.roll_parameters(last), first, last)


def _with_those_before(sources: Sources, dataset: Dataset, first: date, last: date) -> pd.DataFrame:
    """Rows of a span and the last ones of each series before it, however long ago: what a roll is told from."""
    before = sources.latest(dataset, first - timedelta(days=1), ROWS_BEFORE)
    return to_pandas(pa.concat_tables([before, sources.rows(dataset, last, first)]))


def _roll_calendar(sources: Sources, first: date, last: date) -> pd.DataFrame:
    calendar = rolls.implied_calendar(_with_those_before(sources, MULTIPLE_PRICES, first, last))
    return multiple.inside(calendar, first, last)


def _roll_gaps(sources: Sources, first: date, last: date) -> pd.DataFrame:
    rows = _with_those_before(sources, MULTIPLE_PRICES, first, last)
    return multiple.inside(continuous.roll_gaps(rows), first, last)


def _daily_prices(sources: Sources, first: date, last: date) -> pd.DataFrame:
    rows = daily.daily_rows(sources.frame(MULTIPLE_PRICES, last, first))
    return daily.with_volume(rows, sources.frame(CLEAN_BARS, last, first))


def _roll_states(sources: Sources, first: date, last: date) -> pd.DataFrame:
    prices = _with_those_before(sources, DAILY_PRICES, first, last)
    return rolls.roll_states(prices, desk_dates(first, last), sources.reference.roll_parameters(last))


def _fx_rates(sources: Sources, first: date, last: date) -> pd.DataFrame:
    """Of the whole span: an instrument that ended early in it needs its rate in its own sessions."""
    priced = sources.rows(DAILY_PRICES, last, first - fx.YEAR, columns=["instrument", "session"])
    instruments, base = sources.reference.instruments(last), sources.desk.capital.base_currency
    currency_of = {code: instruments[code].currency for code in priced["instrument"].unique().to_pylist()}
    quotes = sources.frame(CLEAN_FX_RATES, last)
    rates = fx.to_base(quotes, {*currency_of.values(), base}, base, desk_dates(first, last))
    return fx.in_use(rates, to_pandas(priced), currency_of, base)


def adjusted_through(sources: Sources, last: date) -> pd.DataFrame:
    """Back-adjusted daily prices through a session: rows weekdays, columns instruments, NaN where none."""
    prices, gaps = sources.frame(DAILY_PRICES, last), sources.frame(ROLL_GAPS, last)
    return daily.adjusted_daily(prices, gaps, method=sources.desk.data.prices.stitching)


def _gap_pictures(sources: Sources, rows: pa.Table, last: date) -> Mapping[str, str]:
    return {"rolled": ", ".join(rows["instrument"].unique().to_pylist()) or "none"}


STEPS = (
    Step(MULTIPLE_PRICES, (CLEAN_BARS.name, CLEAN_MULTIPLE_PRICES.name), _multiple_prices),
    Step(ROLL_CALENDAR, (MULTIPLE_PRICES.name,), _roll_calendar),
    Step(ROLL_GAPS, (MULTIPLE_PRICES.name,), _roll_gaps, _gap_pictures),
    Step(DAILY_PRICES, (MULTIPLE_PRICES.name, CLEAN_BARS.name), _daily_prices),
    Step(ROLL_STATES, (DAILY_PRICES.name,), _roll_states),
    Step(FX_RATES, (CLEAN_FX_RATES.name, DAILY_PRICES.name), _fx_rates),
)


@dg.asset(
    description="Back-adjusted daily prices, stitched on read from daily prices and roll gaps. Nothing is stored: "
    "this asset draws them through its session, and warms the cache with each instrument's stitched series.",
    group_name="continuous",
    owners=OWNERS,
    kinds={"python"},
    tags={"daybook/layer": "continuous"},
    deps=[DAILY_PRICES.name, ROLL_GAPS.name],
    **by_session(),
)
def adjusted_prices(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
    cache: dg.ResourceParam[Cache],
) -> dg.MaterializeResult:
    """Stitched daily prices through the last session of the run, drawn."""
    _, last = session_range(context)
    wide = adjusted_through(Sources(frames, reference, desk, clock()), last)
    warmed = warm(frames, cache, last, desk.data.prices.stitching)
    picture = image(drawings.price_lines(wide.tail(500)))
    shown = {"instruments": len(wide.columns), "sessions": len(wide), "series in the cache": warmed}
    return session_result(context, {**shown, "last two years": picture})


ASSETS = [*(step_asset(step) for step in STEPS), adjusted_prices]
