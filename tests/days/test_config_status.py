"""`daybook config status`: what is in force, whether files and the last close agree with it, what the watcher saw, and
that a signed close names the configuration it used.

Belongs here: homes of files, and one that closes sessions in environment paper. What the instruments of the reference
data are is counted from its file.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.configuration_sensor import configuration_changed
from pipelines.configuration_status import WatchedFile, configurations, status, watched
from pipelines.deployments import frame_store, ledger
from pipelines.desk import Desk
from pipelines.in_force import compiled_files
from pipelines.settings import place
from pipelines.signing import verify_signatures
from trading.config.change_events import Examined
from trading.ports import Configurations

Run = Callable[..., Any]
FIRST, SECOND = date(2021, 3, 24), date(2021, 3, 25)
PAPER = 'schema = 2\nenvironment = "paper"\n'
AT = datetime(2024, 3, 8, 22, tzinfo=UTC)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A desk of paper that nothing was applied to."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "desk.toml").write_text(PAPER)
    return tmp_path / "home"


def limited(home: Path, fraction: float) -> None:
    """The files say another limit."""
    (home / "desk.toml").write_text(f"{PAPER}[risk]\nmax_daily_loss_fraction = {fraction}\n")


def kinds(found: dict[str, Any]) -> dict[str, str]:
    return {each["kind"]: each["gravity"] for each in found["findings"]}


def applied(daybook: Run, home: Path, reason: str = "first") -> None:
    ended = daybook("config", "apply", "--home", home, "--reason", reason, "--author", "anna")
    assert ended.code == 0, ended.err


# --- in force ---------------------------------------------------------------------------------------------------------
def test_before_anything_is_applied_nothing_is_in_force(home: Path, daybook: Run) -> None:
    ended = daybook("config", "status", "--home", home, "--json")
    found = ended.document
    assert (ended.code, found["version"], found["configuration"]) == (1, None, None)
    assert kinds(found) == {"nothing applied": "error"}
    assert not (home / "ledger.sqlite").exists(), "looking makes nothing"


def test_what_is_in_force_by_whom_and_why(home: Path, daybook: Run, root: Path) -> None:
    applied(daybook, home, "the desk opens")
    ended = daybook("config", "status", "--home", home, "--json")
    found = ended.document
    assert ended.code == 0
    assert (found["version"], found["author"], found["reason"]) == (1, "anna", "the desk opens")
    assert (found["environment"], found["files"], found["drift"]) == ("paper", "as in force", False)
    assert found["configuration"] == found["files_configuration"]
    listed = (root / "reference" / "instruments.csv").read_text().splitlines()[1:]
    assert found["symbols"] == len({line.split(",")[0] for line in listed})
    assert found["snapshot_bytes"] == (home / "config" / "snapshots" / f"{found['snapshot']}.snapshot").stat().st_size
    assert found["age_seconds"] < 600
    assert 0 < found["load_ms"] < 60_000
    assert 0 < found["validation_ms"] < 60_000
    assert found["findings"] == []


def test_files_that_say_something_else_are_told_with_what_they_change(home: Path, daybook: Run) -> None:
    applied(daybook, home)
    limited(home, 0.03)
    found = status(place(home))
    assert (found["version"], found["files"], found["changed"]) == (1, "not in force", 1)
    assert found["changes"] == ["risk.max_daily_loss_fraction: 0.05 -> 0.03"]
    assert (kinds(found), found["exit_code"]) == ({"files differ": "warning"}, 0)


def test_files_that_are_wrong_leave_what_is_in_force(home: Path, daybook: Run) -> None:
    applied(daybook, home)
    limited(home, 7)
    found = status(place(home))
    assert (found["version"], found["files"], found["load_ms"] is None) == (1, "wrong", True)
    assert kinds(found) == {"files wrong": "warning"}
    assert "risk.max_daily_loss_fraction is 7" in found["findings"][0]["message"]
    assert "Runs go on with 1 (" in found["findings"][0]["message"]


def test_a_pointer_that_a_killed_process_left_behind_is_moved_on(home: Path, daybook: Run) -> None:
    applied(daybook, home)
    older = (home / "config" / "current").read_bytes()
    limited(home, 0.03)
    applied(daybook, home, "lower")
    (home / "config" / "current").write_bytes(older)
    found = status(place(home))
    assert (found["healed"], found["version"], found["reason"]) == (2, 2, "lower")
    assert status(place(home))["healed"] is None


def test_in_development_the_files_are_in_force_before_anybody_records_them(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("schema = 2\n")
    where = place(tmp_path)
    found = status(where)
    assert (found["environment"], found["version"], found["files"]) == ("development", None, "as in force")
    assert found["configuration"] == found["files_configuration"]
    assert (found["findings"], found["exit_code"]) == ([], 0)
    assert isinstance(configurations(where), Configurations)
    (tmp_path / "desk.toml").write_text("schema = 2\n[risk]\nmax_daily_loss_fraction = 7\n")
    wrong = status(where)
    assert kinds(wrong) == {"files wrong": "error"}
    assert "No run can begin" in wrong["findings"][0]["message"]


def test_figures_of_a_status(home: Path, daybook: Run) -> None:
    applied(daybook, home)
    limited(home, 0.03)
    found = status(place(home))
    text = daybook("config", "status", "--home", home, "--metrics").out
    assert "daybook_configuration_version 1.0" in text
    assert "daybook_configuration_drift 1.0" in text
    assert f'hash="{found["configuration"]}"' in text
    assert f"daybook_configuration_snapshot_bytes {float(found['snapshot_bytes'])}" in text


# --- the ledger -------------------------------------------------------------------------------------------------------
def errors(home: Path, daybook: Run) -> str:
    """What `status` says that must be looked at, as text; it ends with exit code 1, and its text for people has it."""
    ended = daybook("config", "status", "--home", home, "--json")
    assert ended.code == 1, ended.out
    said = " ".join(each["message"] for each in ended.document["findings"] if each["gravity"] == "error")
    shown = daybook("config", "status", "--home", home)
    assert "".join(said.split())[:60] in "".join(shown.out.split())
    return said


def without_ledger(home: Path) -> None:
    for file in home.glob("ledger.sqlite*"):
        file.unlink()


def test_a_lost_ledger_is_a_finding(home: Path, daybook: Run) -> None:
    """The same that apply and history say."""
    applied(daybook, home)
    without_ledger(home)
    said = errors(home, daybook)
    assert "version 1 of the configuration is in force" in said
    assert "its ledger knows none: the ledger is older than the home. Restore both from one backup." in said
    assert said in daybook("config", "history", "--home", home).err
    assert not (home / "ledger.sqlite").exists(), "looking makes nothing"


def test_an_older_ledger_is_a_finding_with_its_true_cure(home: Path, daybook: Run) -> None:
    applied(daybook, home)
    with closing(sqlite3.connect(home / "ledger.sqlite")) as ledger, closing(sqlite3.connect(home / "old")) as old:
        ledger.backup(old)
    limited(home, 0.03)
    applied(daybook, home, "lower")
    without_ledger(home)
    (home / "old").rename(home / "ledger.sqlite")
    said = errors(home, daybook)
    assert "its ledger knows 1: the ledger is older than the home. Restore both from one backup." in said
    assert "stopped before the end" not in said
    assert said in daybook("config", "apply", "--reason", "x", "--home", home).err


def test_a_ledger_that_cannot_be_read_is_a_finding(home: Path, daybook: Run) -> None:
    applied(daybook, home)
    without_ledger(home)
    (home / "ledger.sqlite").write_bytes(b"no database " * 1000)
    assert str(home / "ledger.sqlite") in errors(home, daybook)


@pytest.mark.parametrize(("store", "scheme"), [("mongodb", "mongodb"), ("postgresql", "postgresql")])
@pytest.mark.parametrize("kept", ["env", "file"])
def test_a_ledger_that_files_name_and_that_does_not_answer_is_a_finding(
    store: str, scheme: str, kept: str, home: Path, daybook: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With where the file says its address is found, and without the address."""
    applied(daybook, home)
    address = f"{scheme}://me:hunter2hunter2@127.0.0.1:1/daybook"
    monkeypatch.setenv("MY_LEDGER", address)
    (home / "address").write_text(address)
    found_in = {"env": "MY_LEDGER", "file": "address"}[kept]
    (home / "desk.toml").write_text(
        f'{PAPER}[data.storage.ledger]\nstore = "{store}"\ntimeout_seconds = 0.2\n'
        f'address = {{ {kept} = "{found_in}" }}\n'
    )
    said = errors(home, daybook)
    assert f"the files have the ledger kept in {store}, which cannot be used" in said
    named = {"env": "the environment variable MY_LEDGER", "file": "the file address"}[kept]
    assert f"correct {named} (data.storage.ledger.address)" in said
    refused = daybook("config", "apply", "--reason", "x", "--home", home)
    assert f"correct {named} (data.storage.ledger.address)" in refused.err
    for text in (said, refused.err):
        assert "_URI" not in text
        assert "hunter2" not in text


