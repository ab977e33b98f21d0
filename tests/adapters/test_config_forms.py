"""Forms for machines: what goes in comes out, one section without the others, and damage is refused by name.

Belongs here: msgpack and Arrow. Does not belong here: files people write (`test_config_documents.py`).
"""

from __future__ import annotations

import json
import random
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
import pytest

from resources import config_forms, symbol_forms
from resources.arrow_messages import written
from resources.config_forms import PackedConfiguration, packed
from resources.symbol_csv import parsed_table
from trading.config.ceilings import CEILINGS, USUAL
from trading.config.data import DataSettings
from trading.config.inheritance import Classification, resolved
from trading.config.models import DeskSettings
from trading.config.settings import ROOTS, TIMEZONES
from trading.config.symbol_columns import SymbolColumns
from trading.config.symbol_fields import FIELDS
from trading.config.symbols import SymbolsSettings
from trading.errors import ConfigError, DaybookError

RULES = {"fast": {"rule": "ewmac", "parameters": {"fast": 8, "slow": 32}, "weight": 1.0}}


@pytest.fixture(scope="module")
def desk() -> DeskSettings:
    """Settings that differ from what is shipped in every section."""
    return DeskSettings.model_validate(
        {
            "data": {"vendor": {"seed": 7}, "storage": {"ledger": {"address": {"env": "LEDGER"}}}},
            "features": {"training": {"since": "2001-02-03"}},
            "trading": {"capital": {"capital_base": 123_456.5}, "broker": {"symbols": {"6E/é": "EUR"}}},
            "risk": {"max_daily_loss_fraction": 0.02},
            "symbols": {"symbols": {"CORN": {"max_position_contracts": 3}}},
            "operations": {"runs": {"wait_seconds": 1.5}},
            "strategies": [{"name": "one", "rules": RULES, "instruments": ["CORN"]}],
        }
    )


@pytest.fixture(scope="module")
def columns() -> SymbolColumns:
    """Three symbols."""
    fields: dict[str, Any] = {}
    for field in FIELDS:
        kind = {"whole": np.int32, "number": np.float64, "choice": np.uint8}[field.kind]
        default = field.choices.index(str(field.default)) if field.choices else field.default
        fields[field.name] = np.full(3, default, dtype=kind)
    fields["max_position_contracts"] = np.array([5, 0, 1_000_000], dtype=np.int32)
    fields["trading_mode"] = np.array([0, 2, 1], dtype=np.uint8)
    return SymbolColumns(
        ("CORN", "EDOLLAR", "US10"), ("", "grains"), np.array([1, 0, 0], dtype=np.uint16),
        ("CBOT", "CME"), np.array([0, 1, 0], dtype=np.uint16), fields, np.array([1, 0, 9], dtype=np.uint32),
        {"trend": {"max_spike": 7.5, "order_type": "limit"}},
    )  # fmt: skip


# --- settings ---------------------------------------------------------------------------------------------------------
def test_packed_settings_are_the_same_settings(desk: DeskSettings) -> None:
    found = PackedConfiguration.open(packed(desk)).desk()
    assert found == desk
    assert found.content_hash() == desk.content_hash()
    assert packed(found) == packed(desk)


def test_one_section_is_read_though_another_is_damaged(desk: DeskSettings) -> None:
    document = msgpack.unpackb(packed(desk))
    document["sections"]["trading"] = b"\xc1 no msgpack"
    opened = PackedConfiguration.open(msgpack.packb(document))
    values = opened.section("data")
    assert DataSettings.model_validate_json(json.dumps(values)) == desk.data
    with pytest.raises(ConfigError, match="section trading: is no whole msgpack"):
        opened.desk()


def test_arrow_settings_are_the_same_settings(desk: DeskSettings) -> None:
    data = config_forms.as_arrow(desk)
    assert config_forms.from_arrow(data) == desk
    with pa.ipc.open_stream(data) as stream:  # what any other program sees
        rows = {tuple(row["path"]): row["value"] for row in stream.read_all().to_pylist()}
        facts = stream.schema.metadata
    assert rows["trading", "capital", "capital_base"] == "123456.5"
    assert rows["trading", "broker", "symbols", "6E/é"] == '"EUR"'
    assert facts[b"configuration"].decode() == desk.content_hash()


