"""What may be set for a symbol: one list of fields, and models that say the same."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from pydantic import BaseModel, ValidationError

from trading.config.refusals import refusals
from trading.config.symbol_columns import DTYPES, SymbolColumns
from trading.config.symbol_fields import FIELD, FIELDS, SymbolField, checked
from trading.config.symbols import GroupOverrides, SymbolDefaults, SymbolOverrides, SymbolSettings, SymbolsSettings
from trading.errors import ConfigError

WRITTEN = {"whole": int, "number": float, "choice": str}


def parts(annotation: Any) -> tuple[Any, dict[str, float], bool]:
    """A model's kind, its bounds, and whether it may be left out."""
    options = [option for option in get_args(annotation) if option is not type(None)]
    optional = type(None) in get_args(annotation)
    inner = options[0] if optional else annotation
    if get_origin(inner) is Literal:
        return inner, {}, optional
    kind, info = get_args(inner)
    return kind, {name: getattr(bound, name) for bound in info.metadata for name in bound.__slots__}, optional


def as_field(name: str, model: type[BaseModel]) -> tuple[str, str, dict[str, float], tuple[str, ...], bool]:
    """A model's field, told as one of FIELDS."""
    kind, bounds, optional = parts(get_type_hints(model, include_extras=True)[name])
    told = model.model_fields[name].description or ""
    if get_origin(kind) is Literal:
        return "choice", told, bounds, get_args(kind), optional
    return {int: "whole", float: "number"}[kind], told, bounds, (), optional


def wanted(field: SymbolField, optional: bool) -> tuple[str, str, dict[str, float], tuple[str, ...], bool]:
    """What a model must say of a field."""
    bounds = {} if field.kind == "choice" else {"ge": field.least, "le": field.most}
    return field.kind, field.description, bounds, field.choices, optional


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_models_say_what_the_list_says(field: SymbolField) -> None:
    assert as_field(field.name, SymbolDefaults) == wanted(field, optional=False)
    for model in (SymbolOverrides, GroupOverrides):
        assert as_field(field.name, model) == wanted(field, optional=True)
        assert model.model_fields[field.name].default is None
    assert SymbolDefaults.model_fields[field.name].default == field.default


def test_models_have_the_fields_of_the_list_and_no_others() -> None:
    names = [field.name for field in FIELDS]
    assert list(SymbolDefaults.model_fields) == names
    assert list(SymbolOverrides.model_fields) == names
    assert sorted(GroupOverrides.model_fields) == sorted([*names, "inherits"])
    assert list(FIELD) == names


def test_the_value_of_one_symbol_has_the_fields_of_the_list() -> None:
    hints = get_type_hints(SymbolSettings)
    assert list(SymbolSettings._fields) == [field.name for field in FIELDS]
    assert SymbolSettings() == tuple(field.default for field in FIELDS)
    assert {name: hints[name] for name in SymbolSettings._fields} == {f.name: WRITTEN[f.kind] for f in FIELDS}
    assert all(type(field.default) is WRITTEN[field.kind] for field in FIELDS)


def test_every_field_fits_its_column() -> None:
    for field in FIELDS:
        if field.kind == "whole":
            info = np.iinfo(DTYPES["whole"])
            assert info.min <= field.least <= field.default <= field.most <= info.max
        elif field.kind == "choice":
            assert field.default in field.choices
            assert len(set(field.choices)) == len(field.choices) <= 256
        else:
            assert field.least <= field.default <= field.most
            assert math.isfinite(field.most)
    assert len(FIELDS) <= 32, "`own` has a bit for each"


@pytest.mark.parametrize("field", [field for field in FIELDS if field.kind != "choice"], ids=lambda field: field.name)
def test_bounds_are_held_by_the_model_and_by_the_check_alike(field: SymbolField) -> None:
    make = WRITTEN[field.kind]
    step = 1 if field.kind == "whole" else 1e-3 * max(abs(field.most), 1)
    for value in (make(field.least), make(field.most)):
        assert checked({field.name: value}) == {field.name: value}
        assert getattr(SymbolOverrides(**{field.name: value}), field.name) == value
    for value in (make(field.least - step), make(field.most + step), math.nan, math.inf, True, "7", None):
        with pytest.raises(ConfigError, match=field.name):
            checked({field.name: value})
        if value is not None:
            with pytest.raises(ValidationError):
                SymbolOverrides(**{field.name: value})


def test_every_wrong_change_is_named_with_its_value_and_cure() -> None:
    with pytest.raises(ConfigError) as refused:
        checked({"max_spke": 3, "max_spike": "high", "trading_mode": "reduce-only", "max_order_contracts": 1.5})
    assert str(refused.value) == (
        "max_spke is not a setting of a symbol. Did you mean max_spike? Settings are: max_position_contracts, "
        "max_order_contracts, max_exposure_fraction, trading_mode, order_type, limit_offset_fraction, max_spike, "
        "max_silent_sessions, max_price_points. "
        "max_spike is 'high': not a number. It must be a number from 1 to 1000000. "
        "trading_mode is 'reduce-only': not a choice. It must be one of free, reduce_only, none. "
        "Did you mean reduce_only? "
        "max_order_contracts is 1.5: not a whole number. It must be a whole number from 0 to 1000000."
    )


