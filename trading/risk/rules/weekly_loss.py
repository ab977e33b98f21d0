"""The rule on what a week may lose. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

weekly_loss = RiskRule(
    "weekly_loss",
    "STANDING",
    "week",
    ("portfolio", "strategy"),
    unit="times capital",
    description="loss since the week began, over capital",
    cure="Only orders that reduce a position pass. Decide by hand, or raise the limit.",
    per="capital",
    rolling="skip",
)
