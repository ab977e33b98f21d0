"""The rule on what one order adds to the volatility of the book. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

marginal_volatility = RiskRule(
    "marginal_volatility",
    "RISK",
    "marginal",
    ("portfolio",),
    unit="times the volatility target",
    description="volatility with the order less without it, of a year, over the target",
    cure="Send less, or raise the limit.",
    per="target",
    rolling="skip",
)
