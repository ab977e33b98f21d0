"""A roll comes in by a load of all history, by a backfill of a range and by single closes: all store the same rows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.deployments import frame_store
from pipelines.settings import place
from trading.frames import DAILY_PRICES, FX_RATES, MULTIPLE_PRICES, ROLL_CALENDAR, ROLL_GAPS, ROLL_STATES

Run = Callable[..., Any]
STORED = (MULTIPLE_PRICES, ROLL_CALENDAR, ROLL_GAPS, DAILY_PRICES, ROLL_STATES, FX_RATES)
ONLY = ("--vendor", "simulated", "--instruments", "BUND,GOLD", "--since", "2023-09-01")
# BUND is held to 4 March 2024, a Monday, and its next contract from Tuesday on.
SESSIONS = ("2024-03-04", "2024-03-05", "2024-03-06")
ROLL = ("BUND", date(2024, 3, 5), date(2024, 3, 4), 20240300, 20240600)


def loaded(home: Path, until: str, daybook: Run) -> Path:
    ended = daybook("load", "--home", home, *ONLY, "--until", until)
    assert ended.code == 0, ended.err
    return home


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, daybook: Run) -> Path:
    return loaded(tmp_path_factory.mktemp("whole") / "home", "2024-03-06", daybook)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, daybook: Run) -> Path:
    return loaded(tmp_path_factory.mktemp("begun") / "home", "2024-03-01", daybook)


def rolls(home: Path) -> list[tuple[object, ...]]:
    rows = frame_store(place(home)).history(ROLL_CALENDAR, through=date.max).to_pylist()
    names = ("instrument", "session", "roll_at", "current_contract", "next_contract")
    return [tuple(row["roll_at"].date() if name == "roll_at" else row[name] for name in names) for row in rows]


def hashes(home: Path) -> dict[str, str]:
    frames = frame_store(place(home))
    return {dataset.name: frames.content_hash(dataset) for dataset in STORED}


def test_a_roll_is_dated_by_the_first_session_of_the_next_contract_as_its_gap_is(whole: Path) -> None:
    gaps = frame_store(place(whole)).history(ROLL_GAPS, through=date.max).to_pylist()
    assert [row[:2] for row in rolls(whole)] == [(row["instrument"], row["session"]) for row in gaps]
    assert ROLL in rolls(whole)


def test_single_closes_store_what_a_load_does(whole: Path, begun: Path, tmp_path: Path, daybook: Run) -> None:
    home = tmp_path / "home"
    shutil.copytree(begun, home)
    for session in SESSIONS:
        ended = daybook("close", "--home", home, "--session", session)
        assert ended.code == 0, ended.err
    assert ROLL in rolls(home)
    assert hashes(home) == hashes(whole)


def test_a_range_stores_what_a_load_does(whole: Path, begun: Path, tmp_path: Path, daybook: Run) -> None:
    home = tmp_path / "home"
    shutil.copytree(begun, home)
    ended = daybook("backfill", "--home", home, "--from", SESSIONS[0], "--to", SESSIONS[-1])
    assert ended.code == 0, ended.err
    assert ROLL in rolls(home)
    assert hashes(home) == hashes(whole)
