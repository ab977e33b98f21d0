"""Checks of the book: the datasets of it, and the ledger they are read from.

Belongs here: the accounting identities as checks. Does not belong here: the rules themselves, or booking anything.
"""

import dagster as dg

from checks.examined import checks_of_layers
from trading.ports import Ledger
from trading.quality.journal_fold import differences


@dg.asset_check(
    asset=dg.AssetKey("positions"),
    name="ledger_fold",
    blocking=True,
    description="In the ledger, the position kept of each contract equals the sum of the journal's fills of it.",
)
def ledger_fold(ledger: dg.ResourceParam[Ledger]) -> dg.AssetCheckResult:
    """Folds the journal from its first entry and compares."""
    wrong = differences((entry.event for entry in ledger.entries(kinds=["fill"])), ledger.rows("positions"))
    said = " ".join(wrong[:3]) or "every position is the sum of its fills"
    return dg.AssetCheckResult(
        passed=not wrong,
        description=said,
        metadata={"outcome": "failed" if wrong else "passed", "found": len(wrong), "sequence": ledger.sequence()},
    )


CHECKS = [*checks_of_layers(("book",)), ledger_fold]
