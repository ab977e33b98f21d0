"""The check that the close's targets, held all at once, are within the limits of the whole book.

Belongs here: reading the targets, and what the answer is in Dagster. Does not belong here: limits on what is held
(`standing_book.py`) or on orders (`trading/risk/pre_trade.py`), measuring, or keeping orders back, which the close does
(`trading/risk/target_gate.py`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

import dagster as dg

from assets.layers import Sources
from assets.partitions import SESSIONS
from assets.risk_inputs import risk_books, risk_facts
from checks.sessions import examined_sessions
from trading.config.models import DeskSettings
from trading.frames import TARGETS
from trading.ports import FrameStore, Ledger, ReferenceStore
from trading.risk.book import Holding
from trading.risk.limit_table import rules
from trading.risk.target_gate import judged_targets

if TYPE_CHECKING:
    from trading.risk.decision import Judged

_SPEC = dg.AssetCheckSpec(
    "targets_within_limits",
    asset=dg.AssetKey(TARGETS.name),
    description="The newest session's targets, held all at once, pass no limit of the whole book.",
    partitions_def=SESSIONS,
)
CURE = (
    "Orders towards them are refused one by one. Look at the strategy's sizes, or change the limit with daybook config "
    "apply."
)


def targets_of(rows: Sequence[Mapping[str, object]]) -> dict[Holding, int]:
    """What would be held if every target of these rows were reached; nothing else is held then."""
    return {
        (str(row["strategy"]), str(row["instrument"]), int(str(row["contract"]))): int(str(row["target_contracts"]))
        for row in rows
        if row["target_contracts"]
    }


def judged(sources: Sources, ledger: Ledger, session: date, targets: Mapping[Holding, int]) -> "list[Judged]":
    """Values of a book that holds the targets, by rule and element: those of positions and their risk."""
    book = risk_books(sources.frames, ledger, sources.desk, session).after(session)
    held = [(instrument, contract) for _, instrument, contract in (*targets, *book.opening)]
    market = risk_facts(sources.frames, sources.reference, sources.desk, session, session).market(session, held)
    return judged_targets(targets, book, market, sources.desk)


def result(found: "Sequence[Judged]", session: date, desk: DeskSettings) -> dg.AssetCheckResult:
    """What Dagster shows. A target past a limit fails the close where `risk.decisions.fail_on_targets` says so."""
    from trading.risk.wording import sentence

    known = {rule.name: rule for rule in rules()}
    passed = [sentence(known[row.rule], row, desk.capital.capital_base) for row in found if row.outcome == "refuse"]
    warned = [sentence(known[row.rule], row, desk.capital.capital_base) for row in found if row.outcome == "warn"]
    grave = bool(passed) and desk.risk.decisions.fail_on_targets
    said = f"{len(passed)} limits are passed. {' '.join(passed[:3])} {CURE}" if passed else "within all limits"
    return dg.AssetCheckResult(
        check_name=_SPEC.name,
        asset_key=_SPEC.asset_key,
        passed=not passed,
        severity=dg.AssetCheckSeverity.ERROR if grave else dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={
            "outcome": "failed" if passed else "passed", "session": str(session), "found": len(passed),
            "warnings": len(warned), "values": len(found),
        },
    )  # fmt: skip


@dg.multi_asset_check(name="targets_within_limits", specs=[_SPEC])
def targets_within_limits(
    context: dg.AssetCheckExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    ledger: dg.ResourceParam[Ledger],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> Iterator[dg.AssetCheckResult]:
    """Judges the targets of the newest session examined: earlier ones are history."""
    sources = Sources(frames, reference, desk, clock())
    _, session = examined_sessions(context, sources, TARGETS)
    targets = targets_of(sources.rows(TARGETS, session, session).to_pylist())
    yield result(judged(sources, ledger, session, targets), session, desk)


CHECKS = [targets_within_limits]