def test_no_secret_is_in_a_form(desk: DeskSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER", "mongodb://anna:hunter2@127.0.0.1")
    for data in (packed(desk), config_forms.as_arrow(desk)):
        assert b"LEDGER" in data
        assert b"hunter2" not in data
    found = PackedConfiguration.open(packed(desk)).section("data")
    assert found["storage"]["ledger"]["address"] == {"env": "LEDGER", "file": None}


def test_some_sections_are_read_as_values_but_not_as_a_desk(desk: DeskSettings) -> None:
    opened = PackedConfiguration.open(packed(desk, ["risk", "data"]))
    assert opened.sections == ("risk", "data")
    assert opened.configuration == desk.content_hash()
    assert opened.section("risk")["max_daily_loss_fraction"] == 0.02
    with pytest.raises(ConfigError, match=r"holds risk, data only, which is no whole desk\. Read the sections one by"):
        opened.desk()
    data = config_forms.as_arrow(desk, ["risk"])
    with pa.ipc.open_stream(data) as stream:
        assert {row["path"][0] for row in stream.read_all().to_pylist()} == {"risk"}
    with pytest.raises(ConfigError, match="holds risk only"):
        config_forms.from_arrow(data)


BOTH: list[tuple[Callable[[DeskSettings], bytes], Callable[[bytes, Any], DeskSettings]]] = [
    (packed, lambda data, context: PackedConfiguration.open(data).desk(context)),
    (config_forms.as_arrow, lambda data, context: config_forms.from_arrow(data, context=context)),
]


@pytest.mark.parametrize(("write", "read"), BOTH, ids=["msgpack", "arrow"])
def test_what_the_environment_allows_holds_for_forms_too(write: Any, read: Any) -> None:
    """Another machine may have written them: its folders, time zones and ceilings are not ours."""
    there = DeskSettings.model_validate(
        {
            "data": {"vendor": {"name": "csv_folder", "source": "/srv/prices"}, "parallelism": {"jobs": 150}},
            "trading": {"broker": {"timezone": "Atlantis/Poseidonis"}},
        }
    )
    data = write(there)
    assert read(data, None) == there
    assert read(data, {ROOTS: (PurePosixPath("/srv"),), TIMEZONES: lambda _: True, CEILINGS: USUAL}) == there
    for context, said in (
        ({ROOTS: (PurePosixPath("/home/desk"),)}, "none of the folders of DAYBOOK_ROOTS"),
        ({TIMEZONES: lambda name: name == "UTC"}, "Atlantis/Poseidonis"),
        ({CEILINGS: replace(USUAL, jobs=100)}, "data.parallelism.jobs is 150"),
    ):
        with pytest.raises(ConfigError) as found:
            read(data, context)
        assert said in str(found.value)


def altered(**facts: Any) -> Callable[[bytes], bytes]:
    """Packed settings with some facts given otherwise."""
    return lambda data: msgpack.packb({**msgpack.unpackb(data), **facts})


def resectioned(**sections: Any) -> Callable[[bytes], bytes]:
    """Packed settings with some sections given otherwise."""

    def change(data: bytes) -> bytes:
        document = msgpack.unpackb(data)
        document["sections"] |= {name: msgpack.packb(value) for name, value in sections.items()}
        return bytes(msgpack.packb(document))

    return change


PACKED_WRONG: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "newer form": (altered(form=2), "its form is 2, newer than 1, which this version reads. Update Daybook."),
    "newer schema": (altered(schema=3), "its schema is 3, newer than 2"),
    "older schema": (altered(schema=1), "its schema is 1, not 2"),
    "a form that is no number": (altered(form=True), "its form is True"),
    "something else": (altered(daybook="symbols"), "is no configuration of Daybook"),
    "an unknown fact": (altered(colour="red"), "says 'colour', which is unknown"),
    "no sections": (altered(sections=3), "holds no sections"),
    "another hash": (altered(configuration="0" * 64), "says '000000000000': it was changed"),
    "a changed value": (resectioned(environment="paper"), "it was changed"),
    "an unknown section": (resectioned(colour={"red": 1}), "colour is not a setting"),
    "a value out of bounds": (resectioned(risk={"max_daily_loss_fraction": 7}), "max_daily_loss_fraction is 7"),
    "NaN": (resectioned(risk={"max_daily_loss_fraction": float("nan")}), "must be a finite number"),
    "cut short": (lambda data: data[:-3], "is larger or deeper than settings can be, or cut short"),
    "more behind it": (lambda data: data + b"\x01", "is no whole msgpack"),
    "empty": (lambda _: b"", "is no whole msgpack"),
    "a key twice": (lambda _: b"\x82\xa1a\x01\xa1a\x02", "a key is given twice"),
    "a key that is no text": (lambda _: b"\x81\x01\x01", "is no whole msgpack"),
    "an extension": (lambda _: b"\x81\xa1a\xc7\x01\x05x", "a value of kind 0xc7"),
    "no UTF-8": (lambda _: b"\x81\xa1\xff\x01", "is no whole msgpack"),
    "deep": (lambda _: b"\x91" * 100_000, "larger or deeper"),
    "a list said to be huge": (lambda _: b"\xdd\xff\xff\xff\xff", "larger or deeper"),
    "huge lists in huge lists": (lambda _: b"\xdd\x00\x0f\x00\x00" * 3_000_000, "larger or deeper"),
    "a text said to be huge": (lambda _: b"\xdb\xff\xff\xff\xff", "larger or deeper"),
    "too large": (lambda _: bytes(16_000_001), "16,000,001 bytes, more than 16,000,000"),
}


