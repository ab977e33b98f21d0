"""What every ledger does with a batch of events before it stores them: skip repeats, refuse conflicts.

Belongs here: decisions that need no store. Does not belong here: transactions, or the folds (`trading.book.journal`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trading.book.journal import FOLDS, PROJECTIONS, Event, Projection
from trading.errors import EventConflict, LedgerError, UsageError


def new_events(events: Sequence[Event], stored: Mapping[str, str]) -> list[Event]:
    """Events that are not stored yet, each once and in order. `stored` maps ids to contents.

    Raises EventConflict where an id has other content, LedgerError on a kind no fold knows.
    """
    contents = dict(stored)
    new = []
    for event in events:
        if event.kind not in FOLDS:
            raise LedgerError(f"event {event.event_id} is of kind {event.kind}, which the journal does not know.")
        content = event.content()
        if event.event_id not in contents:
            contents[event.event_id] = content
            new.append(event)
        elif contents[event.event_id] != content:
            raise EventConflict(
                f"event {event.event_id} ({event.kind}, session {event.session}) is in the journal with other content. "
                "Nothing of the batch was recorded. Find out which is right; record a correction under its own id."
            )
    return new


def projection_of(name: str, where: Mapping[str, object] | None) -> Projection:
    """A projection by name. Raises UsageError if there is none, or if `where` names a column it does not have."""
    if name not in PROJECTIONS:
        raise UsageError(f"the ledger has no projection {name}. It has: {', '.join(sorted(PROJECTIONS))}.")
    projection = PROJECTIONS[name]
    unknown = [column for column in where or {} if column not in projection.columns]
    if unknown:
        raise UsageError(f"{name} has no column {unknown[0]}. It has: {', '.join(projection.columns)}.")
    return projection
