"""Closing prices for the paper broker, read from the desk's own daily prices.

Belongs here: reading quotes a month at a time, since a backfill asks for session after session. Does not belong here:
execution (`paper.py`).
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import date
from typing import Any

from trading.book.marks import quotes
from trading.errors import DatasetNotFound
from trading.frames import DAILY_PRICES
from trading.ports import FrameStore

COLUMNS = (
    "instrument", "session", "price", "price_contract", "carry", "carry_contract", "forward", "forward_contract",
)  # fmt: skip


class DailyQuotes:
    """Closing prices by (instrument, contract) of a session; months are kept until the dataset's next version."""

    def __init__(self, frames: FrameStore) -> None:
        self._frames = frames
        self._version = -1
        self._months: dict[tuple[int, int], list[dict[str, Any]]] = {}

    def __call__(self, session: date) -> Mapping[tuple[str, int], float]:
        """Contracts with a price on that very session."""
        versions = self._frames.versions(DAILY_PRICES)
        if not versions:
            return {}
        if versions[-1].number != self._version:
            self._version = versions[-1].number
            self._months.clear()
        month = (session.year, session.month)
        if month not in self._months:
            self._months[month] = self._read(session)
        return quotes(self._months[month], session)

    def _read(self, session: date) -> list[dict[str, Any]]:
        first = session.replace(day=1)
        last = session.replace(day=calendar.monthrange(session.year, session.month)[1])
        try:
            rows = self._frames.history(DAILY_PRICES, since=first, through=last, columns=COLUMNS)
        except DatasetNotFound:
            return []
        found: list[dict[str, Any]] = rows.to_pylist()
        return found
