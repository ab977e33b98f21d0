"""Marks: the price each contract is valued at, out of daily prices.

Belongs here: reading contract prices out of a row of `daily_prices`, and carrying the last known one forward. Does not
belong here: what a position is worth.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, NamedTuple

Contract = tuple[str, int]  # instrument, contract id


class Mark(NamedTuple):
    """A price in points and the session it is of."""

    price_points: float
    session: date


def contract_prices(row: Mapping[str, Any]) -> dict[Contract, float]:
    """Prices by (instrument, contract) in one row of `daily_prices`: the held, carry and forward contracts.

    Where two columns name the same contract the held price wins, then the forward one. Missing prices are left out.
    """
    found: dict[Contract, float] = {}
    for name in ("carry", "forward", "price"):
        price, contract = row[name], row[f"{name}_contract"]
        if price is not None and contract is not None and not math.isnan(price):
            found[row["instrument"], int(contract)] = float(price)
    return found


def marks(rows: Iterable[Mapping[str, Any]]) -> dict[Contract, Mark]:
    """The last known price of every contract in rows of `daily_prices` given in order of session."""
    known: dict[Contract, Mark] = {}
    for row in rows:
        session: date = row["session"]
        known.update({key: Mark(price, session) for key, price in contract_prices(row).items()})
    return known


def quotes(rows: Iterable[Mapping[str, Any]], session: date) -> dict[Contract, float]:
    """Closing prices of one session by (instrument, contract): only contracts with a price on that very session."""
    return {key: mark.price_points for key, mark in marks(r for r in rows if r["session"] == session).items()}
