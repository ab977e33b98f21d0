"""The three layers of data quality, each with a summary: what comes in, what is made of it, what goes out.

Belongs here: counting outcomes and the score. Does not belong here: running rules, or showing the table.

The score of a layer is the share of its applicable rules that passed, a failed warning counting half; NaN when none
was applicable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from trading.quality.examination import Outcome
from trading.quality.violation import Layer, Severity

LAYERS: tuple[Layer, ...] = ("input", "processing", "output")


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What became of one rule on one dataset."""

    layer: Layer
    dataset: str
    rule: str
    severity: Severity
    outcome: Outcome
    findings: int


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


def summarise(outcomes: Iterable[RuleOutcome]) -> tuple[LayerSummary, ...]:
    """One summary a layer, in the order of LAYERS, also for a layer of which nothing was examined."""
    held = list(outcomes)
    return tuple(_summary(layer, [each for each in held if each.layer == layer]) for layer in LAYERS)


def table(summaries: Sequence[LayerSummary]) -> pd.DataFrame:
    """The summaries as a table: one row a layer."""
    names = list(LayerSummary.__dataclass_fields__)
    return pd.DataFrame([[getattr(summary, name) for name in names] for summary in summaries], columns=names)


def _summary(layer: Layer, outcomes: list[RuleOutcome]) -> LayerSummary:
    counted = Counter(each.outcome for each in outcomes)
    return LayerSummary(
        layer,
        datasets=len({each.dataset for each in outcomes}),
        passed=counted["passed"],
        failed=counted["failed"],
        not_applicable=counted["not_applicable"],
        errors=sum(each.findings for each in outcomes if each.severity == "error"),
        warnings=sum(each.findings for each in outcomes if each.severity == "warning"),
        score=_score([each for each in outcomes if each.outcome != "not_applicable"]),
    )


def _score(judged: list[RuleOutcome]) -> float:
    return sum(map(_credit, judged)) / len(judged) if judged else float("nan")


def _credit(judged: RuleOutcome) -> float:
    if judged.outcome == "passed":
        return 1.0
    return 0.5 if judged.severity == "warning" else 0.0
