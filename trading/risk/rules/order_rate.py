"""The rule on how many orders there are in a minute. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

order_rate = RiskRule(
    "order_rate",
    "ORDER",
    "order_rate",
    ("portfolio", "strategy"),
    unit="orders a minute",
    description="orders of the last 60 seconds, this one included",
    cure="Find out why there are so many, or raise the limit.",
    rolling="skip",
)
