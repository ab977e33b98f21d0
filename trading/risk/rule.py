"""What a risk rule is: a name and a function from exposure and limits to breaches.

Belongs here: the type that makes a file beside this one a rule (`trading/discovery.py` finds it). Does not belong here:
any rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from trading.config.models import Limits
from trading.risk.breach import Breach
from trading.risk.exposure import Exposure

Judgement = Callable[[Exposure, Limits], list[Breach]]


@dataclass(frozen=True, slots=True)
class RiskRule:
    """A rule: `judge` gives every breach of it in an exposure; none means within the limit."""

    name: str
    judge: Judgement


def risk_rule(judge: Judgement) -> RiskRule:
    """Makes a function a rule named after it. At the limit is within it."""
    return RiskRule(judge.__name__, judge)
