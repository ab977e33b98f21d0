"""Homes to spend days in: loaded once, copied for each test, and small hand-made vendors' folders.

Belongs here: fixtures of this folder. Does not belong here: expectations.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

OURS = ("DAYBOOK_HOME", "DAYBOOK_DEPLOYMENT", "DAYBOOK_BACKUPS", "DAYBOOK_SIGNING_KEY", "DAGSTER_HOME", "REDIS_URL")
FOUR = ("BUND", "CRUDE_W", "GOLD", "US10")


@pytest.fixture(autouse=True, scope="session")
def plain_environment() -> Iterator[None]:
    """Running a job points the process at its home; afterwards the environment is as it was."""
    before = {name: os.environ.pop(name, None) for name in OURS}
    yield
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(autouse=True)
def no_home_from_the_test_before() -> None:
    """Each test starts without a home in the environment."""
    for name in OURS:
        os.environ.pop(name, None)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as its one JSON document."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@pytest.fixture(scope="session")
def daybook() -> Callable[..., Ended]:
    """Runs the real command line in this process: `daybook("status", "--home", home)`."""

    def run(*words: object) -> Ended:
        from pipelines.cli import main

        result = CliRunner().invoke(main, [str(word) for word in words])
        at_rest()
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise AssertionError(f"a traceback would reach the user of {words}") from result.exception
        assert "Traceback (most recent call last)" not in result.stdout + result.stderr, result.stderr
        return Ended(result.exit_code, result.stdout, result.stderr)

    return run


def at_rest() -> None:
    """Closes what a command or a look in this process left open, so that a home may be copied: a ledger that is closed
    while its folder is copied takes files away. What was there before is not searched again: it takes long."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def thawed() -> Iterator[None]:
    """At the end everything may be let go again."""
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def fingerprint() -> Callable[[Path], dict[str, Any]]:
    """Everything of a home that must not change by accident: content hashes, the journal, its settings."""

    def of(home: Path) -> dict[str, Any]:
        from pipelines.deployments import frame_store, ledger
        from pipelines.settings import place
        from trading.frames import DATASETS

        where = place(home)
        frames = frame_store(where)
        found: dict[str, Any] = {name: frames.content_hash(DATASETS[name]) for name in frames.written()}
        files = [where.desk_file, *sorted((home / "reference").glob("*"))]
        found |= {f"file {file.name}": file.read_bytes() for file in files if file.exists()}
        if (home / "ledger.sqlite").exists():
            told = [ledger(where).rows(name) for name in ("orders", "fills", "positions")]
            found |= {"orders and fills": told} if any(told) else {}
        at_rest()
        return found

    return of


@pytest.fixture(scope="session")
def spring(tmp_path_factory: pytest.TempPathFactory, daybook: Callable[..., Ended]) -> Path:
    """Four instruments of the simulated market, 2019 and 2020, nothing closed. Not to be changed: copy it."""
    home = tmp_path_factory.mktemp("spring") / "home"
    ended = daybook(
        "load", "--home", home, "--vendor", "simulated", "--instruments", ",".join(FOUR), "--since", "2019-01-02",
        "--until", "2020-12-30",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    return home


@pytest.fixture(scope="session")
def glut(tmp_path_factory: pytest.TempPathFactory, spring: Path, daybook: Callable[..., Ended]) -> Path:
    """The same, closed from 6 to 24 April 2020 in one run: Easter, and an oil price below zero. To be copied."""
    home = tmp_path_factory.mktemp("glut") / "home"
    shutil.copytree(spring, home)
    ended = daybook("backfill", "--home", home, "--from", "2020-04-06", "--to", "2020-04-24")
    assert ended.code == 0, ended.err
    return home


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    """A copy of a home, to be changed."""

    def copy(home: Path) -> Path:
        target = tmp_path / "home"
        shutil.copytree(home, target)
        return target

    return copy


# --- a small folder in pysystemtrade's layout -------------------------------------------------------------------------
MULTIPLE_HEADER = "DATETIME,CARRY,CARRY_CONTRACT,PRICE,PRICE_CONTRACT,FORWARD,FORWARD_CONTRACT"
CONFIG = """Instrument,Pointsize,Percentage,PerBlock,PerTrade,AssetClass,Currency,Description,Slippage
CORN,50,0,2,0,Ags,USD,Corn,0.125
BUND,1000,0,1,0,Bond,EUR,German bond,0.005
"""
ROLLS = """Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset
CORN,Z,-45,-1,HKNUZ,14
BUND,HMUZ,-5,-1,HMUZ,7
"""


STRATEGY = """name = "trend"
[rules.fast]
rule = "ewmac"
parameters = { fast = 2, slow = 8 }
scalar = 10.6
weight = 1.0
[forecasts]
multiplier = 1.2
[portfolio]
weight_smoothing_com = 0
multiplier = 1.5
"""


def weekdays(first: date, last: date) -> list[date]:
    """Mondays to Fridays between two dates."""
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    return [day for day in days if day.weekday() < 5]


def multiple_rows(level: float, days: list[date]) -> list[str]:
    """Prices of one contract that rise and fall over fourteen days; the next contract one point dearer."""
    rows = []
    for number, day in enumerate(days):
        price = level + 0.25 * (number % 5) + level / 50 * abs(number % 14 - 7)
        rows.append(f"{day} 23:00:00,{price - 1},20211200,{price},20221200,{price + 1},20231200")
    return rows


@pytest.fixture(scope="session")
def two_instruments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CORN and BUND in pysystemtrade's layout, weekdays of the first quarter of 2021. Not to be changed: copy it."""
    source = tmp_path_factory.mktemp("vendor") / "futures"
    days = weekdays(date(2021, 1, 4), date(2021, 3, 31))
    for name in ("multiple_prices_csv", "fx_prices_csv", "csvconfig"):
        (source / name).mkdir(parents=True)
    for code, level in (("CORN", 500.0), ("BUND", 170.0)):
        lines = [MULTIPLE_HEADER, *multiple_rows(level, days)]
        (source / "multiple_prices_csv" / f"{code}.csv").write_text("\n".join(lines) + "\n")
    rates = ["DATETIME,PRICE", *(f"{day} 23:00:00,{1.2 + 0.0005 * n:.4f}" for n, day in enumerate(days))]
    (source / "fx_prices_csv" / "EURUSD.csv").write_text("\n".join(rates) + "\n")
    (source / "csvconfig" / "instrumentconfig.csv").write_text(CONFIG)
    (source / "csvconfig" / "rollconfig.csv").write_text(ROLLS)
    return source


@pytest.fixture(scope="session")
def loaded_two(tmp_path_factory: pytest.TempPathFactory, two_instruments: Path, daybook: Callable[..., Ended]) -> Path:
    """A home that loaded them, with a strategy fast enough for a quarter. Not to be changed: copy it."""
    home = tmp_path_factory.mktemp("two") / "home"
    (home / "strategies").mkdir(parents=True)
    (home / "strategies" / "trend.toml").write_text(STRATEGY)
    words = ("--vendor", "pysystemtrade", "--source", two_instruments, "--calendar", "weekdays")
    ended = daybook("load", "--home", home, *words)
    assert ended.code == 0, ended.err
    return home
