"""Rule: targets are positions the limits allow."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, findings, found, rule


@rule(datasets=("targets",), severity="warning", needs=("target_contracts",))
def target_limit(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No target is beyond the position limit: its orders would be refused."""
    if context.max_position_contracts is None:
        return findings()
    beyond = frame["target_contracts"].abs() > context.max_position_contracts
    said = f"the limit is {context.max_position_contracts} contracts, so its orders will be refused. Look at its size."
    return found(frame[beyond], context, said, "target_contracts")
