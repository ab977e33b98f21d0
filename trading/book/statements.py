"""What a broker says: positions, prices, trades and cash at a session's close.

Belongs here: the statement as a value. Does not belong here: asking a broker, or comparing (`reconciliation.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from trading.book.orders import Fill


@dataclass(frozen=True, slots=True)
class Statement:
    """What the broker says is held at a session's close: contracts by (instrument, contract), cash by currency.

    `cash_local` is None where the broker does not state cash (an empty one says: there is none). `average_points` are
    average prices of positions where the broker states them; `trades` the session's trades one by one, None where the
    statement does not list trades (an empty tuple says: there were none). `as_of` (UTC) is when the broker drew it up;
    `unknown` are the broker's own names of contracts that nobody here could map.

    Cash is what was paid and received for the full value of trades, as if futures were bought outright; with
    `settles_daily` it is what futures accounts have: profit of open positions is paid out every day.
    """

    broker: str
    session: date
    positions: Mapping[tuple[str, int], int]
    cash_local: Mapping[str, float] | None = field(default_factory=dict)
    average_points: Mapping[tuple[str, int], float] = field(default_factory=dict)
    trades: tuple[Fill, ...] | None = None
    as_of: datetime | None = None
    unknown: tuple[str, ...] = ()
    settles_daily: bool = False
