"""The JSON schemas editors use: sound by the standard's own schema, true to the models, and they find mistakes.

Belongs here: what a schema says. Does not belong here: the command that writes it.
"""

from __future__ import annotations

import json
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from trading.config.json_schema import KINDS, json_schema
from trading.config.models import DeskSettings
from trading.config.strategies import StrategySettings
from trading.strategies.rule import rules

DESK: dict[str, Any] = {
    "schema": 2,
    "environment": "paper",
    "data": {
        "vendor": {"name": "csv_folder", "source": "prices", "columns": {"open": "", "volume": "Volume"}},
        "storage": {"ledger": {"store": "mongodb", "address": {"env": "MONGODB_URI"}}},
        "universe": {"instruments": ["CORN", "US10"]},
    },
    "features": {"training": {"since": "2000-01-31"}},
    "trading": {
        "strategies": ["trend"],
        "capital": {"base_currency": "USD", "capital_base": 5_000_000},
        "broker": {"name": "interactive_brokers", "account": "D1", "session_ends": "17:00:00", "symbols": {"C": "B"}},
    },
    "symbols": {
        "table": "symbols.csv",
        "asset_classes": {"grains": {"max_position_contracts": 50}, "softs": {"inherits": "grains"}},
        "symbols": {"CORN": {"trading_mode": "reduce_only", "max_spike": 15.5}},
    },
}  # fmt: skip
# What is set in DESK, where the schema must find it, and what it must name.
WRONG: list[tuple[str, object, str]] = [
    ("trading.capital.capital_bse", 1.0, "capital_bse"),
    ("trading.capital.capital_base", -1.0, "exclusiveMinimum"),
    ("trading.capital.base_currency", "dollar", "pattern"),
    ("trading.broker.port", 70_000, "maximum"),
    ("trading.broker.name", "papr", "enum"),
    ("trading.broker.symbols", {"ZC": "../CORN"}, "pattern"),
    ("environment", "prod", "enum"),
    ("schema", 3, "maximum"),
    ("data.storage.ledger.address", "mongodb://u:p@h", "anyOf"),
    ("data.storage.ledger.address", {"env": "A", "file": "b"}, "anyOf"),
    ("data.storage.ledger.address", {}, "anyOf"),
    ("data.timeframes", [], "minItems"),
    ("symbols.symbols.CORN.max_spike", 0.5, "anyOf"),
    ("symbols.asset_classes", {"two words": {}}, "two words"),
    ("symbols.table_sha256", "0" * 64, "table_sha256"),
    ("strategies", [], "strategies"),
    ("risk", 5, "type"),
]


def changed(values: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Values with one setting, by its path, given."""
    made = deepcopy(values)
    *sections, name = path.split(".")
    place = made
    for section in sections:
        place = place.setdefault(section, {})
    place[name] = value
    return made


def plain(file: Path) -> dict[str, Any]:
    """A TOML file as JSON has it: dates as text."""
    values: dict[str, Any] = json.loads(json.dumps(tomllib.loads(file.read_text("utf-8")), default=str))
    return values


def faults(kind: Any, values: dict[str, Any]) -> list[Any]:
    """What a validator that knows only the schema finds."""
    schema = json_schema(kind, {name: rule.parameters for name, rule in rules().items()})
    return list(jsonschema.Draft202012Validator(schema).iter_errors(values))


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_sound_by_the_standards_own_schema(kind: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))
    json.dumps(json_schema(kind), allow_nan=False)


def test_the_shipped_files_pass(root: Path) -> None:
    desks = sorted((root / "config").glob("*.toml"))
    assert {"base", "development", "paper", "production", "local", "services"} <= {file.stem for file in desks}
    assert not [(file.name, fault.message) for file in desks for fault in faults("desk", plain(file))]
    strategies = sorted((root / "config" / "strategies").glob("*.toml"))
    assert len(strategies) >= 2
    assert not [(file.name, fault.message) for file in strategies for fault in faults("strategy", plain(file))]


def test_a_desk_with_something_in_every_section_passes_the_schema_and_the_models() -> None:
    assert not [fault.message for fault in faults("desk", DESK)]
    assert DeskSettings.model_validate(DESK).trading.capital.capital_base == 5_000_000


@pytest.mark.parametrize(("path", "value", "named"), WRONG, ids=[f"{row[0]}={row[1]}"[:50] for row in WRONG])
def test_a_wrong_desk_fails_under_the_schema(path: str, value: object, named: str) -> None:
    found = faults("desk", changed(DESK, path, value))
    assert len(found) == 1, "one mistake is one finding"
    assert named == found[0].validator or named in found[0].message


@pytest.mark.parametrize(
    ("path", "value"), [row[:2] for row in WRONG if row[0] not in ("strategies", "symbols.table_sha256")]
)
def test_the_models_refuse_the_same(path: str, value: object) -> None:
    with pytest.raises(ValidationError):
        DeskSettings.model_validate(changed(DESK, path, value))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rules": {"r": {"rule": "ewmac", "parameters": {"fast": 8, "slow": 32}}}}, "'weight' is a required property"),
        ({"rules": {"r": {"rule": "ewmac", "weight": 1.0, "parameters": {"fast": 0, "slow": 8}}}}, "minimum"),
        ({"rules": {"r": {"rule": "ewmac", "weight": 1.0, "parameters": {"fsat": 8, "slow": 32}}}}, "fsat"),
        ({"volatility": {"method": "mixd"}}, "mixd"),
        ({"instrments": []}, "instrments"),
    ],
)
def test_a_wrong_strategy_fails_under_the_schema(change: dict[str, Any], named: str, root: Path) -> None:
    good = plain(root / "config" / "strategies" / "trend.toml")
    found = faults("strategy", good | change)
    assert found
    assert any(named in fault.message or named == fault.validator for fault in found)


def test_every_setting_is_described_and_none_is_open() -> None:
    for kind, model in (("desk", DeskSettings), ("strategy", StrategySettings)):
        schema = json_schema(kind)  # type: ignore[arg-type]
        assert model.__doc__
        assert schema["description"].startswith(model.__doc__.split(".")[0])
        for name, part in [("top", schema), *schema["$defs"].items()]:
            assert part["additionalProperties"] is False, name
            silent = [key for key, each in part["properties"].items() if not each.get("description")]
            assert not silent, f"{name}: {silent}"
