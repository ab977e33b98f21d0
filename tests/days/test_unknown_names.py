"""Misspelt names in a desk's files: a limit under a name that nobody knows would be in force nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.configuration_examination import examined
from pipelines.settings import place

Run = Callable[..., Any]


def desk(home: Path, text: str, rows: str = "", environment: str = "paper") -> Path:
    """A home with its own file, the strategy trend traded, and a table of symbols."""
    home.mkdir(exist_ok=True)
    named = '[symbols]\ntable = "symbols.csv"\n' if rows else ""
    head = f'schema = 2\nenvironment = "{environment}"\n[trading]\nstrategies = ["trend"]\n'
    (home / "desk.toml").write_text(head + named + text, encoding="utf-8")
    (home / "symbols.csv").write_text(rows, encoding="utf-8")
    return home


HEAD = "symbol,asset_class,max_position_contracts\n"
REFUSED = [
    ("[symbols.strategies.trnd]\nmax_order_contracts = 1\n", "", "desk.toml:5: symbols.strategies.trnd", "trend"),
    ('[data.universe]\ninstruments = ["US10", "GLOD"]\n', "", "desk.toml:6: data.universe.instruments", "GOLD"),
    ('[data.universe]\nexcluded = ["GLOD"]\n', "", "desk.toml:6: data.universe.excluded", "GOLD"),
    ("[symbols.symbols.GLOD]\nmax_order_contracts = 1\n", "", "desk.toml:5: symbols.symbols.GLOD", "GOLD"),
    ("", f"{HEAD}US10,,3\nGLOD,,3\n", "symbols.csv, line 3: symbol 'GLOD'", "GOLD"),
]


@pytest.mark.parametrize(("text", "rows", "place_of_it", "meant"), REFUSED)
def test_a_misspelt_name_is_refused_with_its_line_and_what_is_meant(
    tmp_path: Path, daybook: Run, text: str, rows: str, place_of_it: str, meant: str
) -> None:
    """By validate and by apply."""
    home = desk(tmp_path / "home", text, rows)
    found = daybook("config", "validate", "--home", home, "--json").document
    assert (found["exit_code"], found["count"]) == (2, 1)
    assert place_of_it in found["faults"][0]
    assert f"Did you mean {meant}?" in found["faults"][0]
    ended = daybook("config", "apply", "--reason", "x", "--home", home)
    assert (ended.code, place_of_it in ended.err) == (2, True), ended.err


def test_every_misspelt_name_is_a_fault_of_its_own(tmp_path: Path, daybook: Run) -> None:
    text = '[symbols.strategies.trnd]\nmax_order_contracts = 1\n[data.universe]\ninstruments = ["GLOD"]\n'
    home = desk(tmp_path / "home", text, f"{HEAD}SLIVER,,3\n")
    found = daybook("config", "validate", "--home", home)
    assert found.code == 2
    assert found.out.rstrip().endswith("3 faults: nothing of this can be put in force.")


def test_a_row_that_gives_its_class_or_group_is_meant(tmp_path: Path, daybook: Run) -> None:
    """And its symbol may be followed."""
    home = desk(tmp_path / "home", '[data.universe]\ninstruments = ["NEWONE"]\n', f"{HEAD}NEWONE,bond,3\n")
    found = daybook("config", "validate", "--home", home, "--json").document
    assert (found["count"], found["notes"]) == (0, [])


def noted(daybook: Run, home: Path) -> list[str]:
    """What validate notes; apply, status and a look at the files say the same."""
    notes: list[str] = daybook("config", "validate", "--home", home, "--json").document["notes"]
    done = daybook("config", "apply", "--reason", "x", "--home", home)
    assert all(f"note: {note}" in " ".join(done.out.split()) for note in notes), done.out
    assert daybook("config", "apply", "--reason", "x", "--home", home, "--json").document["notes"] == notes
    stands = daybook("config", "status", "--home", home)
    assert all(f"note: {note}" in " ".join(stands.out.split()) for note in notes), stands.out
    assert daybook("config", "status", "--home", home, "--json").document["notes"] == notes
    assert list(examined(place(home)).notes) == notes
    return notes


def test_a_strategy_of_the_library_that_does_not_trade_and_a_class_without_symbols_are_noted(
    tmp_path: Path, daybook: Run
) -> None:
    text = "max_order_contracts = 1\n"
    home = desk(tmp_path / "home", f"[symbols.strategies.chapter15]\n{text}[symbols.asset_classes.bnd]\n{text}", HEAD)
    idle_class, idle_strategy = noted(daybook, home)
    assert idle_class.startswith("symbols.asset_classes.bnd has settings, but no symbol is in it. Did you mean bond?")
    assert idle_strategy.startswith("symbols.strategies.chapter15 has settings, but chapter15 does not trade")


def test_in_development_instruments_may_come_later(tmp_path: Path, daybook: Run) -> None:
    home = desk(tmp_path / "home", '[data.universe]\ninstruments = ["GLOD"]\n', environment="development")
    (note,) = noted(daybook, home)
    assert "data.universe.instruments names GLOD" in note


def test_names_of_all_kinds_are_told_at_once(tmp_path: Path, daybook: Run) -> None:
    """A strategy that trades, one with settings, a symbol with settings, one followed, and two rows of the table."""
    more = "[symbols.strategies.{}]\nmax_order_contracts = 1\n"
    text = (
        more.format("trand") + "[symbols.symbols.GLD]\nmax_order_contracts = 1\n[data.universe]\nexcluded = ['GLOD']\n"
    )
    home = desk(tmp_path / "home", text, f"{HEAD}SLIVER,,3\nUS10,equity,3\n")
    file = home / "desk.toml"
    file.write_text(file.read_text().replace('["trend"]', '["trend", "trnd"]'))
    found = daybook("config", "validate", "--home", home, "--json").document["faults"]
    begun = (
        f"{file}:4: strategy trnd is unknown.", f"{file}:7: symbols.strategies.trand has settings",
        f"{file}:9: symbols.symbols.GLD has settings", "symbols.csv, line 2: symbol 'SLIVER'",
        f"{file}:12: data.universe.excluded names GLOD", "symbols.csv, line 3: symbol US10: asset_class",
    )  # fmt: skip
    assert len(found) == len(begun), found
    assert all(said.startswith(start) for said, start in zip(found, begun, strict=True)), found


def test_strategies_of_one_name_are_told_with_the_line_of_the_second(tmp_path: Path, daybook: Run) -> None:
    home = desk(tmp_path / "home", "")
    file = home / "desk.toml"
    file.write_text(file.read_text().replace('["trend"]', '[\n"trend",\n"chapter15",\n"trend"]'))
    (said,) = daybook("config", "validate", "--home", home, "--json").document["faults"]
    assert said.startswith(f"{file}:7: trading.strategies names strategies that are both called trend")


def test_a_setting_of_the_top_below_a_section_is_told_where_it_belongs(tmp_path: Path, daybook: Run) -> None:
    home = desk(tmp_path / "home", '[data.universe]\nenviroment = "production"\n')
    (said,) = daybook("config", "validate", "--home", home, "--json").document["faults"]
    assert "data.universe.enviroment is not a setting. Did you mean environment? It belongs above the first" in said


def test_a_fault_of_a_strategy_names_its_file_once(tmp_path: Path, daybook: Run) -> None:
    """With the line where the file has one, and without where a rule is over all of it."""
    home = desk(tmp_path / "home", "")
    file = home / "strategies" / "trend.toml"
    file.parent.mkdir()
    rules = '[rules.fast]\nrule = "{}"\nparameters = {{ fast = 16, slow = 64 }}\nweight = {}\n'
    for text, said in (
        (f"pasword = 1\n{rules.format('ewmac', 1.0)}", f"{file}:1: pasword is not a setting"),
        (rules.format("ewmac", 0.5), f"{file}: weights of the rules sum to 0.5"),
        (rules.format("emac", 1.0), f"{file}: "),
    ):
        file.write_text(text)
        (fault,) = daybook("config", "validate", "--home", home, "--json").document["faults"]
        assert fault.startswith(said)
        assert fault.count("trend.toml") == 1
        ended = daybook("config", "apply", "--reason", "x", "--home", home)
        assert (ended.code, ended.err.count("trend.toml")) == (2, 1)
