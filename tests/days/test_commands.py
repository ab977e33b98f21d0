"""The command line: help, exit codes, where options may stand, JSON documents, files, defaults.

Belongs here: how commands behave. Does not belong here: what they compute.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest

from pipelines.cli import main

Run = Callable[..., Any]
LOOKING = ("volatility", "correlation", "positions", "pnl", "breaks", "violations")
# A call of every command that ends quickly and well on a closed desk.
GOOD = {
    "status": [],
    "prices": ["CORN", "--since", "2021-03-29"],
    "sql": ["select 1 as one"],
    "audit": ["verify"],
    "runs": [],
    "overrides": [],
    "override": ["--step", "marked", "--session", "2021-03-30", "--reason", "a rehearsal"],
    **{name: [] for name in LOOKING},
}
# A call of every command that must end with an error, on a home that holds nothing.
WRONG = {
    "demo": ["--sessions", "0"],
    "load": ["--vendor", "pysystemtrade"],
    "close": ["--session", "2021-03-27"],
    "backfill": ["--from", "2021-03-30", "--to", "2021-03-29"],
    "backtest": ["astrology"],
    "restore": ["yesterday", "--into", "nowhere"],
    "status": [],
    "quality": [],
    "backup": [],
    "prices": ["CORN"],
    "sql": ["select * from nowhere"],
    "audit": ["verify"],
    "runs": [],
    "overrides": [],
    "override": ["--step", "marked", "--session", "2021-03-30", "--reason", "a rehearsal"],
    **{name: [] for name in LOOKING},
}
NO_ERROR_ON_NOTHING = {"violations"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, loaded_two: Path, daybook: Run) -> Path:
    """Two instruments, the 29th and 30th of March 2021 closed. Not to be changed."""
    import shutil

    home = tmp_path_factory.mktemp("closed") / "home"
    shutil.copytree(loaded_two, home)
    ended = daybook("backfill", "--home", home, "--from", "2021-03-29", "--to", "2021-03-30")
    assert ended.code == 0, ended.err
    return home


def every(group: click.Group, prefix: str = "") -> dict[str, click.Command]:
    """Every command by its words, those of groups too."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        inner = every(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {f"{prefix}{name}": command}
        found |= inner
    return found


@pytest.mark.parametrize("name", sorted(every(main)))
def test_help(name: str, daybook: Run) -> None:
    for flag in ("--help", "-h"):
        ended = daybook(*name.split(), flag)
        assert ended.code == 0
        assert ended.out.startswith(f"Usage: main {name} ")
        for option in ("--json", "--home", "--deployment"):
            assert option in ended.out
    command = every(main)[name]
    undocumented = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert not undocumented, f"say what {undocumented} of `daybook {name}` does"


def test_help_lists_every_command_with_a_word_on_it(daybook: Run) -> None:
    ended = daybook("--help")
    assert ended.code == 0
    listed = ended.out.split("Commands:")[1].splitlines()
    assert [line.split()[0] for line in listed if line.strip()] == sorted(main.commands)
    assert all(len(line.split()) > 3 for line in listed if line.strip())
    assert daybook("--version").code == 0


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("place", ["before", "after"])
def test_one_json_document(name: str, place: str, closed: Path, daybook: Run) -> None:
    common = ["--home", closed, "--deployment", "local", "--json"]
    words = [*common, name, *GOOD[name]] if place == "before" else [name, *GOOD[name], *common]
    ended = daybook(*words)
    assert ended.code == 0, ended.err
    assert ended.document["ok"] is True
    assert ended.out.count("\n") == 1
    if name in LOOKING:
        assert ended.document["session"] == "2021-03-30"
        assert ended.document["count"] == len(ended.document["rows"])


@pytest.mark.parametrize("name", sorted(set(WRONG) - NO_ERROR_ON_NOTHING))
def test_one_json_document_on_errors_too(name: str, tmp_path: Path, daybook: Run) -> None:
    ended = daybook(name, *WRONG[name], "--home", tmp_path / "home", "--json")
    assert ended.code == (1 if name == "restore" else 2), ended
    assert name in ("demo", "load") or not any(tmp_path.iterdir()), "a home that was mistyped is not made"
    document = ended.document
    assert document["ok"] is False
    assert document["exit_code"] == ended.code
    assert document["message"].rstrip()[-1] in ".)"
    assert f"daybook: {document['message']}" in ended.err


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"], ["close", "--session", "tomorrow"], ["load", "--vendor", "oracle"], ["prices"], ["sql"],
        ["close", "--nope"], ["status", "--deployment", "moon"], ["restore", "latest"],
        ["prices", "CORN", "--kind", "weekly"],
    ],
)  # fmt: skip
def test_wrong_usage_is_2_and_json_where_asked(words: list[str], tmp_path: Path, daybook: Run) -> None:
    plain = daybook(*words)
    assert (plain.code, plain.out) == (2, "")
    assert "Usage:" in plain.err
    asked = daybook(*words, "--json")
    assert asked.code == 2
    assert asked.document["ok"] is False
    assert asked.document["message"]
    assert daybook("--json", *words).document["exit_code"] == 2


