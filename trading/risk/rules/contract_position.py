"""The rule on the position in one contract month. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

contract_position = RiskRule(
    "contract_position",
    "POSITION",
    "contracts",
    ("contract",),
    unit="contracts",
    description="contracts of one contract month, either way",
    cure="Reduce the position, or raise the limit.",
)
