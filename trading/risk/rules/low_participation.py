"""The rule on the share of a quiet session's volume. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

low_participation = RiskRule(
    "low_participation",
    "ORDER",
    "low_participation",
    ("instrument",),
    unit="of the volume",
    description="the same over the 25th percentile",
    cure="Send less, or spread it over sessions.",
    rolling="warn",
)
