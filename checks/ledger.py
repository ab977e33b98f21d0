"""Checks of the book: the datasets of it, and the ledger they are read from.

Belongs here: the accounting identities as checks. Does not belong here: the rules themselves, the audit
(`trading/book/audit.py`), or booking anything.
"""

import dagster as dg

from assets.audited import audited
from checks.examined import checks_of_layers
from trading.ports import Ledger


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
