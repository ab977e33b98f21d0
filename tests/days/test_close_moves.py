"""A close moves from state to state: what it records, what stops it, who may let it on, and how it goes on when killed.

Belongs here: whole closes through the command line. Does not belong here: the table of moves (`tests/domain/
test_close_state.py`) or kills at random moments (`test_killed_closes.py`).
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event
from typing import Any

import pytest

Run = Callable[..., Any]
Copy = Callable[[Path], Path]
DAY = "2021-03-24"
STATES = ["collecting", "validated", "marked", "explained", "reconciled", "signed", "published"]


def book(home: Path) -> Any:
    from pipelines.settings import place
    from pipelines.wiring import ledger

    return ledger(place(home))


def moves(home: Path, session: str = DAY) -> list[dict[str, Any]]:
    """Payloads of a session's moves, in order."""
    found = [entry.event.payload for entry in book(home).entries(kinds=["close_moved"])]
    return [dict(payload) for payload in found if payload["session"] == session]


def runs(home: Path) -> list[tuple[Any, ...]]:
    rows = sorted(book(home).rows("process_runs"), key=lambda row: row["started"])
    return [(row["process"], row["state"], row["step"]) for row in rows]


@pytest.fixture
def home(copied: Copy, loaded_two: Path) -> Path:
    return copied(loaded_two)


# --- a close that goes well -------------------------------------------------------------------------------------------
def test_a_close_leaves_its_moves_in_order(home: Path, daybook: Run) -> None:
    ended = daybook("close", "--home", home, "--session", DAY, "--json")
    assert ended.code == 0, ended.err
    assert ended.document["close"] == "published"
    made = moves(home)
    assert [move["to_state"] for move in made] == STATES
    assert {move["run_id"] for move in made} == {ended.document["run_id"]}
    assert runs(home) == [("load", "done", None), ("close", "done", "published")]
    assert {row["name"] for row in book(home).rows("limits")} == {
        "max_gross_exposure_fraction", "max_daily_loss_fraction", "max_orders",
        "max_position_contracts", "max_order_contracts", "max_exposure_fraction", "trading_mode",
    }  # fmt: skip
    again = daybook("close", "--home", home, "--session", DAY, "--json")
    assert again.code == 0, again.err
    assert moves(home) == made, "a signed session that comes to the same again is left as it is"
    shown = daybook("runs", "--home", home, "--json").document["runs"]
    assert [(row["process"], row["state"], row["step"]) for row in shown] == [
        ("close", "done", "published"), ("close", "done", "published"), ("load", "done", None),
    ]  # fmt: skip
    assert all(row["pid"] == os.getpid() and row["host"] for row in shown)
    assert daybook("status", "--home", home, "--json").document["last_close"] == f"{DAY} published"


def test_of_a_range_the_last_session_is_published_and_the_others_are_reconciled(home: Path, daybook: Run) -> None:
    ended = daybook("backfill", "--home", home, "--from", "2021-03-24", "--to", "2021-03-26", "--json")
    assert ended.code == 0, ended.err
    for session, through in (("2021-03-24", 5), ("2021-03-25", 5), ("2021-03-26", 7)):
        assert [move["to_state"] for move in moves(home, session)] == STATES[:through]
    assert daybook("sign", "--home", home, "--session", "2021-03-24").code == 0
    assert [move["to_state"] for move in moves(home, "2021-03-24")] == STATES[:6]
    restated = daybook("close", "--home", home, "--restate", "--session", "2021-03-25", "--json")
    assert restated.code == 0, restated.err
    assert [move["to_state"] for move in moves(home, "2021-03-26")] == [*STATES, *STATES]


def test_changed_limits_are_journaled_with_the_configuration(home: Path, daybook: Run) -> None:
    assert daybook("close", "--home", home, "--session", DAY).code == 0
    file = home / "desk.toml"
    file.write_text(f"{file.read_text()}\n[symbols.defaults]\nmax_position_contracts = 7\n")
    assert daybook("close", "--home", home, "--session", "2021-03-25").code == 0
    found = daybook("audit", "--home", home, "--kind", "limit_changed", "--json").document["entries"]
    configuration = daybook("status", "--home", home, "--json").document["configuration"]
    assert found[0]["what"]["reason"] == f"500 -> 7 by configuration {configuration[:12]}"
    assert [entry["session"] for entry in found] == ["2021-03-25", *[DAY] * 7]


# --- gates ------------------------------------------------------------------------------------------------------------
def stopped_desk(tmp_path: Path, two_instruments: Path, daybook: Run) -> Path:
    """A desk whose vendor's files end on 24 March 2021."""
    source, home = tmp_path / "futures", tmp_path / "home"
    shutil.copytree(two_instruments, source)
    for file in source.glob("*prices_csv/*.csv"):
        lines = file.read_text().splitlines()
        file.write_text("\n".join(line for line in lines if line[:10] <= "2021-03-24" or line[0] == "D") + "\n")
    words = ("--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays")
    assert daybook("load", "--home", home, *words).code == 0
    assert daybook("close", "--home", home, "--session", "2021-03-24").code == 0
    return home


