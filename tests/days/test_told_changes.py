"""What changed, as diff, apply and history tell it: a line a setting, in one order, and where to read the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]
FILE = 'schema = 2\nenvironment = "paper"\n[trading]\nstrategies = ["trend"]\n'
NEW = """[symbols.strategies.trend]
order_type = "limit"
max_position_contracts = 1
[symbols.asset_classes.bond]
max_position_contracts = 40
"""
WANTED = [
    "symbols.asset_classes.bond.max_position_contracts: not set -> 40",
    "symbols.strategies.trend.max_position_contracts: not set -> 1",
    'symbols.strategies.trend.order_type: not set -> "limit"',
]


def test_a_new_section_is_told_setting_by_setting_in_one_order(tmp_path: Path, daybook: Run) -> None:
    (tmp_path / "desk.toml").write_text(FILE)
    assert daybook("config", "apply", "--reason", "first", "--home", tmp_path).code == 0
    (tmp_path / "desk.toml").write_text(FILE + NEW)
    diff = daybook("config", "diff", "--home", tmp_path).out.splitlines()
    done = daybook("config", "apply", "--reason", "second", "--home", tmp_path).out.splitlines()
    kept = daybook("config", "history", "--changes", "--home", tmp_path).out.splitlines()
    for lines in (diff, done, kept):
        assert [line for line in lines if line.startswith("symbols.")] == WANTED


def test_the_rest_of_a_large_change_is_in_the_diff_of_the_two_versions(tmp_path: Path, daybook: Run) -> None:
    """1,200 new rows: 100 are kept in the journal, 1,000 listed by diff, and all counted."""
    (tmp_path / "desk.toml").write_text(FILE)
    assert daybook("config", "apply", "--reason", "first", "--home", tmp_path).code == 0
    rows = "".join(f"S{number:04},bond,3\n" for number in range(1200))
    (tmp_path / "symbols.csv").write_text(f"symbol,asset_class,max_position_contracts\n{rows}")
    (tmp_path / "desk.toml").write_text(FILE + '[symbols]\ntable = "symbols.csv"\n')
    done = daybook("config", "apply", "--reason", "second", "--home", tmp_path)
    assert "and 1,102 more: see `daybook config diff 1 2`" in done.out, done.out[-300:]  # and table, table_sha256
    diff = daybook("config", "diff", "1", "2", "--home", tmp_path)
    assert diff.out.rstrip().endswith("symbols.table: 200 more changes")
    assert daybook("config", "diff", "1", "2", "--home", tmp_path, "--json").document["count"] == 1202
