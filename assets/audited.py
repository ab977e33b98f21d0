"""The audit of a ledger as it stands: journal, heads and tables read as of one moment.

Belongs here: reading them, for a check and for a command. Does not belong here: what is wrong with them
(`trading/book/audit.py`).
"""

from trading.book.audit import findings
from trading.book.journal import PROJECTIONS
from trading.errors import StoreBusy
from trading.ports import Ledger

TRIES = 5  # somebody may record something while the audit reads


def audited(ledger: Ledger) -> list[str]:
    """What is wrong with a ledger, one sentence each; none where it is intact. Raises StoreBusy where it never stands
    still."""
    for _ in range(TRIES):
        heads = dict(ledger.heads())
        rows = {name: ledger.rows(name) for name in PROJECTIONS}
        found = findings(ledger.entries(upto={name: head.number for name, head in heads.items()}), heads, rows)
        if not found or heads == dict(ledger.heads()):
            return found
    raise StoreBusy("the ledger is written to all the time, so it cannot be audited. Wait for other runs to end.")
