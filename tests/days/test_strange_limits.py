"""Limits in a desk's files that mean nothing, or name what there is not: told with file and line before they are in
force. Does not belong here: which limit is in force for what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def desk(home: Path, text: str, environment: str = "paper") -> Path:
    """A home with its own file, the strategy trend traded; `text` begins in line 5."""
    home.mkdir(exist_ok=True)
    head = f'schema = 2\nenvironment = "{environment}"\n[trading]\nstrategies = ["trend"]\n'
    (home / "desk.toml").write_text(head + text, encoding="utf-8")
    return home


def limit(**entry: object) -> str:
    """An entry of `risk.limits`: a line of its own for each setting, after the head."""
    quoted = {name: f'"{value}"' if isinstance(value, str) else value for name, value in entry.items()}
    return "[[risk.limits]]\n" + "".join(f"{name} = {value}\n" for name, value in quoted.items())


TWICE = limit(rule="margin", refuse=0.5) + limit(rule="margin", refuse=0.6)
BASKET = "[risk.model.factors.rates]\nbasket = { US1O = 1.0 }\n"
RIGHT = BASKET.replace("1O", "10")
CRASH = "[risk.model.scenarios.crash]\nasset_classes = { equitys = -0.2 }\n"
MEANINGLESS = [
    (limit(rule="gross_exposur", refuse=1.0), "desk.toml:6", "there is no rule gross_exposur. Did you mean gross_expo"),
    (
        limit(rule="margin", refuse=1.0, by="sector"),
        "desk.toml:8",
        "margin is not measured by sector, but by",
    ),
    (
        limit(rule="leverage", instrument="GOLD", refuse=1.0),
        "desk.toml:7",
        "named by nothing, not by instrument",
    ),
    (limit(rule="order_size", refuse=9.0), "desk.toml:7", "is the setting max_order_contracts. Set that"),
    (TWICE, "desk.toml:10", "entry 1 sets refuse of margin for the same"),
]
STRANGE = [
    (limit(rule="restricted", refuse=0.0, strategy="trnd"), "desk.toml:8", "strategy trnd", "trend"),
    (limit(rule="factor_exposure", refuse=0.1, factor="rate") + RIGHT, "desk.toml:8", "rate", "rates"),
    (limit(rule="stress", scenario="crsh", refuse=0.1) + CRASH.replace("ys", "y"), "desk.toml:7", "crsh", "crash"),
    (limit(rule="component_exposure", component=4, refuse=0.1), "desk.toml:7", "the principal component 4", None),
    ('[risk.decisions]\nhalt_on = ["daily_los"]\n', "desk.toml:6", "the rule daily_los", "daily_loss"),
    (
        '[risk.service.tokens.desk]\ntoken = { env = "T" }\nstrategies = ["tend"]\n',
        "desk.toml:7", "risk.service.tokens.desk.strategies[0] names the strategy tend", "trend",
    ),
]  # fmt: skip
OF_DATA = [
    (limit(rule="restricted", refuse=0.0, instrument="GLOD"), "desk.toml:8", "the instrument GLOD", "GOLD"),
    (limit(rule="gross_exposure", refuse=1.0, sector="large cap"), "desk.toml:8", "sector large cap", "large caps"),
    (limit(rule="gross_exposure", refuse=1.0, asset_class="equitys"), "desk.toml:8", "asset class equitys", "equity"),
    (limit(rule="gross_exposure", refuse=1.0, country="USA"), "desk.toml:8", "the country USA", "US"),
    (limit(rule="gross_exposure", refuse=1.0, currency="USB"), "desk.toml:8", "the currency USB", "USD"),
    (limit(rule="gross_exposure", refuse=1.0, exchange_group="CMEE"), "desk.toml:8", "exchange group CMEE", "CME"),
    (BASKET, "desk.toml:6", "risk.model.factors.rates.basket.US1O names the instrument US1O", "US10"),
    (CRASH, "desk.toml:6", "risk.model.scenarios.crash.asset_classes.equitys names the asset class", "equity"),
    ("[risk.model.margins_local]\nUS1O = 1.0\n", "desk.toml:6", "margins_local.US1O names the instrument", "US10"),
]


@pytest.mark.parametrize(("text", "where", "said"), MEANINGLESS)
def test_a_limit_that_means_nothing_is_refused_with_its_line(
    text: str, where: str, said: str, tmp_path: Path, daybook: Run
) -> None:
    """By validate and by apply."""
    home = desk(tmp_path / "home", text)
    found = daybook("config", "validate", "--home", home, "--json").document
    assert (found["exit_code"], found["count"]) == (2, 1), found
    assert found["faults"][0].startswith(f"{home}/{where}: risk.limits entry "), found["faults"][0]
    assert said in found["faults"][0]
    ended = daybook("config", "apply", "--reason", "x", "--home", home)
    assert (ended.code, said in ended.err) == (2, True), ended.err


@pytest.mark.parametrize(("text", "where", "said", "meant"), STRANGE + OF_DATA)
def test_a_strange_name_is_refused_with_its_line_and_what_is_meant(
    text: str, where: str, said: str, meant: str | None, tmp_path: Path, daybook: Run
) -> None:
    home = desk(tmp_path / "home", text)
    found = daybook("config", "validate", "--home", home, "--json").document
    assert (found["exit_code"], found["count"]) == (2, 1), found
    assert found["faults"][0].startswith(f"{home}/{where}: "), found["faults"][0]
    assert said in found["faults"][0]
    assert meant is None or f"Did you mean {meant}?" in found["faults"][0]
    assert daybook("config", "apply", "--reason", "x", "--home", home).code == 2


@pytest.mark.parametrize(("text", "where", "said", "meant"), OF_DATA)
def test_in_development_what_reference_data_name_may_come_later(
    text: str, where: str, said: str, meant: str, tmp_path: Path, daybook: Run
) -> None:
    found = daybook("config", "validate", "--home", desk(tmp_path / "home", text, "development"), "--json").document
    assert found["exit_code"] == 0, found
    assert [said in note and f"Did you mean {meant}?" in note for note in found["notes"]] == [True]


def test_a_limit_of_a_strategy_that_does_not_trade_is_noted(tmp_path: Path, daybook: Run) -> None:
    home = desk(tmp_path / "home", limit(rule="restricted", refuse=0.0, strategy="chapter15"))
    found = daybook("config", "validate", "--home", home, "--json").document
    assert (found["exit_code"], len(found["notes"])) == (0, 1), found
    assert found["notes"][0].startswith("risk.limits entry 1 is of strategy chapter15, which does not trade")


def test_every_fault_is_told_at_once(tmp_path: Path, daybook: Run) -> None:
    home = desk(tmp_path / "home", "".join(text for text, *_ in (*MEANINGLESS[:2], STRANGE[0], OF_DATA[0])))
    found = daybook("config", "validate", "--home", home)
    assert found.code == 2
    assert found.out.rstrip().endswith("4 faults: nothing of this can be put in force.")


def test_right_limits_are_right(tmp_path: Path, daybook: Run) -> None:
    right = (
        limit(rule="gross_exposure", asset_class="equity", refuse=2.0, warn=1.5),
        limit(rule="restricted", instrument="GOLD", refuse=0.0, effective_until="2030-01-31"),
        limit(rule="stress", scenario="crash", refuse=0.1), CRASH.replace("ys", "y"),
    )  # fmt: skip
    found = daybook("config", "validate", "--home", desk(tmp_path / "home", "".join(right)), "--json").document
    assert (found["exit_code"], found["notes"], found["faults"]) == (0, [], [])
