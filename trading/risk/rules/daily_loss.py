"""The rule on what a session may lose. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

daily_loss = RiskRule(
    "daily_loss",
    "STANDING",
    "day",
    ("portfolio", "strategy"),
    unit="times capital",
    description="loss of the session so far, over capital",
    cure="Only orders that reduce a position pass. Decide by hand, or raise max_daily_loss_fraction.",
    per="capital",
    setting="max_daily_loss_fraction",
    rolling="skip",
)
