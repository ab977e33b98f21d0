"""The rule on a strategy's position in an instrument. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

strategy_position = RiskRule(
    "strategy_position",
    "POSITION",
    "contracts",
    ("holding",),
    unit="contracts",
    description="contracts that a strategy holds of an instrument, either way",
    cure="Reduce the position, or raise the limit.",
)
