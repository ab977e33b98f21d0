"""`daybook demo`: the whole desk on the simulated market, from nothing.

Belongs here: which span the demonstration loads and closes. Does not belong here: loading or closing.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pipelines import closing, loading
from pipelines.desk import Desk
from pipelines.settings import Place
from trading.errors import UsageError


def run(where: Place, sessions: int, years: int) -> dict[str, Any]:
    """Loads `years` of simulated history and closes its last sessions, in two runs. Safe to repeat."""
    if sessions < 1 or years < 1:
        raise UsageError("the demo needs at least one session and one year. Give positive numbers.")
    last = Desk.open(where).next_session()
    since = last - timedelta(days=365 * years)
    loaded = loading.load(where, "simulated", None, (), (since, last), None)
    if loaded["exit_code"]:
        return loaded
    desk = Desk.open(where)
    days = [last - timedelta(days=n) for n in range(2 * sessions + 14)]
    chosen = [day for day in days if desk.is_session(day)][:sessions]
    return closing.backfill(where, chosen[-1], chosen[0])
