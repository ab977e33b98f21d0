"""The rule on what the positions bind of the account. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

margin = RiskRule(
    "margin",
    "GROSS",
    "margin",
    ("portfolio",),
    unit="times equity",
    description="sum of |contracts| x initial margin of one, over what the account is worth",
    cure="Reduce positions, or raise the limit.",
    per="equity",
)
