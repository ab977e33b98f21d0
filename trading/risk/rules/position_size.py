"""The rule on the position in an instrument. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

position_size = RiskRule(
    "position_size",
    "POSITION",
    "contracts",
    ("instrument",),
    unit="contracts",
    description="contracts of an instrument over its contract months, either way",
    cure="Reduce the position, or raise max_position_contracts.",
    setting="max_position_contracts",
)