def test_without_json_results_go_to_stdout_and_the_rest_to_stderr(closed: Path, daybook: Run) -> None:
    ended = daybook("positions", "--home", closed)
    assert "positions on 2021-03-30" in ended.out
    assert ended.err == ""
    ended = daybook("positions", "--home", closed, "--session", "2021-03-26")
    assert (ended.code, ended.out) == (2, "")
    assert "2021-03-26 is not closed" in ended.err
    assert "daybook close --session 2021-03-26" in ended.err


# --- where the desk is ------------------------------------------------------------------------------------------------
def test_home_and_deployment_from_the_environment(closed: Path, daybook: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBOOK_HOME", str(closed))
    assert daybook("status", "--json").document["home"] == str(closed)
    monkeypatch.setenv("DAYBOOK_DEPLOYMENT", "moon")
    ended = daybook("status")
    assert ended.code == 2
    assert "deployment 'moon' is unknown. Choose one of: local, services" in ended.err
    assert daybook("status", "--deployment", "local").code == 0


def test_an_option_given_beats_the_environment(
    closed: Path, tmp_path: Path, daybook: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAYBOOK_HOME", str(tmp_path / "elsewhere"))
    assert daybook("status", "--home", closed, "--json").document["home"] == str(closed)
    assert daybook("--home", closed, "status", "--json").document["home"] == str(closed)


def test_services_need_their_addresses(closed: Path, daybook: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, value in (("MONGODB_URI", "mongodb://127.0.0.1:1/daybook"), ("REDIS_URL", "")):
        monkeypatch.delenv(address, raising=False)
        ended = daybook("status", "--home", closed, "--deployment", "services")
        assert ended.code == 2
        assert address in ended.err
        monkeypatch.setenv(address, value)


def test_status_of_a_desk_that_holds_nothing_yet(tmp_path: Path, daybook: Run) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "desk.toml").write_text("schema = 2\n")
    found = daybook("status", "--home", home, "--json").document
    assert (found["vendor"], found["sessions_closed"], found["last_closed"]) == ("simulated", 0, None)
    assert found["datasets"] == []
    assert daybook("status", "--home", home).code == 0


@pytest.mark.parametrize("command", ["status", "quality", "backup"])
def test_a_home_that_was_mistyped_is_said_and_not_made(command: str, tmp_path: Path, daybook: Run) -> None:
    ended = daybook(command, "--home", tmp_path / "hoem")
    assert (ended.code, f"there is no desk in {tmp_path / 'hoem'}" in ended.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


# --- prices -----------------------------------------------------------------------------------------------------------
KINDS = {
    ("two", "adjusted"): ("CORN", 63, {"instrument", "stamp", "session", "price"}),
    ("two", "multiple"): ("CORN", 63, {"price", "price_contract", "carry", "forward"}),
    ("two", "daily"): ("CORN", 63, {"session", "price", "price_contract"}),
    ("two", "intraday"): ("CORN", 0, set()),
    ("spring", "adjusted"): ("GOLD", None, {"instrument", "stamp", "session", "price"}),
    ("spring", "multiple"): ("GOLD", None, {"price", "price_contract", "carry", "forward"}),
    ("spring", "daily"): ("GOLD", None, {"contract", "open", "close", "volume"}),
    ("spring", "intraday"): ("GOLD", 0, set()),  # it has hours from 2022 on
}


@pytest.mark.parametrize(("vendor", "kind"), KINDS)
def test_prices_of_every_kind(vendor: str, kind: str, closed: Path, spring: Path, daybook: Run) -> None:
    code, count, columns = KINDS[vendor, kind]
    home = closed if vendor == "two" else spring
    ended = daybook("prices", code, "--kind", kind, "--home", home, "--json")
    assert ended.code == 0, ended.err
    rows = ended.document["rows"]
    assert columns <= (rows[0].keys() if rows else set())
    if count is not None:
        assert len(rows) == count
    else:
        assert len(rows) >= 500
    assert daybook("prices", code, "--kind", kind, "--home", home).code == 0


def test_prices_of_the_day_by_the_hour(tmp_path: Path, daybook: Run) -> None:
    words = ("--vendor", "simulated", "--instruments", "GOLD", "--since", "2022-02-01", "--until", "2022-02-04")
    assert daybook("load", "--home", tmp_path / "home", *words).code == 0
    rows = daybook("prices", "GOLD", "--kind", "intraday", "--home", tmp_path / "home", "--json").document["rows"]
    assert len(rows) == 4 * 7
    assert {row["frequency"] for row in rows} == {"intraday"}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_prices_into_a_file(suffix: str, closed: Path, tmp_path: Path, daybook: Run) -> None:
    out = tmp_path / f"corn{suffix}"
    span = ("--since", "2021-02-01", "--until", "2021-02-26")
    ended = daybook("prices", "CORN", "--kind", "multiple", *span, "--home", closed, "--out", out, "--json")
    assert (ended.code, ended.document["count"]) == (0, 20)
    assert "rows" not in ended.document
    found = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    printed = daybook("prices", "CORN", "--kind", "multiple", *span, "--home", closed, "--json").document["rows"]
    assert found["price"].tolist() == [row["price"] for row in printed]
    assert pd.to_datetime(found["stamp"]).dt.strftime("%Y-%m-%d %H:%M:%S").tolist() == [row["stamp"] for row in printed]
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("name", ["corn.xlsx", "missing_folder/corn.csv", "corn"])
def test_a_file_that_cannot_be_written(name: str, closed: Path, tmp_path: Path, daybook: Run) -> None:
    ended = daybook("prices", "CORN", "--home", closed, "--out", tmp_path / name)
    assert ended.code == 2
    assert str(tmp_path / name) in ended.err
    assert not list(tmp_path.iterdir())


def test_an_instrument_nobody_holds(closed: Path, daybook: Run) -> None:
    ended = daybook("prices", "COCOA", "--home", closed)
    assert ended.code == 2
    assert "COCOA" in ended.err
    assert "Did you mean BUND or CORN?" in ended.err


# --- sql, sessions, snapshots -----------------------------------------------------------------------------------------
def test_sql_as_of(closed: Path, daybook: Run) -> None:
    query = "select count(*) n from daily_prices"
    now = daybook("sql", query, "--home", closed, "--as-of", "2100-01-01T00:00:00+00:00", "--json")
    assert now.document["rows"] == [{"n": 126}]
    early = daybook("sql", query, "--home", closed, "--as-of", "2001-01-01T00:00:00+00:00", "--json")
    assert early.code == 2
    assert "daily_prices" in early.document["message"]
    wrong = daybook("sql", query, "--home", closed, "--as-of", "yesterday")
    assert wrong.code == 2
    assert "--as-of 'yesterday' is not an instant. Write it like" in wrong.err


def test_what_json_has_no_word_for(closed: Path, daybook: Run) -> None:
    query = (
        "select 'inf'::double as high, 'nan'::double as none, null as nothing, date '2021-03-30' as day, 0.1::double x"
    )
    row = daybook("sql", query, "--home", closed, "--json").document["rows"][0]
    assert row == {"high": "inf", "none": None, "nothing": None, "day": "2021-03-30", "x": 0.1}


def test_the_session_without_saying_is_the_latest_closed(closed: Path, daybook: Run) -> None:
    for name in LOOKING:
        said = daybook(name, "--home", closed, "--session", "2021-03-30", "--json").document
        assert daybook(name, "--home", closed, "--json").document == said
    earlier = daybook("pnl", "--home", closed, "--session", "2021-03-29", "--json").document
    assert earlier["session"] == "2021-03-29"


def test_a_snapshot_that_is_not_there(closed: Path, tmp_path: Path, daybook: Run) -> None:
    ended = daybook("restore", "latest", "--into", tmp_path / "new", "--home", closed)
    assert ended.code == 1
    assert "there are no snapshots" in ended.err
    assert "DAYBOOK_BACKUPS" in ended.err
    taken = daybook("backup", "--home", closed, "--json")
    assert taken.code == 0, taken.err
    ended = daybook("restore", "1999-01-01", "--into", tmp_path / "new", "--home", closed)
    assert ended.code in (1, 2)
    assert "1999-01-01" in ended.err
    assert not (tmp_path / "new").exists()
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    ended = daybook("restore", "latest", "--into", full, "--home", closed, "--json")
    assert ended.code == 2
    assert "is not empty" in ended.document["message"]
    assert [file.name for file in full.iterdir()] == ["mine.txt"]
    assert json.loads(daybook("restore", "latest", "--into", tmp_path / "new", "--home", closed, "--json").out)["ok"]
