"""Rule: the causes of each row of attribution add up, and its residual is what they leave."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trading.book.attribution import COLUMNS
from trading.quality.rule import RuleContext, found, rule, together

TOLERANCE = 1e-9


@rule(datasets=("attribution",), needs=(*COLUMNS, "explained_base", "total_base", "residual_base"), blocking=True)
def attribution_rows(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """The causes of each row sum to what is explained, and total less that is the residual, to 1e-9 of its money."""
    money = frame[list(COLUMNS)].abs().sum(axis=1).clip(lower=1.0) + frame["total_base"].abs()
    causes, rest = frame[list(COLUMNS)].sum(axis=1, skipna=False), frame["total_base"] - frame["explained_base"]
    said = "it is not the sum of the causes. Materialise the attribution again."
    left = "it is not total less explained. Materialise the attribution again."
    return together(
        found(frame[~(np.abs(wanted - frame[name]) <= TOLERANCE * money)], context, message, name)
        for name, wanted, message in (("explained_base", causes, said), ("residual_base", rest, left))
    )