def test_a_ledger_that_is_the_only_one_and_does_not_answer_is_a_finding(
    home: Path, daybook: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_LEDGER", "postgresql://me@127.0.0.1:1/daybook")
    (home / "desk.toml").write_text(
        'schema = 2\n[data.storage.ledger]\nstore = "postgresql"\naddress = { env = "MY_LEDGER" }\n'
    )
    assert "correct the environment variable MY_LEDGER" in errors(home, daybook)


# --- what the watcher saw ---------------------------------------------------------------------------------------------
def test_what_a_watcher_saw_is_told_while_it_lives(home: Path) -> None:
    where = place(home)
    seen = WatchedFile(where, lambda: AT)
    seen.examined(Examined("refused", said=("risk.x is wrong.", "risk.y is wrong.")))
    seen.breaker("open")
    found = watched(where)
    assert (found["watcher"], found["breaker"], found["refusals"]) == (f"process {os.getpid()}", "open", 1)
    assert found["last_refusal"] == {
        "at": AT.isoformat(), "said": ["risk.x is wrong.", "risk.y is wrong."], "faults": 2
    }  # fmt: skip
    assert (found["looked_at"], found["outcome"]) == (AT.isoformat(), "refused")
    assert [file.name for file in (home / "config").iterdir()] == ["watched.json"]
    assert found["reloads"] == 0
    assert found["memory_mb"] > 20, "Python alone has more"


def test_figures_of_a_watcher_are_among_those_of_the_status(home: Path, daybook: Run) -> None:
    applied(daybook, home)
    seen = WatchedFile(place(home), lambda: AT)
    for number in (1, 2):
        seen.took(compiled_files(place(home)).version())
        assert status(place(home))["reloads"] == number
    seen.examined(Examined("refused", said=("risk.x is wrong.",)))
    text = daybook("config", "status", "--home", home, "--metrics").out
    assert "daybook_configuration_reloads_total 2.0" in text
    assert "daybook_configuration_refusals_total 1.0" in text


def test_a_watcher_that_died_is_not_taken_for_one_that_watches(home: Path) -> None:
    program = (
        "import sys; from pipelines.configuration_status import WatchedFile; from pipelines.settings import place; "
        "from trading.config.change_events import Examined; "
        "WatchedFile(place(sys.argv[1])).examined(Examined('refused', said=('wrong.',)))"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(home)], check=True)
    found = watched(place(home))
    assert (found["watcher"], found["breaker"]) == ("none", None)
    assert found["last_refusal"]["said"] == ["wrong."]
    again = WatchedFile(place(home))
    again.examined(Examined("failed", said=("the disk is full.",)))
    assert watched(place(home))["last_refusal"]["said"] == ["wrong."], "kept until files are right again"
    again.examined(Examined("same"))
    assert watched(place(home))["last_refusal"] is None


