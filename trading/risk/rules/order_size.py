"""The rule on the size of one order. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

order_size = RiskRule(
    "order_size",
    "ORDER",
    "size",
    ("holding",),
    unit="contracts",
    description="contracts of one order",
    cure="Look at what the order is for, or raise max_order_contracts.",
    setting="max_order_contracts",
    rolling="warn",
)
