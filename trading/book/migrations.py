"""Journals of older schemas as events of today.

Belongs here: what an old entry means now, as pure functions. Does not belong here: reading or writing a store (each
ledger's `migrate` does both, in one transaction).

Schema 1 kept one chain over all entries and knew four kinds of the book: an order that was placed, refused or
cancelled, and a fill.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

from trading.book.journal import Event
from trading.errors import LedgerSchemaError

MIGRATED_BATCH = 500  # entries a batch of a migrated journal
Old = Mapping[str, Any]  # an entry as it was stored: columns by name, the payload as JSON text


def upgraded(schema: int, entries: Iterable[Old]) -> Iterator[Event]:
    """Events of today out of entries of an older schema, in their order. Raises LedgerSchemaError on a schema nobody
    knows the way from, and on entries that are not as they were written."""
    if schema not in _FROM:
        raise LedgerSchemaError(
            f"there is no way from schema {schema} to this version's. Run the version of Daybook that wrote the ledger."
        )
    return _FROM[schema](entries)


def _from_1(entries: Iterable[Old]) -> Iterator[Event]:
    digest, strategies = "", {}  # type: str, dict[str, str]
    for row in entries:
        payload = json.loads(row["payload"])
        digest = _verified_1(digest, row, payload)
        if row["kind"] in ("order_placed", "order_refused"):
            strategies[payload["order_id"]] = payload["strategy"]
        yield from _events_of_1(row, payload, strategies)


def _verified_1(digest: str, row: Old, payload: Mapping[str, Any]) -> str:
    content = {"id": row["event_id"], "kind": row["kind"], "session": row["session"], "payload": payload}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    found = hashlib.sha256(f"{digest}{text}".encode()).hexdigest()
    if found != row["chain"]:
        raise LedgerSchemaError(
            f"entry {row['sequence']} ({row['event_id']}) of the old ledger is not what was recorded: its chain does "
            "not fit. Nothing was changed. Restore the ledger from a backup, and migrate that."
        )
    return found


def _events_of_1(row: Old, payload: dict[str, Any], strategies: Mapping[str, str]) -> list[Event]:
    def event(event_id: str, kind: str, values: Mapping[str, Any]) -> Event:
        said = {name: None if value != value else value for name, value in values.items()}
        return Event(event_id, kind, date.fromisoformat(row["session"]), _at(row), row["actor"], said, row["event_id"])

    if row["kind"] not in ("order_placed", "order_refused", "order_cancelled"):
        return [event(row["event_id"], row["kind"], payload)]
    name = payload["order_id"]
    known = {"order_id": name, "strategy": payload.get("strategy") or strategies.get(name, "unknown")}
    if row["kind"] == "order_cancelled":
        return [event(f"cancelled:{name}", "order_cancelled", known)]
    refusal = payload.pop("refusal", None)
    order = {**payload, "parent_id": None, "level": "contract", "reference_at": None}
    created = event(f"created:{name}", "order_created", order)
    if row["kind"] == "order_refused":
        return [created, event(f"refused:{name}", "order_refused", known | {"refusal": refusal})]
    moves = (event(f"{word}:{name}", f"order_{word}", known) for word in ("approved", "sent"))
    return [created, *moves]


def _at(row: Old) -> datetime:
    return datetime.fromisoformat(row["at"])


_FROM: Mapping[int, Callable[[Iterable[Old]], Iterator[Event]]] = {1: _from_1}
