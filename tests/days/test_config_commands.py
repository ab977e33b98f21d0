"""`daybook config`: what files say comes into force with a name and a reason, and goes back; every command as people
and programs type it. Killing an apply is in `test_killed_applies.py`."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines import configuration
from pipelines.configuration_history import compiled_files, ledger_of
from pipelines.in_force import in_force_settings
from pipelines.settings import Place, place, read_section, read_settings
from resources.compiled_files import Follower
from resources.sqlite_ledger import SqliteLedger
from trading.config.ceilings import Ceilings
from trading.config.data import DataSettings, LedgerSettings
from trading.config.operations import OperationSettings
from trading.config.risk import RiskSettings
from trading.config.versions import STREAM
from trading.errors import ConfigError, DaybookError, StaleVersion, UsageError

Run = Callable[..., Any]
LOSS = "risk.max_daily_loss_fraction"
SAMPLES = Path(__file__).parents[1] / "domain" / "schemas"


def write(home: Path, text: str, environment: str = "paper") -> None:
    """The home's own file."""
    home.mkdir(exist_ok=True)
    (home / "desk.toml").write_text(f'schema = 2\nenvironment = "{environment}"\n{text}', encoding="utf-8")


def loss(home: Path, fraction: float, environment: str = "paper") -> None:
    """A home whose files say this much may be lost a day."""
    write(home, f"[risk]\nmax_daily_loss_fraction = {fraction}\n", environment)


