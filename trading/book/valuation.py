"""A session valued: the rows of positions, P&L and equity.

Belongs here: laying out what `pnl.py` and `account.py` calculate, each on its own, as rows of their datasets. Does not
belong here: either calculation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from trading.book.account import ZERO, Cash, Valuation, change_local, to_base, value_local, valued
from trading.book.marks import Contract, Mark
from trading.book.orders import Fill
from trading.book.pnl import pnl_rows
from trading.book.positions import Key
from trading.book.state import BookState, SessionInputs

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Before:
    """The book at the session before: contracts, marks and value."""

    positions: Mapping[Key, int]
    marks: Mapping[Contract, Mark]
    valuation: Valuation


def before(state: BookState) -> Before:
    """What has to be remembered of a state before a session changes it."""
    held = {(instrument, contract) for _, instrument, contract in state.positions}
    marks = {key: state.marks[key] for key in held if key in state.marks}
    return Before(dict(state.positions), marks, valued(state.account, state.marks))


def pnl_of(earlier: Before, state: BookState, inputs: SessionInputs, fills: Sequence[Fill]) -> list[Row]:
    """Rows of `pnl` for a session whose fills and prices the state has taken in."""
    rows = pnl_rows(
        inputs.session, earlier.positions, earlier.marks, fills, state.marks, inputs.instruments, inputs.rates
    )
    return [asdict(row) for row in rows]


def equity_of(earlier: Before, state: BookState, inputs: SessionInputs, base_currency: str, booked: Cash) -> list[Row]:
    """Rows of `equity`, one for the base currency and each currency ever traded or now booked; moves
    `state.account_base` on. `booked` are interest and fees of the session, by currency."""
    now = valued(state.account, state.marks)
    for code in now.points:
        inputs.instrument(code)
    values = value_local(now, inputs.instruments)
    moved = change_local(earlier.valuation, now, inputs.instruments)
    names = sorted({*values, *booked, base_currency})
    changes = {name: to_base(moved.get(name, ZERO), inputs.rate(name)) for name in names}
    paid = {name: to_base(booked.get(name, ZERO), inputs.rate(name)) for name in names}
    state.account_base += float(sum((*changes.values(), *paid.values()), ZERO))
    return [
        {
            "currency": name,
            "session": inputs.session,
            "value_local": float(values.get(name, ZERO)),
            "change_local": float(moved.get(name, ZERO)),
            "rate": inputs.rate(name),
            "change_base": float(change),
            "booked_base": float(paid[name]),
            "account_base": state.account_base,
        }
        for name, change in changes.items()
    ]


def positions_of(state: BookState, inputs: SessionInputs) -> list[Row]:
    """Rows of `positions`, one for each contract held."""
    return [_position(key, state, inputs) for key in sorted(state.positions)]


def notional_base(key: Contract, state: BookState, inputs: SessionInputs) -> float:
    """What one contract is worth in base currency at its mark."""
    instrument = inputs.instrument(key[0])
    return state.marks[key].price_points * instrument.point_value_local * inputs.rate(instrument.currency)


def fill_rows(fills: Sequence[Fill], session: date) -> list[Row]:
    """Rows of `fills`, booked in the session."""
    return [asdict(fill) | {"session": session} for fill in sorted(fills, key=lambda fill: fill.fill_id)]


def _position(key: Key, state: BookState, inputs: SessionInputs) -> Row:
    strategy, instrument, contract = key
    quantity, mark = state.positions[key], state.marks[key[1:]]
    return {
        "strategy": strategy,
        "instrument": instrument,
        "contract": contract,
        "session": inputs.session,
        "quantity_contracts": quantity,
        "mark_points": mark.price_points,
        "marked_on": mark.session,
        "notional_base": quantity * notional_base(key[1:], state, inputs),
    }
