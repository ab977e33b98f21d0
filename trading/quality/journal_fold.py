"""Positions kept beside the journal against the journal itself.

Belongs here: the comparison. Does not belong here: reading a ledger, or the projections (`trading/book/journal.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from trading.book.journal import Event

Key = tuple[object, object, object]


def fold(events: Iterable[Event]) -> dict[Key, int]:
    """Contracts by (strategy, instrument, contract): the sum of all fills among the events."""
    held: Counter[Key] = Counter()
    for event in events:
        if event.kind == "fill":
            filled = event.payload
            held[filled["strategy"], filled["instrument"], filled["contract"]] += int(filled["quantity_contracts"] or 0)
    return dict(held)


def differences(events: Iterable[Event], positions: Iterable[Mapping[str, object]]) -> list[str]:
    """One sentence for each contract whose kept position is not the sum of its fills; none where all agree."""
    folded = fold(events)
    kept = {(row["strategy"], row["instrument"], row["contract"]): row["quantity_contracts"] for row in positions}
    return [
        f"{'/'.join(map(str, key))}: the ledger keeps {kept.get(key, 0)} contracts, its fills add up to "
        f"{folded.get(key, 0)}. Stop trading and rebuild the positions from the journal."
        for key in sorted(set(folded) | set(kept), key=str)
        if folded.get(key, 0) != kept.get(key, 0)
    ]
