"""A journal of schema 1 as events of today: by hand, on values."""

from __future__ import annotations

import hashlib
import json

import pytest

from trading.book.fold import folded
from trading.book.migrations import upgraded
from trading.errors import LedgerSchemaError

AT = "2022-02-25T22:00:00+00:00"
ORDER = {"order_id": "o1", "strategy": "trend", "instrument": "GOLD", "contract": 20220400, "session": "2022-02-25",
         "quantity_contracts": 3, "reason": "target", "reference_points": 1800.0, "refusal": None}  # fmt: skip
FILL = {"fill_id": "f1", "order_id": "o1", "strategy": "trend", "instrument": "GOLD", "contract": 20220400,
        "session": "2022-02-28", "quantity_contracts": 3, "price_points": 1801.5, "commission_local": 6.0}  # fmt: skip


def old_journal() -> list[dict]:
    """Entries as schema 1 stored them, chained entry by entry."""
    told = [
        ("placed:o1", "order_placed", "2022-02-25", ORDER),
        ("refused:o2", "order_refused", "2022-02-25", ORDER | {"order_id": "o2", "refusal": "too large"}),
        ("placed:o3", "order_placed", "2022-02-25", ORDER | {"order_id": "o3"}),
        ("cancelled:o3", "order_cancelled", "2022-02-25", {"order_id": "o3"}),
        ("fill:f1", "fill", "2022-02-28", FILL),
        ("process:r1", "process", "2022-02-28", {"process": "close", "session": "2022-02-28", "state": "done",
                                                 "run_id": "r1", "detail": ""}),
    ]  # fmt: skip
    rows, digest = [], ""
    for sequence, (event_id, kind, session, payload) in enumerate(told, 1):
        content = {"id": event_id, "kind": kind, "session": session, "payload": payload}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256((digest + text).encode()).hexdigest()
        rows.append({"sequence": sequence, "event_id": event_id, "kind": kind, "session": session, "at": AT,
                     "actor": "close", "payload": json.dumps(payload), "chain": digest})  # fmt: skip
    return rows


def test_orders_get_their_lives_and_fills_stay_what_they_were() -> None:
    events = list(upgraded(1, old_journal()))
    assert [event.event_id for event in events] == [
        "created:o1", "approved:o1", "sent:o1", "created:o2", "refused:o2", "created:o3", "approved:o3", "sent:o3",
        "cancelled:o3", "fill:f1", "process:r1",
    ]  # fmt: skip
    tables = folded(events).tables
    assert {key[0]: row["status"] for key, row in tables["orders"].items()} == {
        "o1": "filled", "o2": "refused", "o3": "cancelled",
    }  # fmt: skip
    assert tables["orders"]["o2",]["refusal"] == "too large"
    (position,) = tables["positions"].values()
    assert (position["quantity_contracts"], position["average_points"]) == (3, 1801.5)
    assert {event.cause for event in events} == {row["event_id"] for row in old_journal()}


def test_an_old_journal_that_was_changed_is_refused() -> None:
    rows = old_journal()
    rows[4] = rows[4] | {"payload": json.dumps(FILL | {"price_points": 1801.6})}
    with pytest.raises(LedgerSchemaError, match=r"entry 5 \(fill:f1\) of the old ledger is not what was recorded"):
        list(upgraded(1, rows))


def test_a_schema_nobody_knows_is_refused() -> None:
    with pytest.raises(LedgerSchemaError, match="no way from schema 0"):
        list(upgraded(0, []))
