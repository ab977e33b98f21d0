"""kill -9 at random moments of a load and of a close, then the same command again: as if nothing had happened.

Belongs here: processes that die, and two at once. They are forked from a server that has imported everything, so that
a random moment is one of the work and not of Python's imports.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

KILLS = 10
IMPORTED = [
    "pipelines.cli", "pipelines.definitions", "pipelines.closing", "pipelines.loading", "deltalake", "rich.table",
    "matplotlib.figure", "matplotlib.dates", "matplotlib.backends.backend_agg", "sqlalchemy.dialects.sqlite",
]  # fmt: skip


@pytest.fixture(scope="module")
def forked() -> Callable[..., BaseProcess]:
    """Starts the command line in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)

    def start(*words: object) -> BaseProcess:
        program = "from pipelines.cli import main; main(words)"
        process = context.Process(target=exec, args=(program, {"words": [str(word) for word in words]}))
        process.start()
        return process

    return start


def load_words(home: Path, source: Path) -> list[object]:
    words = ["--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays"]
    return ["load", "--home", home, *words]


def timed(process: BaseProcess) -> float:
    began = time.monotonic()
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - began


def killed_at_random(start: Callable[[], BaseProcess], seconds: float, look: Callable[[], Any]) -> int:
    """Kills the command KILLS times or more, each at a random moment of the time it takes, until half of them died of
    it; returns how many did. After each, what is stored can be read. One that was quicker is taken as the measure."""
    chance, died, tried = random.Random(2022), 0, 0
    while tried < KILLS or (died < KILLS // 2 and tried < 4 * KILLS):
        process, tried = start(), tried + 1
        began = time.monotonic()
        process.join(chance.uniform(0.02, 0.95) * seconds)
        process.kill()
        process.join()
        died += process.exitcode == -signal.SIGKILL
        if process.exitcode == 0:
            seconds = min(seconds, time.monotonic() - began)
        look()
    return died


def test_a_load(
    tmp_path: Path,
    two_instruments: Path,
    forked: Callable[..., BaseProcess],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    timed(forked(*load_words(tmp_path / "warm", two_instruments)))
    undisturbed, home = tmp_path / "undisturbed", tmp_path / "home"
    seconds = timed(forked(*load_words(undisturbed, two_instruments)))
    died = killed_at_random(
        lambda: forked(*load_words(home, two_instruments)), seconds, lambda: fingerprint(home)
    )  # fmt: skip
    assert died >= KILLS // 2
    timed(forked(*load_words(home, two_instruments)))
    assert fingerprint(home) == fingerprint(undisturbed)


def test_a_close(
    tmp_path: Path,
    loaded_two: Path,
    forked: Callable[..., BaseProcess],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    undisturbed, home = tmp_path / "undisturbed", tmp_path / "home"
    for place in (undisturbed, home):
        shutil.copytree(loaded_two, place)

    def backfill(place: Path) -> BaseProcess:
        return forked("backfill", "--home", place, "--from", "2021-03-24", "--to", "2021-03-26", "--json")

    seconds = timed(backfill(undisturbed))
    expected = fingerprint(undisturbed)
    assert len(expected["orders and fills"][1]) >= 2
    assert killed_at_random(lambda: backfill(home), seconds, lambda: fingerprint(home)) >= KILLS // 2
    timed(backfill(home))
    assert fingerprint(home) == expected


def test_two_loads_at_once(
    tmp_path: Path,
    two_instruments: Path,
    loaded_two: Path,
    forked: Callable[..., BaseProcess],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    home = tmp_path / "home"
    both = [forked(*load_words(home, two_instruments)) for _ in range(2)]
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    ours, theirs = fingerprint(home), fingerprint(loaded_two)
    assert ours == theirs
