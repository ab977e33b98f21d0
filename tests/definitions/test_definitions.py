"""What Dagster is told of Daybook: assets that explain themselves, jobs, and checks that stop the day where it must.

The expected lists are written out here, so that a check that stops being blocking is noticed by somebody.
"""

import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

from assets.partitions import SESSIONS
from pipelines.definitions import defs
from trading.frames import DATASETS

HEAVY = ["great_expectations", "exchange_calendars", "matplotlib", "duckdb", "redis", "pymongo", "deltalake", "numba"]

# Kept by people, or written by checks, the clean layer, and whoever asks for a backtest.
EXTERNAL = {"instruments", "violations", "quarantine", "backtest_results", "sweep_results"}
UNPARTITIONED = {"history", "backtests/chapter15", "backtests/trend", "sweeps", "snapshot"}
BY_SESSION = {
    "raw_bars", "raw_multiple_prices", "raw_adjusted_prices", "raw_fx_rates", "raw_roll_calendars",
    "clean_bars", "clean_multiple_prices", "clean_fx_rates",
    "multiple_prices", "roll_calendar", "roll_gaps", "roll_states", "daily_prices", "fx_rates", "adjusted_prices",
    "volatility", "correlation", "covariance", "forecasts", "optimal_positions",
    "targets", "orders", "fills", "positions", "pnl", "equity", "attribution", "breaks",
    "exposures", "value_at_risk", "stress_losses", "headroom", "data_quality", "daily_report", "signature",
    "collecting", "validated", "marked", "explained", "reconciled", "signed", "published",
}  # fmt: skip

MEASURES = {"volatility", "correlation", "covariance", "forecasts", "optimal_positions", "targets"} | {
    "backtest_results", "sweep_results",
}  # fmt: skip
BOOK = {"orders", "fills", "positions", "pnl", "equity", "attribution"}
RISK = {"exposures", "value_at_risk", "stress_losses", "headroom"}
MADE = {"multiple_prices", "roll_calendar", "roll_gaps", "roll_states", "daily_prices", "fx_rates"}
CLEAN = {"clean_bars", "clean_multiple_prices", "clean_fx_rates"}
RAW = {"raw_bars", "raw_multiple_prices", "raw_adjusted_prices", "raw_fx_rates", "raw_roll_calendars"}
BLOCKING = {
    "session_delivered": {"raw_bars", "raw_multiple_prices"},
    "skipped_sessions": {"daily_prices"},
    "schema": RAW | CLEAN | MADE | MEASURES | BOOK | RISK | {"breaks"},
    "unique_key": CLEAN | MADE | MEASURES | BOOK | RISK | {"breaks"},
    "finite": MEASURES | BOOK,
    "forecast_cap": {"forecasts", "optimal_positions", "targets"},
    "correlation_bounds": {"correlation"},
    "covariance_diagonal": {"covariance"},
    "positions_fold": {"positions"},
    "journal_intact": {"positions"},
    "pnl_rows": {"pnl"},
    "pnl_identity": {"equity"},
    "account_chain": {"equity"},
    "attribution_rows": {"attribution"},
    "attribution_total": {"attribution"},
    "pnl_explained": {"attribution"},
    "no_open_quantity_breaks": {"breaks"},
}
OF_RISK = {  # checks of the book, the engine and the targets, which block nothing
    ("headroom", "limits_hold"): "standing_book",
    ("headroom", "sums_hold"): "sums_hold",
    ("value_at_risk", "value_at_risk_holds"): "standing_book",
    ("targets", "targets_within_limits"): "targets_within_limits",
}
PRICES = RAW | CLEAN | MADE | {"adjusted_prices"}
MEASURED = PRICES | {"volatility", "correlation", "covariance", "forecasts", "optimal_positions"}
JOBS = {
    "ingest": {"history"},
    "prices": PRICES,
    "close": BY_SESSION,
    "recalculate": MEASURED,
    "reconcile": {"breaks"},
    "backfill": BY_SESSION,
    "backtest": {"backtests/trend"},
    "sweep": {"sweeps"},
    "backup": {"snapshot"},
    "quality": set(),
    "orders": set(),
}


@pytest.fixture(scope="module")
def graph() -> AssetGraph:
    """The resolved asset graph."""
    return defs.resolve_asset_graph()


def names(graph: AssetGraph) -> set[str]:
    """All asset keys as text."""
    return {key.to_user_string() for key in graph.get_all_asset_keys()}


