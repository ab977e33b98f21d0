"""The rule on how old a price may be. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

stale_price = RiskRule(
    "stale_price",
    "ORDER",
    "age",
    ("contract",),
    unit="sessions",
    description="sessions since the contract's last price",
    cure="Load prices, or wait for one.",
    rolling="warn",
)
