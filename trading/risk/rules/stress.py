"""The rule on what a named scenario costs. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

stress = RiskRule(
    "stress",
    "LOSS",
    "stress",
    ("scenario",),
    unit="times capital",
    description="loss of the book in the scenario, over capital; 0 where it gains",
    cure="Reduce what loses in it, or raise the limit.",
    per="capital",
)