def test_definitions_load_in_a_fresh_process_without_the_heavy_libraries(tmp_path: Path, root: Path) -> None:
    program = (
        "import json, sys; from pipelines.definitions import defs; defs.resolve_all_job_defs(); "
        "dg = __import__('dagster'); dg.Definitions.validate_loadable(defs); "
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", program],
        cwd=root, env={"DAYBOOK_HOME": str(tmp_path / "none"), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == []
    assert not (tmp_path / "none").exists(), "loading definitions makes nothing"


def test_with_nothing_traded_there_are_backtests_all_the_same(tmp_path: Path, root: Path) -> None:
    """Of every strategy file, the home's own too, and one that is wrong."""
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.toml").write_text("nonsense = 1\n")
    (tmp_path / "desk.toml").write_text("trading = []\n")
    program = (
        "import json; from pipelines.definitions import defs; job = defs.resolve_job_def('backtest'); "
        "print(json.dumps(sorted(key.to_user_string() for key in job.asset_layer.executable_asset_keys)))"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=root, env={"DAYBOOK_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout) == ["backtests/chapter15", "backtests/mine", "backtests/trend"]


def test_the_assets_are_these(graph: AssetGraph) -> None:
    assert names(graph) == BY_SESSION | UNPARTITIONED | EXTERNAL


def test_every_dataset_is_an_asset(graph: AssetGraph) -> None:
    assert set(DATASETS) <= names(graph)


@pytest.mark.parametrize("name", sorted(BY_SESSION | UNPARTITIONED | EXTERNAL))
def test_an_asset_explains_itself(graph: AssetGraph, name: str) -> None:
    node = graph.get(dg.AssetKey(name.split("/")))
    assert len(node.description or "") > 20
    assert node.group_name not in ("", "default")
    assert node.owners == ["team:desk"]
    assert node.kinds
    assert node.tags["daybook/layer"] == node.group_name
    if name not in EXTERNAL:
        references = node.metadata["dagster/code_references"].code_references
        assert all(Path(reference.file_path).is_file() for reference in references)
    if name in DATASETS:
        columns = node.metadata["dagster/column_schema"].columns
        assert [column.name for column in columns] == DATASETS[name].schema.names
        assert all(column.description for column in columns)


@pytest.mark.parametrize("name", sorted(BY_SESSION))
def test_session_assets_are_backfilled_in_one_run(graph: AssetGraph, name: str) -> None:
    node = graph.get(dg.AssetKey(name.split("/")))
    assert node.partitions_def == SESSIONS
    assert node.backfill_policy == dg.BackfillPolicy.single_run()


def test_other_assets_have_no_partitions(graph: AssetGraph) -> None:
    assert {name for name in names(graph) if graph.get(dg.AssetKey(name.split("/"))).partitions_def is None} == (
        UNPARTITIONED | EXTERNAL
    )


def test_checks_block_where_the_day_must_stop(graph: AssetGraph) -> None:
    found: dict[str, set[str]] = {}
    for key in graph.asset_check_keys:
        if graph.get_check_spec(key).blocking:
            found.setdefault(key.name, set()).add(key.asset_key.to_user_string())
    assert found == BLOCKING


def test_every_check_says_what_it_promises(graph: AssetGraph) -> None:
    silent = [key for key in graph.asset_check_keys if not graph.get_check_spec(key).description]
    assert silent == []


def test_jobs_run_in_process_and_make_what_they_should(graph: AssetGraph) -> None:
    assert {job.name for job in defs.resolve_all_job_defs() if not job.name.startswith("__")} == set(JOBS)
    for name, expected in JOBS.items():
        job = defs.resolve_job_def(name)
        assert job.executor_def.name == "in_process", name
        assert job.description, name
        made = {key.to_user_string() for key in job.asset_layer.selected_asset_keys}
        assert made == expected, name


@pytest.mark.parametrize("name", ["prices", "close", "recalculate", "reconcile", "backfill"])
def test_jobs_by_session_are_partitioned(name: str) -> None:
    assert defs.resolve_job_def(name).partitions_def == SESSIONS


def test_the_close_runs_our_checks_and_not_the_second_layer() -> None:
    close, quality = ({node.name for node in defs.resolve_job_def(name).nodes} for name in ("close", "quality"))
    assert {"equity_rules", "positions_journal_intact", "pnl_explained"} <= close
    assert quality
    assert not quality & close


@pytest.mark.parametrize(("key", "node"), OF_RISK.items(), ids=[name for _, name in OF_RISK])
def test_checks_of_risk_are_defined_and_run_in_the_close(graph: AssetGraph, key: tuple[str, str], node: str) -> None:
    assert dg.AssetCheckKey(dg.AssetKey(key[0]), key[1]) in graph.asset_check_keys
    for name in ("close", "backfill"):
        assert node in {each.name for each in defs.resolve_job_def(name).nodes}, name


def test_names_of_sensors_and_schedules() -> None:
    told = {"run_failed", "run_done", "risk_limits", "broker_statements", "configuration_changed"}
    assert {sensor.name for sensor in defs.sensors or []} == {"drop_folder"} | told
    on = {sensor.name for sensor in defs.sensors or [] if sensor.default_status == dg.DefaultSensorStatus.RUNNING}
    assert on == told  # who hears of nothing would never switch them on
    assert "close_of_day" in {schedule.name for schedule in defs.schedules or []}
