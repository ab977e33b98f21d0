"""Rule: nothing is stamped later than now."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, datasets_in, found, rule, together

# The zone of a stamp is the vendor's and may be unknown: local clocks run at most 14 hours ahead of UTC.
_AHEAD = pd.Timedelta(hours=14)


@rule(datasets=datasets_in("raw"), needs=("stamp",), quarantine=True)
def future(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No row is stamped after the moment it is looked at, wherever on earth the vendor's clock stands, and none
    happened after it was known."""
    now = pd.Timestamp(context.as_of).tz_convert("UTC").tz_localize(None)
    later = frame["stamp"] > now + _AHEAD
    happened, known = (pd.to_datetime(frame[name], utc=True) for name in ("event_at", "known_at"))
    early = ~later & (happened > known)
    said = "{}. The row is quarantined; check the vendor's time format and zone."
    return together(
        (
            found(frame[later], context, said.format("the stamp lies in the future"), "stamp"),
            found(frame[early], context, said.format("the row was known before it happened"), "stamp"),
        )
    )
