"""The rule on instruments that are not traded freely. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

trading_mode = RiskRule(
    "trading_mode",
    "ORDER",
    "mode",
    ("holding",),
    unit="",
    description="1 where trading_mode does not let the order through",
    cure="Wait, or set trading_mode to free.",
    reducing="judge",
    limit=0.0,
    rolling="stop",
)
