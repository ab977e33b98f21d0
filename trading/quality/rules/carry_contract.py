"""Rule: carry compares two different contracts."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule


@rule(
    datasets=("raw_multiple_prices", "multiple_prices"),
    severity="warning",
    needs=("price_contract", "carry_contract"),
)
def carry_contract(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """The carry contract is not the held contract: where it is, the row has no carry."""
    rows = frame[frame["carry_contract"].eq(frame["price_contract"]).fillna(False)]
    said = "the carry contract is the held contract, so there is no carry. Correct the roll calendar or the vendor's."
    return found(rows, context, said, "carry_contract")
