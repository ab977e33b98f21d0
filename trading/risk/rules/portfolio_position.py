"""The rule on the number of contracts held. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

portfolio_position = RiskRule(
    "portfolio_position",
    "GROSS",
    "contracts",
    ("portfolio",),
    unit="contracts",
    description="contracts of all contract months, either way",
    cure="Reduce positions, or raise the limit.",
)
