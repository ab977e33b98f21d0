"""Rule: a vendor stamps each row of a series once."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, datasets_in, found, rule


@rule(datasets=datasets_in("raw"), severity="warning", needs=("occurrence",))
def duplicates(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No label occurs twice in one delivery of a series. Both rows are kept raw; clean takes the last with a price."""
    said = "the label occurs more than once in the delivery. The last row with a price is used; ask which is right."
    return found(frame[frame["occurrence"] > 0], context, said, "occurrence")
