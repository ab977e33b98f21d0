"""What must hold, as Dagster asset checks: thin. The rules are in `trading/quality/rules/`, found by type.

Belongs here: collecting the checks of this package's files. Does not belong here: a check, or a rule.
"""

from checks import (
    attribution,
    configuration,
    ledger,
    reconciliation,
    risk,
    risk_sums,
    standing_book,
    target_limits,
    targets,
    validation,
)

CHECKS = [
    *validation.CHECKS,
    *risk.CHECKS,
    *standing_book.CHECKS,
    *risk_sums.CHECKS,
    *ledger.CHECKS,
    *reconciliation.CHECKS,
    *targets.CHECKS,
    *target_limits.CHECKS,
    *attribution.CHECKS,
    *configuration.CHECKS,
]
