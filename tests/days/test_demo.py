"""`daybook demo` on a new home, as `make demo` runs it; then what a person does next there: quality, a backtest.

Belongs here: these three commands end to end. Does not belong here: what the page says (tests/domain/), or single
expectations (tests/definitions/).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from checks.expectations import suites
from pipelines.runs import run
from pipelines.settings import place

Run = Callable[..., Any]
DEMO = ("demo", "--sessions", "2", "--years", "1")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, daybook: Run) -> tuple[Path, Any]:
    """A new home, and how the demonstration on it ended."""
    home = tmp_path_factory.mktemp("demo") / "home"
    return home, daybook(*DEMO, "--home", home, "--json")


def materialized(home: Path, asset: str) -> dict[str, Any]:
    """Metadata of the newest materialization of an asset, by name."""
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset.split("/")))
        assert event is not None
        assert event.asset_materialization is not None
        return {name: value.value for name, value in event.asset_materialization.metadata.items()}


# --- demo -------------------------------------------------------------------------------------------------------------
def test_the_makefile_runs_this_command(root: Path) -> None:
    assert "\n\t@$(BIN)/daybook --home $(HOME_DIR) demo\n" in (root / "Makefile").read_text("utf-8")


def test_it_ends_well_with_one_json_document(demo: tuple[Path, Any]) -> None:
    home, ended = demo
    assert ended.code == 0, ended.err
    found = ended.document
    assert found["ok"] is True
    assert (found["state"], found["failed_steps"], found["failed_checks"]) == ("done", {}, {})
    assert (found["sessions"], found["breaks"], found["refused_by_risk"], found["violations"]) == (2, 0, 0, {})
    assert found["pnl_total"] == pytest.approx(sum(row["total_base"] for row in found["pnl"]), abs=1e-6)
    assert found["pnl_total"] != 0
    assert len(found["positions"]) >= 5
    assert all(row["quantity_contracts"] for row in found["positions"])
    assert found["report"] == str(home / "reports" / f"{found['session']}.html")
    assert "Traceback" not in ended.err


class References(HTMLParser):
    """Collects what a page asks for beside itself."""

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Addresses of pictures, scripts, styles, frames and links, but not those inside the page."""
        self.pictures += tag in ("img", "svg")
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action") and not (value or "").startswith(("data:", "#")):
                self.outside.append(f"{tag} {name}={value}")


def test_its_report_is_one_page_that_needs_no_network(demo: tuple[Path, Any]) -> None:
    page = Path(demo[1].document["report"]).read_text("utf-8")
    found = References()
    found.feed(page)
    assert found.outside == []
    assert not re.search(r"@import|url\((?!['\"]?(?:data:|#))|<script", page)
    assert found.pictures >= 2  # volatility and correlation at least
    assert "</html>" in page
    for word in ("P&amp;L", "Positions", "Breaks", "Violations", "Volatility", "Correlation"):
        assert word.lower() in page.lower(), word


def test_again_it_adds_nothing_and_prints_a_summary(demo: tuple[Path, Any], daybook: Run) -> None:
    home, first = demo
    before = Path(first.document["report"]).read_bytes()
    again = daybook(*DEMO, "--home", home)
    assert again.code == 0, again.err
    rows = dict(re.findall(r"^│ ([a-z ]+?) +│ (.+?) +│$", again.out, re.MULTILINE))
    assert rows["session"] == first.document["session"]
    assert float(rows["pnl total"].replace(",", "")) == pytest.approx(first.document["pnl_total"], abs=0.01)
    assert rows["breaks"] == "0"
    assert rows["report"] == first.document["report"]
    for title in ("pnl", "positions", "Summary"):
        assert re.search(rf"^{title}\s*$", again.out, re.MULTILINE)
    assert "raw_bars: " in again.err
    assert ", 0 new" in again.err
    assert len(before) > 10_000


