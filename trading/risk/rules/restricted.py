"""The rule on instruments that are not to be traded. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

restricted = RiskRule(
    "restricted",
    "ORDER",
    "one",
    ("holding",),
    unit="",
    description="1 of every order; the list is its limits of 0",
    cure="Take it off the list, or trade something else.",
    reducing="judge",
    rolling="stop",
)
