"""The rule on how much a position may change in a session. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

position_change = RiskRule(
    "position_change",
    "POSITION",
    "contracts",
    ("instrument",),
    unit="contracts",
    description="|contracts now - at the session's open| of an instrument",
    cure="Wait for the next session, or raise the limit.",
    change=True,
    rolling="warn",
)
