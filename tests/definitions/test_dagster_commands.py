"""Dagster's own commands on a home with data, as a person would type them, and the exit codes they leave.

Each costs seconds of imports, so they are few and share one home, copied for whoever spoils it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.settings import place, write_desk

BIN = Path(sys.executable).parent
SESSION = "2024-12-31"
pytestmark = pytest.mark.timeout(180)


def typed(home: Path, root: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a command of this environment on a home."""
    environment = {
        **os.environ, "DAYBOOK_HOME": str(home), "DAGSTER_HOME": str(home / "dagster"), "VIRTUAL_ENV": str(BIN.parent),
        "DAYBOOK_BACKUPS": str(home.parent / "backups"), "DAGSTER_DISABLE_TELEMETRY": "yes",
    }  # fmt: skip
    command = [str(BIN / words[0]), *map(str, words[1:])]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=150)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A home with a year of prices of four instruments, up to the day before the session."""
    home = tmp_path_factory.mktemp("commands") / "home"
    span = ["--since", "2024-01-02", "--until", "2024-12-30", "--instruments", "US10,SP500,GOLD,BUND"]
    loaded = typed(home, root, "daybook", "load", "--vendor", "simulated", *span)
    assert loaded.returncode == 0, loaded.stderr
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    """A copy of that home."""
    return shutil.copytree(prepared, tmp_path / "home")


def test_an_asset_is_materialised(prepared: Path, root: Path) -> None:
    select = ["--select", "daily_prices", "--partition", "2024-12-30", "-m", "pipelines.definitions"]
    done = typed(prepared, root, "dagster", "asset", "materialize", *select)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "RUN_SUCCESS" in done.stderr


def test_definitions_are_valid(prepared: Path, root: Path) -> None:
    done = typed(prepared, root, "dg", "check", "defs")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_close_is_launched(home: Path, root: Path) -> None:
    done = typed(home, root, "dg", "launch", "--job", "close", "--partition", SESSION)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (home / "reports" / f"{SESSION}.html").is_file()


def test_a_blocking_check_that_fails_stops_the_close_and_shows_in_the_exit_code(home: Path, root: Path) -> None:
    write_desk(place(home), {"data": {"universe": {"instruments": ["US10"]}, "vendor": {"faults": ["missing_day"]}}})
    done = typed(home, root, "dg", "launch", "--job", "close", "--partition", SESSION)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "session_delivered" in done.stderr
    assert not (home / "reports" / f"{SESSION}.html").exists()
