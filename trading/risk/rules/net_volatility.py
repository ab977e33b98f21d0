"""The rule on the risk of the book if everything moved together. Does not belong here: any other rule."""

from trading.risk.forms import BOOK, RiskRule

net_volatility = RiskRule(
    "net_volatility",
    "NET",
    "volatility",
    BOOK,
    unit="times capital a year",
    description="16 x |sum of contracts x daily volatility of one|, over capital",
    cure="Reduce positions, or raise the limit.",
    per="capital",
)
