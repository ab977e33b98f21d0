"""Bad input through the real command line: what is said, the exit code, and that nothing is half-written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CORN = "multiple_prices_csv/CORN.csv"
EURUSD = "fx_prices_csv/EURUSD.csv"


def edited(name: str, change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[Path], None]:
    """Changes the text of a vendor's file."""

    def edit(source: Path) -> None:
        file = source / name
        file.write_bytes(change(file.read_text()).encode(encoding))

    return edit


def line(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    """Changes one line of a text, counted as an editor does."""

    def edit(text: str) -> str:
        lines = text.splitlines()
        lines[number - 1] = change(lines[number - 1])
        return "\n".join(lines) + "\n"

    return edit


def removed(name: str) -> Callable[[Path], None]:
    def remove(source: Path) -> None:
        file = source / name
        shutil.rmtree(file) if file.is_dir() else file.unlink()

    return remove


def renamed(name: str, to: str) -> Callable[[Path], None]:
    def rename(source: Path) -> None:
        (source / name).rename(source / to)

    return rename


# What is done to the vendor's folder, and words that the one sentence must have.
REFUSED = {
    "missing folder": (removed("fx_prices_csv"), ["fx_prices_csv", "the folder is missing"]),
    "missing configuration": (removed("csvconfig/instrumentconfig.csv"), ["instrumentconfig.csv", "is missing"]),
    "missing column": (
        edited(CORN, lambda text: text.replace("FORWARD_CONTRACT", "NEXT")),
        ["CORN.csv", "line 1", "column FORWARD_CONTRACT", "the column is missing"],
    ),
    "empty file": (edited(CORN, lambda text: ""), ["CORN.csv", "the file is empty"]),
    "truncated file": (
        edited(CORN, lambda text: text[: text.index("2021-03-10") + 30]),
        ["CORN.csv", "line 49", "fields", "cut off"],
    ),
    "UTF-16": (edited(CORN, lambda text: text, "utf-16"), ["CORN.csv", "not utf-8", "UTF-16", "Save the file as"]),
    "latin-1": (
        edited("csvconfig/instrumentconfig.csv", lambda text: text.replace("Corn", "Maïs"), "latin-1"),
        ["instrumentconfig.csv", "line 2", "not utf-8"],
    ),
    "a word for a number": (
        edited(CORN, line(12, lambda row: row.replace(row.split(",")[3], "abc"))),
        ["CORN.csv", "line 12", "column PRICE", "not a number", "'abc'"],
    ),
    "no date": (
        edited(CORN, line(9, lambda row: row.replace(row.split(",")[0], "2021-02-30 23:00:00"))),
        ["CORN.csv", "line 9", "column DATETIME", "not a date", "2021-02-30"],
    ),
    "no contract": (
        edited(CORN, line(7, lambda row: row.replace("20221200", "DEC22"))),
        ["CORN.csv", "line 7", "column PRICE_CONTRACT", "'DEC22'"],
    ),
    "unknown instrument": (
        renamed(CORN, "multiple_prices_csv/MAIZE.csv"),
        ["instrument MAIZE", "reference data", "--instruments"],
    ),
    "missing FX pair": (
        renamed(EURUSD, "fx_prices_csv/GBPUSD.csv"),
        ["EUR", "USD", "EURUSD", "Add the pair"],
    ),
    "a pair that is none": (renamed(EURUSD, "fx_prices_csv/rates.csv"), ["rates.csv", "not a currency pair"]),
    "a word in the configuration": (
        edited("csvconfig/instrumentconfig.csv", lambda text: text.replace("CORN,50", "CORN,fifty")),
        ["instrumentconfig.csv", "line 2", "column Pointsize", "'fifty'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("start", ["fresh", "loaded"])
def test_is_refused_in_a_sentence_and_changes_nothing(
    case: str,
    start: str,
    tmp_path: Path,
    two_instruments: Path,
    loaded_two: Path,
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    damage, words = REFUSED[case]
    home, source = tmp_path / "home", tmp_path / "futures"
    shutil.copytree(two_instruments, source)
    if start == "loaded":
        if case == "missing FX pair":
            pytest.skip("a desk that has rates of the pair goes on with them")
        shutil.copytree(loaded_two, home)
    damage(source)
    before = fingerprint(home)
    ended = daybook("load", "--home", home, "--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays")
    print(ended.err)
    assert ended.code == 2
    assert all(word in ended.err for word in words), ended.err
    assert fingerprint(home) == before
