"""Sums over sessions, sessions that are not explained, and what fills cost, by hand.

Does not belong here: single causes (`test_attribution.py`).
"""

from __future__ import annotations

import io
import math
from dataclasses import asdict
from datetime import date

import pandas as pd
import pytest

from trading.book import period, slippage
from trading.book.attribution import COLUMNS, Reference
from trading.book.orders import Fill
from trading.book.residuals import unexplained
from trading.market.instruments import Instrument
from trading.reports import drawings

JAN, FEB, FRI = date(2022, 1, 31), date(2022, 2, 1), date(2022, 2, 4)
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "", "US", slippage_points=0.05)
BUND = Instrument("BUND", "Bund", "EUREX", "EUR", 1000.0, 0.0, "rates", "", "DE", slippage_points=0.005)


def row(session: date, instrument: str, residual: float = 0.0, **causes: float) -> dict[str, object]:
    amounts = {**dict.fromkeys(COLUMNS, 0.0), **{f"{name}_base": amount for name, amount in causes.items()}}
    explained = sum(causes.values())
    return {
        "strategy": "trend" if instrument else "", "instrument": instrument, "contract": 20220300 if instrument else 0,
        "session": pd.Timestamp(session), "asset_class": {"GOLD": "metals", "BUND": "rates"}.get(instrument, ""),
        "currency": "USD", **amounts, "explained_base": explained, "total_base": explained + residual,
        "residual_base": residual,
    }  # fmt: skip


ROWS = pd.DataFrame(
    [
        row(JAN, "GOLD", price=100.0),
        row(FEB, "GOLD", price=-30.0, carry=4.0, commission=-2.0),
        row(FEB, "BUND", price=50.0, fx=-1.5),
        row(FRI, "GOLD", price=10.0, residual=0.25),
        row(FRI, "", financing=-7.0),
    ]
)


# --- sums -------------------------------------------------------------------------------------------------------------
def test_causes_sum_over_sessions() -> None:
    sums = period.by_cause(ROWS)
    assert list(sums.index)[-2:] == ["residual", "total"]
    assert sums[["price", "carry", "commission", "fx", "financing", "residual", "total"]].tolist() == [
        130.0, 4.0, -2.0, -1.5, -7.0, 0.25, 123.75,
    ]  # fmt: skip
    assert period.by_cause(ROWS.iloc[:0]).tolist() == [0.0] * 11


def test_groups_are_the_best_first_and_cash_is_one() -> None:
    rows = period.by_group(ROWS, "instrument")
    assert rows["instrument"].tolist() == ["GOLD", "BUND", "cash"]
    assert rows["total_base"].tolist() == [82.25, 48.5, -7.0]
    assert period.by_group(ROWS, "asset_class")["asset_class"].tolist() == ["metals", "rates", "cash"]
    assert period.by_session(ROWS)["total_base"].tolist() == [100.0, 20.5, 3.25]


def test_a_month_to_date_ends_with_its_session() -> None:
    """January is another month, and on the 1st nothing is known of the 4th."""
    friday = period.day_and_month(ROWS, FRI).set_index("cause")
    assert friday.loc["total"].tolist() == [3.25, 23.75]
    assert friday.loc["price"].tolist() == [10.0, 30.0]
    assert period.day_and_month(ROWS, FEB).set_index("cause").loc["total"].tolist() == [20.5, 20.5]


# --- residuals --------------------------------------------------------------------------------------------------------
def test_mistakes_that_cancel_are_two_mistakes() -> None:
    rows = pd.DataFrame([row(FEB, "GOLD", residual=0.4), row(FEB, "BUND", residual=-0.4), row(FRI, "GOLD")])
    (found,) = unexplained(rows, 0.5, "USD")
    assert (found.session, found.residual_base) == (FEB, pytest.approx(0.8))
    assert "0.80 USD of the profit of 2022-02-01 has no cause (accepted: 0.5)" in found.message
    assert "trend/GOLD/20220300 +0.40 USD, trend/BUND/20220300 -0.40 USD" in found.message
    assert unexplained(rows, 0.8, "USD") == []


def test_the_tolerance_itself_is_accepted_and_no_number_is_not() -> None:
    exact = pd.DataFrame([row(FEB, "GOLD", residual=-0.5)])
    assert unexplained(exact, 0.5, "USD") == []
    assert [found.session for found in unexplained(exact, 0.4999, "USD")] == [FEB]
    unknown = pd.DataFrame([row(FEB, "GOLD"), row(FEB, "BUND", residual=math.nan)])
    assert [found.session for found in unexplained(unknown, 1e9, "USD")] == [FEB]
    assert unexplained(ROWS.iloc[:0], 0.0, "USD") == []


