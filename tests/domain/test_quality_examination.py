"""Examinations, quarantine, layer summaries, the journal's fold and discovery: what is around the rules."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from trading import discovery
from trading.frames import CLEAN_BARS, PNL, QUARANTINE, RAW_FX_RATES, VIOLATIONS, to_table
from trading.quality import rules
from trading.quality.examination import Examination, examine, rules_for
from trading.quality.layers import LAYERS, RuleOutcome, summarise, table
from trading.quality.quarantine import split
from trading.quality.rule import Rule, RuleContext, layer_of
from trading.quality.violation import Violation

SESSION = date(2024, 3, 5)
CONTEXT = RuleContext(RAW_FX_RATES, SESSION, SESSION, datetime(2024, 3, 6, tzinfo=UTC))


def quotes(*rates: float | None) -> pd.DataFrame:
    """One quote an hour."""
    stamps = [pd.Timestamp(SESSION) + pd.Timedelta(hours=hour) for hour in range(len(rates))]
    return pd.DataFrame(
        {
            "vendor": "v", "pair": "EURUSD", "label": [str(stamp) for stamp in stamps], "occurrence": 0,
            "stamp": stamps, "event_at": pd.Timestamp(SESSION, tz="UTC"), "session": pd.Timestamp(SESSION),
            "known_at": pd.Timestamp(SESSION, tz="UTC"), "loaded_at": pd.Timestamp("2024-03-06 07:00", tz="UTC"),
            "rate": rates,
        }
    )  # fmt: skip


@pytest.fixture
def found() -> Examination:
    return examine(RAW_FX_RATES, quotes(1.1, float("inf"), 1.2, None), CONTEXT)


def test_findings_are_rows_of_violations_and_values(found: Examination) -> None:
    assert to_table(found.violations(), VIOLATIONS).num_rows == 2
    assert found.values()[1] == Violation(
        layer="input", dataset="raw_fx_rates", rule="price_range", severity="error", series="v/EURUSD",
        session=SESSION, label="2024-03-05 01:00:00", column_name="rate", value="inf",
        message="rate is inf: that is no price. The row is quarantined; ask the vendor for a correction.",
    )  # fmt: skip


def test_outcomes_are_counted_over_all_rules_of_the_dataset(found: Examination) -> None:
    assert found.outcomes()["failed"] == 2
    assert found.outcomes().total() == len(rules_for(RAW_FX_RATES))


def test_refused_rows_are_set_aside_whole_and_the_rest_goes_on(found: Examination) -> None:
    kept, aside = split(quotes(1.1, float("inf"), 1.2, None), found)
    assert kept.index.to_list() == [0, 2, 3]
    (row,) = to_table(aside, QUARANTINE).to_pylist()
    assert (row["rule"], row["series"], row["label"]) == ("price_range", "v/EURUSD", "2024-03-05 01:00:00")
    whole = json.loads(row["row"])
    assert whole["rate"] == math.inf
    assert "loaded_at" not in whole


def test_nothing_refused_leaves_every_row_and_an_empty_quarantine() -> None:
    frame = quotes(1.1, 1.2)
    kept, aside = split(frame, examine(RAW_FX_RATES, frame, CONTEXT))
    assert len(kept) == 2
    assert to_table(aside, QUARANTINE).num_rows == 0


def test_a_row_refused_by_two_rules_is_set_aside_twice_and_dropped_once() -> None:
    frame = quotes(1.1, float("inf")).assign(stamp=[pd.Timestamp(SESSION), pd.Timestamp("2030-01-01")])
    kept, aside = split(frame, examine(RAW_FX_RATES, frame, CONTEXT))
    assert len(kept) == 1
    assert sorted(aside["rule"]) == ["future", "price_range"]


def test_thousands_of_findings_are_cheap_and_complete() -> None:
    frame = quotes(*[float("inf")] * 5000)
    assert len(examine(RAW_FX_RATES, frame, CONTEXT).violations().query("rule == 'price_range'")) == 5000


def test_layers_are_summed_up_one_by_one(found: Examination) -> None:
    outcomes = [
        RuleOutcome("input", "raw_fx_rates", each.rule.name, each.rule.severity, each.outcome, each.findings)
        for each in found.results
    ]
    summaries = {summary.layer: summary for summary in summarise(outcomes)}
    assert tuple(summaries) == LAYERS
    # Two rules failed: the infinite rate (an error) and the missing one (a warning, half a credit).
    judged = found.outcomes().total() - found.outcomes()["not_applicable"]
    came_in = summaries["input"]
    assert (came_in.failed, came_in.errors, came_in.warnings) == (2, 1, 1)
    assert came_in.score == pytest.approx((judged - 2 + 0.5) / judged)
    assert math.isnan(summaries["output"].score)
    assert table(list(summaries.values()))["layer"].to_list() == ["input", "processing", "output"]


def test_layers_of_datasets() -> None:
    assert [layer_of(dataset) for dataset in (RAW_FX_RATES, CLEAN_BARS, PNL)] == ["input", "processing", "output"]


def test_discovery_finds_by_type_without_a_registry() -> None:
    names = [rule.name for rule in discovery.find(rules, Rule)]
    assert names == sorted(names)
    assert len(names) == len(set(names)) == len(discovery.modules(rules))