def test_a_failing_gate_stops_the_close_and_says_how_to_pass_it(
    tmp_path: Path, two_instruments: Path, daybook: Run
) -> None:
    home = stopped_desk(tmp_path, two_instruments, daybook)
    ended = daybook("close", "--home", home, "--session", "2021-03-25", "--json")
    assert ended.code == 1
    assert ended.document["close"] == "collecting"
    assert "raw_multiple_prices/session_delivered" in ended.document["failed_checks"]
    assert ended.document["refused"].startswith("the close of 2021-03-25 is not validated: raw_multiple_prices/")
    assert (
        "daybook override --check raw_multiple_prices/session_delivered --session 2021-03-25"
        in (ended.document["refused"])
    )
    assert [move["to_state"] for move in moves(home, "2021-03-25")] == ["collecting"]
    assert ended.document["stopped"].startswith("the run stopped before 2021-03-25 was valued")
    assert not book(home).rows("orders", {"session": "2021-03-25"}), "nothing was traded"
    assert runs(home)[-1] == ("close", "failed", "collecting")


def test_an_override_lets_it_on_and_is_journaled(tmp_path: Path, two_instruments: Path, daybook: Run) -> None:
    home = stopped_desk(tmp_path, two_instruments, daybook)
    check = "raw_multiple_prices/session_delivered"
    words = ("--check", check, "--session", "2021-03-25", "--by", "ann", "--reason", "the vendor has a holiday")
    given = daybook("override", "--home", home, *words, "--json")
    assert (given.code, given.document["gate"]) == (0, "validated")
    ended = daybook("close", "--home", home, "--session", "2021-03-25", "--json")
    assert ended.code == 0, ended.err
    said = {move["to_state"]: move["overridden"] for move in moves(home, "2021-03-25")}
    assert said["validated"] == f"{check} overridden by ann: the vendor has a holiday"
    assert said["published"] is None
    (entry,) = daybook("audit", "--home", home, "--search", "vendor holiday override", "--kind", "override_set",
                       "--json").document["entries"]  # fmt: skip
    assert (entry["actor"], entry["what"]["item"]) == ("ann", check)
    cleared = daybook("override", "--home", home, "--clear", given.document["override_id"], "--reason", "done")
    assert cleared.code == 0
    held = daybook("overrides", "--home", home, "--json").document["overrides"]
    assert [(row["state"], row["cleared_reason"]) for row in held] == [("cleared", "done")]


@pytest.mark.parametrize(("words", "said"), [
    (["--check", "clean_bars/schema", "--session", DAY], "needs a reason"),
    (["--check", "clean_bars/schema", "--session", DAY, "--reason", " "], "needs a reason"),
    (["--check", "clean_bars/schema", "--session", DAY, "--reason", "x", "--by", " "], "needs a name"),
    (["--check", "clean_bars/shema", "--session", DAY, "--reason", "x"], "Did you mean clean_bars/schema"),
    (["--check", "positions/journal_intact", "--session", DAY, "--reason", "x"], "there is no check"),
    (["--check", "clean_bars/schema", "--reason", "x"], "--session"),
    (["--check", "clean_bars/schema", "--session", "2021-03-27", "--reason", "x"], "Saturday"),
    (["--step", "marke", "--session", DAY, "--reason", "x"], "Did you mean marked"),
    (["--instrument", "KORN", "--reason", "x"], "KORN"),
    (["--clear", "nothing", "--reason", "x"], "no override nothing is in force"),
    (["--reason", "x"], "say what is overridden"),
])  # fmt: skip
def test_an_override_of_nothing_or_by_nobody_is_refused(
    loaded_two: Path, daybook: Run, words: list[str], said: str
) -> None:
    before = book(loaded_two).sequence()
    ended = daybook("override", "--home", loaded_two, *words)
    assert ended.code == 2
    assert said in ended.err
    assert book(loaded_two).sequence() == before


# --- a crash ----------------------------------------------------------------------------------------------------------
def killed_once_it_is(home: Path, state: str) -> BaseProcess:
    """A close whose process is killed as soon as it has come to a state."""
    program = "from pipelines.cli import main; main(words)"
    words = ["close", "--home", str(home), "--session", DAY]
    process = multiprocessing.get_context("spawn").Process(target=exec, args=(program, {"words": words}))
    process.start()
    ledger, moment = book(home), Event()
    while process.is_alive() and not ledger.rows("closes", {"session": DAY, "state": state}):
        moment.wait(0.005)
    process.kill()
    process.join(60)
    return process


@pytest.mark.parametrize("state", ["collecting", "marked"])
def test_a_crashed_close_is_named_and_goes_on(home: Path, daybook: Run, state: str) -> None:
    process = killed_once_it_is(home, state)
    assert process.exitcode == -signal.SIGKILL
    (shown, _) = daybook("runs", "--home", home, "--json").document["runs"]
    assert (shown["state"], shown["pid"]) == ("crashed", process.pid)
    came = shown["step"]
    assert STATES.index(state) <= STATES.index(came) < STATES.index("published")
    before = book(home).sequence()
    assert daybook("status", "--home", home, "--json").document["last_close"] == f"{DAY} {came}"
    assert book(home).sequence() == before, "reading commands record nothing"
    ended = daybook("close", "--home", home, "--session", DAY, "--json")
    assert ended.code == 0, ended.err
    assert f"crashed after it was {came}: process {process.pid} on " in ended.err
    made = moves(home)
    assert [move["to_state"] for move in made] == STATES, "nothing that was passed is passed twice"
    assert len({move["run_id"] for move in made}) == 2
    assert runs(home)[1:] == [("close", "crashed", came), ("close", "done", "published")]
    assert daybook("audit", "verify", "--home", home).code == 0
