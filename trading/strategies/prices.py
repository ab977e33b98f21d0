"""The continuous prices a rule sees, built from unadjusted ones and roll gaps so that they never change afterwards.

Belongs here: prices anchored at the *first* contract. Does not belong here: adjusted prices for people, which are
anchored at the last contract and rewritten by every roll (`trading/market/`).

Price differences are the same under both anchors. With this one, the value of a session is the same number to the last
bit whether it is calculated that evening or years later over the whole history.
"""

from __future__ import annotations

import numpy as np
import pandas as pd


def anchored_prices(daily: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Wide continuous prices in points, Monday to Friday, shape `(n_sessions, n_instruments)`.

    `daily` has the columns instrument, session, stamp, price of `daily_prices`; `gaps` has instrument, stamp,
    gap_points of `roll_gaps`. Each price less all gaps of its instrument up to its stamp. NaN where there is no price.
    """
    if daily.empty:
        return pd.DataFrame(index=pd.DatetimeIndex([], name="session"))
    columns = {
        str(code): _anchored(rows, gaps[gaps["instrument"] == code])
        for code, rows in daily.groupby("instrument", sort=True)
    }
    wide = pd.DataFrame(columns)
    return wide.reindex(pd.bdate_range(wide.index.min(), wide.index.max(), name="session"))


def _anchored(rows: pd.DataFrame, gaps: pd.DataFrame) -> pd.Series:
    rows, gaps = rows.sort_values("session"), gaps.sort_values("stamp")
    steps = np.concatenate([[0.0], np.cumsum(gaps["gap_points"].to_numpy(float))])
    rolled = np.searchsorted(gaps["stamp"].to_numpy(), rows["stamp"].to_numpy(), side="right")
    return pd.Series(rows["price"].to_numpy(float) - steps[rolled], index=pd.DatetimeIndex(rows["session"]))
