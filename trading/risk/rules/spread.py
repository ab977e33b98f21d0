"""The rule on what crossing the market costs. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

spread = RiskRule(
    "spread",
    "ORDER",
    "spread",
    ("instrument",),
    unit="of the mark",
    description="spread over the last mark",
    cure="Wait, or send a limit order.",
    rolling="warn",
)
