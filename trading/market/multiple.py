"""Multiple prices of a span of sessions: what a vendor delivered stitched, and what we build from its contracts.

Belongs here: choosing between the two, and the part of a roll calendar that a span needs. Does not belong here: when to
roll (`rolls.py`), or stitching over the rolls (`continuous.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pandas as pd

from trading.errors import ReferenceDataError
from trading.frames import MULTIPLE_PRICES
from trading.market import rolls
from trading.market.instruments import RollParameters

# A session may hold rows stamped this long before it: weekends, and the longest run of holidays.
MARGIN = timedelta(days=30)


def multiple_prices(
    bars: pd.DataFrame,
    delivered: pd.DataFrame,
    parameters: Mapping[str, RollParameters],
    first: date,
    last: date,
) -> pd.DataFrame:
    """The columns of MULTIPLE_PRICES for sessions `first` to `last`: rows `delivered` of the span as they are, and of
    every other instrument what its daily `bars` (CLEAN_BARS, all of history through `last`) and our own roll calendar
    give. Raises ReferenceDataError for an instrument without roll parameters."""
    daily = bars[(bars["frequency"] == "daily") & ~bars["instrument"].isin(delivered["instrument"].unique())]
    built = [_built(str(code), own, parameters, first) for code, own in daily.groupby("instrument")]
    parts = [delivered, *(inside(rows, first, last) for rows in built)]
    held = [part for part in parts if len(part)]
    return pd.concat(held, ignore_index=True)[MULTIPLE_PRICES.schema.names] if held else delivered


def inside(rows: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    """The rows of sessions `first` to `last`, both included."""
    return rows[(rows["session"] >= pd.Timestamp(first)) & (rows["session"] <= pd.Timestamp(last))]


def reaching(calendar: pd.DataFrame, first: date) -> pd.DataFrame:
    """The part of a roll calendar that says what is held from `first` on: the roll before it and all later ones. The
    planned row stays however long it is overdue: its contract is still held."""
    later = (calendar["roll_at"] >= pd.Timestamp(first - MARGIN)) | calendar["planned"].astype(bool)
    return calendar[later | later.shift(-1, fill_value=False)]


def _built(code: str, bars: pd.DataFrame, parameters: Mapping[str, RollParameters], first: date) -> pd.DataFrame:
    if code not in parameters:
        raise ReferenceDataError(
            f"{code} has no roll parameters, so its contracts cannot be stitched. Add a row for it to "
            "roll_parameters.csv of the home's reference folder."
        )
    finals = bars.pivot(index="stamp", columns="contract", values="close")
    rows = rolls.multiple_prices(
        reaching(rolls.roll_calendar(parameters[code], finals), first), finals, from_first=True
    )
    sessions = bars.drop_duplicates("stamp").set_index("stamp")["session"]
    return rows.assign(instrument=code, session=rows["stamp"].map(sessions))
