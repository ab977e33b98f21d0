"""Attribution: what each session earned, by cause, held against what the account gained.

Belongs here: reading both sides. Does not belong here: calculating either (`trading/book/attribution.py`,
`trading/book/position_accounts.py`).

The sides are read apart, so that a mistake of one shows: causes from the datasets of the book (positions, fills) and
the ledger's tables (references of orders, cash); totals from the journal's events and from prices. A range of sessions
is one pass: every dataset and the journal are read once.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from assets.book_inputs import opening, session_inputs
from assets.layers import Sources
from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from assets.pictures import image
from trading.book import period
from trading.book.attribution import Reference, Row, SessionMoves, Slope, attribution_rows, causes, slope
from trading.book.fills import MOVEMENT_KINDS, Blotter
from trading.book.marks import Contract, Mark
from trading.book.orders import Fill
from trading.book.position_accounts import Booked, CashKey, PositionAccounts, earned
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
    Dataset,
    empty,
    to_pandas,
    to_table,
)
from trading.ports import FrameStore, Ledger, ReferenceStore, Span
from trading.reports import drawings

Rows = list[dict[str, Any]]
FEW_ORDERS = 50  # up to so many are looked up one by one, and not all that there ever were


# --- the journal's side -----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Told:
    """What the journal tells of each session: movements, and cash booked."""

    movements: Mapping[date, list[Fill]]
    cash: Mapping[date, list[Booked]]


def told(ledger: Ledger, last: date) -> Told:
    """All movements and cash through a session, from the first event on."""
    blotter = Blotter()
    movements: dict[date, list[Fill]] = defaultdict(list)
    cash: dict[date, list[Booked]] = defaultdict(list)
    for entry in ledger.entries(kinds=[*MOVEMENT_KINDS, "cash_booked"], through=last):
        event = entry.event
        if event.kind == "cash_booked":
            cash[event.session].append(_booked(event.payload))
        else:
            movements[event.session] += blotter.apply(event)
    return Told(movements, cash)


def accounts_before(journal: Told, first: date) -> PositionAccounts:
    """The account of every position before a session."""
    accounts = PositionAccounts()
    for session in sorted(day for day in journal.movements if day < first):
        for fill in journal.movements[session]:
            accounts.apply(fill)
    return accounts


def _booked(row: Mapping[str, Any]) -> Booked:
    return Booked(row["currency"], row["amount_local"], row["category"])


# --- the side of the datasets -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Stored:
    """Rows of the book's datasets and of daily prices by session, orders by id, and booked cash by session."""

    positions: Mapping[date, Rows]
    fills: Mapping[date, list[Fill]]
    prices: Mapping[date, Rows]
    orders: Mapping[str, Reference]
    cash: Mapping[date, list[Booked]]


def stored(sources: Sources, ledger: Ledger, closed: date | None, sessions: Sequence[date]) -> Stored:
    """What the book's own datasets hold from the session closed before on."""
    first, last = sessions[0], sessions[-1]
    fills = {day: [_fill(row) for row in rows] for day, rows in _by_session(sources, FILLS, first, last).items()}
    cash = defaultdict(list)
    for row in ledger.rows("cash"):
        cash[date.fromisoformat(str(row["session"]))].append(_booked(row))
    return Stored(
        _by_session(sources, POSITIONS, closed or first, last),
        fills,
        _by_session(sources, DAILY_PRICES, first, last),
        references(ledger, {fill.order_id for rows in fills.values() for fill in rows}),
        cash,
    )


def references(ledger: Ledger, order_ids: set[str]) -> dict[str, Reference]:
    """What orders were decided at, by id."""
    if len(order_ids) <= FEW_ORDERS:
        found = [row for name in sorted(order_ids) for row in ledger.rows("orders", {"order_id": name})]
    else:
        found = [row for row in ledger.rows("orders") if row["order_id"] in order_ids]
    return {str(row["order_id"]): Reference(str(row["reason"]), row["reference_points"]) for row in found}  # type: ignore[arg-type]


def _by_session(sources: Sources, dataset: Dataset, first: date, last: date) -> dict[date, Rows]:
    found: dict[date, Rows] = defaultdict(list)
    for row in sources.rows(dataset, last, first).to_pylist():
        found[row["session"]].append(row)
    return found


def _fill(row: Mapping[str, Any]) -> Fill:
    return Fill(**row)


def _slopes(rows: Iterable[Mapping[str, Any]]) -> dict[str, Slope | None]:
    return {row["instrument"]: slope(row) for row in rows}


# --- both, session by session -----------------------------------------------------------------------------------------
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
    now = _points(
        marks, {*(key[1:] for key in accounts.held), *((fill.instrument, fill.contract) for fill in movements)}
    )
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
