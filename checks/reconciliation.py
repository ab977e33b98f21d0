"""Checks of the book against the broker, and what of it stops a close.

Belongs here: the rules of `breaks`, and the gate on open breaks. Does not belong here: finding breaks
(`trading/book/reconciliation.py`), or which kinds stop a close (`trading/book/breaks.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from assets.layers import Sources
from assets.milestones import OVERRIDDEN
from assets.partitions import SESSIONS
from checks.examined import checks_of_layers
from checks.sessions import examined_sessions
from trading.book.breaks import stopping
from trading.book.close_state import Rows, excused
from trading.config.models import DeskSettings
from trading.frames import BREAKS
from trading.ports import FrameStore, Ledger, ReferenceStore

_SPEC = dg.AssetCheckSpec(
    "no_open_quantity_breaks",
    asset=dg.AssetKey(BREAKS.name),
    description="Both sides hold the same contracts, or every break of quantity is closed or overridden with a name "
    "and a reason. A statement that is missing or stale is no agreement. Differences of price, cash and time warn.",
    blocking=True,
    partitions_def=SESSIONS,
)
ITEM = f"{BREAKS.name}/{_SPEC.name}"


@dg.multi_asset_check(name="no_open_quantity_breaks", specs=[_SPEC])
def no_open_quantity_breaks(
    context: dg.AssetCheckExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Iterator[dg.AssetCheckResult]:
    """Judges every session examined."""
    sources = Sources(frames, reference, desk, clock())
    first, last = examined_sessions(context, sources, BREAKS)
    rows = sources.rows(BREAKS, last, first).to_pylist()
    yield result(rows, stopping(rows, ledger.rows("breaks")), ledger.rows("overrides", {"state": "set"}))


def result(
    rows: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]], overrides: Rows
) -> dg.AssetCheckResult:
    """What Dagster shows; an error stops the close, unless every session that has one was overridden."""
    passed_by = excused(list(overrides), ITEM, sorted({row["session"] for row in found}))
    told = " ".join(row["message"] for row in (found or rows)[:3])
    return dg.AssetCheckResult(
        check_name=_SPEC.name,
        asset_key=_SPEC.asset_key,
        passed=not rows,
        severity=dg.AssetCheckSeverity.ERROR if found and not passed_by else dg.AssetCheckSeverity.WARN,
        description=(f"{told} ({passed_by})" if passed_by else told) or "both sides agree",
        metadata={
            "outcome": "failed" if rows else "passed",
            "stopping": len(found),
            "open": len(rows),
            **({OVERRIDDEN: passed_by} if passed_by else {}),
        },
    )


CHECKS = [*checks_of_layers(("reconciliation",)), no_open_quantity_breaks]
