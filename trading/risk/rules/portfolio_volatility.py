"""The rule on the volatility of the whole book. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

portfolio_volatility = RiskRule(
    "portfolio_volatility",
    "RISK",
    "volatility",
    ("portfolio",),
    unit="times the volatility target",
    description="expected standard deviation of a year over the target",
    cure="Reduce positions, or raise the limit.",
    per="target",
)
