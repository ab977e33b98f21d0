"""Rule: every fill belongs to an order, unless a person adjusted the position."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule


@rule(datasets=("fills",), companions=("orders",), needs=("order_id",))
def fills_have_orders(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Every fill names an order that was decided in its session or before; an adjustment, which a person entered with
    name and reason (`daybook book adjust`), is of no order, and its order id is empty."""
    unknown = (frame["order_id"] != "") & ~frame["order_id"].isin(context.companions["orders"]["order_id"])
    said = "no order has this id. Ask the broker whose trade it is; the position counts it."
    return found(frame[unknown], context, said, "order_id")
