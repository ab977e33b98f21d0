"""Strategy files: the library, which of them trade, and taking over those of pysystemtrade.

Belongs here: files and the command. Does not belong here: what a strategy may hold (`tests/domain/`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.importing import strategy_text
from pipelines.settings import place, read_settings, strategy_file, strategy_files, write_desk
from trading.config.strategies import StrategySettings
from trading.errors import ConfigError

Run = Callable[..., Any]
OWN = """
name = "own"
rules.slow = { rule = "ewmac", parameters = { fast = 64, slow = 256 }, scalar = 1.87, weight = 1.0 }
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a strategy of its own."""
    (tmp_path / "home" / "strategies").mkdir(parents=True)
    (tmp_path / "home" / "strategies" / "own.toml").write_text(OWN)
    return tmp_path / "home"


# --- the library ------------------------------------------------------------------------------------------------------
def test_a_strategy_is_found_by_name_and_by_path(home: Path) -> None:
    assert strategy_file("own", place(home)).rules["slow"].scalar == 1.87
    assert strategy_file("chapter15", place(home)).portfolio.multiplier == 1.89
    elsewhere = home.parent / "elsewhere.toml"
    elsewhere.write_text(OWN.replace('name = "own"', ""))
    assert strategy_file(elsewhere, place(home)).name == "elsewhere"


def test_the_homes_own_file_wins(home: Path) -> None:
    (home / "strategies" / "chapter15.toml").write_text(OWN)
    assert strategy_file("chapter15", place(home)).name == "own"
    assert strategy_files(place(home))["chapter15"].parent == home / "strategies"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chaptr15", ["strategy chaptr15 is unknown", "Did you mean chapter15?", "chapter15, own, trend"]),
        ("nowhere/own.toml", ["there is no strategy file nowhere/own.toml", "chapter15, own, trend"]),
        ("", ["strategy '' is unknown"]),
    ],
)
def test_a_strategy_that_is_not_there(home: Path, name: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as found:
        strategy_file(name, place(home))
    assert not [part for part in said if part not in str(found.value)]


WRONG = [
    ("name = \n", ["own.toml:1: not valid TOML"]),
    ("name = 'own'", ["rules is missing"]),
    (OWN.replace("1.0", "nan"), ["rules.slow.weight is nan"]),
    (OWN.replace("ewmac", "ewmca"), ["strategy own, rules.slow: there is no rule 'ewmca'", "Did you mean ewmac?"]),
    (OWN.replace("256", "32"), ["fast (64) must be shorter than slow (32)"]),
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_a_wrong_file_is_named_with_what_is_wrong_in_it(home: Path, text: str, said: list[str]) -> None:
    file = home / "strategies" / "own.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as found:
        strategy_file("own", place(home))
    assert not [part for part in said if part not in str(found.value)], str(found.value)


def test_only_strategies_that_trading_names_trade(home: Path) -> None:
    assert [strategy.name for strategy in read_settings(place(home)).strategies] == ["trend"]
    (home / "desk.toml").write_text("trading = []\n")
    assert read_settings(place(home)).strategies == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trading = ['trnd']", "strategy trnd is unknown. Did you mean trend? Strategies are: chapter15, own, trend."),
        ("trading = ['trend', 'trend']", "both called trend"),
        ("trading = 'trend'", "trading.strategies is 'trend' (text), but must be a list"),
        ("[[strategies]]\nname = 'x'", "setting strategies cannot be given"),
        ("[capital]\ncapital_bsae = 5.0", "trading.capital.capital_bsae is not a setting. Did you mean capital_base?"),
    ],
)
def test_wrong_settings_of_what_trades(home: Path, text: str, said: str) -> None:
    (home / "desk.toml").write_text(text)
    with pytest.raises(ConfigError) as found:
        read_settings(place(home))
    assert said in str(found.value)


def test_writing_the_desk_keeps_what_trades(home: Path) -> None:
    (home / "desk.toml").write_text("trading = []\n")
    write_desk(place(home), {"data": {"prices": {"calendar": "weekdays"}}})
    assert read_settings(place(home)).trading.strategies == ()
    assert (home / "desk.schema1.toml").read_text() == "trading = []\n", "what was written anew is kept"
    assert read_settings(place(home)).data.prices.calendar == "weekdays"


# --- pysystemtrade ----------------------------------------------------------------------------------------------------
@pytest.fixture
def chapter15(root: Path) -> Path:
    """The reference system as pysystemtrade writes it."""
    return root / "tests" / "domain" / "pysystemtrade_chapter15.yaml"


def test_an_imported_file_is_the_strategy(chapter15: Path, home: Path, daybook: Run) -> None:
    out = home.parent / "chapter15.toml"
    ended = daybook("import", "pysystemtrade-config", chapter15, "--out", out, "--home", home, "--json")
    assert ended.code == 0, ended.err
    assert ended.document["ok"] is True
    assert ended.document["notes"] == ["ewmac2_8, ewmac4_16, ewmac8_32 left out: they have no forecast weight."]
    assert strategy_file(out, place(home)) == strategy_file("chapter15", place(home))
    assert "ewmac2_8, ewmac4_16, ewmac8_32 left out" in out.read_text()
    people = daybook("import", "pysystemtrade-config", chapter15, "--out", out, "--home", home)
    assert "- ewmac2_8, ewmac4_16, ewmac8_32 left out" in people.out


REFUSED = [
    ("a: [1,", "not valid YAML"),
    ("- 1\n- 2", "holds no settings"),
    ("", "holds no settings"),
    ("a: !!python/object/apply:os.system ['true']", "not valid YAML"),
    ("percentage_vol_target: 20", "trading_rules is missing"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_a_file_without_a_strategy_writes_nothing(text: str, said: str, home: Path, daybook: Run) -> None:
    given, out = home.parent / "system.yaml", home.parent / "out.toml"
    given.write_text(text)
    ended = daybook("import", "pysystemtrade-config", given, "--out", out, "--home", home, "--json")
    assert ended.code == 2
    assert said in ended.document["message"]
    assert sorted(file.name for file in home.parent.iterdir()) == ["home", "system.yaml"]


def test_files_that_cannot_be_read_or_written(chapter15: Path, home: Path, daybook: Run) -> None:
    words = ("import", "pysystemtrade-config")
    ended = daybook(*words, home / "nothing.yaml", "--out", home / "x.toml", "--home", home)
    assert (ended.code, "cannot be read" in ended.err) == (2, True)
    ended = daybook(*words, chapter15, "--out", home / "no" / "folder" / "x.toml", "--home", home)
    assert (ended.code, "cannot be written" in ended.err) == (2, True)
    ended = daybook(*words, chapter15, "--out", home / "x.json", "--home", home)
    assert (ended.code, "a strategy is a .toml file" in ended.err) == (2, True)


def test_a_strategy_with_everything_in_it_survives_being_written() -> None:
    rule = {"rule": "ewmac", "parameters": {"fast": 16, "slow": 64}, "scalar": "estimated", "weight": 0.5}
    strategy = StrategySettings.model_validate(
        {
            "name": "all",
            "description": 'quotes " and \\ and\nlines',
            "rules": {"a": rule, "b": {**rule, "parameters": {"fast": 2.5, "slow": 8}}},
            "instruments": ["US10", "JGB-SGX-mini"],
            "prices_since": "2000-01-31",
            "forecasts": {
                "weights": {"US10": {"a": 1.0}, "JGB-SGX-mini": {"a": 0.25, "b": 0.75}},
                "multiplier": "estimated",
                "multipliers": {"US10": 1.25},
                "estimate": {"span": 100},
            },
            "portfolio": {"weights": {"US10": 1e-3, "JGB-SGX-mini": 0.999}},
            "risk_overlay": {"leverage": 13.0},
            "volatility": {"least_points": 1e-12, "backfill": True},
        }
    )
    text = strategy_text(strategy, ["a heading", "of two\nlines"])
    assert text.startswith("# a heading\n# of two lines\n")
    assert "span = 100" in text
    assert "min_periods" not in text, "what is as shipped is not written"
