"""The three layers of data quality, each with a summary: what comes in, what is made of it, what goes out.

Belongs here: counting outcomes and the score. Does not belong here: running rules, or showing the table.

The score of a layer is the share of its applicable rules that passed, a failed warning counting half; NaN when none
was applicable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from trading.quality.examination import Examination, RuleResult
from trading.quality.violation import Layer

LAYERS: tuple[Layer, ...] = ("input", "processing", "output")


@dataclass(frozen=True, slots=True)
class LayerSummary:
    """Outcomes of a layer's rules, its findings by severity, and its score between 0 and 1 (NaN: nothing judged)."""

    layer: Layer
    datasets: int
    passed: int
    failed: int
    not_applicable: int
    errors: int
    warnings: int
    score: float


def summarise(examinations: Iterable[Examination]) -> tuple[LayerSummary, ...]:
    """One summary a layer, in the order of LAYERS, also for a layer nothing was examined of."""
    held = list(examinations)
    return tuple(_summary(layer, [e for e in held if e.layer == layer]) for layer in LAYERS)


def table(summaries: Sequence[LayerSummary]) -> pd.DataFrame:
    """The summaries as a table: one row a layer."""
    names = list(LayerSummary.__dataclass_fields__)
    return pd.DataFrame([[getattr(summary, name) for name in names] for summary in summaries], columns=names)


def _summary(layer: Layer, examinations: list[Examination]) -> LayerSummary:
    results = [result for examination in examinations for result in examination.results]
    return LayerSummary(
        layer,
        datasets=len({examination.dataset.name for examination in examinations}),
        passed=sum(result.outcome == "passed" for result in results),
        failed=sum(result.outcome == "failed" for result in results),
        not_applicable=sum(result.outcome == "not_applicable" for result in results),
        errors=sum(result.findings for result in results if result.rule.severity == "error"),
        warnings=sum(result.findings for result in results if result.rule.severity == "warning"),
        score=_score(results),
    )


def _score(results: list[RuleResult]) -> float:
    judged = [result for result in results if result.outcome != "not_applicable"]
    if not judged:
        return float("nan")
    return sum(map(_credit, judged)) / len(judged)


def _credit(result: RuleResult) -> float:
    if result.outcome == "passed":
        return 1.0
    return 0.5 if result.rule.severity == "warning" else 0.0
