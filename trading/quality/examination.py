"""Running the rules of a dataset over its rows.

Belongs here: which rules apply, their outcomes, and findings as rows of VIOLATIONS. Does not belong here: a rule, or
reading and writing datasets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trading import discovery
from trading.frames import VIOLATIONS, Dataset, to_pandas, to_table
from trading.frames import empty as no_rows
from trading.quality import rules as shipped
from trading.quality.rule import Rule, RuleContext, layer_of
from trading.quality.violation import Layer, Violation

WHOLE_DATASET = "*"  # the series of a finding about no series in particular
Outcome = Literal["passed", "failed", "not_applicable"]


@dataclass(frozen=True)
class RuleResult:
    """What became of one rule: `findings` counts rows (or series) found wrong, `violations` are rows of VIOLATIONS."""

    rule: Rule
    outcome: Outcome
    findings: int = 0
    detail: str = ""
    violations: pd.DataFrame = field(default_factory=lambda: to_pandas(no_rows(VIOLATIONS)), repr=False)


@dataclass(frozen=True)
class Examination:
    """All rules of a dataset over some sessions. `refused` holds, by quarantining rule, which rows it refuses."""

    dataset: Dataset
    layer: Layer
    rows: int
    results: tuple[RuleResult, ...]
    refused: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)

    def violations(self) -> pd.DataFrame:
        """Every finding, as rows of VIOLATIONS."""
        held = [result.violations for result in self.results if len(result.violations)]
        return pd.concat(held, ignore_index=True) if held else to_pandas(no_rows(VIOLATIONS))

    def values(self) -> list[Violation]:
        """Every finding, as values."""
        return [Violation(**row) for row in to_table(self.violations(), VIOLATIONS).to_pylist()]

    def outcomes(self) -> Counter[str]:
        """How many rules passed, failed and were not applicable."""
        return Counter(result.outcome for result in self.results)


@lru_cache(maxsize=1)
def all_rules() -> tuple[Rule, ...]:
    """Every rule in `trading.quality.rules`, found by type."""
    return discovery.find(shipped, Rule)


def rules_for(dataset: Dataset) -> tuple[Rule, ...]:
    """Rules that judge a dataset."""
    return tuple(rule for rule in all_rules() if dataset.name in rule.datasets)


def examine(
    dataset: Dataset, frame: pd.DataFrame, context: RuleContext, rules: Sequence[Rule] | None = None
) -> Examination:
    """Judges rows of a dataset by all its rules (or by `rules`).

    `frame`: rows of sessions context.first to context.last, as `trading.frames.to_pandas` gives them, any index. A
    rule whose column is absent or without any value is not applicable; it is never passed.
    """
    frame = frame.reset_index(drop=True)
    results, refused = [], {}
    for rule in rules_for(dataset) if rules is None else rules:
        result, positions = _apply(rule, frame, context)
        results.append(result)
        if rule.quarantine and len(positions):
            refused[rule.name] = _mask(positions, len(frame))
    return Examination(dataset, layer_of(dataset), len(frame), tuple(results), refused)


def _apply(rule: Rule, frame: pd.DataFrame, context: RuleContext) -> tuple[RuleResult, NDArray[np.int64]]:
    nowhere = np.empty(0, dtype=np.int64)
    why_not = inapplicable(rule, frame, context)
    if why_not:
        return RuleResult(rule, "not_applicable", detail=why_not), nowhere
    said = rule.judge(frame, context)
    if said.empty:
        return RuleResult(rule, "passed"), nowhere
    rows = said["row"].to_numpy(dtype=np.int64)
    return RuleResult(rule, "failed", len(said), _first(said), _as_violations(rule, said, context)), rows[rows >= 0]


def inapplicable(rule: Rule, frame: pd.DataFrame, context: RuleContext) -> str:
    """Why a rule cannot judge these rows; empty if it can."""
    missing = [name for name in rule.companions if name not in context.companions]
    if missing:
        return f"{missing[0]} was never written"
    judged = context.earlier if rule.judges_absence and frame.empty else frame
    if judged.empty:
        return "" if rule.empty_is_good else f"no rows in {context.first} to {context.last}"
    valueless = [name for name in rule.needs if not _has_values(judged, name)]
    if valueless:
        return f"column {valueless[0]} is absent or has no value"
    if rule.any_of and not any(_has_values(judged, name) for name in rule.any_of):
        return f"columns {', '.join(rule.any_of)} are absent or have no value"
    return ""


def _has_values(frame: pd.DataFrame, name: str) -> bool:
    return name in frame and bool(frame[name].notna().any())


def _mask(positions: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    mask = np.zeros(length, dtype=np.bool_)
    mask[positions] = True
    return mask


def _first(said: pd.DataFrame) -> str:
    first = said.iloc[0]
    place = " ".join(text for text in (str(first["series"]), str(first["label"])) if text not in ("", WHOLE_DATASET))
    return f"{place}: {first['message']}" if place else str(first["message"])


def _as_violations(rule: Rule, said: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """Findings as rows of VIOLATIONS within the sessions examined, one for each series, session and label."""
    first, last = pd.Timestamp(context.first), pd.Timestamp(context.last)
    sessions = pd.to_datetime(said["session"]).fillna(last)
    said = said.assign(
        session=sessions.mask(sessions < first, first).mask(sessions > last, last),
        dataset=context.dataset.name,
        layer=layer_of(context.dataset),
        rule=rule.name,
        severity=rule.severity,
    )
    said = said.drop_duplicates(["series", "session", "label"]).reset_index(drop=True)
    return said.reindex(columns=VIOLATIONS.schema.names)