def lost(where: Place) -> float:
    """How much may be lost by what is in force."""
    return read_settings(where).risk.max_daily_loss_fraction


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A desk on paper, nothing applied."""
    loss(tmp_path / "home", 0.05)
    return tmp_path / "home"


@pytest.fixture
def three(home: Path) -> Path:
    """A desk with three versions: 0.05, 0.04, 0.03."""
    for fraction in (0.05, 0.04, 0.03):
        loss(home, fraction)
        configuration.apply(place(home), f"{fraction} a day", "ann")
    return home


# --- apply ------------------------------------------------------------------------------------------------------------
def test_files_are_in_force_once_they_are_applied(home: Path, daybook: Run) -> None:
    """On paper, files alone change nothing."""
    with pytest.raises(ConfigError, match=r"no configuration is in force.*daybook config apply --reason"):
        read_settings(place(home))
    first = daybook("config", "apply", "--reason", "a new desk", "--author", "ann", "--home", home, "--json").document
    assert (first["ok"], first["new"], first["number"], first["author"], first["reason"], first["parent"]) == (
        True, True, 1, "ann", "a new desk", None,
    )  # fmt: skip
    assert lost(place(home)) == 0.05
    loss(home, 0.02)
    assert lost(place(home)) == 0.05
    second = daybook("config", "apply", "--reason", "a calm month", "--home", home)
    assert second.code == 0, second.err
    assert f"{LOSS}: 0.05 -> 0.02" in second.out
    assert lost(place(home)) == 0.02


def test_a_version_stands_in_the_journal_and_its_snapshot_on_the_disk(home: Path) -> None:
    """Number, hashes, parent, author, reason, environment, and what changed."""
    where = place(home)
    first = configuration.apply(where, "first", "ann").version
    loss(home, 0.02)
    second = configuration.apply(where, "second", "bob").version
    ledger = SqliteLedger(home / "ledger.sqlite")
    payloads = [dict(entry.event.payload) for entry in ledger.entries(streams=[STREAM])]
    ledger.close()
    assert [payload["number"] for payload in payloads] == [1, 2]
    assert (payloads[1]["author"], payloads[1]["reason"], payloads[1]["environment"]) == ("bob", "second", "paper")
    assert payloads[1]["parent"] == payloads[0]["configuration"] == first.configuration
    assert json.loads(payloads[1]["changes"]) == [{"path": LOSS, "before": 0.05, "after": 0.02}]
    assert second.configuration == read_settings(where).content_hash()
    version = Follower(home / "config").now
    assert (version.number, version.snapshot.content_hash, version.snapshot.configuration_hash) == (
        2, second.snapshot, second.configuration,
    )  # fmt: skip
    assert json.loads(bytes(version.snapshot.section("risk")))["max_daily_loss_fraction"] == 0.02


def test_what_is_in_force_already_is_not_recorded(three: Path, daybook: Run) -> None:
    """And it is said."""
    again = daybook("config", "apply", "--reason", "again", "--home", three)
    assert (again.code, again.out.strip()) == (
        0, "unchanged: the files say what version 3 says, which is in force. Nothing recorded.",
    )  # fmt: skip
    assert daybook("config", "apply", "--reason", "again", "--home", three, "--json").document["new"] is False
    assert len(configuration.history(place(three))) == 3


def test_other_reference_data_is_another_snapshot_of_the_same_configuration(three: Path) -> None:
    """An instrument that is new in the reference data is in force once applied, though no setting changed."""
    before = configuration.in_force(place(three))
    (three / "reference").mkdir()
    (three / "reference" / "instruments.csv").write_text(
        "code,description,exchange_group,currency,point_value_local,tick_points,asset_class,sector,country,"
        "slippage_points,commission_per_contract_local,commission_per_trade_local,commission_fraction,effective_from\n"
        "NEWONE,New,CME,USD,50,0.25,equity,large caps,US,0.125,2.1,0,0,1900-01-01\n"
    )
    done = configuration.apply(place(three), "NEWONE is followed")
    assert (done.new, done.version.number, done.version.changed) == (True, 4, 0)
    assert done.version.configuration == before.configuration
    assert "NEWONE" in compiled_files(place(three)).version().snapshot


def test_the_author_is_who_is_logged_in_unless_given(home: Path) -> None:
    assert configuration.apply(place(home), "why").version.author == getpass.getuser()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--reason", " "], "put in force with a reason"),
        (["--reason", "x", "--author", " "], "by somebody"),
        ([], "Missing option '--reason'"),
    ],
)
def test_nothing_is_applied_without_a_name_and_a_reason(home: Path, daybook: Run, words: list[str], said: str) -> None:
    ended = daybook("config", "apply", "--home", home, *words)
    assert (ended.code, said in ended.err) == (2, True), ended.err
    assert not (home / "ledger.sqlite").exists()


def test_a_mistyped_home_is_refused(tmp_path: Path, daybook: Run) -> None:
    """Rather than made."""
    reading = (["history"], ["status"], ["validate"], ["diff"], ["show"], ["explain", "GOLD", "order_type"], ["watch"])
    for words in (["apply", "--reason", "x"], ["rollback", "1", "--reason", "x"], *reading):
        ended = daybook("config", *words, "--home", tmp_path / "hmoe")
        assert (ended.code, "there is no desk in" in ended.err) == (2, True), ended.err
    assert not (tmp_path / "hmoe").exists()


# --- files that are not read ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["desk.yml", "Desk.toml", "desk.tml", "dekst.toml", "desk.toml.txt", "DESK.YAML"])
def test_a_file_that_looks_like_the_desks_own_and_is_not_read_is_noted(home: Path, daybook: Run, name: str) -> None:
    (home / name).write_text("nothing reads this")
    said = f"{home / name} is not read: settings of a desk are in desk.toml or desk.yaml."
    for words in (["validate"], ["status"], ["apply", "--reason", "x"]):
        notes = daybook("config", *words, "--home", home, "--json").document["notes"]
        assert [note for note in notes if "not read" in note] == [f"{said} Rename it, or take it away."]
    (home / "desk.toml").unlink()
    assert said in daybook("config", "validate", "--home", home).err


@pytest.mark.parametrize(
    "name", ["desk.toml.before-version-3", "desk.schema1.toml", "desk.toml~", "desk.toml.bak", "symbols.csv", "audit"]
)
def test_copies_and_other_files_are_not_noted(home: Path, daybook: Run, name: str) -> None:
    (home / name).write_text("")
    assert daybook("config", "validate", "--home", home, "--json").document["notes"] == []


def test_strategies_that_are_not_read_are_noted(home: Path, daybook: Run) -> None:
    (home / "strategies").mkdir()
    (home / "strategies" / "carry.yaml").write_text("")
    (note,) = daybook("config", "validate", "--home", home, "--json").document["notes"]
    assert f"{home / 'strategies' / 'carry.yaml'} is not read: a strategy is a file NAME.toml." in note


def test_an_emptied_or_lost_desk_file_is_noted(home: Path, daybook: Run) -> None:
    loss(home, 0.05, "development")
    assert daybook("config", "apply", "--reason", "x", "--home", home).code == 0
    for text in ("", "# nothing\n"):
        (home / "desk.toml").write_text(text)
        (note,) = daybook("config", "validate", "--home", home, "--json").document["notes"]
        assert note.startswith(f"{home / 'desk.toml'} is empty, so its settings are only those of the files beneath it")
    (home / "desk.toml").unlink()
    (home / "frames").mkdir()
    (note,) = daybook("config", "status", "--home", home, "--json").document["notes"]
    assert note.startswith(f"there is no desk.toml in {home}")


def test_wrong_files_change_nothing(three: Path, daybook: Run) -> None:
    """Everything that is wrong is said, and what was in force stays."""
    write(three, "[risk]\nmax_daily_loss_fraction = 7\nmax_gross = 1\n")
    ended = daybook("config", "apply", "--reason", "x", "--home", three)
    assert ended.code == 2
    assert "risk.max_daily_loss_fraction is 7" in ended.err
    assert "risk.max_gross is not a setting" in ended.err
    assert (lost(place(three)), len(configuration.history(place(three)))) == (0.03, 3)


def test_a_file_of_schema_1_is_applied_as_it_is(tmp_path: Path) -> None:
    """The sample of schema 1 with only a vendor, in a home."""
    (tmp_path / "desk.toml").write_text((SAMPLES / "1" / "limits_and_broker.toml").read_text())
    configuration.apply(place(tmp_path), "as before")
    assert read_settings(place(tmp_path)).symbols.defaults.order_type == "limit"
    assert lost(place(tmp_path)) == 0.02


# --- two at once ------------------------------------------------------------------------------------------------------
def test_who_expected_another_version_is_refused(three: Path, daybook: Run) -> None:
    """Compare and swap for people: they looked at version 2, and 3 is in force."""
    loss(three, 0.01)
    ended = daybook("config", "apply", "--reason", "x", "--expected", "2", "--home", three, "--json")
    assert (ended.code, ended.document["error"]) == (2, "StaleVersion")
    assert "version 2 was to be replaced, and version 3 is in force" in ended.document["message"]
    assert daybook("config", "apply", "--reason", "x", "--expected", "3", "--home", three).code == 0


def test_of_writers_at_once_exactly_one_wins_and_the_others_are_told_who(three: Path) -> None:
    """Rollbacks and applies of one moment, several times over: each round has one new version."""
    where = place(three)
    for number in range(3, 8):
        loss(three, 0.001 * number)
        newest = configuration.in_force(where)
        others = [v.number for v in configuration.history(where) if v.configuration != newest.configuration]
        jobs: list[Callable[[], Any]] = [
            partial(configuration.apply, where, "files", "ann", expected=number),
            partial(configuration.rollback, where, others[0], "first", "bob", expected=number),
            partial(configuration.rollback, where, others[-1], "second", "cleo", expected=number),
        ]
        won, refused = at_once(jobs)
        assert [done.version.number for done in won] == [number + 1], refused
        assert [type(cause) for cause in refused] == [StaleVersion, StaleVersion]
        assert lost(where) == won[0].version.changes[0].after
    assert [version.number for version in configuration.history(where)] == list(range(1, 9))


def test_a_number_that_was_taken_meanwhile_is_refused_by_the_name_of_who_took_it(three: Path) -> None:
    """The journal decides, whatever was looked at before."""
    where = place(three)
    mine = configuration.in_force(where)._replace(author="bob", reason="mine")
    with pytest.raises(StaleVersion, match=r"^ann put version 3 in force at .* UTC \(0.03 a day\), while yours was"):
        configuration._record(where, LedgerSettings(), mine)
    with pytest.raises(StaleVersion, match=r"^ann put version 3 in force"):
        configuration._record(where, LedgerSettings(), configuration.in_force(where))  # the same to the letter
    assert [version.author for version in configuration.history(where)] == ["ann"] * 3


def at_once(jobs: list[Callable[[], Any]]) -> tuple[list[Any], list[DaybookError]]:
    """What came of things done at one moment, and why others were refused."""
    won: list[Any] = []
    refused: list[DaybookError] = []
    start = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> None:
        start.wait()
        try:
            won.append(job())
        except DaybookError as cause:
            refused.append(cause)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, refused


# --- what a kill leaves -----------------------------------------------------------------------------------------------
def test_whoever_comes_next_moves_a_pointer_on_that_lags_behind_the_journal(three: Path, daybook: Run) -> None:
    """Killed after the journal and before the pointer: the old version is in force until then, whole."""
    pointer = three / "config" / "current"
    old = pointer.read_text()
    loss(three, 0.01)
    configuration.apply(place(three), "the last word")
    new = pointer.read_text()
    pointer.write_text(old)
    assert lost(place(three)) == 0.03
    assert daybook("config", "history", "--home", three, "--json").document["count"] == 4
    assert (pointer.read_text(), lost(place(three))) == (new, 0.01)


def test_followers_who_were_never_told_are_told_by_whoever_comes_next(three: Path) -> None:
    """Killed after the pointer and before the page that they look at."""
    follower = Follower(three / "config")
    assert follower.now.number == 3
    loss(three, 0.01)
    page = (three / "config" / "generation").read_bytes()
    configuration.apply(place(three), "the last word")
    with (three / "config" / "generation").open("r+b") as untold:
        untold.write(page)
    assert lost(place(three)) == 0.01
    assert follower.now.number == 3
    assert configuration.healed(place(three)) is None
    assert follower.now.number == 4


def test_a_pointer_that_cannot_be_read_is_put_right_from_the_journal(three: Path) -> None:
    """And what was there is kept."""
    pointer = three / "config" / "current"
    good = pointer.read_text()
    pointer.write_text("{half")
    with pytest.raises(ConfigError, match="does not say which configuration is in force"):
        read_settings(place(three))
    assert configuration.healed(place(three)).number == 3
    assert json.loads(pointer.read_text()) == json.loads(good)
    assert (three / "config" / "current.damaged").read_text() == "{half"
    assert configuration.healed(place(three)) is None


def test_a_snapshot_that_is_gone_is_compiled_again(three: Path) -> None:
    """It is made of what is kept: document and reference data."""
    where = place(three)
    name = configuration.in_force(where).snapshot
    shutil.rmtree(three / "config" / "snapshots")
    assert configuration.healed(where) is None
    assert compiled_files(where).verify(name).configuration_hash == read_settings(where).content_hash()


def test_a_damaged_document_is_named_and_another_version_or_the_files_take_its_place(three: Path, daybook: Run) -> None:
    """Nothing of it is trusted; the history is there all the same."""
    where = place(three)
    newest = configuration.in_force(where).configuration
    document = three / "config" / "documents" / newest[:2] / newest
    good = document.read_bytes()
    document.write_bytes(good.replace(b"0.03", b"0.30"))
    refused = daybook("config", "show", "--home", three)
    assert (refused.code, f"configuration {newest[:12]} cannot be read" in refused.err) == (2, True), refused.err
    assert daybook("config", "history", "--home", three, "--json").document["count"] == 3
    back = daybook("config", "rollback", "2", "--reason", "the newest is damaged", "--home", three, "--json")
    assert back.code == 0, back.err
    assert lost(where) == 0.04
    assert "cannot be read" in back.document["changes"][0]["text"]
    assert daybook("config", "apply", "--reason", "the files say it still", "--home", three).code == 0
    assert (lost(where), document.read_bytes()) == (0.03, good)


def test_a_home_that_is_ahead_of_its_ledger_is_told_of(three: Path) -> None:
    """Restored from backups of different days: nothing is guessed."""
    (three / "ledger.sqlite").unlink()
    for left in three.glob("ledger.sqlite-*"):
        left.unlink()
    with pytest.raises(ConfigError, match=r"version 3 .* is in force .* its ledger knows none: .* Restore both"):
        configuration.apply(place(three), "x")


# --- rollback ---------------------------------------------------------------------------------------------------------
def test_any_version_of_the_history_can_be_taken_back(three: Path) -> None:
    """As a new version with the old content and a reason of its own."""
    where = place(three)
    hashes = {version.number: version.configuration for version in configuration.history(where)}
    for number, fraction in ((1, 0.05), (3, 0.03), (2, 0.04), (4, 0.05), (5, 0.03)):
        done = configuration.rollback(where, number, f"back to {number}", "bob").version
        assert (done.restores, done.reason, done.author) == (number, f"back to {number}", "bob")
        assert done.configuration == hashes[number]
        assert lost(where) == fraction
        hashes[done.number] = done.configuration
    assert [version.number for version in configuration.history(where)] == list(range(1, 9))


def test_a_rollback_takes_the_table_of_symbols_back_too(home: Path) -> None:
    """Whatever became of the file."""
    where = place(home)
    write(home, '[symbols]\ntable = "symbols.csv"\n')
    for limit in (7, 9):
        (home / "symbols.csv").write_text(f"symbol,max_position_contracts\nCORN,{limit}\n")
        configuration.apply(where, f"{limit} at most")
    assert configuration.history(where)[1].changes[-1].text() == "symbols.table.CORN.max_position_contracts: 7 -> 9"
    (home / "symbols.csv").unlink()
    configuration.rollback(where, 1, "the old table")
    assert read_settings(where).symbol("CORN").max_position_contracts == 7
    assert compiled_files(where).version().snapshot.value("CORN", "max_position_contracts") == 7


def test_what_cannot_be_taken_back_is_said(three: Path, daybook: Run) -> None:
    """No such version, and one that is in force."""
    said = {
        "9": "there is no version 9 of the configuration. There are versions 1 to 3.",
        "3": "version 3 says what version 3 does, which is in force.",
    }
    for number, sentence in said.items():
        ended = daybook("config", "rollback", number, "--reason", "x", "--home", three)
        assert (ended.code, sentence in ended.err) == (2, True), ended.err


def test_in_development_a_version_is_written_back_into_the_files(home: Path, daybook: Run) -> None:
    """Since they are what is in force: settings, strategies and the table; what was there is kept beside."""
    where = place(home)
    (home / "strategies").mkdir()
    strategy = home / "strategies" / "trend.toml"
    shipped = (Path(__file__).parents[2] / "config" / "strategies" / "trend.toml").read_text()
    for number in (1, 2):
        write(home, f'[symbols]\ntable = "t.csv"\n[risk]\nmax_daily_loss_fraction = 0.0{number}\n', "development")
        (home / "t.csv").write_text(f"symbol,max_position_contracts\nCORN,{number}\n")
        strategy.write_text(f"{shipped.replace('Three speeds', f'{number} speeds')}")
        configuration.apply(where, f"version {number}")
    loss(home, 0.03, "development")  # in force, and not recorded yet
    ended = daybook("config", "rollback", "1", "--reason", "as it was", "--home", home, "--json")
    assert ended.code == 0, ended.err
    assert (ended.document["number"], ended.document["restores"]) == (4, 1)
    settings = read_settings(where)
    assert (settings.risk.max_daily_loss_fraction, settings.symbol("CORN").max_position_contracts) == (0.01, 1)
    assert settings.strategies[0].description.startswith("1 speeds")
    history = configuration.history(where)
    assert [version.configuration == history[0].configuration for version in history] == [True, False, False, True]
    assert history[2].changes[0].after == 0.03
    assert "max_daily_loss_fraction = 0.03" in (home / "desk.toml.before-version-4").read_text()
    assert "2 speeds" in (home / "strategies" / "trend.toml.before-version-4").read_text()
    assert configuration.apply(where, "the same").new is False
    (home / "desk.toml").write_text("half a file [")
    configuration.rollback(where, 2, "the files are broken")
    assert read_settings(where).risk.max_daily_loss_fraction == 0.02
    assert (home / "desk.toml.before-version-5").read_text() == "half a file ["


def test_files_that_cannot_say_a_version_stay_as_they_are(home: Path, daybook: Run) -> None:
    """YAML is not written into, and what does not come to the same is undone."""
    loss(home, 0.05, "development")
    configuration.apply(place(home), "first")
    (home / "desk.toml").unlink()
    (home / "desk.yaml").write_text("schema: 2\nrisk:\n  max_daily_loss_fraction: 0.01\n")
    ended = daybook("config", "rollback", "1", "--reason", "x", "--home", home)
    assert (ended.code, "is YAML, which is not written into" in ended.err) == (2, True), ended.err
    assert not (home / "desk.toml").exists()
    assert lost(place(home)) == 0.01
    (home / "desk.yaml").unlink()
    write(home, '[symbols]\ntable = "t.csv"\n', "development")
    (home / "t.csv").write_text("symbol,max_position_contracts\nCORN,7\n")
    with_table = configuration.apply(place(home), "a table").version.number
    loss(home, 0.02, "development")
    (home / "t.csv").unlink()
    configuration.apply(place(home), "none")
    small = replace(place(home), ceilings=Ceilings(table_bytes=10))
    with pytest.raises(UsageError, match=r"cannot be made to say that version: .* Nothing was changed"):
        configuration.rollback(small, with_table, "x")
    assert (lost(place(home)), (home / "t.csv").exists()) == (0.02, False)
    assert not [*home.glob("*before-version*")], "nothing was changed, so nothing is kept beside"


def test_a_rollback_in_development_writes_only_what_the_files_beneath_do_not_say(home: Path) -> None:
    where = place(home)
    for fraction in (0.03, 0.02):
        (home / "desk.toml").write_text(f"schema = 2\n[risk]\nmax_daily_loss_fraction = {fraction}\n")
        configuration.apply(where, "another stop")
    first = configuration.history(where)[-2]
    configuration.rollback(where, first.number, "as it was")
    said = tomllib.loads((home / "desk.toml").read_text())
    assert said == {"schema": 2, "environment": "development", "risk": {"max_daily_loss_fraction": 0.03}}
    assert read_settings(place(home, "services")).data.storage.ledger.store == "mongodb", "its own file still counts"


def test_a_rollback_in_development_that_is_killed_leaves_the_files_whole(home: Path) -> None:
    """Between two files, which are in force: whoever reads them next puts them back."""
    where = place(home)
    for number in (1, 2):
        write(home, f'[symbols]\ntable = "t.csv"\n[risk]\nmax_daily_loss_fraction = 0.0{number}\n', "development")
        (home / "t.csv").write_text(f"symbol,max_position_contracts\nCORN,{number}\n")
        configuration.apply(where, f"version {number}")
    process = os.fork()
    if not process:
        sys.addaudithook(_killing_at(home / "desk.toml"))
        try:
            configuration.rollback(where, 1, "as it was")
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert "CORN,1" in (home / "t.csv").read_text(), "the table was written back already, and desk.toml was not"
    settings = read_settings(where)
    assert (settings.risk.max_daily_loss_fraction, settings.symbol("CORN").max_position_contracts) == (0.02, 2)
    assert not [*home.glob("*before-version*"), *home.glob("*.new"), *home.glob("config/changing.json")]
    assert configuration.rollback(where, 1, "as it was").version.number == 3
    assert read_settings(where).symbol("CORN").max_position_contracts == 1


def _killing_at(file: Path) -> Callable[[str, tuple[Any, ...]], None]:
    """Ends the process when it is about to put that file in place."""

    def watch(event: str, given: tuple[Any, ...]) -> None:
        if event == "os.rename" and str(given[1]) == str(file):
            os.kill(os.getpid(), signal.SIGKILL)

    return watch


@pytest.mark.parametrize(("now", "other"), [("paper", "development"), ("development", "paper")])
def test_no_rollback_leaves_the_environment(home: Path, daybook: Run, now: str, other: str) -> None:
    """Nothing is written: the files say what the desk is of."""
    where = place(home)
    for fraction, environment in ((0.02, other), (0.03, now)):
        loss(home, fraction, environment)
        configuration.apply(where, f"to {environment}")
    text = (home / "desk.toml").read_bytes()
    ended = daybook("config", "rollback", "1", "--reason", "back", "--home", home)
    assert ended.code == 2
    for word in (f"version 1 is of {other}", f"version 2, which is in force, of {now}", "nothing was changed",
                 f'environment = "{other}"', "daybook config apply --reason"):  # fmt: skip
        assert word in ended.err
    assert (home / "desk.toml").read_bytes() == text
    assert not [*home.glob("*before-version*")]
    assert (lost(where), read_settings(where).environment, len(configuration.history(where))) == (0.03, now, 2)


def test_a_rollback_on_paper_leaves_the_files_as_they_are(three: Path, daybook: Run) -> None:
    text = (three / "desk.toml").read_bytes()
    ended = daybook("config", "rollback", "1", "--reason", "back", "--home", three, "--json")
    assert (ended.code, ended.document["notes"]) == (0, [])
    assert ((three / "desk.toml").read_bytes(), lost(place(three))) == (text, 0.05)
    assert not [*three.glob("*before-version*")]


def test_a_rollback_in_development_keeps_modes_and_says_what_it_wrote(home: Path, daybook: Run) -> None:
    """What only its owner may read stays so, and the file has no remark that the next edit makes untrue."""
    for fraction in (0.02, 0.03):
        loss(home, fraction, "development")
        configuration.apply(place(home), "first")
    (home / "desk.toml").chmod(0o600)
    ended = daybook("config", "rollback", "1", "--reason", "back", "--home", home)
    assert ended.code == 0, ended.err
    copy = home / "desk.toml.before-version-3"
    flat = "".join(ended.out.split())
    assert "".join(f"{home / 'desk.toml'} was rewritten; what it said is in {copy}.".split()) in flat
    assert [oct(file.stat().st_mode & 0o777) for file in (home / "desk.toml", copy)] == ["0o600", "0o600"]
    assert "0.03" in copy.read_text()
    assert "#" not in (home / "desk.toml").read_text()


# --- a home that lost its folder config -------------------------------------------------------------------------------
@pytest.mark.parametrize("fraction", [0.03, 0.02])
def test_what_files_say_is_put_in_force_where_the_home_lost_the_rest(
    three: Path, daybook: Run, fraction: float
) -> None:
    """As a version after the last of the journal: whether they say what the lost one did, or not."""
    before = configuration.history(place(three))[-1]
    shutil.rmtree(three / "config")
    loss(three, fraction)
    told = daybook("config", "status", "--home", three, "--json")
    assert (told.code, told.document["versions"]) == (1, 3)
    said = " ".join(each["message"] for each in told.document["findings"] if each["gravity"] == "error")
    assert "version 3 of the configuration, of paper, was put in force" in said
    assert "daybook config apply --reason" in said
    assert "nothing was ever applied" not in said
    assert daybook("config", "history", "--home", three, "--json").document["count"] == 3
    ended = daybook("config", "apply", "--reason", "heal", "--home", three, "--json")
    assert ended.code == 0, ended.err
    found = ended.document
    assert (found["new"], found["number"], found["parent"]) == (True, 4, before.configuration)
    changes = [change["text"] for change in found["changes"]]
    unknown = ["the configuration before: cannot be read -> what changed is unknown"]
    assert changes == ([] if fraction == 0.03 else unknown)
    assert lost(place(three)) == fraction
    status = daybook("config", "status", "--home", three, "--json")
    assert (status.code, status.document["version"], status.document["findings"]) == (0, 4, [])
    assert daybook("config", "apply", "--reason", "again", "--home", three, "--json").document["new"] is False


def test_no_run_takes_a_lost_configuration_of_paper_out_of_force(three: Path) -> None:
    """Files that say development do not come into force because the folder is gone."""
    shutil.rmtree(three / "config")
    loss(three, 0.01, "development")
    with pytest.raises(ConfigError, match="version 3 of the configuration, of paper, was put in force"):
        configuration.recorded(place(three))


def test_a_run_in_development_goes_on_where_the_folder_was_lost(home: Path) -> None:
    loss(home, 0.05, "development")
    configuration.apply(place(home), "first")
    shutil.rmtree(home / "config")
    assert configuration.recorded(place(home)).version.number == 2
    assert not configuration.recorded(place(home)).new


# --- development ------------------------------------------------------------------------------------------------------
def test_in_development_files_are_in_force_at_once_and_recorded_by_runs(home: Path) -> None:
    """Each version once."""
    where = place(home)
    loss(home, 0.05, "development")
    assert lost(where) == 0.05
    assert configuration.recorded(where).new
    assert not configuration.recorded(where).new
    loss(home, 0.04, "development")
    assert lost(where) == 0.04
    assert configuration.recorded(where).version.changes[0].text() == f"{LOSS}: 0.05 -> 0.04"


LOSSES: dict[str, Callable[[Path], object]] = {  # of the pointer
    "none": lambda config: None,
    "lost": lambda config: (config / "current").unlink(),
    "damaged": lambda config: (config / "current").write_text("{half"),
    "both damaged": lambda config: [(config / name).write_text("[" * 5000) for name in ("current", "pointed")],
}


@pytest.mark.parametrize("loss_of", LOSSES)
def test_no_run_takes_paper_out_of_force(three: Path, loss_of: str) -> None:
    """Files that say development change nothing by themselves, whatever became of the pointer."""
    where = place(three)
    loss(three, 0.01, "development")
    LOSSES[loss_of](three / "config")
    if loss_of != "none":
        for read in (read_settings, in_force_settings, lambda where: read_section(where, OperationSettings)):
            with pytest.raises(ConfigError, match="`daybook config status`, which puts it right"):
                read(where)
    assert configuration.recorded(where) is None
    assert (lost(where), len(configuration.history(where))) == (0.03, 3)
    assert read_section(where, RiskSettings).max_daily_loss_fraction == 0.03


def test_no_run_takes_out_of_force_what_was_recorded_and_not_pointed_at(home: Path) -> None:
    """Killed after the journal: the version of paper that it has comes before files that say development."""
    where = place(home)
    loss(home, 0.05, "development")
    configuration.apply(where, "first")
    pointer = home / "config" / "current"
    old = pointer.read_text()
    loss(home, 0.03)
    configuration.apply(where, "on paper")
    pointer.write_text(old)
    loss(home, 0.01, "development")
    assert configuration.recorded(where) is None
    assert (lost(where), len(configuration.history(where))) == (0.03, 2)


def test_a_lost_pointer_is_looked_for_in_the_ledger_of_then(three: Path, mongo_database: str) -> None:
    """Not in the one that files name."""
    where = replace(place(three), mongodb_uri=mongo_database)
    (three / "config" / "current").unlink()
    write(three, MONGO, "development")
    assert configuration.recorded(where) is None
    assert (lost(where), numbers(where, "mongodb")) == (0.03, [])


def test_a_lost_pointer_without_its_journal_is_told(three: Path) -> None:
    """Nothing is guessed."""
    (three / "config" / "current").unlink()
    for left in three.glob("ledger.sqlite*"):
        left.unlink()
    loss(three, 0.01, "development")
    with pytest.raises(ConfigError, match=r"version 3 .* is in force .* its ledger knows none"):
        configuration.recorded(place(three))


def test_a_damaged_pointer_stays_until_another_takes_its_place(three: Path) -> None:
    """A ledger that does not answer, or a kill, must not leave a home without one."""
    (three / "config" / "current").write_text("{half")
    (three / "ledger.sqlite").write_bytes(b"no database " * 100)
    for left in three.glob("ledger.sqlite-*"):
        left.unlink()
    with pytest.raises(DaybookError):
        configuration.healed(place(three))
    assert (three / "config" / "current").read_text() == "{half"


@pytest.mark.parametrize("lose", ["gone", "of another Daybook"])
def test_a_section_is_never_read_out_of_files_that_are_not_in_force(three: Path, lose: str) -> None:
    """Its snapshot cannot be opened: then its document is."""
    write(three, "[operations.runs]\nwait_seconds = 3.0\n")
    configuration.apply(place(three), "soon")
    write(three, "[operations.runs]\nwait_seconds = 4.0\n", "development")
    for snapshot in (three / "config" / "snapshots").iterdir():
        content = snapshot.read_bytes()
        snapshot.unlink()
        if lose != "gone":
            snapshot.write_bytes(content[:40] + b"\0" + content[41:])
    assert read_section(place(three), OperationSettings).runs.wait_seconds == 3.0
    assert read_settings(place(three)).operations.runs.wait_seconds == 3.0


# --- ceilings ---------------------------------------------------------------------------------------------------------
def test_a_raised_ceiling_holds_for_what_was_applied_too(
    three: Path, daybook: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And lowered again it is a sentence that says so, until a configuration below it is applied."""
    monkeypatch.setenv("DAYBOOK_MAX_CONNECTIONS", "5000")
    write(three, "[data.storage.ledger]\nmax_connections = 2000\n")
    for words in (["apply", "--reason", "many"], ["apply", "--reason", "again"], ["status"], ["show"], ["diff"]):
        ended = daybook("config", *words, "--home", three)
        assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
    monkeypatch.delenv("DAYBOOK_MAX_CONNECTIONS")
    for asked in (["show"], ["show", "--version", "4"], ["diff", "4", "files"]):
        ended = daybook("config", *asked, "--home", three)
        assert (ended.code, "2,000 is above the ceiling of 1,000 connections" in ended.err) == (2, True), ended.err
    with pytest.raises(ConfigError, match=r"above the ceiling of 1,000 connections.*DAYBOOK_MAX_CONNECTIONS"):
        read_section(place(three), DataSettings)
    told = daybook("config", "status", "--home", three, "--json")
    assert (told.code, "above the ceiling" in str(told.document["findings"])) == (1, True), told.err
    loss(three, 0.01)
    assert daybook("config", "apply", "--reason", "few", "--home", three).code == 0
    assert lost(place(three)) == 0.01


