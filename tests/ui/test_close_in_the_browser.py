"""A person's day in the browser: look at the asset graph, close a session, and the run's checks were evaluated.

The program under test is `daybook ui` itself, on a home with a year of the simulated market. What the browser shows is
only looked at; whether the run succeeded is asked by GraphQL.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import psutil
import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install the extra `test`")

pytestmark = [pytest.mark.ui, pytest.mark.timeout(420)]

SESSION = "2024-12-31"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
GROUPS = {
    "raw": ["raw_bars", "raw_fx_rates", "history"],
    "clean": ["clean_bars", "clean_fx_rates"],
    "analytics": ["volatility", "correlation", "covariance"],
    "signals": ["forecasts", "targets"],
    "reconciliation": ["breaks"],
    "reports": ["daily_report"],
}
LOADED = "{workspaceOrError{...on Workspace{locationEntries{locationOrLoadError{__typename}}}}}"
RUN = """query($id: ID!) {runOrError(runId: $id) {...on Run {
    status jobName tags {key value} executionPlan {steps {key}}
    eventConnection(limit: 1000) {events {
        ...on AssetCheckEvaluationEvent {evaluation {checkName severity success assetKey {path}}}}}}}}"""
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


@dataclass
class Ui:
    """A running `daybook ui`."""

    url: str
    process: subprocess.Popen[bytes]

    def ask(self, query: str, **variables: str) -> dict[str, Any]:
        """GraphQL's answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def loaded(self) -> bool:
        """Whether the code location is there; a location with an error never is."""
        try:
            entries = self.ask(LOADED)["workspaceOrError"]["locationEntries"]
        except OSError:
            return False
        kinds = [(entry["locationOrLoadError"] or {}).get("__typename") for entry in entries]
        assert "PythonError" not in kinds, "the definitions do not load"
        return kinds == ["RepositoryLocation"]

    def run(self, run_id: str) -> dict[str, Any]:
        """What Dagster knows of a run."""
        found: dict[str, Any] = self.ask(RUN, id=run_id)["runOrError"]
        return found


def until(ready: Any, seconds: float, what: str) -> Any:
    """Polls until something is true, and gives it."""
    end, pause = monotonic() + seconds, Event()
    while monotonic() < end:
        if found := ready():
            return found
        pause.wait(0.5)
    raise AssertionError(f"{what}: not within {seconds:.0f} seconds")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a year of prices up to the day before the session."""
    home = tmp_path_factory.mktemp("ui") / "home"
    span = ["--since", "2024-01-02", "--until", "2024-12-30", "--instruments", "US10,SP500,GOLD,BUND"]
    subprocess.run([program(), "--home", home, "load", "--vendor", "simulated", *span], check=True, timeout=120)
    return home


def program() -> str:
    """The command, of the environment that runs the tests."""
    found = shutil.which("daybook", path=str(Path(sys.executable).parent))
    assert found is not None, "daybook is not installed: make test installs it"
    return found


@pytest.fixture(scope="module")
def ui(home: Path) -> Iterator[Ui]:
    """The UI, answering; nothing of it is left afterwards."""
    port = free_port()
    environment = {**os.environ, "DAGSTER_DISABLE_TELEMETRY": "yes"}
    with (home / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            [program(), "--home", home, "ui", "--port", str(port)], stdout=log, stderr=log, env=environment
        )
        running = Ui(f"http://127.0.0.1:{port}", process)
        try:
            until(running.loaded, 90, "the UI answers")
            yield running
        finally:
            everything = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                left = [pid for pid in everything if psutil.pid_exists(pid)]
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
            assert len(everything) > 3
            assert left == [], "processes of the UI outlived it"


@pytest.fixture(scope="module")
def page(chromium: Path, ui: Ui) -> Iterator[Any]:
    """A page of a browser with a new profile."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(20_000)
        yield page
        browser.close()


def test_the_asset_graph_shows_groups_and_their_assets(ui: Ui, page: Any) -> None:
    page.goto(f"{ui.url}/asset-groups", wait_until="domcontentloaded")
    for group, assets in GROUPS.items():
        page.get_by_text(group, exact=True).first.wait_for()
        page.goto(f"{ui.url}/asset-groups?expanded=global%40global%3A{group}", wait_until="domcontentloaded")
        for asset in assets:
            page.get_by_text(asset, exact=True).filter(visible=True).first.wait_for()


def choose_session(ui: Ui, page: Any) -> None:
    """Opens the launchpad and picks the session. The page may draw its form again while somebody types into it: then
    the list of suggestions is gone, and a person would try once more."""
    from playwright.sync_api import TimeoutError as Waited

    for patience in (8_000, 12_000, 20_000, 30_000):
        page.goto(f"{ui.url}/locations/daybook/jobs/close/playground", wait_until="domcontentloaded")
        page.get_by_text("No errors").wait_for(timeout=60_000)
        partition = page.get_by_placeholder("Partition")
        try:
            partition.click(timeout=patience)
            partition.press_sequentially(SESSION, delay=40)
            page.get_by_text(SESSION, exact=True).last.click(timeout=patience)
        except Waited:
            continue
        if partition.input_value() == SESSION:
            return
    pytest.fail(f"the launchpad did not take the session {SESSION} in four attempts")


def test_the_close_is_launched_and_its_checks_are_evaluated(ui: Ui, page: Any) -> None:
    choose_session(ui, page)
    page.get_by_role("button", name="Launch Run").click()
    page.wait_for_url("**/runs/*")
    run_id = page.url.rsplit("/", 1)[1].split("?")[0]
    run = until(lambda: (found := ui.run(run_id))["status"] in ENDED and found, 90, "the run ends")
    assert run["status"] == "SUCCESS"
    assert run["jobName"] == "close"
    assert {"key": "dagster/partition", "value": SESSION} in run["tags"]
    checks = [event["evaluation"] for event in run["eventConnection"]["events"] if event.get("evaluation")]
    evaluated = {("/".join(check["assetKey"]["path"]), check["checkName"]) for check in checks}
    assert {("raw_bars", "session_delivered"), ("positions", "journal_intact"), ("equity", "pnl_identity")} <= evaluated
    assert [check for check in checks if check["severity"] == "ERROR" and not check["success"]] == []


def test_a_second_ui_of_the_home_is_refused(ui: Ui, home: Path) -> None:
    second = subprocess.run([program(), "--home", home, "ui"], capture_output=True, text=True, timeout=60)
    assert second.returncode == 2
    assert "runs already" in second.stderr
