"""The rule on the size of the book against the account. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

leverage = RiskRule(
    "leverage",
    "GROSS",
    "notional",
    ("portfolio",),
    unit="times equity",
    description="sum of |contracts| x notional of one, over what the account is worth",
    cure="Reduce positions, or raise the limit.",
    per="equity",
)
