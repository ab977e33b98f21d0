"""The check that sums which the risk engine keeps are those of positions: its drift.

Belongs here: reading a session's fills and orders, and what Dagster shows. Does not belong here: going through them
(`trading/risk/drift.py`), or the engine of the service, which says its own drift (`pipelines/risk_server/`).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from typing import Any

import dagster as dg

from assets.layers import Sources
from assets.partitions import SESSIONS
from assets.risk_inputs import risk_books, risk_facts
from checks.sessions import examined_sessions
from trading.config.models import DeskSettings
from trading.frames import DAILY_PRICES, FILLS, HEADROOM, ORDERS
from trading.ports import FrameStore, Ledger, ReferenceStore
from trading.risk.decision import Asked

_SPEC = dg.AssetCheckSpec(
    "sums_hold",
    asset=dg.AssetKey(HEADROOM.name),
    description="Sums that the risk engine keeps through the session's fills and orders are those of a full recompute, "
    "to a billionth.",
    partitions_def=SESSIONS,
)
CURE = "Limits are judged by wrong sums: stop orders (daybook risk halt --everything), and report it with these figures"


def drift_of(sources: Sources, ledger: Ledger, session: date) -> Any:
    """The drift of a session, and how many fills and orders the engine went through; None where nothing is priced."""
    from trading.risk.drift import drift_through  # which loads compiled loops
    from trading.risk.engine import RiskEngine

    if DAILY_PRICES.name not in sources.frames.written():
        return None
    book = risk_books(sources.frames, ledger, sources.desk, session).book(session)
    fills = [_asked(row) for row in sources.rows(FILLS, session, session).to_pylist()]
    sent = [row for row in sources.rows(ORDERS, session, session).to_pylist() if row["status"] != "refused"]
    held = [(instrument, contract) for _, instrument, contract in (*book.positions, *book.opening)]
    held += [(each.instrument, each.contract) for each in fills]
    market = risk_facts(sources.frames, sources.reference, sources.desk, session, session).market(session, held)
    known = set(market.contracts)
    orders = [asked for row in sent if ((asked := _asked(row)).instrument, asked.contract) in known]
    names = {*book.strategies, *(each.strategy for each in (*fills, *orders))}
    begun = replace(book, positions=book.opening, strategies=tuple(sorted(names)))
    return drift_through(RiskEngine(sources.desk, market, begun), fills, orders), len(fills) + len(orders)


def _asked(row: dict[str, Any]) -> Asked:
    order_id = "" if "fill_id" in row else row["order_id"]
    return Asked(row["strategy"], row["instrument"], row["contract"], row["quantity_contracts"], None, order_id)


def result(found: Any) -> dg.AssetCheckResult:
    """What Dagster shows of a drift and of how many changes it came."""
    from trading.risk.drift import LARGEST, too_far

    drift, changes = found if found is not None else (None, 0)
    wrong = drift is not None and too_far(drift)
    largest = 0.0 if drift is None else drift.largest
    said = f"a sum kept is {largest:.3g} from the sum made anew, more than {LARGEST:g}. {CURE}."
    return dg.AssetCheckResult(
        check_name=_SPEC.name,
        asset_key=_SPEC.asset_key,
        passed=not wrong,
        severity=dg.AssetCheckSeverity.ERROR,
        description=said if wrong else f"no sum is further than {largest:.3g} from the sum made anew",
        metadata={"largest": f"{largest:.3g}", "sums": 0 if drift is None else drift.sums, "fills and orders": changes},
    )


@dg.multi_asset_check(name="sums_hold", specs=[_SPEC])
def sums_hold(
    context: dg.AssetCheckExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Iterator[dg.AssetCheckResult]:
    """Goes through the last session examined."""
    sources = Sources(frames, reference, desk, clock())
    _, last = examined_sessions(context, sources, HEADROOM)
    yield result(drift_of(sources, ledger, last))


CHECKS = [sums_hold]
