"""The second layer: every expectation is an asset check with three outcomes, and Data Docs are built.

Great Expectations itself is imported here, which takes several seconds: one run serves all tests of the file.
"""

from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest

from checks.expectations import CHECKS, suites
from resources.memory import MemoryFrames, MemoryReference
from trading.frames import CLEAN_BARS, DATASETS, FILLS, to_table
from trading.market.instruments import Instrument
from trading.ports import Span

SESSION = date(2024, 3, 5)


def bar(instrument: str, high: float, low: float) -> dict[str, object]:
    stamp = pd.Timestamp(SESSION)
    return {
        "instrument": instrument, "contract": 20240600, "frequency": "daily", "stamp": stamp, "session": stamp,
        "open": low, "high": high, "low": low, "close": low, "volume": None,
    }  # fmt: skip


def instrument(code: str, point_value: float) -> Instrument:
    return Instrument(code, code, "CME", "USD", point_value, 0.25, "Equity", "Index", "US")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    home = tmp_path_factory.mktemp("home")
    frames = MemoryFrames()
    rows = pd.DataFrame([bar("SP500", 5.0, 4.0), bar("CORN", 3.0, 4.0)])
    frames.replace(CLEAN_BARS, to_table(rows, CLEAN_BARS), Span.session(SESSION))
    resources = {
        "frames": frames,
        "reference": MemoryReference([instrument("SP500", 50.0), instrument("CORN", -5.0)]),
        "home": home,
        "clock": dg.ResourceDefinition.hardcoded_resource(lambda: datetime(2024, 3, 6, tzinfo=UTC)),
    }
    assets = [dg.AssetSpec(suite.asset) for suite in suites()]
    job = dg.define_asset_job("quality", selection=dg.AssetSelection.checks(*CHECKS))
    defs = dg.Definitions(assets, asset_checks=CHECKS, jobs=[job], resources=resources)
    result = defs.resolve_job_def("quality").execute_in_process(instance=dg.DagsterInstance.ephemeral())
    assert (home / "data_docs" / "index.html").exists()
    return {(e.asset_key.path[-1], e.check_name): e for e in result.get_asset_check_evaluations()}


def outcome(evaluation: dg.AssetCheckEvaluation) -> object:
    return evaluation.metadata["outcome"].value


def test_a_met_expectation_passes(outcomes: dict[tuple[str, str], dg.AssetCheckEvaluation]) -> None:
    assert outcomes["clean_bars", "expect_key_unique"].passed


@pytest.mark.parametrize(
    ("asset", "check"), [("clean_bars", "expect_high_not_below_low"), ("instruments", "expect_point_value_positive")]
)
def test_a_fault_fails_its_expectation(
    outcomes: dict[tuple[str, str], dg.AssetCheckEvaluation], asset: str, check: str
) -> None:
    found = outcomes[asset, check]
    assert outcome(found) == "failed"
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert found.metadata["unexpected_count"].value == 1


def test_a_column_without_values_and_a_dataset_without_rows_are_not_applicable(
    outcomes: dict[tuple[str, str], dg.AssetCheckEvaluation],
) -> None:
    for key in (("clean_bars", "expect_volume_not_negative"), ("fills", "expect_fill_id_unique")):
        assert outcome(outcomes[key]) == "not applicable"
        assert not outcomes[key].passed
        assert outcomes[key].severity == dg.AssetCheckSeverity.WARN


def test_every_expectation_is_reported_and_links_to_data_docs(
    outcomes: dict[tuple[str, str], dg.AssetCheckEvaluation],
) -> None:
    assert set(outcomes) == {(s.asset, f"expect_{e.name}") for s in suites() for e in s.expectations}
    assert all(str(found.metadata["Data Docs"].value).endswith("index.html") for found in outcomes.values())


def test_suites_name_datasets_columns_and_severities_that_exist() -> None:
    reference = set(Instrument.__dataclass_fields__)
    for suite in suites():
        known = set(DATASETS[suite.asset].schema.names) if suite.reads == "frame" else reference
        for each in suite.expectations:
            assert set(each.columns()) <= known, (suite.asset, each.name)
            assert each.severity in ("error", "warning")
    assert {suite.asset for suite in suites()} >= {"clean_multiple_prices", "instruments", "positions", FILLS.name}
