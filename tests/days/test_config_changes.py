"""A desk whose configuration is changed while a process watches it: real files, the real child, the real journal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipelines.configuration import apply, history, rollback
from pipelines.configuration_examination import examined
from pipelines.configuration_watch import Watched, watch, watching
from pipelines.place import Place, place
from trading.config.change_events import Changed, Interest
from trading.config.diffs import Change
from trading.errors import ConfigError, UsageError

SOON_S = 30.0
DESK = """schema = 2
environment = "{environment}"
[risk]
max_daily_loss_fraction = {loss}
[operations.changes]
from_files = "{from_files}"
debounce_seconds = 0.05
max_changes_per_minute = {most}
max_refusals_per_minute = 2
pause_seconds = 1.0
"""
PRODUCTION = """
[data.vendor]
name = "csv_folder"
source = "prices"
[trading.broker]
name = "interactive_brokers"
account = "U1"
[trading.reconciliation]
owner = "ann"
"""


def eventually(true: Callable[[], Any], within_s: float = SOON_S) -> Any:
    """What a function gives as soon as that is true; fails when it is not in time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := true():
            return found
        threading.Event().wait(0.01)
    raise AssertionError(f"not true within {within_s} s")


@dataclass
class Desk:
    """A home, and what a watcher of it said."""

    where: Place
    environment: str = "development"
    from_files: str = "report"
    most: int = 100
    said: list[str] = field(default_factory=list)
    opened: ExitStack = field(default_factory=ExitStack)

    def save(self, loss: float, more: str = "", **changed: Any) -> None:
        """Saves desk.toml as editors do."""
        words = {"environment": self.environment, "from_files": self.from_files, "most": self.most, **changed}
        self.where.home.mkdir(parents=True, exist_ok=True)
        draft = self.where.home / "desk.toml~"
        more += PRODUCTION if words["environment"] == "production" else ""
        draft.write_text(DESK.format(loss=loss, **words) + more)
        draft.replace(self.where.desk_file)

    def watched(self) -> Watched:
        """Begins to watch, until the test ends."""
        found = self.opened.enter_context(watching(self.where, self.said.append))
        found.watcher.look().result(SOON_S)
        return found

    def heard(self, words: str) -> bool:
        """Whether a line with some words was said."""
        return any(words in line for line in self.said)