# --- the ledger itself ------------------------------------------------------------------------------------------------
MONGO = '[data.storage.ledger]\nstore = "mongodb"\n'


def test_a_history_moves_along_when_the_ledger_does(three: Path, mongo_database: str) -> None:
    """The ledger of before decides who is first and has the version that leaves it; the new one has all of them."""
    where = replace(place(three), mongodb_uri=mongo_database)
    write(three, MONGO)
    configuration.apply(where, "to the server")
    loss(three, 0.01)
    write(three, f"{MONGO}[risk]\nmax_daily_loss_fraction = 0.01\n")
    configuration.apply(where, "less risk there")
    assert [version.number for version in configuration.history(where)] == [1, 2, 3, 4, 5]
    assert numbers(where, "sqlite") == [1, 2, 3, 4]
    configuration.rollback(where, 3, "and home again")
    assert numbers(where, "sqlite") == numbers(where, "mongodb") == [1, 2, 3, 4, 5, 6]
    assert lost(where) == 0.03


def test_a_kill_before_the_history_was_carried_over_is_healed(three: Path, mongo_database: str) -> None:
    """The old ledger knows of the move, the new one nothing yet."""
    where = replace(place(three), mongodb_uri=mongo_database)
    pointer = three / "config" / "current"
    old = pointer.read_text()
    write(three, MONGO)
    configuration.apply(where, "to the server")
    ledger_of(where, LedgerSettings(store="mongodb")).close()  # type: ignore[attr-defined]
    from pymongo import MongoClient

    with MongoClient(mongo_database) as client:
        client.drop_database(client.get_default_database().name)
    pointer.write_text(old)
    assert configuration.healed(where).number == 4
    assert numbers(where, "mongodb") == [1, 2, 3, 4]


