"""A process of its own that writes to a store, for tests that kill it or run it beside another one.

Run as `python storage_child.py ROOT COMMAND ARGUMENTS`. Belongs here: what a child does. Does not belong here: tests.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from resources.delta_frames import DeltaFrames
from resources.sqlite_ledger import SqliteLedger
from trading.book.journal import Event
from trading.frames import FORECASTS, RAW_FX_RATES
from trading.ports import Span

FIRST = date(2020, 1, 1)


def forecasts(first: date, sessions: int, series: int, value: float) -> pa.Table:
    """`sessions` x `series` rows of FORECASTS, all of one value."""
    days = [first + timedelta(days=step) for step in range(sessions)]
    return pa.table(
        {
            "strategy": [f"s{number:03}" for number in range(series) for _ in days],
            "instrument": ["US10"] * (series * sessions),
            "rule": ["ewmac8"] * (series * sessions),
            "session": pa.array(days * series, pa.date32()),
            "forecast": [value] * (series * sessions),
        },
        schema=FORECASTS.schema,
    )


def rates(label: str, session: date, rate: float) -> pa.Table:
    """One row of RAW_FX_RATES."""
    at = datetime(2022, 1, 1, tzinfo=UTC)
    row = {
        "vendor": "test", "pair": "EURUSD", "label": label, "occurrence": 0, "stamp": at.replace(tzinfo=None),
        "event_at": None, "session": session, "known_at": at, "loaded_at": at, "rate": rate,
    }  # fmt: skip
    return pa.Table.from_pylist([row], schema=RAW_FX_RATES.schema)


def event(name: str) -> Event:
    """A fill of one contract."""
    payload = {
        "fill_id": name, "order_id": name, "strategy": "trend", "instrument": "US10", "contract": 20220600,
        "session": "2022-01-03", "quantity_contracts": 1, "price_points": 1.0, "commission_local": 0.0,
    }  # fmt: skip
    return Event(name, "fill", date(2022, 1, 3), datetime(2022, 1, 3, tzinfo=UTC), "child", payload)


def load(root: Path, sessions: int, series: int, value: float) -> None:
    """Replaces everything by rows of one value."""
    rows = forecasts(FIRST, sessions, series, value)
    store = DeltaFrames(root, target_rows=4_000)
    print("ready", flush=True)  # noqa: T201 - what the parent waits for
    store.replace(FORECASTS, rows, Span(FIRST, FIRST + timedelta(days=sessions)))


def writes(root: Path, name: str, count: int) -> None:
    """Appends rows common to all children and rows of its own, and replaces sessions of its own."""
    store = DeltaFrames(root)
    for number in range(count):
        store.append(RAW_FX_RATES, rates(f"common {number}", FIRST, 1.0))
        store.append(RAW_FX_RATES, rates(f"{name} {number}", FIRST, 2.0))
        session = FIRST + timedelta(days=2 * number + (name == "b"))
        store.replace(FORECASTS, forecasts(session, 1, 3, float(number)), Span.session(session))


def books(root: Path, name: str, count: int) -> None:
    """Records batches of fills, one of each batch common to all children."""
    ledger = SqliteLedger(root / "ledger.sqlite")
    print("ready", flush=True)  # noqa: T201 - what the parent waits for
    for number in range(count):
        ledger.record([event(f"common{number}"), *(event(f"{name}{number}.{part}") for part in range(9))])


if __name__ == "__main__":
    root, command, *arguments = sys.argv[1:]
    if command == "load":
        load(Path(root), int(arguments[0]), int(arguments[1]), float(arguments[2]))
    else:
        {"writes": writes, "books": books}[command](Path(root), arguments[0], int(arguments[1]))
