"""Our book against the broker's statement: the statement, the breaks, and how they are found.

Belongs here: values and pure comparison. Does not belong here: asking a broker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Statement:
    """What the broker says is held at a session's close: contracts by (instrument, contract), cash by currency."""

    broker: str
    session: date
    positions: Mapping[tuple[str, int], int]
    cash_local: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Break:
    """One difference. `kind`: missing_here, missing_there, quantity, cash or statement_missing."""

    kind: str
    item: str
    session: date
    ours: float | None
    theirs: float | None
    message: str
