"""`stitching = "ratio"` through the desk, on prices and rolls worked by hand; and Panama beside it, for the same rows.

Belongs here: that the setting reaches what people read. Does not belong here: the methods (tests/domain/).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from assets.continuous import adjusted_through
from assets.layers import Sources
from pipelines.deployments import utc_now
from pipelines.desk import Desk
from pipelines.settings import place, write_desk

# CORN is rolled twice: before Wednesday 3 March, when 2021 costs 400 and 2022 costs 440; before Friday 5 March, when
# 2022 costs 500 and 2023 costs 450.
MULTIPLE = """DATETIME,CARRY,CARRY_CONTRACT,PRICE,PRICE_CONTRACT,FORWARD,FORWARD_CONTRACT
2021-03-01 23:00:00,,,380,20211200,420,20221200
2021-03-02 23:00:00,,,400,20211200,440,20221200
2021-03-03 23:00:00,,,450,20221200,410,20231200
2021-03-04 23:00:00,,,500,20221200,450,20231200
2021-03-05 23:00:00,,,468,20231200,,
"""
# Ratios of the rolls: 440 / 400 = 1.1 and 450 / 500 = 0.9; both together 0.99.
RATIO = [380 * 0.99, 400 * 0.99, 450 * 0.9, 500 * 0.9, 468.0]  # 376.2, 396, 405, 450, 468
# Differences: +40 and -50; both together -10.
PANAMA = [370.0, 390.0, 400.0, 450.0, 468.0]
THROUGH_THURSDAY = [380 * 1.1, 400 * 1.1, 450.0, 500.0]  # the second roll is not known yet
FRIDAY, THURSDAY = date(2021, 3, 5), date(2021, 3, 4)


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory, two_instruments: Path, daybook: Callable[..., Any]) -> Path:
    """A desk of CORN alone, with two rolls in a week, stitched by ratio."""
    folder = tmp_path_factory.mktemp("rolled")
    source, home = folder / "futures", folder / "home"
    shutil.copytree(two_instruments, source)
    (source / "multiple_prices_csv" / "BUND.csv").unlink()
    (source / "multiple_prices_csv" / "CORN.csv").write_text(MULTIPLE)
    write_desk(place(home), {"data": {"vendor": {"name": "pysystemtrade"}, "prices": {"stitching": "ratio"}}})
    words = ("--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays", "--since", "2021-03-01")
    ended = daybook("load", "--home", home, *words, "--until", "2021-03-05")
    assert ended.code == 0, ended.err
    return home


def test_prices_of_the_desk_are_stitched_by_ratio(rolled: Path, daybook: Callable[..., Any]) -> None:
    assert Desk.open(place(rolled)).prices("CORN")["price"].tolist() == pytest.approx(RATIO, abs=1e-9)
    printed = daybook("prices", "CORN", "--home", rolled, "--json").document["rows"]
    assert [row["price"] for row in printed] == pytest.approx(RATIO, abs=1e-9)
    assert [row["stamp"][:10] for row in printed] == [f"2021-03-0{day}" for day in range(1, 6)]


def test_a_later_roll_is_not_known_before_it(rolled: Path) -> None:
    found = Desk.open(place(rolled)).prices("CORN", until=THURSDAY)
    assert found["price"].tolist() == pytest.approx(THROUGH_THURSDAY, abs=1e-9)


def test_daily_prices_that_are_drawn_are_stitched_by_ratio(rolled: Path) -> None:
    desk = Desk.open(place(rolled)).adapters
    wide = adjusted_through(Sources(desk.frames, desk.reference, desk.settings, utc_now()), FRIDAY)
    assert wide["CORN"].tolist() == pytest.approx(RATIO, abs=1e-9)


def test_the_same_desk_set_to_panama(rolled: Path, copied: Callable[[Path], Path]) -> None:
    home = copied(rolled)
    write_desk(place(home), {"data": {"prices": {"stitching": "panama"}}})
    assert Desk.open(place(home)).prices("CORN")["price"].tolist() == pytest.approx(PANAMA, abs=1e-9)
