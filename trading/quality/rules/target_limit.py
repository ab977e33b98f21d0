"""Rule: targets are positions the limits allow."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, found, rule, together


@rule(datasets=("targets",), severity="warning", needs=("target_contracts",))
def target_limit(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No target is beyond the position limit of its instrument: its orders would be refused."""
    most = frame["instrument"].map(lambda code: context.of(str(code)).max_position_contracts)
    beyond = frame["target_contracts"].abs() > most
    parts = [frame[beyond & (most == limit)] for limit in sorted(most[beyond].unique())]
    return together(_of_limit(rows, int(most[rows.index[0]]), context) for rows in parts)


def _of_limit(rows: pd.DataFrame, limit: int, context: RuleContext) -> pd.DataFrame:
    said = f"the limit is {limit} contracts, so its orders will be refused. Look at its size."
    return found(rows, context, said, "target_contracts")
