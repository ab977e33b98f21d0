"""The check that files, the configuration in force and the one the last close was signed with are one configuration.

Belongs here: what Dagster shows of drift. Does not belong here: what drift is and how grave it is
(`trading/config/drift.py`), or reading where the configuration stands (`assets/configuration.py`).

It never stops a close, which uses what is in force whatever the files say; but an error gives `daybook close` its exit
code, so that somebody hears of it.
"""

from collections.abc import Iterator, Sequence

import dagster as dg

from assets.configuration import standing
from assets.partitions import SESSIONS
from trading.config.drift import Drift, Standing, drift, drifted
from trading.ports import BlobStore, Configurations, Ledger

_SPEC = dg.AssetCheckSpec(
    "configuration_drift",
    asset=dg.AssetKey("signature"),
    description="The files, what is in force of them, and what the last close was signed with are one configuration.",
    partitions_def=SESSIONS,
)


def result(found: Sequence[Drift], where: Standing) -> dg.AssetCheckResult:
    """What Dagster shows. What is only told does not fail."""
    grave = any(each.gravity == "error" for each in found)
    failed = drifted(found)
    said = " ".join(each.message for each in found)
    named, signed = where.in_force, where.signed
    return dg.AssetCheckResult(
        check_name=_SPEC.name,
        asset_key=_SPEC.asset_key,
        passed=not failed,
        severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
        description=said or f"one configuration: {named}",
        metadata={
            "outcome": "failed" if failed else "passed",
            "environment": where.environment,
            "in force": str(named or "nothing"),
            "files": where.files or "wrong",
            "signed with": f"{signed.configuration} on {signed.session}" if signed else "nothing is signed",
        },
    )


@dg.multi_asset_check(name="configuration_drift", specs=[_SPEC])
def configuration_drift(
    configuration: dg.ResourceParam[Configurations],
    ledger: dg.ResourceParam[Ledger],
    signed: dg.ResourceParam[BlobStore],
) -> Iterator[dg.AssetCheckResult]:
    """Reads all three and compares."""
    where = standing(configuration, ledger, signed)
    yield result(drift(where), where)


CHECKS = [configuration_drift]
