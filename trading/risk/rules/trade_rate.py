"""The rule on how many fills there are in a minute. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

trade_rate = RiskRule(
    "trade_rate",
    "ORDER",
    "trade_rate",
    ("portfolio", "strategy"),
    unit="fills a minute",
    description="fills of the last 60 seconds",
    cure="Find out why there are so many, or raise the limit.",
    rolling="skip",
)
