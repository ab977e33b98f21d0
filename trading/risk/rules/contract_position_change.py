"""The rule on how much a contract month's position may change in a session. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

contract_position_change = RiskRule(
    "contract_position_change",
    "POSITION",
    "contracts",
    ("contract",),
    unit="contracts",
    description="|contracts now - at the session's open| of a contract month",
    cure="Wait for the next session, or raise the limit.",
    change=True,
    rolling="warn",
)
