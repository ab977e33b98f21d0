"""The audit of a ledger as it stands: journal, heads and tables read as of one moment.

Belongs here: reading them, for a check and for a command. Does not belong here: what is wrong with them
(`trading/book/audit.py`).
"""

from collections.abc import Iterator

from trading.book.audit import findings
from trading.book.journal import PROJECTIONS
from trading.errors import StoreBusy
from trading.ports import Entry, Ledger

TRIES = 5  # somebody may record something while the audit reads


def audited(ledger: Ledger) -> list[str]:
    """What is wrong with a ledger, one sentence each; none where it is intact. Raises StoreBusy where it never stands
    still."""
    for _ in range(TRIES):
        heads = dict(ledger.heads())
        rows = {name: ledger.rows(name) for name in PROJECTIONS}
        unreadable: list[str] = []
        found = findings(_readable(ledger, unreadable), heads, rows)
        if not found or heads == dict(ledger.heads()):
            return unreadable + found
    raise StoreBusy("the ledger is written to all the time, so it cannot be audited. Wait for other runs to end.")


def _readable(ledger: Ledger, unreadable: list[str]) -> Iterator[Entry]:
    """All entries up to one whose bytes are none of an event any more."""
    last = "the first entry"
    try:
        for entry in ledger.entries():
            last = f"{entry.stream}, entry {entry.number}"
            yield entry
    except (ValueError, TypeError, KeyError) as cause:
        unreadable.append(f"{last}, the one after it: cannot be read ({cause}), nor can what comes after.")