def test_only_rows_with_a_residual_are_named() -> None:
    rows = pd.DataFrame([row(FEB, "GOLD", residual=1e-13), row(FEB, "", residual=2.0, financing=-1.0)])
    (found,) = unexplained(rows, 0.01, "USD")
    assert ": cash +2.00 USD. Compare" in found.message


# --- what fills cost --------------------------------------------------------------------------------------------------
def fill(instrument: str, quantity: int, price: float, order: str = "o1", name: str = "f1") -> Fill:
    return Fill(name, order, "trend", instrument, 20220300, FEB, quantity, price, 2.0)


ORDERS = {"o1": Reference("target", 1900.0), "o2": Reference("roll", 1900.0), "o3": Reference("target", None)}


def test_a_cost_is_positive_where_the_fill_was_worse() -> None:
    """2 bought half a point over the reference: 5 ticks of a tenth, 100 dollars of 380,000."""
    bought = slippage.fill_cost(fill("GOLD", 2, 1900.5), ORDERS, GOLD, 1.0)
    assert bought is not None
    assert (bought.cost_points, bought.cost_ticks, bought.cost_base) == pytest.approx((0.5, 5.0, 100.0))
    assert (bought.notional_base, bought.assumed_points, bought.reason) == (380_000.0, 0.05, "target")
    sold = slippage.fill_cost(fill("GOLD", -2, 1900.5), ORDERS, GOLD, 1.0)
    assert sold is not None
    assert (sold.cost_points, sold.cost_base) == pytest.approx((-0.5, -100.0))
    foreign = slippage.fill_cost(fill("BUND", 1, 1900.01), ORDERS, BUND, 1.2)
    assert foreign is not None
    assert foreign.cost_base == pytest.approx(12.0)
    assert math.isnan(foreign.cost_ticks)


@pytest.mark.parametrize(
    "unmeasured",
    [
        fill("GOLD", 1, 1.0, "o3"),
        fill("GOLD", 1, 1.0, "o9"),
        fill("GOLD", 1, 1.0, name="f1~1"),
        fill("GOLD", 1, 1.0, ""),
    ],
)
def test_without_a_reference_or_of_a_correction_there_is_no_cost(unmeasured: Fill) -> None:
    assert slippage.fill_cost(unmeasured, ORDERS, GOLD, 1.0) is None


def test_costs_are_weighed_by_contracts() -> None:
    """3 at half a point and 1 at a tenth better: 1.4 over 4 contracts."""
    traded = [fill("GOLD", 3, 1900.5), fill("GOLD", -1, 1900.1, "o2", "f2"), fill("BUND", 1, 1900.02, name="f3")]
    each = [slippage.fill_cost(one, ORDERS, GOLD if one.instrument == "GOLD" else BUND, 1.0) for one in traded]
    costs = pd.DataFrame([asdict(one) for one in each if one is not None])
    by = slippage.by_group(costs).set_index("instrument")
    gold = by.loc["GOLD"]
    assert gold[["fills", "contracts"]].tolist() == [2, 4]
    assert gold[["cost_points", "cost_ticks", "assumed_points"]].tolist() == pytest.approx([0.35, 3.5, 0.05])
    assert gold[["cost_base", "notional_base"]].tolist() == pytest.approx([140.0, 760_000.0])
    assert gold["cost_fraction"] == pytest.approx(140 / 760_000)
    assert math.isnan(by.loc["BUND", "cost_ticks"])
    reasons = slippage.by_group(costs, "reason")
    assert reasons["reason"].tolist() == ["target", "roll"]
    assert "cost_points" not in reasons
    assert slippage.by_group(costs.iloc[:0]).empty


# --- the picture ------------------------------------------------------------------------------------------------------
def test_each_bar_begins_where_the_one_above_ends() -> None:
    amounts = pd.Series({"price": 500.0, "carry": -120.0, "roll": 0.0, "fx": 20.0, "residual": 1e-9})
    figure = drawings.waterfall(amounts, unit="USD")
    (axes,) = figure.axes
    bars = [(patch.get_x(), patch.get_width()) for patch in axes.patches]
    assert bars == [(0.0, 500.0), (500.0, -120.0), (380.0, 20.0), (0.0, 400.0)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["price", "carry", "fx", "total"]
    empty = drawings.waterfall(amounts * 0)
    empty.savefig(io.BytesIO(), format="png")
    assert [text.get_text() for text in empty.axes[0].texts] == ["nothing to show"]
