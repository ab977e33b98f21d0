"""The asset `signature`: the run's last session, signed.

Belongs here: the asset. Does not belong here: signing (`signed_session.py`).
"""

from collections.abc import Callable
from datetime import datetime

import dagster as dg

from assets.materialized import OWNERS, by_session, session_result
from assets.milestones import ACTOR_TAG, RESTATE_TAG
from assets.partitions import session_range
from assets.signed_session import Desk, Signed, sign_session
from trading.book.close_state import RECONCILED
from trading.config.models import DeskSettings
from trading.ports import BlobStore, Configurations, FrameStore, Ledger, ReferenceStore, Signer

ACTOR = "close"
STANDS = "still_as_signed"


def facts(signed: Signed) -> dict[str, object]:
    """What Dagster shows of a signature."""
    document = signed.document
    return {
        "hash": document.substance.one_hash(),
        "session signed": document.session.isoformat(),
        "signature version": document.version,
        "document": signed.digest,
        "key": document.circumstances.key,
        "configuration": document.substance.configuration,
        "configuration version": document.circumstances.configuration_version or "not recorded",
        "datasets": len(document.circumstances.pins),
        "signed": "now" if signed.is_new else "before",
        "changed since": ", ".join(signed.differs) or "nothing",
    }


@dg.asset(
    description="The signature of the run's last session: one hash over its data, book, configuration and code, and "
    "an Ed25519 signature over that and where everything lies.",
    group_name="book",
    owners=OWNERS,
    kinds={"python"},
    tags={"daybook/layer": "book"},
    deps=[RECONCILED],  # which comes after every dataset and its blocking checks
    check_specs=[
        dg.AssetCheckSpec(STANDS, asset="signature", description="What is stored now is what the signature says.")
    ],
    **by_session(),
)
def signature(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    signed: dg.ResourceParam[BlobStore],
    signer: dg.ResourceParam[Signer],
    configuration: dg.ResourceParam[Configurations],
    clock: dg.ResourceParam[Callable[[], datetime]],
    code: dg.ResourceParam[Callable[[], str]],
) -> dg.MaterializeResult:
    """Signs the last session of the run; `daybook sign` signs any other. A signed session is signed anew only by a run
    that restates it."""
    _, last = session_range(context)
    tags = context.run.tags
    ports = Desk(frames, ledger, reference, desk, signed, signer, configuration, clock, code)
    found = sign_session(last, ports, tags.get(ACTOR_TAG, ACTOR), context.run.run_id, anew=RESTATE_TAG in tags)
    shown = session_result(context, facts(found))
    return dg.MaterializeResult(metadata=shown.metadata, check_results=[_stands(found)])


def _stands(found: Signed) -> dg.AssetCheckResult:
    said = "what is stored is what is signed"
    if found.numbers_differ:
        said = (
            f"{found.document.session} is signed, and since then other is: {', '.join(found.differs)}. "
            f"To sign it as it is now: daybook close --restate --session {found.document.session}"
        )
    return dg.AssetCheckResult(
        check_name=STANDS,
        passed=not found.numbers_differ,
        severity=dg.AssetCheckSeverity.ERROR,  # stops nothing, but whoever closed a signed day again has to know
        description=said,
        metadata={"outcome": "failed" if found.numbers_differ else "passed"},
    )
