"""The rule on how far the account may fall from its peak. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

drawdown = RiskRule(
    "drawdown",
    "STANDING",
    "drawdown",
    ("portfolio", "strategy"),
    unit="of the peak",
    description="fall from the highest worth so far, over it",
    cure="Only orders that reduce a position pass. Decide by hand, or raise the limit.",
    rolling="skip",
)