def test_another_desks_ledger_is_refused(three: Path, tmp_path: Path, mongo_database: str) -> None:
    """Its history is not ours: nothing is recorded anywhere."""
    other = tmp_path / "other"
    write(other, MONGO)
    configuration.apply(replace(place(other), mongodb_uri=mongo_database), "another desk")
    where = replace(place(three), mongodb_uri=mongo_database)
    write(three, MONGO)
    with pytest.raises(ConfigError, match="has another history of configurations"):
        configuration.apply(where, "to the server")
    assert (numbers(where, "sqlite"), numbers(where, "mongodb")) == ([1, 2, 3], [1])


def numbers(where: Place, store: str) -> list[object]:
    """Versions that a ledger knows."""
    book = ledger_of(where, LedgerSettings.model_validate({"store": store}))
    found = [entry.event.payload["number"] for entry in book.entries(streams=[STREAM])]
    book.close()  # type: ignore[attr-defined]
    return found


# --- validate ---------------------------------------------------------------------------------------------------------
def test_everything_that_is_wrong_is_said_at_once(home: Path, daybook: Run) -> None:
    """Settings with their lines, strategies each, and no more than there is."""
    (home / "strategies").mkdir()
    (home / "strategies" / "odd.toml").write_text("rules = 5\n")
    write(
        home,
        '[risk]\nmax_daily_loss_fraction = "much"\nmax_gross = 1\n[trading]\nstrategies = ["odd", "trnd", "trend"]\n'
        "[trading.capital]\ncapital_base = -1\n",
    )
    ended = daybook("config", "validate", "--home", home, "--json")
    found = ended.document
    assert (ended.code, found["ok"], found["count"]) == (2, False, 5)
    text = "\n".join(found["faults"])
    for words in (
        "risk.max_daily_loss_fraction is 'much'", "risk.max_gross is not a setting", "desk.toml:4: risk.max_daily",
        "trading.capital.capital_base is -1", "odd.toml", "strategy trnd is unknown. Did you mean trend?",
    ):  # fmt: skip
        assert words in text
    for_people = daybook("config", "validate", "--home", home)
    assert (for_people.code, "5 faults" in for_people.out) == (2, True)


