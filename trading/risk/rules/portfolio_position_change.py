"""The rule on how much the whole book may change in a session. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

portfolio_position_change = RiskRule(
    "portfolio_position_change",
    "GROSS",
    "contracts",
    ("portfolio",),
    unit="contracts",
    description="sum over contract months of |contracts now - at the session's open|",
    cure="Wait for the next session, or raise the limit.",
    change=True,
    rolling="warn",
)
