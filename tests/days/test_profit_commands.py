"""`daybook pnl --by ...` and `daybook slippage` on a desk that was closed by commands.

Does not belong here: what the sums are made of (`tests/domain/test_periods.py`, `test_attributed_days.py`).
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CLOSED = ("2021-03-15", "2021-03-31")


@pytest.fixture(scope="module")
def home(loaded_two: Path, tmp_path_factory: pytest.TempPathFactory, daybook: Callable[..., Any]) -> Path:
    """Two instruments closed over two weeks and a half."""
    target = tmp_path_factory.mktemp("profit") / "home"
    shutil.copytree(loaded_two, target)
    ended = daybook("backfill", "--home", target, "--from", CLOSED[0], "--to", CLOSED[1])
    assert ended.code == 0, ended.err
    return target


def rows(daybook: Callable[..., Any], home: Path, *words: str) -> list[dict[str, Any]]:
    ended = daybook(*words, "--home", home, "--json")
    assert ended.code == 0, ended.err
    found: list[dict[str, Any]] = ended.document["rows"]
    return found


def test_the_plain_command_is_the_newest_session_by_contract(home: Path, daybook: Callable[..., Any]) -> None:
    document = daybook("pnl", "--home", home, "--json").document
    assert document["session"] == CLOSED[1]
    assert {"strategy", "instrument", "contract", "held_base", "total_base"} <= set(document["rows"][0])


def test_causes_of_a_session_are_its_total(home: Path, daybook: Callable[..., Any]) -> None:
    causes = {row["cause"]: row["amount_base"] for row in rows(daybook, home, "pnl", "--by", "cause")}
    total = sum(row["total_base"] for row in rows(daybook, home, "pnl"))
    assert causes["total"] == pytest.approx(total, abs=1e-6)
    explained = sum(amount for name, amount in causes.items() if name not in ("total", "residual"))
    assert explained == pytest.approx(total, abs=1e-6)
    assert abs(causes["residual"]) < 1e-6


def test_a_month_to_date_and_a_span_of_the_same_sessions_agree(home: Path, daybook: Callable[..., Any]) -> None:
    month = rows(daybook, home, "pnl", "--month-to-date")
    assert month == rows(daybook, home, "pnl", "--by", "cause", "--from", CLOSED[0])
    by_session = rows(daybook, home, "pnl", "--by", "session", "--to", CLOSED[1])
    assert len(by_session) >= 10
    for by in ("strategy", "instrument", "asset_class"):
        sums = rows(daybook, home, "pnl", "--by", by, "--month-to-date")
        assert sum(row["total_base"] for row in sums) == pytest.approx(sum(row["total_base"] for row in by_session))


def test_slippage_is_the_cause_with_the_other_sign(home: Path, daybook: Callable[..., Any]) -> None:
    costs = rows(daybook, home, "slippage", "--month-to-date")
    assert {row["instrument"] for row in costs} == {"CORN", "BUND"}
    causes = {row["cause"]: row["amount_base"] for row in rows(daybook, home, "pnl", "--month-to-date")}
    assert sum(row["cost_base"] for row in costs) == pytest.approx(-causes["slippage"], abs=1e-6)
    fills = rows(daybook, home, "slippage", "--by", "fill", "--from", CLOSED[0])
    assert sum(row["cost_base"] for row in fills) == pytest.approx(-causes["slippage"], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pnl", "--from", "2021-03-20", "--session", "2021-03-31"), "cannot be combined"),
        (("pnl", "--month-to-date", "--to", "2021-03-31"), "cannot be combined"),
        (("pnl", "--from", "2022-01-03"), "no session from 2022-01-03 to now is closed"),
        (("slippage", "--session", "2021-03-12"), "is not closed"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    home: Path, daybook: Callable[..., Any], words: tuple[str, ...], said: str
) -> None:
    ended = daybook(*words, "--home", home)
    assert (ended.code, said in ended.err) == (2, True), ended.err
