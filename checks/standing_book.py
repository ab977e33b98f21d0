"""Checks of the book as it stands: that it is within its limits, and that its value at risk is to be believed.

Belongs here: reading what the risk assets left, which limits hold for nothing, and what Dagster shows. Does not belong
here: measuring any of it (`trading/risk/`), or limits on orders. They say nothing of the quality of data, so they do
not count for its score.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime

import dagster as dg
import pyarrow as pa

from assets.layers import Sources
from assets.materialized import table
from assets.partitions import SESSIONS
from assets.risk_inputs import risk_books, risk_facts
from checks.sessions import examined_sessions
from trading.config.models import DeskSettings
from trading.frames import DAILY_PRICES, HEADROOM, VALUE_AT_RISK
from trading.ports import FrameStore, Ledger, ReferenceStore
from trading.risk.limit_table import idle, in_force
from trading.risk.session_rows import Row, beyond_limits, rejections, unmeasured

_SPECS = [
    dg.AssetCheckSpec(
        "limits_hold",
        asset=dg.AssetKey(HEADROOM.name),
        description="The book as it stands is within every limit of risk, and every limit holds for something. Nothing "
        "is stopped by it: orders that make it worse are refused, those that reduce it are not.",
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
SENTENCES = 3


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
    yield limits_hold(sources.rows(HEADROOM, last, last), _idle(sources, ledger, last))
    yield value_at_risk_holds(sources.rows(VALUE_AT_RISK, last, last).to_pylist(), last)


def _idle(sources: Sources, ledger: Ledger, session: date) -> list[str]:
    """Limits that hold for nothing the desk has. Facts are read only where there are entries of limits."""
    desk = sources.desk
    if not in_force(desk.risk.limits, session) or DAILY_PRICES.name not in sources.frames.written():
        return []
    book = risk_books(sources.frames, ledger, desk, session).book(session)
    held = [(instrument, contract) for _, instrument, contract in (*book.positions, *book.opening)]
    market = risk_facts(sources.frames, sources.reference, desk, session, session).market(session, held)
    return idle(desk, market, book.strategies)


def limits_hold(rows: pa.Table, idle_limits: Sequence[str] = ()) -> dg.AssetCheckResult:
    """What Dagster shows of the limits. It is a warning, which needs no override: a limit that was lowered leaves a
    book beyond it, orders that make it worse are refused, and the sensor tells, and halts where that is asked for."""
    known = rows.to_pylist()
    passed, unknown = beyond_limits(known), unmeasured(known)
    found = [*passed, *unknown, *idle_limits]
    refused = rows.filter(pa.array([row["outcome"] == "refuse" for row in known], pa.bool_()))
    return dg.AssetCheckResult(
        check_name="limits_hold",
        asset_key=dg.AssetKey(HEADROOM.name),
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN,
        description=" ".join(found[:SENTENCES]) or "the book is within every limit",
        metadata={
            "beyond limits": len(passed),
            "not measured": len(unknown),
            "limits of nothing": len(idle_limits),
            **({"rows": table(refused.slice(0, SHOWN))} if found else {}),
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
        description=" ".join(found[:SENTENCES]) or f"not rejected on {judged} sessions through {session}",
        metadata={"sessions judged": judged, "tests that reject it": len(found)},
    )


CHECKS = [standing_book]
