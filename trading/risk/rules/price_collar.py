"""The rule on how far from the market an order may be. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

price_collar = RiskRule(
    "price_collar",
    "ORDER",
    "collar",
    ("instrument",),
    unit="of the mark",
    description="|limit price / last mark - 1|; 0 of an order at market",
    cure="Look at the price, and at the mark it is compared with.",
    reducing="judge",
    rolling="skip",
)
