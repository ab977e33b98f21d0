"""The rule on historical value at risk of a day. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

value_at_risk = RiskRule(
    "value_at_risk",
    "TAIL",
    "value_at_risk",
    ("portfolio",),
    unit="times capital",
    description="the loss passed on one in so many of the days looked back on, over capital",
    cure="Reduce positions, or raise the limit.",
    per="capital",
)
