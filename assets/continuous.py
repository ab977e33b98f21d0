"""The continuous layer: from contracts to one long price history an instrument, and from pairs to base currency.

Belongs here: reading clean rows, calling `trading.market`, keeping what it gives. Adjusted prices are not stored: each
roll would rewrite their history. Roll gaps are, and `adjusted_prices` stitches on read.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta

import dagster as dg
import numpy as np
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
    to_table,
)
from trading.market import continuous, daily, fx, rolls
from trading.market.sessions import desk_dates
from trading.ports import Cache, FrameStore, ReferenceStore
from trading.reports import drawings

LOOK_BACK = timedelta(days=30)  # covers the longest run of days on which an instrument has no price


def _multiple_prices(sources: Sources, first: date, last: date) -> pa.Table:
    delivered = sources.rows(CLEAN_MULTIPLE_PRICES, last, first)
    have = delivered["instrument"].unique().to_pylist()
    built = _stitched_contracts(sources, first, last)
    ours = to_table(built[~built["instrument"].isin(have)], MULTIPLE_PRICES)
    return pa.concat_tables([delivered.cast(MULTIPLE_PRICES.schema), ours.cast(MULTIPLE_PRICES.schema)])


def _stitched_contracts(sources: Sources, first: date, last: date) -> pd.DataFrame:
    """Multiple prices of a span, built from contracts through its last session by our own roll calendars."""
    bars = sources.frame(CLEAN_BARS, last)
    bars = bars[bars["frequency"] == "daily"]
    parameters = sources.reference.roll_parameters(last)
    built = [pd.DataFrame(columns=MULTIPLE_PRICES.schema.names)]
    for code, mine in bars.groupby("instrument"):
        finals = mine.pivot(index="stamp", columns="contract", values="close")
        calendar = _reaching(rolls.roll_calendar(parameters[str(code)], finals), first)
        rows = rolls.multiple_prices(calendar, finals, from_first=True)
        sessions = mine.drop_duplicates("stamp").set_index("stamp")["session"]
        built.append(rows.assign(instrument=code, session=rows["stamp"].map(sessions)))
    rows = pd.concat(built, ignore_index=True) if len(built) > 1 else built[0]
    return rows[_inside(rows["session"], first, last)]


def _reaching(calendar: pd.DataFrame, first: date) -> pd.DataFrame:
    """The part of a calendar that says what is held from `first` on: the roll before it and all later ones."""
    later = calendar["roll_at"] >= pd.Timestamp(first - LOOK_BACK)
    return calendar[later | later.shift(-1, fill_value=False)]


def _inside(sessions: pd.Series, first: date, last: date) -> pd.Series:
    return (sessions >= pd.Timestamp(first)) & (sessions <= pd.Timestamp(last))


def _calendar(sources: Sources, last: date) -> pd.DataFrame:
    return rolls.implied_calendar(sources.frame(MULTIPLE_PRICES, last))


def _roll_calendar(sources: Sources, first: date, last: date) -> pd.DataFrame:
    rows = _calendar(sources, last)
    return rows[_inside(rows["session"], first, last)]


def _roll_gaps(sources: Sources, first: date, last: date) -> pd.DataFrame:
    rows = sources.frame(MULTIPLE_PRICES, last, first - LOOK_BACK)
    gaps = continuous.roll_gaps(rows)
    return gaps[_inside(gaps["session"], first, last)]


def _daily_prices(sources: Sources, first: date, last: date) -> pd.DataFrame:
    rows = daily.daily_rows(sources.frame(MULTIPLE_PRICES, last, first))
    bars = sources.frame(CLEAN_BARS, last, first)
    bars = bars[bars["frequency"] == "daily"]
    if bars.empty:
        return rows.assign(volume=np.nan)
    keys = ["instrument", "session", "contract"]
    volumes = bars.groupby(keys, as_index=False)["volume"].sum(min_count=1)
    return rows.merge(volumes.rename(columns={"contract": "price_contract"}), how="left")


def _roll_states(sources: Sources, first: date, last: date) -> pd.DataFrame:
    prices = sources.frame(DAILY_PRICES, last, first - LOOK_BACK)
    parameters = sources.reference.roll_parameters(last)
    return rolls.roll_states(prices, _calendar(sources, last), desk_dates(first, last), parameters)


def _fx_rates(sources: Sources, first: date, last: date) -> pd.DataFrame:
    followed = sources.rows(DAILY_PRICES, last, last - timedelta(days=365), columns=["instrument"])
    instruments = sources.reference.instruments(last)
    base = sources.desk.capital.base_currency
    currencies = {instruments[code].currency for code in followed["instrument"].unique().to_pylist()} | {base}
    return fx.to_base(sources.frame(CLEAN_FX_RATES, last), sorted(currencies), base, desk_dates(first, last))


def adjusted_through(sources: Sources, last: date) -> pd.DataFrame:
    """Back-adjusted daily prices through a session: rows weekdays, columns instruments, NaN where none."""
    prices, gaps = sources.frame(DAILY_PRICES, last), sources.frame(ROLL_GAPS, last)
    return daily.adjusted_daily(prices, gaps, method=sources.desk.market.stitching)


def _gap_pictures(sources: Sources, rows: pa.Table, last: date) -> Mapping[str, str]:
    return {"rolled": ", ".join(rows["instrument"].unique().to_pylist()) or "none"}


STEPS = (
    Step(MULTIPLE_PRICES, (CLEAN_BARS.name, CLEAN_MULTIPLE_PRICES.name), _multiple_prices),
    Step(ROLL_CALENDAR, (MULTIPLE_PRICES.name,), _roll_calendar),
    Step(ROLL_GAPS, (MULTIPLE_PRICES.name,), _roll_gaps, _gap_pictures),
    Step(DAILY_PRICES, (MULTIPLE_PRICES.name, CLEAN_BARS.name), _daily_prices),
    Step(ROLL_STATES, (DAILY_PRICES.name, ROLL_CALENDAR.name), _roll_states),
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
    warmed = warm(frames, cache, last, desk.market.stitching)
    picture = image(drawings.price_lines(wide.tail(500)))
    shown = {"instruments": len(wide.columns), "sessions": len(wide), "series in the cache": warmed}
    return session_result(context, {**shown, "last two years": picture})


ASSETS = [*(step_asset(step) for step in STEPS), adjusted_prices]