def test_a_home_that_nobody_watches(home: Path) -> None:
    assert watched(place(home))["watcher"] == "none"
    (home / "config").mkdir()
    (home / "config" / "watched.json").write_text("[cut off")
    assert watched(place(home))["watcher"] == "none"


# --- a close ----------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, loaded_two: Path, daybook: Run) -> Path:
    """A desk of paper: configuration 1 was recorded by the run that loaded it, in development; 2 was applied, in paper;
    24 March is closed and signed."""
    home = tmp_path_factory.mktemp("configured") / "home"
    shutil.copytree(loaded_two, home)
    file = home / "desk.toml"
    file.write_text(f'environment = "paper"\n{file.read_text()}')
    applied(daybook, home)
    ended = daybook("backfill", "--home", home, "--from", FIRST, "--to", FIRST, "--json")
    assert ended.code == 0, ended.err
    return home


@pytest.fixture
def desk(closed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    shutil.copytree(closed, tmp_path / "home")
    return tmp_path / "home"


def changed(home: Path, line: str) -> None:
    """The files say something else in a section that they do not have yet."""
    file = home / "desk.toml"
    file.write_text(f"{file.read_text()}\n{line}\n")


def test_a_signed_close_names_the_configuration_it_used(desk: Path, daybook: Run) -> None:
    now = status(place(desk))
    opened = daybook("open", FIRST, "--home", desk, "--json").document
    assert opened["configuration"] == now["configuration"] == now["signed_with"]
    assert opened["configuration_version"] == now["signed_version"] == 2
    assert (now["signed_session"], now["findings"]) == ("2021-03-24", [])
    shown = daybook("open", FIRST, "--home", desk).out
    assert "configuration version" in shown
    assert opened["configuration"][:20] in shown
    signed = daybook("sign", "--home", desk, "--json").document
    assert (signed["signed"], signed["configuration_version"]) == ("before", 2)


def test_a_run_in_development_records_what_its_files_say(desk: Path, daybook: Run) -> None:
    rows = daybook("config", "history", "--home", desk, "--json").document["rows"]
    assert [(row["number"], row["environment"]) for row in rows] == [(1, "development"), (2, "paper")]
    assert "in development they are in force" in rows[0]["reason"]


def test_what_is_applied_after_the_close_is_the_next_closes(desk: Path, daybook: Run) -> None:
    changed(desk, "[features]\ncorrelation_span_weeks = 52")
    applied(daybook, desk, "faster correlations")
    found = status(place(desk))
    assert kinds(found) == {"changed since": "told"}
    assert (found["version"], found["signed_version"], found["drift"]) == (3, 2, False)
    ended = daybook("backfill", "--home", desk, "--from", SECOND, "--to", SECOND)
    assert ended.code == 0, ended.err
    assert status(place(desk))["findings"] == []
    versions = [
        daybook("open", day, "--home", desk, "--json").document["configuration_version"] for day in (FIRST, SECOND)
    ]
    assert versions == [2, 3]


def test_a_signed_day_opens_with_the_table_of_symbols_of_then(desk: Path, daybook: Run) -> None:
    def limit(contracts: int) -> None:
        (desk / "symbols.csv").write_text(f"symbol,max_position_contracts\nCORN,{contracts}\n")
        applied(daybook, desk, f"CORN: {contracts}")

    file = desk / "desk.toml"
    file.write_text(f'{file.read_text()}\n[symbols]\ntable = "symbols.csv"\n')
    limit(3)
    ended = daybook("backfill", "--home", desk, "--from", SECOND, "--to", SECOND)
    assert ended.code == 0, ended.err
    limit(9)
    now = Desk.open(str(desk))
    assert now.adapters.settings.symbol("CORN").max_position_contracts == 9
    assert now.open(SECOND).adapters.settings.symbol("CORN").max_position_contracts == 3
    assert now.open(FIRST).adapters.settings.symbol("CORN").max_position_contracts == 500
    assert verify_signatures(place(desk)) == []


def test_files_changed_and_not_applied_do_not_reach_a_close_and_are_told_by_its_check(desk: Path, daybook: Run) -> None:
    changed(desk, "[features]\ncorrelation_span_weeks = 52")
    ended = daybook("backfill", "--home", desk, "--from", SECOND, "--to", SECOND)
    assert ended.code == 0, "in paper that is a warning"
    assert daybook("open", SECOND, "--home", desk, "--json").document["configuration_version"] == 2
    with dg.DagsterInstance.from_config(str(desk / "dagster")) as instance:
        key = dg.AssetCheckKey(dg.AssetKey("signature"), "configuration_drift")
        record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        evaluation = record.event.dagster_event.event_specific_data
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "features.correlation_span_weeks: 75 -> 52" in evaluation.description
    assert "daybook config apply" in evaluation.description


def test_a_change_is_made_again_by_the_run_that_the_sensor_asks_for(desk: Path, daybook: Run) -> None:
    """In development, where a signed session may be made again: its correlation and what is made of it alone."""
    from pipelines.definitions import defs
    from pipelines.deployments import resources
    from trading.frames import DATASETS

    file = desk / "desk.toml"
    file.write_text(file.read_text().replace('environment = "paper"\n', ""))
    applied(daybook, desk, "to development")
    where = place(desk)
    ports = {"configuration": configurations(where), "frames": frame_store(where), "ledger": ledger(where)}
    with dg.build_sensor_context(resources=ports) as context:
        configuration_changed(context)
        changed(desk, "[features]\ncorrelation_span_weeks = 20")
        (asked,) = configuration_changed(context)
    before = {name: frame_store(where).versions(DATASETS[name])[-1].number for name in frame_store(where).written()}
    assert (asked.job_name, asked.partition_key) == ("recalculate", "2021-03-31")
    job = defs.resolve_job_def(asked.job_name).get_subset(
        asset_selection=set(asked.asset_selection), asset_check_selection=set(asked.asset_check_keys)
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(
            instance=instance, partition_key=asked.partition_key, tags=asked.tags, resources=resources(where)
        )
        assert result.success
    after = {name: frame_store(where).versions(DATASETS[name])[-1].number for name in frame_store(where).written()}
    assert {name for name in after if after[name] != before.get(name)} == {"correlation", "covariance"}
    events = result.get_asset_materialization_events()
    assert {event.asset_key.to_user_string() for event in events} == {"correlation", "covariance"}


def test_what_development_left_is_not_in_force_on_paper(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    """Its snapshot is not shown as if it were, and who expects nothing in force is told which number to give."""
    (tmp_path / "desk.toml").write_text("schema = 2\n")
    assert daybook("config", "apply", "--reason", "first", "--home", tmp_path).code == 0
    (tmp_path / "desk.toml").write_text('schema = 2\nenvironment = "paper"\n')
    found = daybook("config", "status", "--home", tmp_path, "--json").document
    assert [found[name] for name in ("version", "snapshot", "symbols", "live")] == [None, None, None, False]
    words = ("config", "apply", "--reason", "x", "--home", tmp_path, "--expected")
    ended = daybook(*words, "0")
    assert (ended.code, "--expected 1 replaces it" in ended.err) == (2, True), ended.err
    assert daybook(*words, "1").code == 0
