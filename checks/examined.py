"""One check run per dataset: every rule of it, its violations written, one result a rule.

Belongs here: turning an examination into Dagster's results. Does not belong here: a rule, or which datasets a file of
this package checks.

Dagster has two outcomes and a rule has three. A rule that could not judge is reported as not passed, with severity
WARN and `outcome: not applicable`, so that nobody reads it as a promise kept, and nothing is stopped by it. An error
that somebody overrode (`daybook override`) is reported as WARN too, with who let it pass and why.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime

import dagster as dg

from assets.judging import rule_context
from assets.layers import Sources
from assets.materialized import table
from assets.milestones import OVERRIDDEN
from assets.partitions import SESSIONS
from checks.sessions import examined_sessions
from trading.book.close_state import Rows, overridden
from trading.config.models import DeskSettings
from trading.frames import DATASETS, VIOLATIONS, Dataset, day, to_pandas, to_table
from trading.market.arrivals import current
from trading.ports import FrameStore, Ledger, ReferenceStore, Span
from trading.quality.examination import Examination, RuleResult, examine, rules_for
from trading.quality.rule import Rule

SHOWN = 10


def examined(sources: Sources, dataset: Dataset, first: date, last: date) -> Examination:
    """Judges the rows in force of a dataset's sessions; raw rows that a correction superseded are not judged again."""
    rows = sources.rows(dataset, last, first)
    rows = current(rows, dataset) if dataset.append_only else rows
    return examine(dataset, to_pandas(rows), rule_context(sources, dataset, first, last))


def keep_violations(sources: Sources, found: Examination, first: date, last: date) -> None:
    """Makes the findings all there is of a dataset's violations in the sessions examined."""
    rows = to_table(found.violations(), VIOLATIONS)
    sources.frames.replace(VIOLATIONS, rows, Span(first, last, (found.dataset.name,)))


def result(found: RuleResult, dataset: Dataset, allowed: str | None = None) -> dg.AssetCheckResult:
    """What Dagster shows of one rule. `allowed`: by whom and why its findings were overridden; they stop nothing."""
    grave = found.rule.severity == "error" and found.outcome == "failed"
    return dg.AssetCheckResult(
        check_name=found.rule.name,
        asset_key=dg.AssetKey(dataset.name),
        passed=found.outcome == "passed",
        severity=dg.AssetCheckSeverity.ERROR if grave and not allowed else dg.AssetCheckSeverity.WARN,
        description=f"{_said(found)} ({allowed})" if allowed else _said(found),
        metadata=_shown(found) | ({OVERRIDDEN: allowed} if allowed else {}),
    )


def allowed_by(found: RuleResult, dataset: Dataset, last: date, overrides: Rows) -> str | None:
    """By whom and why the findings of an error were overridden: on every session that has one, or not at all."""
    if found.outcome != "failed" or found.rule.severity != "error":
        return None
    sessions = sorted({day(session) for session in found.violations["session"]}) or [last]
    said = [overridden(overrides, "check", f"{dataset.name}/{found.rule.name}", session) for session in sessions]
    return "; ".join(dict.fromkeys(filter(None, said))) if all(said) else None


def checks_of(dataset: Dataset) -> dg.AssetChecksDefinition:
    """The checks of a dataset: one spec a rule, one read and one write for all of them."""
    specs = [_spec(rule, dataset) for rule in rules_for(dataset)]

    @dg.multi_asset_check(name=f"{dataset.name}_rules", specs=specs)
    def check(
        context: dg.AssetCheckExecutionContext,
        frames: dg.ResourceParam[FrameStore],
        reference: dg.ResourceParam[ReferenceStore],
        desk: dg.ResourceParam[DeskSettings],
        ledger: dg.ResourceParam[Ledger],
        clock: dg.ResourceParam[Callable[[], datetime]],
    ) -> Iterator[dg.AssetCheckResult]:
        sources = Sources(frames, reference, desk, clock())
        first, last = examined_sessions(context, sources, dataset)
        found = examined(sources, dataset, first, last)
        keep_violations(sources, found, first, last)
        overrides = ledger.rows("overrides", {"state": "set"})
        for each in found.results:
            yield result(each, dataset, allowed_by(each, dataset, last, overrides))

    return check


def checks_of_layers(layers: Iterable[str]) -> list[dg.AssetChecksDefinition]:
    """The checks of every dataset of some layers that is an asset: findings about data are not."""
    chosen = set(layers)
    return [
        checks_of(dataset)
        for dataset in DATASETS.values()
        if dataset.layer in chosen and dataset.name not in ("quarantine", "violations")
    ]


def _spec(rule: Rule, dataset: Dataset) -> dg.AssetCheckSpec:
    return dg.AssetCheckSpec(
        rule.name,
        asset=dg.AssetKey(dataset.name),
        description=rule.description,
        blocking=rule.blocking,
        # Without this Dagster looks up the data version of every partition since 2000, for each dataset's checks.
        partitions_def=SESSIONS if dataset.layer != "backtests" else None,
        metadata={"severity": rule.severity, "quarantines rows": rule.quarantine},
    )


def _said(found: RuleResult) -> str:
    if found.outcome == "not_applicable":
        return f"not applicable: {found.detail}"
    return f"{found.findings} found. First: {found.detail}" if found.outcome == "failed" else "nothing found"


def _shown(found: RuleResult) -> dict[str, object]:
    shown: dict[str, object] = {"outcome": found.outcome.replace("_", " "), "found": found.findings}
    if len(found.violations):
        first_rows = to_table(found.violations.head(SHOWN), VIOLATIONS)
        shown["first violations"] = table(first_rows)
    return shown
