"""The deployment `services` closes a session with Redis, says what it needs without it, and survives losing it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from pipelines.desk import Desk
from pipelines.settings import place

SESSION = "2024-12-31"
pytestmark = pytest.mark.timeout(180)


def daybook(home: Path, redis: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command on a home, with REDIS_URL as said (empty: not set)."""
    environment = {**os.environ, "REDIS_URL": redis, "DAYBOOK_BACKUPS": str(home.parent / "backups")}
    command = [str(Path(sys.executable).parent / "daybook"), "--home", str(home), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a year of prices of four instruments, up to the day before the session."""
    home = tmp_path_factory.mktemp("services") / "home"
    span = ["--since", "2024-01-02", "--until", "2024-12-30", "--instruments", "US10,SP500,GOLD,BUND"]
    loaded = daybook(home, "", "load", "--vendor", "simulated", *span)
    assert loaded.returncode == 0, loaded.stderr
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    """A copy of that home."""
    return shutil.copytree(prepared, tmp_path / "home")


def closed(home: Path) -> list[str]:
    """Sessions the book was closed on."""
    return [str(session) for session in Desk.open(place(home, "local")).closed_sessions()]


def test_without_redis_url_it_says_what_to_set(prepared: Path) -> None:
    done = daybook(prepared, "", "--deployment", "services", "close", "--session", SESSION)
    assert done.returncode == 2
    assert "REDIS_URL is not set. Set it, like redis://host:6379/0." in done.stderr
    assert closed(prepared) == []


def test_the_close_warms_redis_and_readers_find_it_there(home: Path, redis_url: str) -> None:
    done = daybook(home, redis_url, "--deployment", "services", "close", "--session", SESSION)
    assert done.returncode == 0, done.stderr
    with Redis.from_url(redis_url) as redis:
        kept = set(redis.scan_iter("daybook:stitched-1:*"))
        assert len(kept) >= 4
        shared = daybook(home, redis_url, "--deployment", "services", "--json", "prices", "GOLD")
        alone = daybook(home, "", "--deployment", "local", "--json", "prices", "GOLD")
        assert set(redis.scan_iter("daybook:stitched-1:*")) == kept, "the reader asked for what the close had made"
    assert shared.stdout == alone.stdout
    assert '"count": 25' in shared.stdout


def test_redis_that_dies_during_the_close_changes_nothing(home: Path, own_redis: Any) -> None:
    words = ["--deployment", "services", "close", "--session", SESSION]
    environment = {**os.environ, "REDIS_URL": own_redis.url, "DAYBOOK_BACKUPS": str(home.parent / "backups")}
    command = [str(Path(sys.executable).parent / "daybook"), "--home", str(home), *words]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as close:
        assert close.stderr is not None
        first_step = close.stderr.readline()  # the run has begun, prices are not stitched yet
        own_redis.stop()
        _, rest = close.communicate(timeout=150)
    assert "raw" in first_step
    assert close.returncode == 0, rest
    assert closed(home) == [SESSION]
