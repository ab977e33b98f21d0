"""The rule on the value of one order. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

order_notional = RiskRule(
    "order_notional",
    "ORDER",
    "notional",
    ("holding",),
    unit="times capital",
    description="|contracts| x notional of one, over capital",
    cure="Send less, or raise the limit.",
    per="capital",
    rolling="warn",
)
