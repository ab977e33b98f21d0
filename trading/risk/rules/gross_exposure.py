"""The rule on the size of the book, and of each group of instruments. Does not belong here: any other rule."""

from trading.risk.forms import BOOK, RiskRule

gross_exposure = RiskRule(
    "gross_exposure",
    "GROSS",
    "notional",
    BOOK,
    unit="times capital",
    description="sum of |contracts| x notional of one over contract months, over capital",
    cure="Reduce positions, or raise max_gross_exposure_fraction or the limit of the group.",
    per="capital",
    setting="max_gross_exposure_fraction",
)
