"""The analytics layer: volatility, correlation and covariance of every followed instrument, through each session.

Belongs here: reading daily prices, calling `trading.analytics`, keeping and drawing what it gives. Does not belong
here: estimators.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd
import pyarrow as pa

from assets.layers import Sources, Step, step_asset
from assets.pictures import image
from trading.analytics import correlation, covariance, volatility
from trading.config.features import TrainingUniverse
from trading.frames import (
    CORRELATION,
    COVARIANCE,
    DAILY_PRICES,
    ROLL_GAPS,
    VOLATILITY,
    to_pandas,
)
from trading.market.daily import held_daily
from trading.market.sessions import desk_dates
from trading.reports import drawings
from trading.strategies.prices import anchored_prices


def _prices(sources: Sources, last: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Continuous prices that no later roll changes, so that a session measured alone or in a range is the same to the
    last bit; and the held contracts' own prices. Both wide."""
    daily = sources.frame(DAILY_PRICES, last)
    return anchored_prices(daily.dropna(subset=["price"]), sources.frame(ROLL_GAPS, last)), held_daily(daily)


def _volatility(sources: Sources, first: date, last: date) -> pd.DataFrame:
    prices, held = _prices(sources, last)
    returns = volatility.returns_points(prices, over_gaps=sources.desk.data.prices.calendar == "exchange")
    span, least = sources.desk.features.volatility_span_sessions, sources.desk.features.volatility_min_sessions
    mixed = volatility.mixed(returns, span, least)
    measures = {
        "price_points": held.reindex(index=prices.index),
        "return_points": returns,
        "ewma_points": volatility.ewma(returns, span, least),
        "mixed_points": mixed,
        "robust_points": volatility.robust(returns, span, least),
        "annual_percent": volatility.annual_percent(mixed, held),
    }
    return volatility.long_rows(measures, desk_dates(first, last))


def _correlation(sources: Sources, first: date, last: date) -> pd.DataFrame:
    prices, held = _prices(sources, last)
    features = sources.desk.features
    prices, held = _trained(prices, features.training), _trained(held, features.training)
    returns = correlation.weekly_returns(prices, held, over_gaps=sources.desk.data.prices.calendar == "exchange")
    sessions = prices.index.intersection(desk_dates(first, last))
    return correlation.through(returns, sessions, features.correlation_span_weeks, features.correlation_min_weeks)


def _trained(wide: pd.DataFrame, training: TrainingUniverse) -> pd.DataFrame:
    """The columns and rows of wide prices that correlations are estimated from."""
    codes = [code for code in wide.columns if not training.instruments or code in training.instruments]
    return wide[codes] if training.since is None else wide.loc[pd.Timestamp(training.since) :, codes]


def _covariance(sources: Sources, first: date, last: date) -> pd.DataFrame:
    return covariance.covariance(sources.frame(CORRELATION, last, first), sources.frame(VOLATILITY, last, first))


def _draw_volatility(sources: Sources, rows: pa.Table, last: date) -> Mapping[str, Any]:
    frame = _last_session(rows)
    return {"annual volatility": image(drawings.volatility_bars(frame))} if len(frame) else {}


def _draw_correlation(sources: Sources, rows: pa.Table, last: date) -> Mapping[str, Any]:
    frame = _last_session(rows)
    return {"heat map": image(drawings.correlation_heat_map(correlation.matrix(frame)))} if len(frame) else {}


def _last_session(rows: pa.Table) -> pd.DataFrame:
    frame = to_pandas(rows)
    return frame[frame["session"] == frame["session"].max()]


STEPS = (
    Step(VOLATILITY, (DAILY_PRICES.name, ROLL_GAPS.name), _volatility, _draw_volatility),
    Step(CORRELATION, (DAILY_PRICES.name, ROLL_GAPS.name), _correlation, _draw_correlation),
    Step(COVARIANCE, (CORRELATION.name, VOLATILITY.name), _covariance),
)
ASSETS = [step_asset(step) for step in STEPS]