@pytest.fixture
def new_desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes desks; what watches them ends with the test."""
    with ExitStack() as opened:

        def make(**given: Any) -> Desk:
            return Desk(place(tmp_path / "home"), opened=opened, **given)

        yield make


def loss(watched: Watched) -> float:
    """The limit in force in this process."""
    found = json.loads(watched.in_force.now.snapshot.section("risk"))["max_daily_loss_fraction"]
    return float(found)


# --- development ------------------------------------------------------------------------------------------------------
def test_in_development_a_saved_file_is_recorded_and_in_force(new_desk: Callable[..., Desk]) -> None:
    desk, heard = new_desk(), []
    desk.save(0.05)
    watched = desk.watched()
    watched.watcher.subscribe(heard.append, Interest.of(sections=["risk"]))
    assert (watched.in_force.now.number, loss(watched)) == (1, 0.05)
    desk.save(0.04)
    event: Changed = eventually(lambda: heard)[0]
    assert event.changes == (Change("risk.max_daily_loss_fraction", 0.05, 0.04),)
    assert (watched.in_force.now.number, loss(watched)) == (2, 0.04)
    versions = history(desk.where)
    assert [version.number for version in versions] == [1, 2]
    assert versions[1].reason == "changed files are in force by themselves in development"
    assert versions[1].configuration == watched.in_force.now.snapshot.configuration_hash


def test_a_bad_file_is_refused_with_every_fault_and_its_line(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk()
    desk.save(0.05)
    watched = desk.watched()
    desk.save(7.0, "spied = 1\n[symbols.defaults]\nmax_spke = 3.0\n")
    eventually(lambda: desk.heard("REFUSED"))
    line = next(line for line in desk.said if "REFUSED" in line)
    for words in ("desk.toml:4: risk.max_daily_loss_fraction is 7.0", "operations.changes.spied", "mean max_spike?"):
        assert words in line
    assert (watched.in_force.now.number, loss(watched)) == (1, 0.05)
    text = watched.metrics.text()
    assert "daybook_configuration_refusals_total 1.0" in text
    assert "daybook_configuration_version 1.0" in text
    desk.save(0.03)
    eventually(lambda: loss(watched) == 0.03)
    eventually(lambda: "daybook_configuration_reloads_total 1.0" in watched.metrics.text())


def test_whom_the_settings_in_force_name_is_told_of_a_refusal(new_desk: Callable[..., Desk]) -> None:
    got: list[dict[str, Any]] = []

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        desk = new_desk()
        desk.save(0.05, f'[operations.notifier]\nwebhook_url = "http://127.0.0.1:{server.server_port}/"\n')
        desk.watched()
        desk.save(7.0)
        notice = eventually(lambda: got)[0]
        server.shutdown()
    assert (notice["level"], notice["title"]) == ("warning", "a configuration was refused")
    assert "risk.max_daily_loss_fraction is 7.0" in notice["text"]


def test_strategies_and_tables_of_symbols_are_watched_and_told_to_whom_they_concern(
    new_desk: Callable[..., Desk], root: Path
) -> None:
    desk = new_desk()
    desk.save(0.05, '[symbols]\ntable = "tables/symbols.csv"\n')
    (desk.where.home / "tables").mkdir()
    table = desk.where.home / "tables" / "symbols.csv"
    table.write_text("symbol,max_position_contracts\nUS10,10\nGOLD,20\n")
    watched = desk.watched()
    heard: dict[str, list[Changed]] = {name: [] for name in ("trend", "carry", "US10", "GOLD")}
    for name in ("trend", "carry"):
        watched.watcher.subscribe(heard[name].append, Interest.of(strategies=[name]), name)
    for name in ("US10", "GOLD"):
        watched.watcher.subscribe(heard[name].append, Interest.of(symbols=[name]), name)
    table.write_text("symbol,max_position_contracts\nUS10,7\nGOLD,20\n")
    event = eventually(lambda: heard["US10"])[0]
    assert [tuple(change) for change in event.symbols] == [("US10", "max_position_contracts", 10, 7)]
    assert watched.in_force.now.snapshot.position_limit("US10") == 7
    text = (root / "config" / "strategies" / "trend.toml").read_text()
    (desk.where.home / "strategies").mkdir()
    (desk.where.home / "strategies" / "trend.toml").write_text(f"capital_base = 123456.0\n{text}")
    found = eventually(lambda: heard["trend"] or desk.heard("REFUSED"))
    assert found is not True, desk.said
    assert all(change.path.startswith("strategies.trend.") for change in found[0].changes)
    assert (len(heard["carry"]), len(heard["GOLD"])) == (0, 0)


def test_too_many_changes_are_held_back_and_the_last_is_taken_after_the_pause(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(most=2)
    desk.save(0.05)
    watched = desk.watched()
    for number in (1, 2):
        desk.save(number / 100)
        eventually(lambda number=number: loss(watched) == number / 100)
    for number in (3, 4, 6):
        desk.save(number / 100)
    eventually(lambda: desk.heard("circuit breaker of changes: open"))
    assert desk.heard("2 changes within 60 s (at most 2 are taken)")
    assert loss(watched) == 0.02
    eventually(lambda: loss(watched) == 0.06)
    assert desk.said[-1] != "circuit breaker of changes: open"


# --- paper and production ---------------------------------------------------------------------------------------------
def test_nothing_applied_in_production_is_nothing_to_watch(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(environment="production")
    desk.save(0.05)
    with pytest.raises(ConfigError, match="no configuration is in force"):
        desk.watched()
    assert history(desk.where) == []


@pytest.mark.parametrize("environment", ["paper", "production"])
def test_where_files_are_not_in_force_they_are_judged_and_the_pointer_is_followed(
    environment: str, new_desk: Callable[..., Desk]
) -> None:
    desk = new_desk(environment=environment)
    desk.save(0.05)
    apply(desk.where, "the first", "ann")
    watched = desk.watched()
    desk.save(0.04)
    eventually(
        lambda: desk.heard("not in force: risk.max_daily_loss_fraction: 0.05 -> 0.04. `daybook config apply --reason`")
    )
    assert (watched.in_force.now.number, loss(watched), len(history(desk.where))) == (1, 0.05, 1)
    assert "daybook_configuration_drift 1.0" in watched.metrics.text()
    apply(desk.where, "a smaller loss", "ann")
    eventually(lambda: loss(watched) == 0.04)
    eventually(lambda: "daybook_configuration_drift 0.0" in watched.metrics.text())
    rollback(desk.where, 1, "that was too small", "bob")
    eventually(lambda: loss(watched) == 0.05)
    assert [version.author for version in history(desk.where)] == ["ann", "ann", "bob"]


def test_no_file_can_allow_itself_to_come_into_force(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(environment="paper")
    desk.save(0.05)
    apply(desk.where, "the first", "ann")
    desk.save(0.04, from_files="apply")
    assert examined(desk.where).outcome == "drift"
    desk.save(0.04, environment="development")
    assert examined(desk.where).outcome == "drift"
    assert len(history(desk.where)) == 1


def test_in_paper_files_come_into_force_where_what_is_in_force_says_so(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk(environment="paper", from_files="apply")
    desk.save(0.05)
    apply(desk.where, "the first", "ann")
    watched = desk.watched()
    desk.save(0.04)
    eventually(lambda: loss(watched) == 0.04)
    assert history(desk.where)[-1].reason == "changed files are in force by themselves in paper"


def test_a_development_desk_does_not_become_a_production_desk_by_a_file(new_desk: Callable[..., Desk]) -> None:
    desk = new_desk()
    desk.save(0.05)
    watched = desk.watched()
    desk.save(0.04, environment="production")
    eventually(lambda: desk.heard('environment: "development" -> "production"'))
    assert desk.heard("`daybook config apply --reason` puts it in force; else put the files back.")
    assert watched.in_force.now.snapshot.environment == "development"


def test_without_a_desk_there_is_nothing_to_watch(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no desk"), watching(place(tmp_path / "none")):
        pass


# --- processes --------------------------------------------------------------------------------------------------------
def test_in_services_the_shared_channel_is_listened_to(redis_url: str, new_desk: Callable[..., Desk]) -> None:
    from redis import Redis

    desk = new_desk(environment="paper")
    desk.where = replace(desk.where, deployment="services", redis_url=redis_url)
    ours = '[data.storage.ledger]\nstore = "sqlite"\n'
    desk.save(0.05, ours)
    apply(desk.where, "the first", "ann")
    watched = desk.watched()
    with Redis.from_url(redis_url) as redis:
        assert redis.pubsub_numsub("daybook:configuration") == [(b"daybook:configuration", 1)]
        desk.save(0.04, ours)
        apply(desk.where, "a smaller loss", "ann")
        eventually(lambda: loss(watched) == 0.04)
        desk.opened.close()
        eventually(lambda: redis.pubsub_numsub("daybook:configuration") == [(b"daybook:configuration", 0)])


WATCH = """
import sys
from pathlib import Path
from pipelines.configuration_watch import watch
from pipelines.place import place
watch(place(Path(sys.argv[1])), lambda line: print(line, flush=True))
"""


def test_it_says_everything_once_and_that_files_are_right_again(new_desk: Callable[..., Desk], root: Path) -> None:
    desk = new_desk(environment="paper")
    desk.save(0.05)
    apply(desk.where, "the test says so")
    command = [sys.executable, "-c", WATCH, str(desk.where.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.readline()
        desk.save("'x'")  # type: ignore[arg-type]
        assert process.stdout.readline().startswith("REFUSED, and the old configuration stays in force: ")
        desk.save(0.05)
        assert process.stdout.readline() == "the files are right again: as in force\n"
        figures = desk.where.home / "logs" / "configuration.prom"
        assert "daybook_configuration_watched 1.0" in figures.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(SOON_S) == 0
        assert process.stderr.read() == ""
        assert "daybook_configuration_watched 0.0" in figures.read_text()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_command_says_what_happens_and_leaves_no_process(
    how: int, new_desk: Callable[..., Desk], root: Path
) -> None:
    desk = new_desk()
    desk.save(0.05)
    command = [sys.executable, "-c", WATCH, str(desk.where.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("version 1 is in force (development, ")
        assert "what is saved is judged, and comes into force" in process.stdout.readline()
        desk.save(0.04)
        line = process.stdout.readline()
        assert line == "version 2 is in force: risk.max_daily_loss_fraction: 0.05 -> 0.04.\n"
        threads = Path(f"/proc/{process.pid}/task").iterdir()
        children = [pid for thread in threads for pid in (thread / "children").read_text().split()]
        assert len(children) == 1
        process.send_signal(how)
        process.wait(SOON_S)
    eventually(lambda: not _runs(int(children[0])))


def _runs(pid: int) -> bool:
    """Whether a process is there, and not only waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_page_shows_what_a_process_of_ones_own_does(new_desk: Callable[..., Desk], root: Path) -> None:
    desk, names = new_desk(), dict[str, Any]()
    desk.save(0.05, "[symbols.symbols.GOLD]\nmax_position_contracts = 25\n")
    page = (root / "docs" / "how-to" / "change-configuration.md").read_text("utf-8")
    program = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0].replace('"var"', repr(str(desk.where.home)))
    exec(compile(program, "change-configuration.md", "exec"), names)
    assert names["limits"].max_position_contracts == 25
    assert "daybook config watch" in page


