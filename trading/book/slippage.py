"""Measured slippage: what fills cost against the price their order was decided at.

Belongs here: the measure of one fill, and its sums. Does not belong here: slippage that a backtest assumes
(`costs.py`), or reading fills and orders.

The reference is the price at the decision, usually the close before the fill, so that the measure holds the market's
move in between as well as the spread: over many fills in both directions the moves cancel and the cost of trading
stays. A cost is positive where the fill was worse than its reference. Corrections are no fills of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pandas as pd

from trading.book.attribution import Reference, reference_of
from trading.book.fills import is_correction
from trading.book.orders import Fill
from trading.market.instruments import Instrument

GROUPS = ("instrument", "strategy", "reason")
PER_CONTRACT = ("cost_points", "cost_ticks", "assumed_points")


@dataclass(frozen=True, slots=True)
class FillCost:
    """One fill against its order's reference.

    `cost_points` and `cost_ticks` are for one contract, positive where the fill was worse; ticks are NaN where the tick
    is unknown. `cost_base` is for the whole fill, `notional_base` its value at the reference. `assumed_points` is what
    the reference data says a fill costs.
    """

    fill_id: str
    order_id: str
    strategy: str
    instrument: str
    contract: int
    session: date
    reason: str
    quantity_contracts: int
    reference_points: float
    price_points: float
    cost_points: float
    cost_ticks: float
    assumed_points: float
    cost_base: float
    notional_base: float


def fill_cost(fill: Fill, orders: Mapping[str, Reference], instrument: Instrument, rate: float) -> FillCost | None:
    """The cost of a fill at `rate` base currency for one local unit; None for a correction and without a reference."""
    order = orders.get(fill.order_id)
    if is_correction(fill) or order is None or order.points is None or math.isnan(order.points):
        return None
    reference = reference_of(fill, order)
    worse = math.copysign(1.0, fill.quantity_contracts) * (fill.price_points - reference)
    value = abs(fill.quantity_contracts) * instrument.point_value_local * rate
    return FillCost(
        fill.fill_id, fill.order_id, fill.strategy, fill.instrument, fill.contract, fill.session, order.reason,
        fill.quantity_contracts, reference, fill.price_points,
        cost_points=worse,
        cost_ticks=worse / instrument.tick_points if instrument.tick_points > 0 else math.nan,
        assumed_points=instrument.slippage_points,
        cost_base=worse * value,
        notional_base=abs(reference) * value,
    )  # fmt: skip


def by_group(costs: pd.DataFrame, column: str = "instrument") -> pd.DataFrame:
    """Sums of rows of FillCost by one of GROUPS, the dearest first.

    Columns: fills, contracts; by instrument also `cost_points`, `cost_ticks`, `assumed_points` for one contract on
    average (points of different instruments have no sum); `cost_base`, `notional_base`, and `cost_fraction`, the first
    by the second (NaN without notional).
    """
    contracts, names = costs["quantity_contracts"].abs(), list(PER_CONTRACT if column == "instrument" else ())
    weighed = costs.assign(contracts=contracts, fills=1, **{name: costs[name] * contracts for name in names})
    sums = weighed.groupby(column)[["fills", "contracts", *names, "cost_base", "notional_base"]].sum(min_count=1)
    for name in names:
        sums[name] /= sums["contracts"]
    sums["cost_fraction"] = sums["cost_base"] / sums["notional_base"].where(sums["notional_base"] > 0)
    return sums.sort_values("cost_base", ascending=False, kind="stable").reset_index()
