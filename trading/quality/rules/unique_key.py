"""Rule: a key names one row."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, datasets_in, found, rule

# `violations` and `quarantine` are findings about data, not data.
_CLEAN = tuple(
    name
    for name in datasets_in(
        "clean", "continuous", "analytics", "signals", "book", "reconciliation", "backtests", "risk"
    )
    if name != "quarantine"
)


@rule(datasets=_CLEAN, blocking=True)
def unique_key(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No two rows of a dataset have the same key."""
    key = [name for name in context.dataset.key if name in frame]
    said = f"another row has the same {', '.join(key)}. Write the session again; if it stays, report it as a fault."
    return found(frame[frame.duplicated(key)], context, said)
