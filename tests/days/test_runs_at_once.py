"""Two runs of one desk at the same time: one waits, and everything is as if they had come one after the other.

Belongs here: the lock of a home, for the command line and for runs of the UI. Does not belong here: dying runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from pipelines.runs import run
from pipelines.settings import place, write_desk
from resources.file_lock import held

FIRST, SECOND = "2021-03-25", "2021-03-26"


def typed(root: Path, *words: object) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
    return subprocess.Popen(command, cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def holder(home: Path) -> str:
    """The process that holds the desk, once there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            if said := (home / "run.lock").read_text().strip():
                return said
        Event().wait(0.02)
    raise AssertionError("nobody took the desk")


@pytest.mark.parametrize("second", ["close", "load"])
def test_the_second_waits_and_all_is_as_one_after_the_other(
    second: str,
    tmp_path: Path,
    root: Path,
    loaded_two: Path,
    two_instruments: Path,
    copied: Callable[[Path], Path],
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    home = copied(loaded_two)
    (home / "run.lock").unlink(missing_ok=True)
    load = ["load", "--vendor", "pysystemtrade", "--source", two_instruments, "--calendar", "weekdays"]
    words = {"close": ["close", "--session", SECOND], "load": load}[second]
    one = typed(root, "close", "--session", FIRST, "--home", home)
    pid = holder(home)
    other = typed(root, *words, "--home", home)
    said = [process.communicate(timeout=120)[1] for process in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    assert pid == str(one.pid)
    assert f"the desk {home} is being written by process {pid}" in said[1]
    at_once = fingerprint(home)
    sequential = tmp_path / "again"
    home.rename(tmp_path / "kept")
    copied(loaded_two).rename(sequential)
    for command in (["close", "--session", FIRST], words):
        assert daybook(*command, "--home", sequential).code == 0
    assert fingerprint(sequential) == at_once


@pytest.mark.parametrize(
    "words",
    [
        ["close", "--session", SECOND],
        ["backfill", "--from", FIRST, "--to", SECOND],
        ["load", "--vendor", "pysystemtrade", "--source", "SOURCE"],
    ],
    ids=lambda words: words[0],
)
def test_a_desk_that_stays_busy_is_named_with_its_process(
    words: list[str],
    loaded_two: Path,
    two_instruments: Path,
    copied: Callable[[Path], Path],
    daybook: Callable[..., Any],
) -> None:
    home = copied(loaded_two)
    write_desk(place(home), {"operations": {"runs": {"wait_seconds": 0.1}}})
    words = [str(two_instruments) if word == "SOURCE" else word for word in words]
    with held(home / "run.lock", "the desk", 1.0):
        ended = daybook(*words, "--home", home)
    assert ended.code == 1
    assert f"process {os.getpid()}" in ended.err
    assert "Wait for that process to end" in ended.err


@pytest.mark.parametrize("job", ["close", "backfill", "prices", "ingest", "orders"])
def test_a_run_that_no_command_started_takes_the_desk_itself(
    job: str, loaded_two: Path, copied: Callable[[Path], Path]
) -> None:
    home = copied(loaded_two)
    write_desk(place(home), {"operations": {"runs": {"wait_seconds": 0.1}}})
    day = date.fromisoformat(SECOND)
    span = (day, day) if job in ("close", "backfill", "prices") else None
    config = {"ops": {"propose": {"config": {"session": SECOND}}}} if job == "orders" else None
    with held(home / "run.lock", "the desk", 1.0):
        ended = run(place(home), job, span=span, config=config)
    assert ended.exit_code == 1
    assert any(f"process {os.getpid()}" in reason for reason in ended.failed_steps.values()), ended


def test_a_run_holds_the_desk_until_it_ends_and_then_lets_go(loaded_two: Path, copied: Callable[[Path], Path]) -> None:
    home = copied(loaded_two)
    day = date.fromisoformat(SECOND)
    assert run(place(home), "prices", span=(day, day)).exit_code == 0
    assert (home / "run.lock").read_text().strip() == str(os.getpid())
    with held(home / "run.lock", "the desk", 0.0):
        assert run(place(home), "quality").exit_code in (0, 1)  # reads only: needs not be alone
