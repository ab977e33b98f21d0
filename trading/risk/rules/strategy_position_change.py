"""The rule on how much a strategy's position may change in a session. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

strategy_position_change = RiskRule(
    "strategy_position_change",
    "POSITION",
    "contracts",
    ("holding",),
    unit="contracts",
    description="|contracts now - at the session's open| of a strategy's instrument",
    cure="Wait for the next session, or raise the limit.",
    change=True,
    rolling="warn",
)
