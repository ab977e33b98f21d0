"""The life of an order: its states, the legal moves between them in one table, and what fills and children do to it.

Belongs here: states and moves as pure functions. Does not belong here: rows or events (`fold.py`), or deciding orders.

`moved` is where commands and the broker's answers took an order; its status is that, unless fills say more. Fills are
facts: they count whatever the state is, in any order, also for an order that was withdrawn or refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from trading.errors import IllegalMove

NEW, APPROVED, REFUSED, SENT, PART_FILLED, FILLED, CANCELLED, EXPIRED, REJECTED = STATES = (
    "new", "approved", "refused", "sent", "part_filled", "filled", "cancelled", "expired", "rejected",
)  # fmt: skip
UNKNOWN = "unknown"  # filled at the broker, and not (yet) in the journal
ENDED = frozenset({REFUSED, CANCELLED, EXPIRED, REJECTED})
OPEN = frozenset({NEW, APPROVED, SENT, PART_FILLED})
AT_WORK = frozenset({SENT, PART_FILLED})  # the broker has them

# From a state, by kind of event, to where. What is not here is illegal.
MOVES: Mapping[str, Mapping[str, str]] = {
    NEW: {
        "order_approved": APPROVED, "order_refused": REFUSED, "order_changed": NEW, "order_cancelled": CANCELLED,
        "order_expired": EXPIRED,
    },
    APPROVED: {
        "order_sent": SENT, "order_refused": REFUSED, "order_changed": APPROVED, "order_cancelled": CANCELLED,
        "order_expired": EXPIRED,
    },
    SENT: {
        "order_changed": SENT, "order_cancelled": CANCELLED, "order_expired": EXPIRED, "order_rejected": REJECTED,
    },
    PART_FILLED: {  # a broker may refuse what is left
        "order_changed": SENT, "order_cancelled": CANCELLED, "order_expired": EXPIRED, "order_rejected": REJECTED,
    },
    FILLED: {}, REFUSED: {}, CANCELLED: {}, EXPIRED: {}, REJECTED: {}, UNKNOWN: {},
}  # fmt: skip


def moved(order_id: str, status: str, where: str, kind: str) -> str:
    """Where an event takes an order of a status, which events moved to `where` so far. On its way to the broker that
    is what counts: fills may be told before the sending of their order.

    Raises IllegalMove naming the order, its state, and what could happen to it.
    """
    legal = MOVES[where if kind in ("order_approved", "order_sent") else status]
    if kind not in legal:
        could = ", ".join(sorted(legal)) or "nothing but fills"
        raise IllegalMove(
            f"order {order_id} is {status}, so {kind} cannot happen to it (possible: {could}). Nothing of the batch "
            "was recorded. Look at the order with `daybook audit --search`, and act on what it is now."
        )
    return legal[kind]


def status(where: str, filled: int, quantity: int | None) -> str:
    """The status of an order that events moved to `where`, after `filled` of `quantity` contracts (both signed)."""
    if quantity is None:
        return UNKNOWN
    if filled and abs(filled) >= abs(quantity) and (filled > 0) == (quantity > 0):
        return FILLED
    return PART_FILLED if filled and where not in ENDED else where


def parent_status(where: str, filled: int, open_children: int, ended: str | None) -> str:
    """The status of an instrument order: as far as its furthest child while one is open; then filled, or how the last
    child ended that was not."""
    if open_children:
        return PART_FILLED if filled else where
    return ended or (NEW if where == NEW and not filled else FILLED)
