"""The rule on instruments in dispute with the broker. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

instrument_lock = RiskRule(
    "instrument_lock",
    "ORDER",
    "lock",
    ("instrument",),
    unit="",
    description="1 where an open break locks the instrument: what is held of it is in dispute",
    cure="Settle the break, or release the lock by name.",
    reducing="judge",
    limit=0.0,
    rolling="warn",
)
