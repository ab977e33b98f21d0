"""A breach: what a risk rule found, as a value. Does not belong here: the rules (one file each beside this one)."""

from __future__ import annotations

from dataclasses import dataclass

WHOLE_BOOK = "book"


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that is passed. `item` is an instrument, or `book` for a limit on everything; `value` and `limit` are in
    the unit the message names."""

    rule: str
    item: str
    value: float
    limit: float
    message: str
