"""The rule on how far the book leans one way. Does not belong here: any other rule."""

from trading.risk.forms import BOOK, RiskRule

net_exposure = RiskRule(
    "net_exposure",
    "NET",
    "notional",
    BOOK,
    unit="times capital",
    description="|sum of contracts x notional of one|, over capital",
    cure="Reduce positions, or raise the limit.",
    per="capital",
)
