"""`daybook risk decisions`: decisions on orders that were kept, by session.

Belongs here: which of them are asked for. Does not belong here: keeping them (`resources/decision_log.py`), or judging
them again (`risk_replay.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

from pipelines.settings import Place
from pipelines.wiring import decision_log
from trading.errors import UsageError
from trading.risk.kept import Kept, Wanted

Span = tuple[date | None, date | None]


def listed(
    where: Place, span: Span, limit: int, strategy: str | None = None, instrument: str | None = None,
    outcome: str | None = None, reason: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Decisions of sessions as plain values, the newest first. `torn`: places that a writer was killed at."""
    wanted = Wanted(
        strategy=strategy, instrument=instrument, outcomes=None if outcome is None else (outcome,), reason=reason,  # type: ignore[arg-type]
        limit=limit,
    )  # fmt: skip
    rows = [each.document() for each in kept(where, span, wanted)]
    torn = [place._asdict() for place in decision_log(where).torn()]
    return {"count": len(rows), "rows": rows, "torn": torn}


def kept(where: Place, span: Span, wanted: Wanted) -> Iterator[Kept]:
    """Those of sessions from the first to the last of `span`, both included. Raises UsageError where that is none."""
    first, last = span[0] or date.min, span[1] or date.max
    if last < first:
        raise UsageError(f"--until {last} is before --since {first}. Exchange the two.")
    return decision_log(where).read(replace(wanted, sessions=(first, last)))
