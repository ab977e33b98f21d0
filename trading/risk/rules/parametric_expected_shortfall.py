"""The rule on normal expected shortfall of a day. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

parametric_expected_shortfall = RiskRule(
    "parametric_expected_shortfall",
    "RISK",
    "expected_shortfall",
    ("portfolio",),
    unit="times capital",
    description="the mean beyond that quantile, over capital",
    cure="Reduce positions, or raise the limit.",
    per="capital",
)
