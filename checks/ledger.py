"""Checks of the book: the datasets of it, and the ledger they are read from.

Belongs here: the accounting identities as checks. Does not belong here: the rules themselves, the audit
(`trading/book/audit.py`), or booking anything.
"""

import dagster as dg

from checks.examined import checks_of_layers
from trading.book.audit import findings
from trading.book.journal import PROJECTIONS
from trading.errors import StoreBusy
from trading.ports import Ledger

TRIES = 5  # somebody may record something while the audit reads


def audited(ledger: Ledger) -> list[str]:
    """What is wrong with a ledger, journal and tables, as of one moment. Raises StoreBusy where none comes."""
    for _ in range(TRIES):
        heads = dict(ledger.heads())
        rows = {name: ledger.rows(name) for name in PROJECTIONS}
        found = findings(ledger.entries(upto={name: head.number for name, head in heads.items()}), heads, rows)
        if not found or heads == dict(ledger.heads()):
            return found
    raise StoreBusy("the ledger is written to all the time, so it cannot be audited. Wait for other runs to end.")


@dg.asset_check(
    asset=dg.AssetKey("positions"),
    name="journal_intact",
    blocking=True,
    description="The journal's numbers, chains and heads are whole, and positions and all tables are its fold.",
)
def journal_intact(ledger: dg.ResourceParam[Ledger]) -> dg.AssetCheckResult:
    """Reads the journal from its first entry, checks every link, folds it and compares."""
    wrong = audited(ledger)
    cure = "Stop trading. `daybook audit verify` lists all; restore the ledger from a backup."
    return dg.AssetCheckResult(
        passed=not wrong,
        description=" ".join([*wrong[:3], cure]) if wrong else "the tables are the fold of an unbroken journal",
        metadata={"outcome": "failed" if wrong else "passed", "found": len(wrong), "sequence": ledger.sequence()},
    )


CHECKS = [*checks_of_layers(("book",)), journal_intact]
