"""Rule: the book agrees with the broker."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, findings, found, rule


@rule(datasets=("breaks",), empty_is_good=True, severity="warning")
def broker_breaks(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """There is no difference between the book and the broker's statement, and there is a statement. What stops a close
    is the check `no_open_quantity_breaks`."""
    if frame.empty:
        return findings()
    return found(frame, context, "").assign(message=frame["message"])
