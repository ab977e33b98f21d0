"""The rule on what was stopped. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

halt = RiskRule(
    "halt",
    "ORDER",
    "halt",
    ("holding",),
    unit="",
    description="1 where a halt of everything, the strategy or the instrument does not let the order through",
    cure="Ask who set it; resuming needs a name.",
    reducing="judge",
    limit=0.0,
    rolling="stop",
)
