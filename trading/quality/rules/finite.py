"""Rule: no measure is infinite."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trading.quality.rule import RuleContext, datasets_in, found, rule, together


@rule(datasets=datasets_in("analytics", "signals", "book", "backtests"), blocking=True)
def finite(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No number of what is calculated is infinite. A missing one is legal where the dataset says so."""
    names = [name for name in frame.columns if pd.api.types.is_float_dtype(frame[name].dtype)]
    said = "a calculation divided by zero or ran away. Look at the prices of the session before trading on it."
    return together(found(frame[np.isinf(frame[name])], context, said, name) for name in names)
