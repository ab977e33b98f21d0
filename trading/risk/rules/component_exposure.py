"""The rule on what a principal component can do to the book. Does not belong here: any other rule."""

from trading.risk.forms import RiskRule

component_exposure = RiskRule(
    "component_exposure",
    "NET",
    "component",
    ("component",),
    unit="times capital",
    description="|gain on a day that the component moves by one standard deviation|, over capital",
    cure="Reduce what leans on the component, or raise the limit.",
    per="capital",
)