def test_every_file_that_cannot_be_read_is_named(home: Path, daybook: Run) -> None:
    """A newer schema here, and it says so."""
    (home / "desk.toml").write_text("schema = 3\n")
    found = daybook("config", "validate", "--home", home, "--json").document
    (fault,) = found["faults"]
    assert "schema 3 is newer than this Daybook reads" in fault
    (home / "desk.yaml").write_text("schema: 2\n")
    (fault,) = daybook("config", "validate", "--home", home, "--json").document["faults"]
    assert "both exist" in fault


def test_faults_of_the_table_are_found_where_settings_are_right(home: Path, daybook: Run) -> None:
    """Each cell."""
    write(home, '[symbols]\ntable = "symbols.csv"\n')
    (home / "symbols.csv").write_text("symbol,max_position_contracts\nCORN,-5\nUS10,many\n")
    ended = daybook("config", "validate", "--home", home)
    assert ended.code == 2
    assert "line 2, max_position_contracts is -5" in ended.out.replace("'", "")
    assert "line 3, max_position_contracts is many" in ended.out.replace("'", "")


def test_right_files_are_said_to_be_right(home: Path, daybook: Run) -> None:
    """With what they come to, and a note on what does nothing."""
    write(home, "[symbols.asset_classes.nothing]\nmax_position_contracts = 5\n")
    found = daybook("config", "validate", "--home", home, "--json").document
    assert (found["ok"], found["environment"], found["strategies"], found["count"]) == (True, "paper", ["trend"], 0)
    assert any("nothing" in note for note in found["notes"])
    assert "the files are right" in daybook("config", "validate", "--home", home).out


