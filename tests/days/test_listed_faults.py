"""Every fault of a desk's files is one of its own, with its line, on a line of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]
LOSSES = 'schema = 2\nenvironment = "{}"\n[risk]\nmax_daily_loss_fraction = 7\nmax_gross_exposure_fraction = -1\n'


def test_each_broken_rule_of_production_is_a_fault_with_its_line(tmp_path: Path, daybook: Run) -> None:
    """A simulated vendor and a paper broker, both written; an owner that is not set has the line of the environment."""
    (tmp_path / "desk.toml").write_text(
        'schema = 2\nenvironment = "production"\n[data.vendor]\nname = "simulated"\n[trading.broker]\nname = "paper"\n'
    )
    found = daybook("config", "validate", "--home", tmp_path, "--json").document
    vendor, broker, owner = (next(f for f in found["faults"] if f"{name} is" in f) for name in RULED)
    assert f"{tmp_path}/desk.toml:4: environment is production and data.vendor.name is simulated" in vendor
    assert f"{tmp_path}/desk.toml:6: environment is production and trading.broker.name is paper" in broker
    assert f"{tmp_path}/desk.toml:2: environment is production and trading.reconciliation.owner is not" in owner
    assert found["count"] == len(found["faults"])


RULED = ("data.vendor.name", "trading.broker.name", "trading.reconciliation.owner")


def test_each_fault_of_a_table_is_counted(tmp_path: Path, daybook: Run) -> None:
    (tmp_path / "desk.toml").write_text('schema = 2\n[symbols]\ntable = "symbols.csv"\n')
    (tmp_path / "symbols.csv").write_text("symbol,max_position_contracts\nGOLD,-1\nUS10,x\nUS5,1.5\n")
    found = daybook("config", "validate", "--home", tmp_path, "--json").document
    assert found["count"] == 3
    for fault, line in zip(found["faults"], (2, 3, 4), strict=True):
        assert f"symbols.csv, line {line}, max_position_contracts" in fault


@pytest.mark.parametrize("words", [("apply", "--reason", "x"), ("explain", "GOLD", "order_type"), ("status",)])
def test_faults_that_stop_a_command_stand_on_lines_of_their_own(
    tmp_path: Path, daybook: Run, words: tuple[str, ...]
) -> None:
    (tmp_path / "desk.toml").write_text(LOSSES.format("development"))
    ended = daybook("config", *words, "--home", tmp_path)
    lines = [line.strip() for line in (ended.out + ended.err).splitlines()]
    for line in (4, 5):
        assert any(each.startswith(f"{tmp_path}/desk.toml:{line}: risk.max") for each in lines), lines


def test_who_writes_a_symbol_small_is_told_the_right_one(tmp_path: Path, daybook: Run) -> None:
    """And what is in force is true or false for programs."""
    (tmp_path / "desk.toml").write_text("schema = 2\n")
    ended = daybook("config", "explain", "gold", "order_type", "--home", tmp_path)
    assert (ended.code, "Did you mean GOLD?" in ended.err) == (2, True), ended.err
    origins = daybook("config", "explain", "GOLD", "order_type", "--home", tmp_path, "--json").document["origins"]
    assert [origin["in_force"] for origin in origins if origin["level"] == "defaults"] == [True]
    assert {type(origin["in_force"]) for origin in origins} == {bool}
