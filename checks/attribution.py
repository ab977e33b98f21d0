"""The check that the profit of a session is explained: what has no cause stays under the desk's tolerance.

Belongs here: reading residuals and overrides, and what Dagster shows. Does not belong here: judging residuals
(`trading/book/residuals.py`), or calculating them.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import dagster as dg
import pandas as pd

from assets.layers import Sources
from assets.milestones import OVERRIDDEN
from assets.partitions import SESSIONS
from checks.sessions import examined_sessions
from trading.book.close_state import Rows, excused
from trading.book.residuals import Unexplained, unexplained
from trading.config.models import DeskSettings
from trading.frames import ATTRIBUTION
from trading.ports import FrameStore, Ledger, ReferenceStore

_SPEC = dg.AssetCheckSpec(
    "pnl_explained",
    asset=dg.AssetKey(ATTRIBUTION.name),
    description="What no cause explains of a session's profit, all residuals without their signs, is at most "
    "close.residual_tolerance_base.",
    blocking=True,
    partitions_def=SESSIONS,
)
ITEM = f"{ATTRIBUTION.name}/{_SPEC.name}"


@dg.multi_asset_check(name="pnl_explained", specs=[_SPEC])
def pnl_explained(
    context: dg.AssetCheckExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Iterator[dg.AssetCheckResult]:
    """Judges every session examined."""
    sources = Sources(frames, reference, desk, clock())
    first, last = examined_sessions(context, sources, ATTRIBUTION)
    rows = sources.frame(ATTRIBUTION, last, first)
    found = unexplained(rows, desk.trading.close.residual_tolerance_base, desk.capital.base_currency)
    yield result(rows, found, ledger.rows("overrides", {"state": "set"}))


def result(rows: pd.DataFrame, found: Sequence[Unexplained], overrides: Rows) -> dg.AssetCheckResult:
    """What Dagster shows; an error stops the close, unless every session that has one was overridden."""
    passed_by = excused(overrides, ITEM, (each.session for each in found))
    shown = " ".join(each.message for each in found[:3])
    largest = float(rows["residual_base"].abs().max()) if len(rows) else 0.0
    return dg.AssetCheckResult(
        check_name=_SPEC.name,
        asset_key=_SPEC.asset_key,
        passed=not found,
        severity=dg.AssetCheckSeverity.ERROR if found and not passed_by else dg.AssetCheckSeverity.WARN,
        description=(f"{shown} ({passed_by})" if passed_by else shown) or "every session's profit has its causes",
        metadata={
            "outcome": "failed" if found else "passed",
            "found": len(found),
            "largest residual": largest,
            **({OVERRIDDEN: passed_by} if passed_by else {}),
        },
    )


CHECKS = [pnl_explained]