# --- reading ----------------------------------------------------------------------------------------------------------
def test_versions_and_files_are_compared(three: Path, daybook: Run) -> None:
    """By number, or by word; without words, what an apply would change."""
    loss(three, 0.01)
    asked = {
        (): (0.03, 0.01), ("1",): (0.05, 0.01), ("1", "2"): (0.05, 0.04), ("2", "1"): (0.04, 0.05),
        ("files", "2"): (0.01, 0.04), ("applied", "1"): (0.03, 0.05),
    }  # fmt: skip
    for words, (before, after) in asked.items():
        found = daybook("config", "diff", *words, "--home", three, "--json").document
        assert found["changes"] == [
            {"path": LOSS, "before": before, "after": after, "kind": "changed", "text": f"{LOSS}: {before} -> {after}"}
        ], words
    assert daybook("config", "diff", "3", "3", "--home", three).out.strip() == "no setting differs"
    wrong = daybook("config", "diff", "yesterday", "--home", three)
    assert (wrong.code, "names no configuration" in wrong.err) == (2, True)


def test_the_history_says_who_when_why_and_what(three: Path, daybook: Run) -> None:
    """For people a table, for programs every field."""
    rows = daybook("config", "history", "--home", three, "--json").document["rows"]
    assert [(row["number"], row["author"], row["reason"], row["changed"]) for row in rows] == [
        (1, "ann", "0.05 a day", 0), (2, "ann", "0.04 a day", 1), (3, "ann", "0.03 a day", 1),
    ]  # fmt: skip
    assert [row["parent"] for row in rows[1:]] == [row["configuration"] for row in rows[:2]]
    assert rows[2]["changes"][0]["text"] == f"{LOSS}: 0.04 -> 0.03"
    last = daybook("config", "history", "--last", "1", "--changes", "--home", three)
    assert "0.03 a day" in last.out
    assert "0.04 a day" not in last.out
    assert f"{LOSS}: 0.04 -> 0.03" in last.out


