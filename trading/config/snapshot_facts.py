"""Facts of a snapshot: what holds for the whole of it, with the limits of the book computed once.

Belongs here: which facts there must be, and what follows from them. Does not belong here: anything of one symbol.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from trading.errors import ConfigError

Fact = str | float | int
TEXTS = ("configuration_hash", "environment", "base_currency")
NUMBERS = ("capital_base", "max_gross_exposure_fraction", "max_daily_loss_fraction")
FACTS = (*TEXTS, *NUMBERS)  # every snapshot has these; more may be given
LIMITS = {  # money of base currency: what it is a fraction of capital by
    "max_gross_exposure_base": "max_gross_exposure_fraction",
    "max_daily_loss_base": "max_daily_loss_fraction",
}


def checked_facts(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    """Facts with the limits of the book in base currency. Raises ConfigError naming every fact that is missing or
    wrong."""
    found = [text for name in (*FACTS, *facts) for text in _wrong(name, facts)]
    if found:
        raise ConfigError(f"a snapshot cannot be compiled: {' '.join(dict.fromkeys(found))}")
    told = dict(facts)
    capital = float(facts["capital_base"])
    return told | {name: float(facts[fraction]) * capital for name, fraction in LIMITS.items()}


def _wrong(name: str, facts: Mapping[str, Fact]) -> Iterator[str]:
    if name not in facts:
        yield f"fact {name} is missing."
        return
    value = facts[name]
    if name in TEXTS and not isinstance(value, str):
        yield f"fact {name} is {value!r}, but must be text."
    if name in NUMBERS and (isinstance(value, str) or value < 0):
        yield f"fact {name} is {value!r}, but must be 0 or more."
    if isinstance(value, float) and not math.isfinite(value):
        yield f"fact {name} is {value!r}, but must be finite."
