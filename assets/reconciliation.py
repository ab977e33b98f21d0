"""The reconciliation layer: our book against the broker's statement of each session.

Belongs here: asking both sides. Does not belong here: comparing them (`trading/book/reconciliation.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from itertools import groupby

import dagster as dg
import pandas as pd

from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from trading.book.account import Cash, account, cash_local
from trading.book.booking import fill_of
from trading.book.reconciliation import Break, reconcile, withdrawn_fills
from trading.frames import BREAKS, FILLS, POSITIONS, empty, to_table
from trading.ports import Broker, FrameStore, Ledger, ReferenceStore, Span


def breaks_of(sessions: Sequence[date], ledger: Ledger, broker: Broker, reference: ReferenceStore) -> Iterator[Break]:
    """Breaks of each session, in order. Ours is the fold of the journal's fills through the session."""
    events = [entry.event for entry in ledger.entries(kinds=["fill", "order_cancelled"], through=sessions[-1])]
    yield from (found for found in withdrawn_fills(events) if found.session in set(sessions))
    fills = sorted((fill_of(event) for event in events if event.kind == "fill"), key=lambda fill: fill.session)
    days = [(day, list(group)) for day, group in groupby(fills, key=lambda fill: fill.session)]
    contracts, cash, place = account(()), Cash(), 0
    for session in sessions:
        while place < len(days) and days[place][0] <= session:
            day, traded = days[place]
            cash = cash_local(cash, traded, reference.instruments(day))
            for fill in traded:
                contracts.apply(fill)
            place += 1
        money = {currency: float(amount) for currency, amount in cash.items()}
        yield from reconcile(contracts.contracts, money, broker.statement(session), session, broker.name)


@dg.asset(**described(BREAKS, deps=[POSITIONS.name, FILLS.name], kinds=("delta", "sqlite")), **by_session())
def breaks(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    broker: dg.ResourceParam[Broker],
    reference: dg.ResourceParam[ReferenceStore],
) -> dg.MaterializeResult:
    """Contracts and cash of both sides, compared."""
    first, last = session_range(context)
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    found = list(breaks_of(sessions, ledger, broker, reference))
    rows = (
        to_table(pd.DataFrame([asdict(item) | {"difference": _difference(item)} for item in found]), BREAKS)
        if found
        else empty(BREAKS)
    )
    version = frames.replace(BREAKS, rows, Span(first, last))
    return session_result(context, facts(rows, version))


def _difference(item: Break) -> float | None:
    return None if item.ours is None or item.theirs is None else item.theirs - item.ours
