"""Daily prices: one row a session, and wide frames of them for the analytics.

Belongs here: picking the last row of a session, and daily series stitched on read. Does not belong here: stitching
itself (`continuous.py`), or which session a row belongs to (`sessions.py`).

"Wide" is a DataFrame indexed by session (every Monday to Friday from first to last), a column an instrument in
alphabetical order, NaN where an instrument has no row.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from trading.market.continuous import Stitching, adjustment
from trading.market.sessions import desk_dates

DAILY_COLUMNS = [
    "instrument", "session", "stamp", "price", "price_contract", "carry", "carry_contract", "forward",
    "forward_contract",
]  # fmt: skip


def daily_rows(multiple: pd.DataFrame) -> pd.DataFrame:
    """The columns of DAILY_PRICES but `volume`: of each instrument and session the last row with a held price.

    Whatever its hour, the last row wins (reference numbers, section 1); of rows of equal stamp, the last. A session
    without a price has no row. Sorted by instrument and session.
    """
    priced = multiple[multiple["price"].notna() & multiple["price_contract"].notna()]
    ordered = priced.sort_values(["instrument", "session", "stamp"], kind="stable")
    last = ordered.drop_duplicates(["instrument", "session"], keep="last")
    return last.reset_index(drop=True)[DAILY_COLUMNS]


def with_volume(rows: pd.DataFrame, bars: pd.DataFrame) -> pd.DataFrame:
    """DAILY_PRICES: daily rows with the session's `volume` of their held contract, summed over its daily bars
    (CLEAN_BARS of the same sessions); NaN where there is none."""
    bars = bars[bars["frequency"] == "daily"]
    if bars.empty:
        return rows.assign(volume=np.nan)
    keys = ["instrument", "session", "contract"]
    volumes = bars.groupby(keys)["volume"].sum(min_count=1).rename_axis(index={"contract": "price_contract"})
    return rows.merge(volumes.reset_index(), how="left")


def adjusted_daily(daily: pd.DataFrame, gaps: pd.DataFrame, method: Stitching = "panama") -> pd.DataFrame:
    """Wide back-adjusted daily prices in points, stitched from DAILY_PRICES and ROLL_GAPS rows as known together.

    Give both through the same session: a gap of a later roll would shift prices that were not known by then.
    """
    step = adjustment(daily, gaps, method)
    price = daily["price"].to_numpy(dtype=np.float64)
    return _wide(daily, price + step if method == "panama" else price * step)


def held_daily(daily: pd.DataFrame) -> pd.DataFrame:
    """Wide unadjusted daily prices of the held contract in points, from DAILY_PRICES rows."""
    return _wide(daily, daily["price"].to_numpy(dtype=np.float64))


def _wide(daily: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    if daily.empty:
        return pd.DataFrame(index=pd.DatetimeIndex([], dtype="datetime64[us]", name="session"), dtype="float64")
    rows = daily[["instrument", "session"]].assign(value=values)
    wide = rows.pivot(index="session", columns="instrument", values="value")
    wide.columns.name = None
    return wide.reindex(desk_dates(wide.index[0], wide.index[-1]))
