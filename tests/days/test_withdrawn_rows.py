"""A row that the vendor takes out of its file is taken back, said, and comes back when the file is mended."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from pipelines.deployments import frame_store
from pipelines.settings import place
from trading.frames import CLEAN_MULTIPLE_PRICES, RAW_MULTIPLE_PRICES

Run = Callable[..., Any]
GONE = "2021-03-10"


def prices(home: Path) -> dict[str, float]:
    rows = frame_store(place(home)).history(CLEAN_MULTIPLE_PRICES, through=date.max, series=["CORN"]).to_pylist()
    return {row["session"].isoformat(): row["price"] for row in rows}


def test_a_row_taken_out_of_a_file(two_instruments: Path, tmp_path: Path, daybook: Run) -> None:
    home, source = tmp_path / "home", tmp_path / "futures"
    shutil.copytree(two_instruments, source)
    load = ("load", "--home", home, "--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays")
    assert daybook(*load).code == 0
    before = prices(home)
    assert GONE in before

    file = source / "multiple_prices_csv" / "CORN.csv"
    whole = file.read_text()
    file.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith(GONE)))
    again = daybook(*load)
    assert again.code == 0, again.err
    assert "1 no longer delivered" in again.err
    assert prices(home) == {session: price for session, price in before.items() if session != GONE}
    found = daybook("violations", "--home", home, "--session", GONE, "--json").document["rows"]
    assert [row["series"] for row in found if row["rule"] == "withdrawn"] == ["pysystemtrade/CORN"]
    assert daybook(*load).code == 0  # the same file once more: said again, and nothing written
    taken_back = [row for row in _raw(home) if row["session"] == date.fromisoformat(GONE)]
    assert [row["price"] is None for row in taken_back] == [False, True]

    file.write_text(whole)
    assert daybook(*load).code == 0
    assert prices(home) == before


def test_a_row_that_came_late_is_known_when_it_came(two_instruments: Path, tmp_path: Path, daybook: Run) -> None:
    home, source = tmp_path / "home", tmp_path / "futures"
    shutil.copytree(two_instruments, source)
    file = source / "multiple_prices_csv" / "CORN.csv"
    whole = file.read_text()
    file.write_text("".join(line for line in whole.splitlines(keepends=True) if not line.startswith(GONE)))
    load = ("load", "--home", home, "--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays")
    assert daybook(*load).code == 0
    file.write_text(whole)
    assert daybook(*load).code == 0
    known = {row["session"].isoformat(): row["known_at"] for row in _raw(home)}
    assert known[GONE] > datetime(2021, 4, 30, tzinfo=UTC)  # loaded years after the last row
    assert known["2021-03-09"] < datetime(2021, 3, 12, tzinfo=UTC)


def _raw(home: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame_store(place(home)).history(RAW_MULTIPLE_PRICES, through=date.max).to_pylist()
    return [row for row in rows if row["instrument"] == "CORN"]
