"""The rule on what a named factor can do to the book. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

factor_exposure = RiskRule(
    "factor_exposure",
    "NET",
    "factor",
    ("factor",),
    unit="times capital",
    description="|gain on a day that the factor moves by one standard deviation|, over capital",
    cure="Reduce what leans on the factor, or raise the limit.",
    per="capital",
)
