"""The journal: events, and the projections that are folds of it, declared as data.

Belongs here: what can happen to the book, and how each event changes each projection. Does not belong here: storing
either (a `Ledger` adapter applies the changes in the transaction that records the event).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the book. `event_id` makes recording idempotent; `at` is UTC and is not part of the
    content; `payload` is flat."""

    event_id: str
    kind: str
    session: date
    at: datetime
    actor: str
    payload: Mapping[str, Scalar] = field(default_factory=dict)

    def content(self) -> str:
        """Canonical JSON of all but `at` and `actor`: the same event recorded later has the same content."""
        return json.dumps(
            {
                "id": self.event_id,
                "kind": self.kind,
                "session": self.session.isoformat(),
                "payload": dict(self.payload),
            },
            sort_keys=True,
            separators=(",", ":"),
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One change to one row of a projection: columns set, and whole numbers added to columns (absent counts as 0)."""

    projection: str
    key: tuple[Scalar, ...]
    set: Mapping[str, Scalar] = field(default_factory=dict)
    add: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Projection:
    """A table kept beside the journal. `columns` map names to `text`, `integer`, `real`; `key` names the first ones."""

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, str]


PROJECTIONS: Mapping[str, Projection] = {
    p.name: p
    for p in (
        Projection(
            "orders",
            ("order_id",),
            {
                "order_id": "text", "strategy": "text", "instrument": "text", "contract": "integer",
                "session": "text", "quantity_contracts": "integer", "reason": "text", "status": "text",
                "reference_points": "real", "refusal": "text",
            },
        ),
        Projection(
            "fills",
            ("fill_id",),
            {
                "fill_id": "text", "order_id": "text", "strategy": "text", "instrument": "text", "contract": "integer",
                "session": "text", "quantity_contracts": "integer", "price_points": "real", "commission_local": "real",
            },
        ),
        Projection(
            "positions",
            ("strategy", "instrument", "contract"),
            {"strategy": "text", "instrument": "text", "contract": "integer", "quantity_contracts": "integer"},
        ),
        Projection(
            "process_state",
            ("process",),
            {"process": "text", "session": "text", "state": "text", "run_id": "text", "detail": "text"},
        ),
        Projection(
            "backtests",
            ("request",),
            {
                "request": "text", "key": "text", "strategy": "text", "who": "text", "asked_at": "text",
                "source": "text", "data_version": "text", "code_version": "text", "engine": "text", "seconds": "real",
                "cached": "integer", "outcome": "text", "detail": "text",
            },
        ),
    )
}  # fmt: skip


def _order_placed(event: Event) -> list[Change]:
    return [Change("orders", (event.payload["order_id"],), set={**event.payload, "status": "placed"})]


def _order_refused(event: Event) -> list[Change]:
    return [Change("orders", (event.payload["order_id"],), set={**event.payload, "status": "refused"})]


def _order_cancelled(event: Event) -> list[Change]:
    return [Change("orders", (event.payload["order_id"],), set={"status": "cancelled"})]


def _fill(event: Event) -> list[Change]:
    fill = event.payload
    quantity = fill["quantity_contracts"]
    assert isinstance(quantity, int)
    return [
        Change("fills", (fill["fill_id"],), set=fill),
        Change("orders", (fill["order_id"],), set={"status": "filled"}),
        Change(
            "positions",
            (fill["strategy"], fill["instrument"], fill["contract"]),
            add={"quantity_contracts": quantity},
        ),
    ]


def _process(event: Event) -> list[Change]:
    return [Change("process_state", (event.payload["process"],), set=event.payload)]


def _backtest(event: Event) -> list[Change]:
    return [Change("backtests", (event.payload["request"],), set=event.payload)]


FOLDS: Mapping[str, Callable[[Event], list[Change]]] = {
    "order_placed": _order_placed,
    "order_refused": _order_refused,
    "order_cancelled": _order_cancelled,
    "fill": _fill,
    "process": _process,
    "backtest": _backtest,
}


def changes(event: Event) -> list[Change]:
    """What an event does to the projections. Raises KeyError on a kind that FOLDS does not know."""
    return FOLDS[event.kind](event)


def chain(digest: str, event: Event) -> str:
    """The journal's content hash after one more event: SHA-256 of the hash before and the event's content."""
    return hashlib.sha256(f"{digest}{event.content()}".encode()).hexdigest()
