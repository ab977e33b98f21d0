"""Contract files of two makers through the command line, and what a home is bound to.

Belongs here: from a mapping in desk.toml to prices. Does not belong here: the vendor by itself
(`test_csv_folder_vendor.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
DAYS = [date(2024, 1, 15) + timedelta(days=n) for n in (0, 1, 2, 3, 4)]  # a Monday to a Friday
CLOSES = [450.25, 451.5, 449.0, 452.75, 453.5]
NORGATE = """[vendor.columns]
time = "Date"
time_format = "%Y%m%d"
file_pattern = '(?P<instrument>\\w+)-(?P<contract>\\d{4}[A-Z])\\.csv'
"""
BY_HAND = """[vendor.columns]
time = "Tag"
close = "Schluss"
open = ""
high = ""
low = ""
volume = ""
time_format = "%d.%m.%Y"
delimiter = ";"
encoding = "latin-1"
price_factor = 0.01
file_pattern = '(?P<contract>\\d{6}) (?P<instrument>\\w+)\\.csv'
"""


def norgate(folder: Path, code: str) -> None:
    lines = [
        f"{day:%Y%m%d},{close},{close + 1},{close - 1},{close},10" for day, close in zip(DAYS, CLOSES, strict=True)
    ]
    (folder / f"{code}-2024Z.csv").write_text("\n".join(["Date,Open,High,Low,Close,Volume", *lines]) + "\n")


def by_hand(folder: Path, code: str) -> None:
    lines = [f"{day:%d.%m.%Y};{close * 100:.0f}" for day, close in zip(DAYS, CLOSES, strict=True)]
    (folder / f"202412 {code}.csv").write_text("\n".join(["Tag;Schluss", *lines]) + "\n", encoding="latin-1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder of contract files."""
    made = tmp_path / "contracts"
    made.mkdir()
    return made


def mapped(home: Path, mapping: str) -> Path:
    """A home with a mapping in its desk.toml and nothing else."""
    home.mkdir()
    (home / "desk.toml").write_text(mapping)
    return home


@pytest.mark.parametrize(("mapping", "maker"), [(NORGATE, norgate), (BY_HAND, by_hand)], ids=["Norgate", "by hand"])
def test_a_mapping_in_desk_toml_comes_before_the_first_load(
    mapping: str, maker: Callable[[Path, str], None], tmp_path: Path, folder: Path, daybook: Run
) -> None:
    home = mapped(tmp_path / "home", mapping)
    maker(folder, "CORN")
    ended = daybook("load", "--home", home, "--vendor", "csv_folder", "--source", folder)
    assert ended.code == 0, ended.err
    shown = daybook("prices", "CORN", "--home", home, "--kind", "multiple", "--json").document["rows"]
    assert [row["price"] for row in shown] == CLOSES
    assert {row["price_contract"] for row in shown} == {20241200}
    adjusted = daybook("prices", "CORN", "--home", home, "--json").document["rows"]
    assert [row["price"] for row in adjusted] == CLOSES
    assert "time" in (home / "desk.toml").read_text()


def test_contracts_that_nobody_can_roll_are_refused_and_nothing_is_kept(
    tmp_path: Path, folder: Path, daybook: Run, root: Path
) -> None:
    home = mapped(tmp_path / "home", NORGATE)
    header, first, *_ = (root / "reference" / "instruments.csv").read_text().splitlines()
    (home / "reference").mkdir()
    (home / "reference" / "instruments.csv").write_text(f"{header}\nZZZ,{first.split(',', 1)[1]}\n")
    norgate(folder, "ZZZ")
    ended = daybook("load", "--home", home, "--vendor", "csv_folder", "--source", folder)
    assert ended.code == 2
    assert all(word in ended.err for word in ("ZZZ", "roll_parameters.csv", "Add one")), ended.err
    assert "KeyError" not in ended.err
    assert (home / "desk.toml").read_text() == NORGATE
    assert daybook("status", "--home", home, "--json").document["datasets"] == []


def test_an_instrument_that_nobody_knows_is_refused_and_nothing_is_kept(
    tmp_path: Path, folder: Path, daybook: Run
) -> None:
    home = mapped(tmp_path / "home", NORGATE)
    norgate(folder, "YYY")
    ended = daybook("load", "--home", home, "--vendor", "csv_folder", "--source", folder)
    assert ended.code == 2
    assert "YYY" in ended.err
    assert (home / "desk.toml").read_text() == NORGATE
    assert daybook("status", "--home", home, "--json").document["datasets"] == []


def test_a_desk_that_names_a_vendor_or_holds_prices_is_bound(
    tmp_path: Path, folder: Path, loaded_two: Path, copied: Callable[[Path], Path], daybook: Run
) -> None:
    norgate(folder, "CORN")
    words = ("--vendor", "csv_folder", "--source", folder)
    named = mapped(tmp_path / "named", '[vendor]\nname = "simulated"\n')
    for home in (named, copied(loaded_two)):
        ended = daybook("load", "--home", home, *words)
        assert ended.code == 2
        assert "mixing vendors" in ended.err


def test_the_calendar_of_a_loaded_home_cannot_be_switched(
    two_instruments: Path, loaded_two: Path, copied: Callable[[Path], Path], daybook: Run, fingerprint: Run
) -> None:
    home = copied(loaded_two)
    before = fingerprint(home)
    words = ("load", "--home", home, "--vendor", "pysystemtrade", "--source", two_instruments)
    ended = daybook(*words, "--calendar", "exchange")
    assert ended.code == 2
    assert "holds prices by calendar weekdays" in ended.err
    assert "--home" in ended.err
    assert fingerprint(home) == before
    assert daybook(*words, "--calendar", "weekdays").code == 0
    assert daybook(*words).code == 0