def test_nothing_applied_is_said(home: Path, daybook: Run) -> None:
    assert "nothing was applied yet" in daybook("config", "history", "--home", home).out
    assert "nothing was applied yet" in daybook("config", "diff", "--home", home).err
    assert not (home / "ledger.sqlite").exists()


def test_a_configuration_that_is_shown_is_a_file_that_says_it(three: Path, tmp_path: Path, daybook: Run) -> None:
    """Version 2 as TOML, put into another home, is version 2."""
    text = daybook("config", "show", "--version", "2", "--home", three).out
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "desk.toml").write_text(text)
    copy = daybook("config", "validate", "--home", tmp_path / "other", "--json").document
    assert copy["configuration"] == configuration.history(place(three))[1].configuration


def test_sections_are_shown_of_what_is_in_force_of_a_version_and_of_files(three: Path, daybook: Run) -> None:
    loss(three, 0.01)
    for words, fraction in (([], 0.03), (["--version", "1"], 0.05), (["--version", "files"], 0.01)):
        found = daybook("config", "show", "risk", "data.prices", *words, "--home", three, "--json").document
        assert set(found["settings"]) == {"risk", "data.prices"}
        assert found["settings"]["risk"]["max_daily_loss_fraction"] == fraction
    shown = daybook("config", "show", "risk", "--home", three).out
    assert "[risk]\n" in shown
    assert "max_daily_loss_fraction = 0.03" in shown
    assert daybook("config", "show", "strategies.trend.rules", "--home", three).code == 0
    wrong = daybook("config", "show", "riks", "--home", three)
    assert (wrong.code, "Did you mean risk?" in wrong.err) == (2, True)


