"""Checks of the book as it stands: that it is within its limits, and that its value at risk is to be believed.

Belongs here: reading what the risk assets left, and what Dagster shows. Does not belong here: measuring any of it
(`trading/risk/`), or limits on orders. They say nothing of the quality of data, so they do not count for its score.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime

import dagster as dg
import pyarrow as pa

from assets.layers import Sources
from assets.materialized import table
from assets.milestones import OVERRIDDEN
from assets.partitions import SESSIONS
from checks.sessions import examined_sessions
from trading.book.close_state import Rows, excused
from trading.config.models import DeskSettings
from trading.frames import HEADROOM, VALUE_AT_RISK
from trading.ports import FrameStore, Ledger, ReferenceStore
from trading.risk.session_rows import Row, beyond_limits, rejections, unmeasured

_SPECS = [
    dg.AssetCheckSpec(
        "limits_hold",
        asset=dg.AssetKey(HEADROOM.name),
        description="The book as it stands is within every limit of risk. Nothing is stopped by it: orders that make "
        "it worse are refused, those that reduce it are not.",
        partitions_def=SESSIONS,
    ),
    dg.AssetCheckSpec(
        "value_at_risk_holds",
        asset=dg.AssetKey(VALUE_AT_RISK.name),
        description="The newest backtest of value at risk rejects neither how often it was exceeded nor how "
        "exceedances follow each other, at 1 %.",
        partitions_def=SESSIONS,
    ),
]
SHOWN = 10
ITEM = f"{HEADROOM.name}/limits_hold"


@dg.multi_asset_check(name="standing_book", specs=_SPECS)
def standing_book(
    context: dg.AssetCheckExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Iterator[dg.AssetCheckResult]:
    """Judges the last session examined: what earlier ones stood at is over."""
    sources = Sources(frames, reference, desk, clock())
    _, last = examined_sessions(context, sources, HEADROOM)
    yield limits_hold(sources.rows(HEADROOM, last, last), last, ledger.rows("overrides", {"state": "set"}))
    yield value_at_risk_holds(sources.rows(VALUE_AT_RISK, last, last).to_pylist(), last)


def limits_hold(rows: pa.Table, session: date, overrides: Rows) -> dg.AssetCheckResult:
    """What Dagster shows of the limits. It is a warning: a limit that was lowered leaves a book beyond it, orders that
    make it worse are refused, and the sensor tells, and halts where that is asked for."""
    known = rows.to_pylist()
    passed, unknown = beyond_limits(known), unmeasured(known)
    found = [*passed, *unknown]
    allowed = excused(overrides, ITEM, [session] if passed else [])
    shown = " ".join(found[:3])
    refused = rows.filter(pa.array([row["outcome"] == "refuse" for row in known], pa.bool_()))
    return dg.AssetCheckResult(
        check_name="limits_hold",
        asset_key=dg.AssetKey(HEADROOM.name),
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=(f"{shown} ({allowed})" if allowed else shown) or "the book is within every limit",
        metadata={
            "beyond limits": len(passed),
            "not measured": len(unknown),
            **({"rows": table(refused.slice(0, SHOWN))} if found else {}),
            **({OVERRIDDEN: allowed} if allowed else {}),
        },
    )


def value_at_risk_holds(rows: list[Row], session: date) -> dg.AssetCheckResult:
    """What Dagster shows of the backtest."""
    found = rejections(rows)
    judged = max((row["days"] for row in rows), default=0)
    return dg.AssetCheckResult(
        check_name="value_at_risk_holds",
        asset_key=dg.AssetKey(VALUE_AT_RISK.name),
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(found[:3]) or f"not rejected on {judged} sessions through {session}",
        metadata={"sessions judged": judged, "tests that reject it": len(found)},
    )


CHECKS = [standing_book]
