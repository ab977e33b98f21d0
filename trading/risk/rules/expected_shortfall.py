"""The rule on historical expected shortfall of a day. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

expected_shortfall = RiskRule(
    "expected_shortfall",
    "TAIL",
    "expected_shortfall",
    ("portfolio",),
    unit="times capital",
    description="the mean loss of the days at and beyond the value at risk, over capital",
    cure="Reduce positions, or raise the limit.",
    per="capital",
)