def test_no_secret_is_shown(home: Path, daybook: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what it refers to."""
    monkeypatch.setenv("HOOK", "https://hooks.example.org/s3cret")
    write(home, '[operations.notifier]\nwebhook = { env = "HOOK" }\n')
    assert daybook("config", "apply", "--reason", "told by a hook", "--home", home).code == 0
    out = [daybook("config", *words, "--home", home).out for words in (["show"], ["history", "--changes"], ["status"])]
    assert 'env = "HOOK"' in out[0]
    assert "s3cret" not in "".join(out)


def test_where_a_value_comes_from(home: Path, daybook: Run) -> None:
    """Defaults, class, group, strategy, table and the symbol itself; the last that says something counts."""
    write(
        home,
        '[symbols]\ntable = "symbols.csv"\n[symbols.asset_classes.agriculture]\nmax_position_contracts = 50\n'
        "[symbols.strategies.trend]\nmax_position_contracts = 40\n[symbols.symbols.GOLD]\nmax_position_contracts = 3\n",
    )
    (home / "symbols.csv").write_text("symbol,max_position_contracts\nUS10,20\n")
    configuration.apply(place(home), "first")

    def value(symbol: str, *words: str) -> tuple[object, str, str]:
        found = daybook(
            "config", "explain", symbol, "max_position_contracts", *words, "--home", home, "--json"
        ).document
        (origin,) = (each for each in found["origins"] if each["in_force"])
        return found["value"], origin["level"], origin["name"]

    assert value("NASDAQ") == (500, "defaults", "defaults")
    assert value("CORN") == (50, "asset_class", "agriculture")
    assert value("CORN", "--strategy", "trend") == (40, "strategy", "trend")
    assert value("US10") == (20, "symbol", "US10, line 2 of symbols.csv")
    assert value("GOLD", "--strategy", "trend") == (3, "symbol", "GOLD")
    (home / "symbols.csv").write_text("symbol,max_position_contracts\nUS10,25\n")
    assert value("US10")[0] == 20
    assert value("US10", "--version", "files")[0] == 25
    for words, said in (
        (["CRON", "max_position_contracts"], "CORN"),
        (["CORN", "max_position_contract"], "max_position_contracts"),
        (["CORN", "max_position_contracts", "--strategy", "trnd"], "trend"),
    ):
        wrong = daybook("config", "explain", *words, "--home", home)
        assert (wrong.code, f"Did you mean {said}?" in wrong.err) == (2, True), wrong.err


def test_the_schema_of_files_for_editors(tmp_path: Path, daybook: Run) -> None:
    """Printed, or written to a file."""
    printed = json.loads(daybook("config", "schema").out)
    assert "trading" in printed["properties"]
    assert daybook("config", "schema", "strategy", "--out", tmp_path / "strategy.json").code == 0
    written = json.loads((tmp_path / "strategy.json").read_text())
    assert "rules" in written["properties"]
    assert daybook("config", "schema", "strategy", "--json").document["schema"] == written


def test_the_status_says_what_is_in_force(three: Path, daybook: Run) -> None:
    """And the files that say something else."""
    ended = daybook("config", "status", "--home", three, "--json")
    assert (ended.code, ended.document["version"], ended.document["reason"]) == (0, 3, "0.03 a day")
    loss(three, 0.01)
    assert daybook("config", "status", "--home", three, "--json").document["drift"] is True


# --- around it --------------------------------------------------------------------------------------------------------
def test_a_backup_holds_the_configuration_and_its_history(three: Path, tmp_path: Path, daybook: Run) -> None:
    """Restored, the same is in force, and any version can be taken back."""
    write(three, '[symbols]\ntable = "symbols.csv"\n')
    (three / "symbols.csv").write_text("symbol,max_position_contracts\nCORN,7\n")
    done = configuration.apply(place(three), "a table")
    configuration.rollback(place(three), 2, "back")
    taken = daybook("backup", "--home", three, "--json")
    assert taken.code == 0, taken.err
    restored = daybook("restore", "latest", "--into", tmp_path / "again", "--home", three)
    assert restored.code == 0, restored.err
    again = place(tmp_path / "again")
    assert lost(again) == 0.04
    assert configuration.history(again) == configuration.history(place(three))
    configuration.rollback(again, done.version.number, "the table")
    assert read_settings(again).symbol("CORN").max_position_contracts == 7
    assert configuration.apply(again, "the same files").new is False


def test_watching_puts_saved_files_in_force_in_development(home: Path, root: Path) -> None:
    """The command itself, in a process of its own, until Ctrl-C."""
    loss(home, 0.05, "development")
    words = [sys.executable, "-m", "pipelines.cli", "config", "watch", "--home", str(home), "--json"]
    process = subprocess.Popen(words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: len(configuration.history(place(home))) == 1)
        loss(home, 0.02, "development")
        assert process.stderr is not None
        said = next(line for line in process.stderr if f"{LOSS}: 0.05 -> 0.02" in line)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, json.loads(out)["watched"]) == (0, str(home)), said + err
    assert configuration.history(place(home))[1].author == getpass.getuser()


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Waits for something to become true."""
    pause, end = threading.Event(), time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        pause.wait(0.05)
