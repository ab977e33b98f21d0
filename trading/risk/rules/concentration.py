"""The rule on how much of the book moves with the order. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

concentration = RiskRule(
    "concentration",
    "RISK",
    "concentration",
    ("instrument",),
    unit="of all risk",
    description="correlation of the order with every position, weighted by the position's share of all volatility",
    cure="Trade something else, or raise the limit.",
    rolling="skip",
)
