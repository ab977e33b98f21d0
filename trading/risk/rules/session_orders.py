"""The rule on how many orders a session has. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

session_orders = RiskRule(
    "session_orders",
    "ORDER",
    "session_orders",
    ("portfolio",),
    unit="orders",
    description="orders of the session, this one included, those that reduce a position apart",
    cure="Find out why there are so many, or raise trading.orders.max_per_session.",
    setting="max_per_session",
    rolling="skip",
)
