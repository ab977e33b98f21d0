"""Continuous series: the price step at every roll, and prices stitched over them (Panama, or by ratio).

Belongs here: finding roll gaps and applying them. Does not belong here: choosing when to roll (`rolls.py`), or picking
daily rows (`daily.py`). Adjusted prices are never stored by session, since each roll rewrites them: gaps are, and
stitching happens on read.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading.errors import CalculationError, MissingRollGap

Stitching = Literal["panama", "ratio"]
Floats = npt.NDArray[np.float64]

GAP_COLUMNS = [
    "instrument", "stamp", "session", "from_contract", "to_contract", "price_before", "forward_before", "gap_points",
]  # fmt: skip


def roll_gaps(multiple: pd.DataFrame) -> pd.DataFrame:
    """The columns of ROLL_GAPS, a row for each change of held contract, from rows with the columns of MULTIPLE_PRICES.

    Any number of instruments, in any order; rows of equal stamp keep their order; rows without a held contract are
    left out. A gap is FORWARD - PRICE of the last row before the change (reference numbers, section 15) and applies to
    every row earlier than its `stamp`, the first row of the new contract. Raises MissingRollGap where that row has no
    price for both contracts.
    """
    rows = _ordered(multiple[multiple["price_contract"].notna()])
    before = rows.shift(1)
    rolled = (rows["instrument"] == before["instrument"]) & (rows["price_contract"] != before["price_contract"])
    after, before = rows[rolled], before[rolled]
    gaps = pd.DataFrame(
        {
            "instrument": after["instrument"],
            "stamp": after["stamp"],
            "session": after["session"],
            "from_contract": before["price_contract"].astype("int64"),
            "to_contract": after["price_contract"].astype("int64"),
            "price_before": before["price"].astype("float64"),
            "forward_before": before["forward"].astype("float64"),
        }
    )
    gaps["gap_points"] = gaps["forward_before"] - gaps["price_before"]
    _refuse_missing(gaps)
    _refuse_other_forward(gaps, before["forward_contract"])
    return gaps.reset_index(drop=True)[GAP_COLUMNS]


def panama(multiple: pd.DataFrame, gaps: pd.DataFrame | None = None) -> pd.DataFrame:
    """Back-adjusted prices by differences: columns instrument, stamp, session, price (points), by instrument and stamp.

    Adjusted price = PRICE + sum of the gaps at all later rolls (reference numbers, section 15): the last contract is
    unadjusted, history can go below zero, and a missing PRICE stays NaN. `gaps` (ROLL_GAPS) default to those of the
    rows themselves; give them when `multiple` is only a part of history.
    """
    return _stitched(multiple, gaps, "panama")


def ratio(multiple: pd.DataFrame, gaps: pd.DataFrame | None = None) -> pd.DataFrame:
    """As `panama`, by proportions: PRICE x product of (forward_before / price_before) at all later rolls.

    Percent returns between rolls are unchanged and positive prices stay positive. Raises CalculationError where a roll
    has a price at or below zero: proportions mean nothing there.
    """
    return _stitched(multiple, gaps, "ratio")


def adjustment(rows: pd.DataFrame, gaps: pd.DataFrame, method: Stitching = "panama") -> Floats:
    """What stitching adds to each row's price (`panama`, points) or multiplies it by (`ratio`), in the rows' order.

    `rows` need the columns instrument and stamp. A gap applies to the rows of its instrument earlier than its stamp.
    """
    neutral = 0.0 if method == "panama" else 1.0
    result = np.full(len(rows), neutral)
    positions = rows.groupby("instrument", sort=False).indices
    stamps = rows["stamp"].to_numpy()
    for instrument, own in gaps.sort_values("stamp", kind="stable").groupby("instrument", sort=False):
        if instrument in positions:
            places = positions[instrument]
            later = np.searchsorted(own["stamp"].to_numpy(), stamps[places], side="right")
            result[places] = np.append(_accumulated(own, method), neutral)[later]
    return result


def _accumulated(gaps: pd.DataFrame, method: Stitching) -> Floats:
    """For each gap of one instrument, ascending: it and all later ones together, accumulated from the latest back."""
    if method == "panama":
        return np.asarray(np.cumsum(gaps["gap_points"].to_numpy(dtype=np.float64)[::-1])[::-1])
    unfit = gaps[(gaps["price_before"] <= 0) | (gaps["forward_before"] <= 0)]
    if len(unfit):
        roll = unfit.iloc[0]
        raise CalculationError(
            f"{roll['instrument']} rolled at {roll['stamp']} at prices {roll['price_before']} and "
            f"{roll['forward_before']}: a ratio of prices at or below zero means nothing. Stitch it with panama."
        )
    steps = (gaps["forward_before"] / gaps["price_before"]).to_numpy(dtype=np.float64)
    return np.asarray(np.cumprod(steps[::-1])[::-1])


def _stitched(multiple: pd.DataFrame, gaps: pd.DataFrame | None, method: Stitching) -> pd.DataFrame:
    rows = _ordered(multiple)
    step = adjustment(rows, roll_gaps(rows) if gaps is None else gaps, method)
    stitched = rows[["instrument", "stamp", "session"]].copy()
    stitched["price"] = rows["price"] + step if method == "panama" else rows["price"] * step
    return stitched


def _ordered(multiple: pd.DataFrame) -> pd.DataFrame:
    return multiple.sort_values(["instrument", "stamp"], kind="stable", ignore_index=True)


def _refuse_missing(gaps: pd.DataFrame) -> None:
    missing = gaps[gaps["gap_points"].isna()]
    if len(missing):
        roll = missing.iloc[0]
        lacking = "held" if pd.isna(roll["price_before"]) else "next"
        raise MissingRollGap(
            f"{roll['instrument']} rolls from {roll['from_contract']} to {roll['to_contract']} at {roll['stamp']}, but "
            f"the row before has no price of the {lacking} contract ({len(missing)} such rolls in all). "
            "Supply that price in the vendor's data, or move the roll to a time when both contracts have one."
        )


def _refuse_other_forward(gaps: pd.DataFrame, forward: pd.Series) -> None:
    """A forward price of a third contract would give a gap that looks right and is not."""
    other = gaps[forward.notna() & (forward != gaps["to_contract"])]
    if len(other):
        roll = other.iloc[0]
        raise MissingRollGap(
            f"{roll['instrument']} rolls from {roll['from_contract']} to {roll['to_contract']} at {roll['stamp']}, but "
            f"the forward price in the row before is of contract {int(forward.loc[other.index[0]])}. "
            "Load the rows that are missing in between, or correct the forward contract."
        )