@pytest.mark.parametrize(("change", "said"), PACKED_WRONG.values(), ids=PACKED_WRONG)
def test_packed_settings_that_are_wrong_are_refused(change: Any, said: str, desk: DeskSettings) -> None:
    data = change(packed(desk))
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError) as found:
            PackedConfiguration.open(data, "x.msgpack").desk()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(found.value).startswith("x.msgpack")
    assert said in str(found.value)
    assert len(str(found.value)) < 2_000
    assert peak < 50_000_000


def rows(*given: tuple[Any, Any], **facts: str) -> bytes:
    """A stream of settings, of these rows."""
    schema = config_forms._columns()
    table = pa.table({"path": [row[0] for row in given], "value": [row[1] for row in given]}, schema=schema)
    usual = {"daybook": "configuration", "form": "1", "schema": "2", "configuration": "0"}
    return written(table, usual | facts)


ARROW_WRONG: dict[str, tuple[bytes, str]] = {
    "newer": (rows(form="2"), "its form is 2, newer than 1"),
    "a form in words": (rows(form="two"), "its form is 'two'"),
    "unknown fact": (rows(colour="red"), "'colour', which is unknown"),
    "no path": (rows(([], "1")), "a row has the path ()"),
    "an empty name": (rows(([None], "1")), "a row has the path (None,)"),
    "no value": (rows((["schema"], None)), "a row has the path"),
    "twice": (rows((["schema"], "2"), (["schema"], "2")), "is given twice"),
    "inside a setting": (rows((["schema"], "2"), (["schema", "a"], "2")), "inside a single setting"),
    "no JSON": (rows((["schema"], "{")), "which is no JSON"),
    "deep JSON": (rows((["schema"], "[" * 100_000)), "which is no JSON"),
    "a deep path": (rows((["a"] * 1000, "1")), "a row has the path"),
    "unknown setting": (rows((["schma"], "2")), "Did you mean schema?"),
    "other columns": (written(pa.table({"a": [1]}), {}), "its columns are 'a int64', not path list"),
    "a billion rows of nothing": (written(pa.table({"a": pa.nulls(10**9)}), {}), "its columns are 'a null'"),
    "no stream": (b"nothing of the kind", "is no whole Arrow stream"),
    "empty": (b"", "is no whole Arrow stream"),
}


@pytest.mark.parametrize(("data", "said"), ARROW_WRONG.values(), ids=ARROW_WRONG)
def test_arrow_settings_that_are_wrong_are_refused(data: bytes, said: str) -> None:
    with pytest.raises(ConfigError) as found:
        config_forms.from_arrow(data, "x.arrow")
    assert str(found.value).startswith("x.arrow: ")
    assert said in str(found.value)
    assert len(str(found.value)) < 2_000


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_a_compressed_stream_is_refused_before_it_grows(codec: str) -> None:
    table = pa.table({"path": [["a"]], "value": ["x" * 200_000_000]}, schema=config_forms._columns())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as stream:
        stream.write_table(table)
    data = bytes(sink.getvalue())
    del table, sink
    assert len(data) < 2_000_000
    before = pa.total_allocated_bytes()
    with pytest.raises(ConfigError, match="its rows are compressed"):
        config_forms.from_arrow(data)
    assert pa.total_allocated_bytes() - before < 5_000_000


def test_damage_anywhere_is_refused_by_name_or_changes_nothing(desk: DeskSettings, columns: SymbolColumns) -> None:
    chance = random.Random(5)
    forms: list[tuple[bytes, Callable[[bytes], object]]] = [
        (packed(desk), lambda data: PackedConfiguration.open(data).desk()),
        (config_forms.as_arrow(desk), config_forms.from_arrow),
        (symbol_forms.as_arrow(columns), symbol_forms.from_arrow),
    ]
    refused = 0
    for data, read in forms:
        for _ in range(300):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            try:
                found = read(bytes(damaged))
            except DaybookError:
                refused += 1
            else:
                assert found == desk or isinstance(found, SymbolColumns)
    assert refused > 500