def test_it_ends_when_told_to(new_desk: Callable[..., Desk]) -> None:
    desk, ended = new_desk(), threading.Event()
    desk.save(0.05)
    thread = threading.Thread(target=watch, args=(desk.where, desk.said.append, ended))
    thread.start()
    eventually(lambda: desk.heard("Ctrl-C ends it"))
    eventually(lambda: '"same"' in (desk.where.home / "config" / "watched.json").read_text())
    ended.set()
    thread.join(SOON_S)
    assert not thread.is_alive()
    seen = json.loads((desk.where.home / "config" / "watched.json").read_text())
    assert (seen["process"], seen["watched_version"], seen["outcome"]) == (os.getpid(), 1, "same")
    assert "daybook_configuration_version 1.0" in (desk.where.home / "logs" / "configuration.prom").read_text()


def test_figures_are_written_anew_though_nothing_happens(new_desk: Callable[..., Desk]) -> None:
    desk, ended = new_desk(), threading.Event()
    desk.save(0.05)
    thread = threading.Thread(target=watch, args=(desk.where, desk.said.append, ended), kwargs={"written_s": 0.05})
    thread.start()
    file = desk.where.home / "logs" / "configuration.prom"
    eventually(lambda: desk.heard("Ctrl-C ends it") and file.exists())
    threading.Event().wait(1.0)  # the look at the beginning is over
    before = file.stat().st_ino, file.stat().st_mtime_ns
    eventually(lambda: (file.stat().st_ino, file.stat().st_mtime_ns) != before)
    ended.set()
    thread.join(SOON_S)
    assert "daybook_configuration_watched 0.0" in file.read_text()
