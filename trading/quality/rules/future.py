"""Rule: nothing is stamped later than now."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, datasets_in, found, rule

# The zone of a stamp is the vendor's and may be unknown: local clocks run at most 14 hours ahead of UTC.
_AHEAD = pd.Timedelta(hours=14)


@rule(datasets=datasets_in("raw"), needs=("stamp",), quarantine=True)
def future(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """No row is stamped after the moment it is looked at, wherever on earth the vendor's clock stands."""
    now = pd.Timestamp(context.as_of).tz_convert("UTC").tz_localize(None)
    said = "the stamp lies in the future. The row is quarantined; check the vendor's time format (day and month?)."
    return found(frame[frame["stamp"] > now + _AHEAD], context, said, "stamp")
