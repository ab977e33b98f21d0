"""The rule on the value of one instrument. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

instrument_exposure = RiskRule(
    "instrument_exposure",
    "GROSS",
    "notional",
    ("instrument",),
    unit="times capital",
    description="the same sum over one instrument's contract months",
    cure="Reduce the position, or raise max_exposure_fraction.",
    per="capital",
    setting="max_exposure_fraction",
)
