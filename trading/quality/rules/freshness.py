"""Rule: every instrument has a recent price."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from trading.frames import day
from trading.quality.rule import RuleContext, finding, findings, rule


@rule(
    datasets=("raw_bars", "raw_multiple_prices"),
    severity="warning",
    needs=("instrument", "session"),
    judges_absence=True,
)
def freshness(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No instrument seen in the last weeks has gone without a row for more than `max_silent_sessions` (3 as
    shipped) on which its exchange was open."""
    rows = pd.concat([context.earlier, frame]) if len(context.earlier) else frame
    return findings(_old(rows.groupby("instrument")["session"].max(), context))


def _old(newest: pd.Series, context: RuleContext) -> Iterator[dict[str, object]]:
    for code, session in newest.items():
        last = day(session)
        since = [open_ for open_ in context.open_sessions(str(code), last, context.last) if open_ > last]
        if len(since) > context.of(str(code)).max_silent_sessions:
            said = (
                f"{code} has had no price since {last}: {len(since)} sessions. "
                "Ask the vendor, or close its positions and take it out of the strategies."
            )
            yield finding(str(code), context.last, said, column="session", value=last)
