"""The page on the risk engine against its code: every rule with axes and unit, every reason. Does not belong here:
whether a value is what the page says (tests of the engine compute it from the definition)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from pipelines.configuration_validation import validated
from pipelines.settings import place
from trading.risk.forms import GROUPS
from trading.risk.limit_table import SYMBOL_SETTINGS, rules


class Row(NamedTuple):
    """A row of one of the page's tables of values."""

    axes: tuple[str, ...]
    value: str
    unit: str


@pytest.fixture(scope="module")
def page(root: Path) -> Callable[[str], str]:
    """The text of a page below docs/."""
    return lambda name: (root / "docs" / name).read_text("utf-8")


@pytest.fixture(scope="module")
def values(page: Callable[[str], str]) -> dict[str, Row]:
    """The tables of values, by rule."""
    found: dict[str, Row] = {}
    section = page("reference/risk-engine.md").partition("\n## Values\n")[2].partition("\n## ")[0]
    for name, axes, value, unit in re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE
    ):
        assert name not in found, f"{name} is defined twice"
        spelt = [each for part in axes.split(", ") for each in (GROUPS if part == "groups" else (part,))]
        found[name] = Row(tuple(spelt), value.strip(), unit.strip())
    return found


def test_every_rule_is_defined_with_its_axes_and_its_unit(values: dict[str, Row]) -> None:
    assert sorted(values) == [rule.name for rule in rules()]
    for rule in rules():
        row = values[rule.name]
        assert row.axes == rule.axes, rule.name
        assert row.unit == (rule.unit or "-"), rule.name
        assert row.value


def test_rules_that_judge_reducing_orders_are_named(page: Callable[[str], str]) -> None:
    said = re.search(r"unless told otherwise;\s+(.+?) judge it too", page("reference/risk-engine.md"), re.DOTALL)
    assert said is not None
    judging = [rule.name for rule in rules() if rule.reducing == "judge"]
    assert sorted(re.findall(r"`(\w+)`", said[1])) == judging


def test_what_every_rule_does_to_a_roll_is_said(page: Callable[[str], str]) -> None:
    section = page("reference/risk-engine.md").partition("\n## Rolls\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]
    said = {what.split()[0]: re.findall(r"`(\w+)`", names) for names, what in rows}
    words = {"warn": "warn", "are": "skip", "stop": "stop", "cut": "cut"}
    for word, kind in words.items():
        expected = [rule.name for rule in rules() if rule.rolling == kind and kind != "cut"]
        assert sorted(said[word]) == expected, kind
    cut = [rule for rule in rules() if rule.rolling == "cut"]
    assert {rule.form for rule in cut} <= {"POSITION", "GROSS", "NET", "LOSS", "RISK", "TAIL"}


def test_settings_that_are_limits_are_named(page: Callable[[str], str]) -> None:
    text = page("reference/risk-engine.md")
    settings = {rule.setting for rule in rules() if rule.setting}
    assert set(SYMBOL_SETTINGS) < settings
    assert not [name for name in settings if name not in text]


def test_every_reason_is_explained(root: Path, page: Callable[[str], str]) -> None:
    text = page("reference/risk-engine.md").partition("| reason | the order |")[2].partition("\n## ")[0]
    files = sorted((root / "trading" / "risk").rglob("*.py"))
    given = {code for file in files for code in re.findall(r"Reason\(\s*\"(\w+)\"", file.read_text("utf-8"))}
    assert len(given) > 8
    assert not sorted(code for code in given if f"`{code}`" not in text)


def test_every_risk_rule_is_listed_with_its_cure(page: Callable[[str], str]) -> None:
    text = page("reference/rules.md").partition("\n## Risk rules\n")[2]
    for rule in rules():
        section = text.partition(f"\n### {rule.name}\n")[2].partition("\n### ")[0]
        assert rule.cure in section, rule.name
        assert f"- by: {', '.join(rule.axes)}\n" in section


def test_limits_that_the_guide_shows_are_right_together(page: Callable[[str], str], tmp_path: Path) -> None:
    """In a paper desk, which refuses names that reference data do not know."""
    blocks = re.findall(r"```toml\n(.*?)```", page("how-to/risk.md"), re.DOTALL)
    assert len(blocks) >= 5
    head = 'schema = 2\nenvironment = "paper"\n'
    (tmp_path / "desk.toml").write_text(head + "".join(blocks), encoding="utf-8")
    found = validated(place(tmp_path))
    assert (found["faults"], found["notes"]) == ([], [])
