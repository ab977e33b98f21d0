"""kill -9 of `daybook config apply` at random moments, and as soon as each of its steps shows on the disk: what is in
force is the old configuration or the new one, whole, and the same command again ends in the new one.

Belongs here: a few kills; `benchmarks/killed_applies.py` does fifty. Does not belong here: what is healed, case by case
(`test_config_commands.py`).
"""

from __future__ import annotations

import multiprocessing
import random
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from pipelines import configuration
from pipelines.configuration_history import compiled_files
from pipelines.settings import place, read_settings
from resources.compiled_files import Follower

AT_RANDOM = 8
IMPORTED = ["pipelines.cli", "pipelines.configuration", "pipelines.configuration_views", "resources.sqlite_ledger",
            "resources.csv_reference", "resources.symbol_csv", "rich.table"]  # fmt: skip
SYMBOLS = 2_000


@pytest.fixture(scope="module")
def start() -> Callable[[Path], BaseProcess]:
    """The command in a process of its own, forked from one that has imported everything: a random moment is one of the
    work."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)

    def begun(home: Path) -> BaseProcess:
        program = "import os, sys; sys.stdout = open(os.devnull, 'w'); from pipelines.cli import main; main(words)"
        words = ["config", "apply", "--reason", "changed", "--home", str(home), "--json"]
        process = context.Process(target=exec, args=(program, {"words": words}))
        process.start()
        return process

    return begun


def write(home: Path, number: int) -> None:
    """Files that say so many contracts, in settings and in every row of the table: half of a change would show."""
    home.mkdir(exist_ok=True)
    (home / "desk.toml").write_text(
        f'schema = 2\nenvironment = "paper"\n[symbols]\ntable = "symbols.csv"\n'
        f"[symbols.defaults]\nmax_position_contracts = {number}\n[trading.orders]\nmax_per_session = {number}\n"
    )
    rows = "\n".join(f"S{row:05},equity,CME,{number}" for row in range(SYMBOLS))
    (home / "symbols.csv").write_text(f"symbol,asset_class,exchange_group,max_position_contracts\n{rows}\n")


def whole(home: Path) -> int:
    """The number that everything in force says: settings, every column of the snapshot, and those who follow it."""
    settings = read_settings(place(home))
    files = compiled_files(place(home))
    snapshot = files.verify(files.pointer().snapshot)
    assert snapshot.configuration_hash == settings.content_hash() == files.pointer().configuration
    limits = set(snapshot.column("max_position_contracts").tolist())
    said = {settings.symbols.defaults.max_position_contracts, settings.trading.orders.max_per_session, *limits}
    assert len(said) == 1, f"a mix of {said} is in force"
    return said.pop()


STEPS: dict[str, Callable[[Path], int]] = {  # what grows on the disk with each step
    "documents": lambda home: len(list((home / "config" / "documents").glob("??/*"))),
    "snapshot": lambda home: len(list((home / "config" / "snapshots").glob("*.snapshot"))),
    "journal": lambda home: (home / "ledger.sqlite-wal").stat().st_size if (home / "ledger.sqlite-wal").exists() else 0,
    "pointer": lambda home: (home / "config" / "current").stat().st_ino,
    "followers": lambda home: compiled_files(place(home)).told(),
}


def killed_when(process: BaseProcess, home: Path, step: str) -> None:
    """Kills as soon as a step shows on the disk, or later where it is over before it could be."""
    before = STEPS[step](home)
    while process.is_alive() and STEPS[step](home) == before:
        process.join(timeout=0.0002)
    killed(process)


def killed_after(process: BaseProcess, seconds: float) -> None:
    """Kills after a while."""
    process.join(timeout=seconds)
    killed(process)


def killed(process: BaseProcess) -> None:
    """Ends a process as the kernel does."""
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)


def test_the_old_or_the_new_configuration_is_in_force_whenever_an_apply_is_killed(
    tmp_path: Path, start: Callable[[Path], BaseProcess]
) -> None:
    """And once more ends in the new one, of which there is one version."""
    home = tmp_path / "home"
    write(home, 1)
    configuration.apply(place(home), "first")
    write(home, 2)
    began = time.monotonic()
    process = start(home)
    process.join()
    takes = time.monotonic() - began
    assert (process.exitcode, whole(home)) == (0, 2)
    follower, moments = Follower(home / "config"), random.Random(11)
    for number, step in enumerate([*STEPS, *[""] * AT_RANDOM], 3):
        write(home, number)
        process = start(home)
        if step:
            killed_when(process, home, step)
        else:
            killed_after(process, moments.uniform(0, takes))
        found = whole(home)
        assert found in (number - 1, number)
        assert follower.now.snapshot.value("S00000", "max_position_contracts") in (number - 1, number)
        again = configuration.apply(place(home), "changed").version
        assert (again.number, again.reason, whole(home)) == (number, "changed", number)
        assert follower.now.number == number
    history = configuration.history(place(home))
    assert [version.number for version in history] == list(range(1, number + 1))
