"""Attribution: what each session earned, by cause, held against what the account gained.

Belongs here: going through the sessions with both sides. Does not belong here: reading them (`attribution_inputs.py`),
or calculating either (`trading/book/attribution.py`, `trading/book/position_accounts.py`).

The sides are read apart, so that a mistake of one shows: causes from the datasets of the book (positions, fills) and
the ledger's tables (references of orders, cash); totals from the journal's events and from prices. A range of sessions
is one pass: every dataset and the journal are read once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from assets.attribution_inputs import Stored, Told, accounts_before, stored, told
from assets.book_inputs import opening, session_inputs
from assets.layers import Sources
from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from assets.pictures import image
from trading.book import period
from trading.book.attribution import Row, SessionMoves, Slope, attribution_rows, causes, slope
from trading.book.marks import Contract, Mark
from trading.book.position_accounts import CashKey, PositionAccounts, earned
from trading.book.state import SessionInputs
from trading.config.models import DeskSettings
from trading.frames import (
    ATTRIBUTION,
    DAILY_PRICES,
    EQUITY,
    FILLS,
    FX_RATES,
    ORDERS,
    POSITIONS,
    empty,
    to_pandas,
    to_table,
)
from trading.ports import FrameStore, Ledger, ReferenceStore, Span
from trading.reports import drawings


@dataclass(slots=True)
class Before:
    """What is known of the session before: its day, rates, and the curve of each instrument."""

    session: date | None
    rates: Mapping[str, float]
    slopes: dict[str, Slope | None]


def attributed(sessions: Sequence[date], sources: Sources, ledger: Ledger) -> Iterator[Row]:
    """Rows of the dataset for each session, in order. The sessions are closed, and follow each other."""
    start = opening(sources.frames, ledger, sources.desk, sessions[0])
    journal, held = told(ledger, sessions[-1]), stored(sources, ledger, start.closed, sessions)
    accounts, before = accounts_before(journal, sessions[0]), _before(sources, start.closed)
    for inputs in session_inputs(sources.frames, sources.reference, sources.desk, sessions, start.closed):
        marks_before = _points(start.state.marks, (key[1:] for key in accounts.held))
        start.state.see(inputs)
        start.state.apply(start.recorded.get(inputs.session, ()))
        explained = causes(_moves(before, inputs, held, start.state.marks))
        totals = _totals(accounts, journal, inputs, marks_before, start.state.marks)
        yield from attribution_rows(inputs.session, explained, totals, inputs.instruments)
        before = Before(inputs.session, inputs.rates, before.slopes | _slopes(held.prices.get(inputs.session, ())))


def _totals(
    accounts: PositionAccounts,
    journal: Told,
    inputs: SessionInputs,
    marks_before: Mapping[Contract, float],
    marks: Mapping[Contract, Mark],
) -> dict[CashKey, Decimal]:
    """What every position gained, and cash; the accounts move on."""
    movements = journal.movements.get(inputs.session, [])
    traded = {(fill.instrument, fill.contract) for fill in movements}
    now = _points(marks, traded | {key[1:] for key in accounts.held})
    gained = accounts.gained(movements, marks_before, now, inputs.instruments, inputs.rates)
    return gained | earned(journal.cash.get(inputs.session, ()), inputs.rates)


def _points(marks: Mapping[Contract, Mark], contracts: Iterable[Contract]) -> dict[Contract, float]:
    """Marks of some contracts as prices; those without one are left out."""
    return {key: marks[key].price_points for key in contracts if key in marks}


def _before(sources: Sources, closed: date | None) -> Before:
    if closed is None:
        return Before(None, {}, {})
    rates = {row["currency"]: row["rate"] for row in sources.latest(FX_RATES, closed, 1).to_pylist()}
    return Before(closed, rates, _slopes(sources.latest(DAILY_PRICES, closed, 1).to_pylist()))


def _slopes(rows: Iterable[Mapping[str, Any]]) -> dict[str, Slope | None]:
    return {row["instrument"]: slope(row) for row in rows}


def _moves(before: Before, inputs: SessionInputs, held: Stored, marks: Mapping[Contract, Mark]) -> SessionMoves:
    """The session as the datasets of the book have it: what is held is valued at the marks written with it."""
    earlier = held.positions.get(before.session, []) if before.session else []
    now, fills = held.positions.get(inputs.session, []), held.fills.get(inputs.session, [])
    marks_before = {(row["instrument"], row["contract"]): row["mark_points"] for row in earlier}
    sold = _points(marks, {*marks_before, *((fill.instrument, fill.contract) for fill in fills)})
    return SessionMoves(
        session=inputs.session,
        days=(inputs.session - before.session).days if before.session else 0,
        before={(row["strategy"], row["instrument"], row["contract"]): row["quantity_contracts"] for row in earlier},
        marks_before=marks_before,
        marks=sold | {(row["instrument"], row["contract"]): row["mark_points"] for row in now},
        rates_before=before.rates,
        rates=inputs.rates,
        instruments=inputs.instruments,
        fills=fills,
        orders=held.orders,
        slopes={code: known for code, known in before.slopes.items() if known},
        financing=held.cash.get(inputs.session, ()),
    )


@dg.asset(
    **described(
        ATTRIBUTION,
        deps=[dataset.name for dataset in (POSITIONS, FILLS, ORDERS, EQUITY, DAILY_PRICES, FX_RATES)],
        kinds=("delta", "sqlite"),
    ),
    **by_session(),
)
def attribution(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> dg.MaterializeResult[None]:
    """Every session of the run's range, by cause and in total."""
    first, last = session_range(context)
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    found = list(attributed(sessions, Sources(frames, reference, desk, clock()), ledger))
    rows = to_table(pd.DataFrame(found), ATTRIBUTION) if found else empty(ATTRIBUTION)
    version = frames.replace(ATTRIBUTION, rows, Span(first, last))
    return session_result(context, facts(rows, version, _shown(rows, desk.capital.base_currency)))


def _shown(rows: pa.Table, unit: str) -> dict[str, Any]:
    """The sum of every cause as numbers and as a picture."""
    sums = period.by_cause(to_pandas(rows))
    amounts = [dg.TableRecord({"cause": str(name), unit: round(float(sums[name]), 2)}) for name in sums.index]
    picture = image(drawings.waterfall(sums.drop("total"), unit=unit), "P&L by cause")
    return {"by cause": dg.MetadataValue.table(amounts), "waterfall": picture}