# --- symbols ----------------------------------------------------------------------------------------------------------
def test_symbols_in_arrow_are_the_same_symbols(columns: SymbolColumns) -> None:
    found = symbol_forms.from_arrow(symbol_forms.as_arrow(columns))
    assert found.symbols == columns.symbols
    for symbol in columns.symbols:
        for strategy in (None, "trend"):
            assert found.settings(symbol, strategy) == columns.settings(symbol, strategy)
    assert found.settings("US10").trading_mode == "reduce_only"
    assert found.settings("EDOLLAR", "trend").max_spike == 7.5
    assert [found.asset_classes[code] for code in found.asset_class] == ["grains", "", ""]
    assert [found.exchange_groups[code] for code in found.exchange_group] == ["CBOT", "CME", "CBOT"]
    assert found.own.tolist() == [1, 0, 9]
    assert {name: column.dtype for name, column in found.fields.items()} == {
        name: column.dtype for name, column in columns.fields.items()
    }


def test_symbols_as_csv_are_a_table_of_symbols_that_says_the_same(columns: SymbolColumns) -> None:
    table = parsed_table(symbol_forms.as_csv(columns), "symbols.csv")
    assert tuple(table.symbols) == columns.symbols
    groups = {"CORN": ("grains", "CBOT"), "EDOLLAR": ("", "CME"), "US10": ("", "CBOT")}
    known = {name: Classification(*each) for name, each in groups.items()}
    found = resolved(SymbolsSettings(), table, known)
    for symbol in columns.symbols:
        assert found.settings(symbol) == columns.settings(symbol)
    assert [found.asset_classes[code] for code in found.asset_class] == ["grains", "", ""]


def test_fifty_thousand_symbols_come_back(columns: SymbolColumns) -> None:
    many = 50_000
    wide = SymbolColumns(
        tuple(f"S{number:06}" for number in range(many)), columns.asset_classes, np.zeros(many, dtype=np.uint16),
        columns.exchange_groups, np.zeros(many, dtype=np.uint16),
        {name: np.repeat(column[:1], many) for name, column in columns.fields.items()},
        np.zeros(many, dtype=np.uint32), {},
    )  # fmt: skip
    found = symbol_forms.from_arrow(symbol_forms.as_arrow(wide))
    assert len(found) == many
    assert found.settings("S049999").max_position_contracts == 5


def table_of(columns: SymbolColumns, **changes: Any) -> bytes:
    """The stream of these symbols with some columns or facts given otherwise."""
    with pa.ipc.open_stream(symbol_forms.as_arrow(columns)) as stream:
        facts = {key.decode(): value.decode() for key, value in stream.schema.metadata.items()}
        table = stream.read_all()
    for name, values in changes.items():
        if name in table.column_names:
            place = table.column_names.index(name)
            table = table.set_column(place, name, pa.array(values, type=table.schema.field(name).type))
        else:
            facts[name] = values
    return written(table, facts)


SYMBOLS_WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "newer": ({"form": "2"}, "its form is '2', and this version reads 1"),
    "settings": ({"daybook": "configuration"}, "holds no settings of symbols"),
    "not in order": ({"symbol": ["US10", "CORN", "EDOLLAR"]}, "not in order"),
    "twice": ({"symbol": ["CORN", "CORN", "US10"]}, "given twice"),
    "negative limit": (
        {"max_position_contracts": [5, -1, 5]},
        "symbol EDOLLAR: max_position_contracts is -1, but must be a whole number from 0 to 1000000",
    ),
    "NaN limit": ({"max_exposure_fraction": [1.0, 1.0, float("nan")]}, "symbol US10: max_exposure_fraction is nan"),
    "empty cell": ({"max_spike": [None, 2.0, 2.0]}, "column max_spike has empty values"),
    "no such mode": ({"trading_mode": ["free", "off", "free"]}, "trading_mode is 'off', but must be one of free"),
    "bits of no field": ({"own": [0, 512, 0]}, "symbol EDOLLAR: own is 512"),
    "strategies that are no JSON": ({"strategies": "{"}, "what strategies change is wrong"),
    "a strategy that changes nothing known": ({"strategies": '{"a": {"size": 1}}'}, "what strategies change is wrong"),
    "a strategy out of bounds": ({"strategies": '{"a": {"max_spike": 0}}'}, "max_spike"),
    "strategies as a list": ({"strategies": "[1]"}, "what strategies change is wrong"),
}


@pytest.mark.parametrize(("changes", "said"), SYMBOLS_WRONG.values(), ids=SYMBOLS_WRONG)
def test_symbols_in_arrow_that_are_wrong_are_refused(changes: Any, said: str, columns: SymbolColumns) -> None:
    with pytest.raises(ConfigError) as found:
        symbol_forms.from_arrow(table_of(columns, **changes), "s.arrow")
    assert str(found.value).startswith("s.arrow: ")
    assert said in str(found.value)


def test_a_flatbuffer_that_points_outside_is_refused(desk: DeskSettings) -> None:
    data = bytearray(config_forms.as_arrow(desk))
    struct.pack_into("<I", data, 8, 0x7FFFFFF0)
    with pytest.raises(ConfigError, match="is no whole Arrow stream"):
        config_forms.from_arrow(bytes(data))
