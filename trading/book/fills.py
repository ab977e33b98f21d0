"""Fills that are corrected and busted, in any order: what counts of each, and what the book moves by.

Belongs here: which version of a fill is in force, and the movements that a bust or a correction means. Does not belong
here: positions (`positions.py`), or rows of the ledger (`fold.py`, which uses the same rules).

A correction carries the whole fill and a version, the highest of which counts; a bust outranks them all. So a stream of
fills that is shuffled or told twice comes to the same book.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from trading.book.journal import Event
from trading.book.orders import Fill

MOVEMENT_KINDS = ("fill", "fill_corrected", "fill_busted", "position_adjusted")
FIELDS = (
    "fill_id", "order_id", "strategy", "instrument", "contract", "session", "quantity_contracts", "price_points",
    "commission_local", "executed_at",
)  # fmt: skip


def fill_of(payload: Mapping[str, Any]) -> Fill:
    """The fill in the payload of a `fill` or `fill_corrected` event, or in a row of the ledger's fills."""
    values: dict[str, Any] = {name: payload.get(name) for name in FIELDS}
    return Fill(**(values | {"session": date.fromisoformat(values["session"])}))


def adjustment_of(payload: Mapping[str, Any]) -> Fill:
    """A `position_adjusted` event as a fill of no order, without commission."""
    values: dict[str, Any] = {name: payload[name] for name in FIELDS if name in payload}
    values |= {"fill_id": payload["adjustment_id"], "order_id": "", "commission_local": 0.0, "executed_at": None}
    return Fill(**(values | {"session": date.fromisoformat(values["session"])}))


@dataclass(slots=True)
class _Told:
    """What is known of one fill: the content in force and its version, and whether it was busted."""

    fill: Fill | None = None
    version: int = 0
    busted: bool = False


@dataclass(slots=True)
class Blotter:
    """Turns events into what the book moves by, in the session of the event: fills as they are, a bust as the reverse
    of what it takes back, a correction as that and the new fill."""

    told: dict[str, _Told] = field(default_factory=dict)

    def apply(self, event: Event) -> list[Fill]:
        """The movements of one event, none for most. Booked in the session of the event."""
        if event.kind not in MOVEMENT_KINDS:
            return []
        if event.kind == "position_adjusted":
            return [replace(adjustment_of(event.payload), session=event.session)]
        known = self.told.setdefault(str(event.payload["fill_id"]), _Told())
        if event.kind == "fill_busted":
            return self._bust(known, event.session)
        version = int(str(event.payload["version"])) if event.kind == "fill_corrected" else 0
        return self._tell(known, fill_of(event.payload), version, event.session)

    def movements(self, events: Iterable[Event]) -> list[Fill]:
        """The movements of events, in their order."""
        return [movement for event in events for movement in self.apply(event)]

    def _bust(self, known: _Told, session: date) -> list[Fill]:
        counted, known.busted = not known.busted and known.fill is not None, True
        return [_reverse(known.fill, "busted", session)] if counted and known.fill is not None else []

    def _tell(self, known: _Told, fill: Fill, version: int, session: date) -> list[Fill]:
        before, newer = known.fill, known.fill is None or version > known.version
        if newer:
            known.fill, known.version = fill, version
        if known.busted or not newer:
            return []
        if before is None:
            return [replace(fill, session=session)]
        name = f"{fill.fill_id}~{version}"
        return [_reverse(before, f"{version}-", session), replace(fill, fill_id=name, session=session)]


def _reverse(fill: Fill, why: str, session: date) -> Fill:
    return replace(
        fill,
        fill_id=f"{fill.fill_id}~{why}",
        session=session,
        quantity_contracts=-fill.quantity_contracts,
        commission_local=-fill.commission_local,
    )


def is_correction(movement: Fill) -> bool:
    """Whether a movement takes back, corrects or adjusts, and is no trade of its session."""
    return "~" in movement.fill_id or not movement.order_id
