"""The rule on the share of a usual session's volume. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

participation = RiskRule(
    "participation",
    "ORDER",
    "participation",
    ("instrument",),
    unit="of the volume",
    description="contracts traded in the session, at work and asked for, over the median volume of 20 sessions",
    cure="Send less, or spread it over sessions.",
    rolling="warn",
)