def test_a_whole_number_is_a_number() -> None:
    assert checked({"max_spike": 5}) == {"max_spike": 5.0}
    assert isinstance(checked({"max_spike": 5})["max_spike"], float)


def test_a_huge_value_is_not_repeated_whole() -> None:
    with pytest.raises(ConfigError) as refused:
        checked({"trading_mode": "x" * 1_000_000, "y" * 1_000_000: 1})
    assert len(str(refused.value)) < 1000


def refused_because(values: dict[str, object]) -> str:
    """Why settings are refused."""
    with pytest.raises(ValidationError) as refused:
        SymbolsSettings.model_validate(values)
    return " ".join(refusals(refused.value, SymbolsSettings))


def test_a_cycle_is_shown() -> None:
    groups = {"a": {"inherits": "b"}, "b": {"inherits": "c"}, "c": {"inherits": "b"}, "d": {"inherits": "d"}}
    assert refused_because({"asset_classes": groups}) == (
        "symbols.asset_classes: b inherits c inherits b, which is a cycle. Remove `inherits` from one of them. "
        "symbols.asset_classes: d inherits d, which is a cycle. Remove `inherits` from one of them."
    )


def test_an_unknown_parent_is_named() -> None:
    assert refused_because({"exchange_groups": {"CME": {"inherits": "US"}, "USA": {}}}) == (
        "symbols.exchange_groups.CME.inherits is 'US', which is not among symbols.exchange_groups. Did you mean USA? "
        "They are: CME, USA."
    )


def test_a_chain_that_joins_another_is_no_cycle() -> None:
    groups = {"top": {}, "left": {"inherits": "top"}, "right": {"inherits": "top"}, "low": {"inherits": "left"}}
    taken = SymbolsSettings.model_validate({"asset_classes": groups}).asset_classes
    assert [taken[name].inherits for name in taken] == [None, "top", "top", "left"]


@pytest.mark.parametrize(
    "place", ["../symbols.csv", "/symbols.csv", "a/../b.csv", ".hidden.csv", "a//b.csv", "a\\b.csv", "x.txt", "a b.csv",
              "x.csv\n", "~/x.csv", "", "a/.csv"],
)  # fmt: skip
def test_a_table_that_leaves_its_folder_is_refused(place: str) -> None:
    assert "table" in refused_because({"table": place})


@pytest.mark.parametrize("place", ["symbols.csv", "tables/eu/symbols-2.csv", "v1.2/x.csv"])
def test_a_table_below_its_folder_is_taken(place: str) -> None:
    assert SymbolsSettings(table=place).table == place


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"symbols": {"SP 500": {}}}, "SP 500"),
        ({"symbols": {"SP500": {"max_spke": 3}}}, "Did you mean max_spike?"),
        ({"symbols": {"SP500": {"inherits": "NASDAQ"}}}, "symbols.SP500.inherits is not a setting"),
        ({"strategies": {"trend": {"max_spike": "9"}}}, "strategies.trend.max_spike is '9' (text)"),
        ({"symbols": {f"S{i}": {} for i in range(5001)}}, "but must have at most 5"),
        ({"asset_classes": {f"C{i}": {} for i in range(501)}}, "at most 500"),
        ({"defaults": {"max_silent_sessions": None}}, "defaults.max_silent_sessions"),
        ({"table_sha256": "XYZ"}, "table_sha256"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, object], named: str) -> None:
    assert named in refused_because(values)


def columns_of_two() -> SymbolColumns:
    """A, which has its own max_spike, and B."""
    fields = {f.name: np.array([0, 0], DTYPES[f.kind]) for f in FIELDS}
    fields["max_spike"] = np.array([4.0, 20.0])
    fields["trading_mode"] = np.array([1, 2], np.uint8)
    bit = 1 << [field.name for field in FIELDS].index("max_spike")
    codes = np.zeros(2, np.uint16)
    own = np.array([bit, 0], np.uint32)
    changes = {"trend": {"max_spike": 7.0, "trading_mode": "free"}}
    return SymbolColumns(("A", "B"), ("",), codes, ("",), codes, fields, own, changes)


def test_a_strategy_changes_what_a_symbol_does_not_have_of_its_own() -> None:
    columns = columns_of_two()
    assert [columns.settings(s).max_spike for s in "AB"] == [4.0, 20.0]
    assert [columns.settings(s, "trend").max_spike for s in "AB"] == [4.0, 7.0]
    assert [columns.settings(s).trading_mode for s in "AB"] == ["reduce_only", "none"]
    assert [columns.settings(s, "trend").trading_mode for s in "AB"] == ["free", "free"]
    assert columns.settings("B", "another") == columns.settings("B")
    assert len(columns) == 2


def test_an_unknown_symbol_has_no_settings() -> None:
    with pytest.raises(ConfigError, match="symbol 'AA' is not among the 2"):
        columns_of_two().settings("AA")


def test_the_list_of_fields_needs_no_pydantic(root: Path) -> None:
    code = (
        "import sys, trading.config.symbol_fields, trading.config.symbol_columns as c; "
        "print([m for m in ('pydantic', 'pyarrow', 'pandas', 'difflib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert run.stdout == "[]\n"
