"""Rule: no session was skipped before the ones examined. It stops the day: moves and rolls of several sessions would be
taken for those of one."""

from __future__ import annotations

import pandas as pd

from trading.frames import day
from trading.quality.rule import RuleContext, finding, findings, rule

HOLIDAYS_IN_A_ROW = 3  # plain weekdays know no holidays: that many of them may have no prices


@rule(datasets=("daily_prices",), needs=("instrument", "session"), blocking=True)
def skipped_sessions(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Between the newest earlier price of any instrument and the sessions examined, no exchange of the desk was open
    (where the desk counts plain weekdays: on at most 3 of them)."""
    if context.earlier.empty:
        return findings()
    newest = day(context.earlier["session"].max())
    codes = context.earlier["instrument"].unique()
    opened = {each for code in codes for each in context.open_sessions(str(code), newest, context.first)}
    skipped = sorted(each for each in opened if newest < each < context.first)
    if len(skipped) <= (0 if context.calendars else HOLIDAYS_IN_A_ROW):
        return findings()
    said = (
        f"{len(skipped)} sessions from {skipped[0]} to {skipped[-1]} were never taken in. "
        f"Run daybook backfill --from {skipped[0]} --to {context.last}."
    )
    return findings([finding("*", context.first, said, column="session", value=newest)])
