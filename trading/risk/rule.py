"""What a risk rule is: a name and a function from exposure and limits to breaches.

Belongs here: the type that makes a file beside this one a rule (`trading/discovery.py` finds it). Does not belong here:
any rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trading.risk.book_limits import Limits
from trading.risk.breach import Breach
from trading.risk.exposure import Exposure

Judgement = Callable[[Exposure, Limits], list[Breach]]


@dataclass(frozen=True, slots=True)
class RiskRule:
    """A rule: `judge` gives every breach of it in an exposure; none means within the limit. Orders that only reduce a
    position pass every rule but those that do not spare them."""

    name: str
    judge: Judgement
    spares_reducing: bool = True


def risk_rule(judge: Judgement) -> RiskRule:
    """Makes a function a rule named after it. At the limit is within it."""
    return RiskRule(judge.__name__, judge)


def risk_rule_for_all(judge: Judgement) -> RiskRule:
    """As `risk_rule`, for orders that reduce a position too."""
    return RiskRule(judge.__name__, judge, spares_reducing=False)