# --- quality ----------------------------------------------------------------------------------------------------------
def test_quality_evaluates_every_expectation_and_builds_data_docs(demo: tuple[Path, Any], daybook: Run) -> None:
    home, _ = demo
    ended = daybook("quality", "--home", home, "--json")
    assert ended.code == 0, ended.err
    found = ended.document
    docs = Path(found["data_docs"])
    assert docs == home / "data_docs" / "index.html"
    assert "clean_bars" in docs.read_text("utf-8")
    wanted = {(suite.asset, f"expect_{each.name}") for suite in suites() for each in suite.expectations}
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        told = instance.get_records_for_run(found["run_id"], of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluated = [record.event_log_entry.dagster_event.asset_check_evaluation_data for record in told.records]
    assert {(each.asset_key.path[-1], each.check_name) for each in evaluated} == wanted
    outcomes = {str(each.metadata["outcome"].value) for each in evaluated}
    assert outcomes <= {"passed", "not applicable"}
    assert sum(each.passed for each in evaluated) > 10


# --- backtest ---------------------------------------------------------------------------------------------------------
def asked(daybook: Run, home: Path, *more: object) -> tuple[dict[str, Any], pd.DataFrame]:
    """The answer of `daybook backtest trend`, and the curve it wrote."""
    file = home / "curve.parquet"
    ended = daybook("backtest", "trend", "--home", home, "--curve", file, *more, "--json")
    assert ended.code == 0, ended.err
    return ended.document, pd.read_parquet(file)


def test_a_backtest_of_what_was_loaded_is_computed_once(demo: tuple[Path, Any], daybook: Run) -> None:
    home, closed = demo
    found, curve = asked(daybook, home)
    assert len(curve) > 240
    assert str(pd.Timestamp(curve["session"].max()).date()) == closed.document["session"]
    assert (curve["gross_percent"] + curve["costs_percent"] - curve["net_percent"]).abs().max() < 1e-9
    mean, spread = curve["net_percent"].mean(), curve["net_percent"].std()
    assert spread > 0
    # 16 sessions of risk in the square root of a year's 256
    assert found["statistics"]["net_percent"]["sharpe"] == pytest.approx(16 * mean / spread, rel=0.02)
    again, same = asked(daybook, home)
    assert again["cached"]
    assert again["key"] == found["key"]
    pd.testing.assert_frame_equal(curve, same)


def test_the_backtest_job_draws_a_window(demo: tuple[Path, Any], daybook: Run) -> None:
    home, _ = demo
    whole = asked(daybook, home)[1]
    days = pd.to_datetime(whole["session"]).dt.date
    first, last = days.iloc[-60], days.iloc[-21]
    window = {"first": str(first), "last": str(last), "overrides": {"buffer.fraction": 0.1}}
    assert run(place(home), "backtest", config={"ops": {"backtests__trend": {"config": window}}}).success
    shown = materialized(home, "backtests/trend")
    for name in ("equity curve", "drawdown", "costs"):
        assert str(shown[name]).startswith("![")
        assert "data:image/png;base64," in str(shown[name])
        assert len(str(shown[name])) > 3000
    assert shown["sessions"] == f"{first} to {last}"
    same = whole[(days >= first) & (days <= last)]
    assert shown["net percent"] == pytest.approx(same["net_percent"].sum(), abs=1e-3)
    assert shown["costs percent"] == pytest.approx(same["costs_percent"].sum(), abs=1e-3)


def test_the_launchpads_words_are_checked(demo: tuple[Path, Any]) -> None:
    home, _ = demo
    for wrong, said in (
        ({"first": "yesterday"}, "first 'yesterday' is not a date"),
        ({"overrides": {"buffer.fractoin": 0.1}}, "'fractoin' is unknown. Did you mean fraction?"),
        ({"instruments": ["NOWHERE"]}, "no data of NOWHERE"),
        ({"first": "2022-02-01", "last": "2022-01-01"}, "is after last"),
    ):
        ended = run(place(home), "backtest", config={"ops": {"backtests__trend": {"config": wrong}}})
        assert ended.exit_code == 2, wrong
        assert said in str(ended.failed_steps), ended.failed_steps


def test_a_backtest_of_a_strategy_nobody_knows(demo: tuple[Path, Any], daybook: Run) -> None:
    ended = daybook("backtest", "astrology", "--home", demo[0], "--json")
    assert ended.code == 2
    assert ended.document["message"].startswith("strategy astrology is unknown.")
