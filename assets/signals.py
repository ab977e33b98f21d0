"""The signals layer: forecasts of every strategy.

Belongs here: reading history, calling `trading.strategies`, keeping what it gives. Does not belong here: targets, which
depend on what is held (`book.py`), and any formula.
"""

from datetime import date

import dagster as dg
import pandas as pd

from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from trading.config.models import DeskSettings
from trading.frames import DAILY_PRICES, FORECASTS, ROLL_GAPS, VOLATILITY, Dataset, to_pandas, to_table
from trading.ports import FrameStore, Span
from trading.strategies.forecasts import forecasts as forecast_rows
from trading.strategies.prices import anchored_prices


def calculated(frames: FrameStore, desk: DeskSettings, first: date, last: date) -> pd.DataFrame:
    """Rows of `forecasts` for the sessions of a range, from all history through its end."""
    daily = to_pandas(frames.history(DAILY_PRICES, through=last, columns=["instrument", "session", "stamp", "price"]))
    prices = anchored_prices(daily.dropna(subset=["price"]), _gaps(frames, last))
    volatility = to_pandas(
        frames.history(VOLATILITY, through=last, columns=["instrument", "session", "mixed_points"])
    ).pivot(index="session", columns="instrument", values="mixed_points")
    parts = [forecast_rows(prices, volatility, strategy, first, last) for strategy in desk.strategies]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=FORECASTS.schema.names)


def _gaps(frames: FrameStore, last: date) -> pd.DataFrame:
    if ROLL_GAPS.name not in frames.written():
        return pd.DataFrame({"instrument": [], "stamp": pd.DatetimeIndex([]), "gap_points": []})
    return to_pandas(frames.history(ROLL_GAPS, through=last, columns=["instrument", "stamp", "gap_points"]))


def _needs(*datasets: Dataset) -> list[str]:
    return [dataset.name for dataset in datasets]


@dg.asset(**described(FORECASTS, deps=_needs(DAILY_PRICES, ROLL_GAPS, VOLATILITY)), **by_session())
def forecasts(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    desk: dg.ResourceParam[DeskSettings],
) -> dg.MaterializeResult:
    first, last = session_range(context)
    rows = to_table(calculated(frames, desk, first, last), FORECASTS)
    version = frames.replace(FORECASTS, rows, Span(first, last))
    return session_result(context, facts(rows, version))
