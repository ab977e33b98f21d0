"""The rule on how long it takes to be out of a position. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

days_to_exit = RiskRule(
    "days_to_exit",
    "POSITION",
    "exit",
    ("instrument",),
    unit="sessions",
    description="|contracts| over the share of the median volume that may be traded in a session",
    cure="Reduce the position, or raise the limit.",
)
