"""The rule on contracts that are being left. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

roll_state = RiskRule(
    "roll_state",
    "ORDER",
    "roll",
    ("contract",),
    unit="(0 hold, 1 rolls soon, 2 rolled away)",
    description="0: to be held; 1: rolls soon; 2: rolled away or expired",
    cure="Trade the contract that is held now.",
    rolling="skip",
)
