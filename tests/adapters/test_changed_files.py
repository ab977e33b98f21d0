"""Several files changed together, killed with SIGKILL before each of its steps on the disk: all hold the old content or
all the new, and nothing lies about.

Belongs here: files of bytes. Does not belong here: what a rollback writes (`tests/days/test_config_commands.py`).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from resources.changed_files import NOTE, changed_together, undo_unfinished
from trading.errors import StoreUnavailable

OLD = {"desk.toml": b"old desk", "strategies/trend.toml": b"old trend", "symbols.csv": None}
NEW = {"desk.toml": b"new desk", "strategies/trend.toml": b"new trend", "symbols.csv": b"new symbols"}
LABEL = "before-version-2"
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two of three files, of old content."""
    made(tmp_path / "home")
    return tmp_path / "home"


def made(home: Path) -> None:
    (home / "strategies").mkdir(parents=True)
    (home / "config").mkdir()
    for name, content in OLD.items():
        if content is not None:
            (home / name).write_bytes(content)


def change(home: Path) -> None:
    """All three files."""
    with changed_together(home, home / "config", {home / name: content for name, content in NEW.items()}, LABEL):
        pass


def killed(home: Path, step: int) -> bool:
    """Changes the files in a process that the kernel ends before its step of that number on the disk; whether it was
    ended."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    seen = 0

    def watch(event: str, given: object) -> None:
        nonlocal seen
        seen += event in EVENTS
        if event in EVENTS and seen > step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    try:
        change(home)
    finally:
        os._exit(0)


def held(home: Path) -> dict[str, bytes | None]:
    return {name: (home / name).read_bytes() if (home / name).exists() else None for name in OLD}


def others(home: Path) -> set[str]:
    """Files that are none of the three, nor the lock."""
    found = {str(file.relative_to(home)) for file in home.rglob("*") if file.is_file()}
    return found - set(OLD) - {"config/.changing.lock"}


def test_all_files_are_changed_and_what_was_there_is_kept_beside(home: Path) -> None:
    change(home)
    assert held(home) == NEW
    copies = {f"desk.toml.{LABEL}", f"strategies/trend.toml.{LABEL}"}
    assert others(home) == copies
    assert (home / f"desk.toml.{LABEL}").read_bytes() == b"old desk"


def test_killed_at_any_step_the_files_are_whole_once_somebody_looks(tmp_path: Path) -> None:
    """Every step on the disk in turn: no mix is ever left."""
    step, seen = 0, set()
    while True:
        home = tmp_path / str(step)
        made(home)
        ended = killed(home, step)
        seen.add(tuple(held(home).values()))
        undo_unfinished(home, home / "config")
        found = held(home)
        assert found in (OLD, NEW), f"killed before step {step}"
        litter = others(home) - {f"desk.toml.{LABEL}", f"strategies/trend.toml.{LABEL}"}
        assert litter <= {f"config/{NOTE}.half"}, "only half a note, which the next one is written over"
        if found == OLD:
            assert others(home) == litter, "nothing was changed, and no copies stay"
        if not ended:
            break
        step += 1
    assert step > 20
    assert len(seen) == 4, "kills hit in between too: without the note those would be mixes"
    assert found == NEW


@pytest.mark.parametrize("error", [KeyboardInterrupt, StoreUnavailable, ValueError])
def test_whatever_stops_it_undoes_it(home: Path, error: type[BaseException]) -> None:
    files = {home / "desk.toml": b"new desk", home / "symbols.csv": b"x"}

    def stopped() -> None:
        with changed_together(home, home / "config", files, LABEL):
            assert (home / "desk.toml").read_bytes() == b"new desk"
            raise error("enough")

    with pytest.raises(error):
        stopped()
    assert (held(home), others(home)) == (OLD, set())


def test_a_file_that_somebody_corrected_after_the_kill_is_left(home: Path) -> None:
    """With the copy of what it held beside it."""
    step = 0
    while held(home) == OLD:  # until the first file is the new one
        killed(home, step)
        step += 1
        if held(home) == OLD:
            undo_unfinished(home, home / "config")
    (home / "desk.toml").write_bytes(b"by hand")
    undo_unfinished(home, home / "config")
    assert held(home) == {**OLD, "desk.toml": b"by hand"}
    assert others(home) == {f"desk.toml.{LABEL}"}


def test_a_note_that_cannot_be_read_is_told(home: Path) -> None:
    (home / "config" / NOTE).write_text("half of it")
    with pytest.raises(StoreUnavailable, match=r"changing\.json says that files were .* cannot be read"):
        undo_unfinished(home, home / "config")


def test_a_folder_that_may_not_be_written_is_told(home: Path) -> None:
    (home / "strategies" / "deep").write_text("a file where a folder should be")
    bad: Callable[[], object] = lambda: changed_together(  # noqa: E731
        home, home / "config", {home / "desk.toml": b"x", home / "strategies" / "deep" / "a.toml": b"x"}, LABEL
    ).__enter__()
    with pytest.raises(StoreUnavailable):
        bad()
    assert (held(home), others(home)) == (OLD, {"strategies/deep"})


def test_what_only_its_owner_may_read_stays_so(home: Path) -> None:
    """The file, its copy, and what is there before it takes the file's place; a new file is as any other."""
    (home / "desk.toml").chmod(0o600)
    (home / "strategies" / "trend.toml").chmod(0o640)
    seen: dict[str, int] = {}
    with changed_together(home, home / "config", {home / name: content for name, content in NEW.items()}, LABEL):
        seen |= {str(file.relative_to(home)): file.stat().st_mode & 0o777 for file in home.rglob("*") if file.is_file()}
    assert (seen["desk.toml"], seen[f"desk.toml.{LABEL}"]) == (0o600, 0o600)
    assert (seen["strategies/trend.toml"], seen[f"strategies/trend.toml.{LABEL}"]) == (0o640, 0o640)
    assert seen["symbols.csv"] == seen["config/changing.json"]
    with (
        pytest.raises(ValueError, match="undone"),
        changed_together(home, home / "config", {home / "desk.toml": b"third"}, "again"),
    ):
        raise ValueError("undone")
    assert ((home / "desk.toml").read_bytes(), (home / "desk.toml").stat().st_mode & 0o777) == (b"new desk", 0o600)
