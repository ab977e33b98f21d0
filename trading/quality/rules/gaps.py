"""Rule: every session an instrument's exchange group was open has prices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pandas as pd

from trading.frames import day
from trading.quality.rule import RuleContext, finding, findings, rule


@rule(
    datasets=("clean_bars", "clean_multiple_prices", "daily_prices"),
    severity="warning",
    needs=("instrument",),
    judges_absence=True,
)
def gaps(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """From an instrument's first row on, every session its exchange group was open has at least one row. A closed
    exchange leaves no gap."""
    rows = pd.concat([context.earlier, frame]) if len(context.earlier) else frame
    seen = rows[["instrument", "session"]].drop_duplicates()
    return findings(_missing(seen, context))


def _missing(seen: pd.DataFrame, context: RuleContext) -> Iterator[dict[str, object]]:
    for code, sessions in seen.groupby("instrument")["session"]:
        held = {day(session) for session in sessions}
        for session in context.open_sessions(str(code), max(context.first, min(held)), context.last):
            if session not in held:
                yield finding(str(code), session, _said(str(code), session))


def _said(code: str, session: date) -> str:
    return (
        f"{code} has no price on {session}, when its exchange was open. "
        "Load the session again, or add the holiday to reference/session_overrides.csv."
    )
