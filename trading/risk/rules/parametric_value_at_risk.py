"""The rule on normal value at risk of a day. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

parametric_value_at_risk = RiskRule(
    "parametric_value_at_risk",
    "RISK",
    "value_at_risk",
    ("portfolio",),
    unit="times capital",
    description="the same quantile of a normal distribution with the book's volatility, over capital",
    cure="Reduce positions, or raise the limit.",
    per="capital",
)
