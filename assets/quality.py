"""The state of the data after a close: one table of three layers, from the checks of the same run; and that what the
rules found, and the rows they refused, are datasets of their own.

Belongs here: gathering what the checks of the run found, and what they found lately. Does not belong here: a rule,
judging rows again, or writing findings: the checks of each dataset do (`checks/examined.py`), and the clean layer sets
refused rows aside.
"""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets.materialized import OWNERS, by_session, described, session_result, table
from assets.partitions import session_range
from trading.frames import DATASETS, QUARANTINE, VIOLATIONS
from trading.ports import Sql
from trading.quality.layers import LAYERS, LayerSummary, RuleOutcome, summarise
from trading.quality.layers import table as summary_table
from trading.quality.rule import layer_of

JUDGED = [
    name
    for name, dataset in DATASETS.items()
    if dataset not in (QUARANTINE, VIOLATIONS) and dataset.layer != "backtests"
]

# Six weeks are thirty sessions.
BY_RULE = """
    select dataset, rule, severity, count(*) as violations, count(distinct session) as sessions, max(session) as newest
    from violations
    where session > date '{last}' - 42 and session <= date '{last}'
    group by all order by severity, violations desc, dataset, rule
"""


def outcomes_of_run(context: dg.AssetExecutionContext) -> Iterator[RuleOutcome]:
    """What the rules' checks of this run said so far. Every dataset has a blocking check, so whatever depends on a
    dataset comes after its checks."""
    told = context.instance.get_records_for_run(context.run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    for record in told.records:
        event = record.event_log_entry.dagster_event
        found = event.asset_check_evaluation_data if event else None
        dataset = DATASETS.get(found.asset_key.path[-1]) if found else None
        if found is None or dataset is None or "found" not in found.metadata:
            continue
        outcome = str(found.metadata["outcome"].value).replace(" ", "_")
        severity = "error" if found.severity == dg.AssetCheckSeverity.ERROR else "warning"
        count = int(str(found.metadata["found"].value))
        yield RuleOutcome(layer_of(dataset), dataset.name, found.check_name, severity, outcome, count)


@dg.asset(
    name="data_quality",
    deps=JUDGED,
    description="How good the data of the session is: rules passed, failed and not applicable in each of the three "
    "layers (what came in, what was made of it, what goes out), with a score.",
    group_name="quality",
    owners=OWNERS,
    kinds={"python"},
    tags={"daybook/layer": "quality"},
    check_specs=[
        dg.AssetCheckSpec(layer, asset="data_quality", description=f"No rule found an error in the {layer} layer.")
        for layer in LAYERS
    ],
    **by_session(),
)
def data_quality(context: dg.AssetExecutionContext, sql: dg.ResourceParam[Sql]) -> dg.MaterializeResult:
    """Sums up the run's checks by layer, and shows what they found lately."""
    summaries = summarise(outcomes_of_run(context))
    rows = pa.Table.from_pandas(summary_table(summaries), preserve_index=False)
    scores = {f"score {summary.layer}": summary.score for summary in summaries if summary.score == summary.score}
    lately = sql.query(BY_RULE.format(last=session_range(context)[1]))
    shown = session_result(context, {"layers": table(rows), "violations by rule, last 30 sessions": table(lately)})
    return dg.MaterializeResult(
        metadata={**(shown.metadata or {}), **scores}, check_results=[_check(summary) for summary in summaries]
    )


def _check(summary: LayerSummary) -> dg.AssetCheckResult:
    judged = summary.passed + summary.failed
    said = (
        f"{summary.passed} rules passed, {summary.failed} failed, {summary.not_applicable} not applicable; "
        f"{summary.errors} errors and {summary.warnings} warnings in {summary.datasets} datasets."
    )
    return dg.AssetCheckResult(
        check_name=summary.layer,
        passed=judged > 0 and summary.errors == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=said if judged else "not applicable: no rule of this layer ran in this run",
        metadata={"outcome": "not applicable" if not judged else "failed" if summary.errors else "passed"},
    )


ASSETS = [data_quality]
SPECS = [dg.AssetSpec(**described(dataset)) for dataset in (VIOLATIONS, QUARANTINE)]
