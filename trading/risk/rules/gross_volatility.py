"""The rule on the risk of the book if nothing offset anything. Does not belong here: any other rule."""

from trading.risk.forms import BOOK, RiskRule

gross_volatility = RiskRule(
    "gross_volatility",
    "GROSS",
    "volatility",
    BOOK,
    unit="times capital a year",
    description="16 x sum of |contracts| x daily volatility of one, over capital",
    cure="Reduce positions, or raise the limit.",
    per="capital",
)
