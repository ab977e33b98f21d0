"""kill -9 of a close at random moments, then the same command again: the same signed hash as if nothing had happened.

Belongs here: a few kills; `benchmarks/killed_closes.py` does fifty. Does not belong here: what a killed load or
backfill leaves in the stores (`test_kill_and_rerun.py`).
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

KILLS = 3
FIRST, SECOND = "2021-03-24", "2021-03-25"
IMPORTED = [
    "pipelines.cli", "pipelines.definitions", "pipelines.closing", "pipelines.signing", "deltalake", "rich.table",
    "matplotlib.figure", "matplotlib.dates", "matplotlib.backends.backend_agg", "sqlalchemy.dialects.sqlite",
]  # fmt: skip


@pytest.fixture(scope="module")
def start() -> Callable[[Path], BaseProcess]:
    """A close of the second session in a process of its own, forked from one that has imported everything: a random
    moment is one of the work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)

    def close(home: Path) -> BaseProcess:
        program = "from pipelines.cli import main; main(words)"
        words = ["close", "--home", str(home), "--session", SECOND]
        process = context.Process(target=exec, args=(program, {"words": words}))
        process.start()
        return process

    return close


def signed(home: Path) -> dict[str, Any]:
    """The signatures of the session, and what is wrong with the ledger."""
    from assets.audited import audited
    from pipelines.settings import place
    from pipelines.wiring import ledger

    book = ledger(place(home))
    hashes = [row["hash"] for row in book.rows("signatures", {"session": SECOND})]
    moves = [entry.event.payload["to_state"] for entry in book.entries(kinds=["close_moved"])
             if entry.event.payload["session"] == SECOND]  # fmt: skip
    return {"hashes": hashes, "moves": moves, "wrong": audited(book)}


def test_the_same_hash_is_signed_whenever_a_close_is_killed(
    tmp_path: Path,
    loaded_two: Path,
    daybook: Callable[..., Any],
    start: Callable[[Path], BaseProcess],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    desk, alone = tmp_path / "desk", tmp_path / "alone"
    shutil.copytree(loaded_two, desk)
    assert daybook("close", "--home", desk, "--session", FIRST).code == 0
    shutil.copytree(desk, alone)
    began = time.monotonic()
    process = start(alone)
    process.join(200)
    assert process.exitcode == 0
    seconds, chance, died = time.monotonic() - began, random.Random(4), 0
    expected = {**fingerprint(alone), **signed(alone)}
    assert len(expected["hashes"]) == 1
    assert expected["wrong"] == []
    for number in range(3 * KILLS):
        home = tmp_path / f"home{number}"
        shutil.copytree(desk, home)
        process = start(home)
        process.join(chance.uniform(0.05, 0.95) * seconds)
        process.kill()
        process.join()
        died += process.exitcode == -signal.SIGKILL
        again = start(home)
        again.join(200)
        assert again.exitcode == 0
        assert {**fingerprint(home), **signed(home)} == expected
        if died == KILLS:
            return
    pytest.fail(f"only {died} closes were killed in time")
