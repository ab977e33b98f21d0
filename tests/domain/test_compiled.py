"""Compiled snapshots: what they say, that nobody can change them, and what they refuse."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.config.compiled import Snapshot, compiled
from trading.config.order_limits import OrderLimits
from trading.config.snapshot_layout import LAYOUT
from trading.config.symbol_columns import DTYPES, SymbolColumns
from trading.config.symbol_fields import FIELDS, SymbolField, SymbolSettings
from trading.config.symbol_index import MEMORISED
from trading.errors import ConfigError, SnapshotRefused, UnknownSymbol

FACTS: Mapping[str, Any] = {
    "configuration_hash": "c" * 64,
    "environment": "paper",
    "base_currency": "USD",
    "capital_base": 2_000_000.0,
    "max_gross_exposure_fraction": 20.0,
    "max_daily_loss_fraction": 0.05,
}
SECTIONS = {"data": b'{"universe":{}}', "risk": b"{}"}
TREND = {"max_position_contracts": 7, "max_exposure_fraction": 0.25, "trading_mode": "reduce_only"}
OWN_POSITION = 1  # bit of the first field


def columns_of(rows: Mapping[str, SymbolSettings], own: Mapping[str, int] | None = None) -> SymbolColumns:
    """Columns of symbols with these settings; classes alternate between rates and none."""
    symbols = tuple(sorted(rows))
    values = {field.name: _stored(field, [getattr(rows[symbol], field.name) for symbol in symbols]) for field in FIELDS}
    classes = (np.arange(len(symbols)) % 2).astype(np.uint16)
    owners = np.array([(own or {}).get(symbol, 0) for symbol in symbols], np.uint32)
    groups = np.zeros(len(symbols), np.uint16)
    return SymbolColumns(symbols, ("", "rates"), classes, ("cbot",), groups, values, owners, {"trend": TREND})


def _stored(field: SymbolField, values: list[Any]) -> np.ndarray:
    return np.array([field.choices.index(each) if field.choices else each for each in values], DTYPES[field.kind])


ROWS = {
    "US10": SymbolSettings(max_position_contracts=100, max_exposure_fraction=5.0),
    "GOLD": SymbolSettings(max_position_contracts=3, max_order_contracts=2, order_type="limit", trading_mode="none"),
    "ÖL": SymbolSettings(max_spike=4.5, max_silent_sessions=9, max_price_points=1e-9, limit_offset_fraction=0.5),
}


@pytest.fixture
def content() -> bytes:
    """Three symbols; the position limit of US10 is its own."""
    return compiled(columns_of(ROWS, {"US10": OWN_POSITION}), SECTIONS, FACTS)


@pytest.fixture
def snapshot(content: bytes) -> Snapshot:
    """Opened."""
    return Snapshot.open(content)


def many(count: int) -> SymbolColumns:
    """Columns of S00000, S00001 and so on; position limits count from 0."""
    return columns_of({f"S{place:05}": SymbolSettings(max_position_contracts=place) for place in range(count)})


# --- what it says -----------------------------------------------------------------------------------------------------
def test_it_says_what_it_was_compiled_from(snapshot: Snapshot) -> None:
    assert list(snapshot) == ["GOLD", "US10", "ÖL"]
    assert [snapshot.symbol(symbol) for symbol in ROWS] == list(ROWS.values())
    assert snapshot.position_limit("US10") == 100
    assert snapshot.exposure_limit("US10") == 10_000_000.0  # 5 times capital of 2 million
    assert snapshot.value("GOLD", "order_type") == "limit"
    assert [snapshot.asset_class(symbol) for symbol in snapshot] == ["", "rates", ""]
    assert snapshot.exchange_group("GOLD") == "cbot"
    assert "US10" in snapshot
    assert "US" not in snapshot
    assert 10 not in snapshot


def test_limits_of_the_book_are_money(snapshot: Snapshot) -> None:
    assert snapshot.max_gross_exposure_base == 40_000_000.0
    assert snapshot.max_daily_loss_base == 100_000.0
    assert (snapshot.environment, snapshot.configuration_hash) == ("paper", "c" * 64)
    assert snapshot.edits == 0


def test_sections_are_the_bytes_that_were_given(snapshot: Snapshot) -> None:
    assert {name: snapshot.section(name) for name in snapshot.sections} == SECTIONS
    with pytest.raises(ConfigError, match=r"no section dta\. Did you mean data\? It has: data, risk\."):
        snapshot.section("dta")


def test_a_strategy_goes_before_what_a_symbol_inherits_and_after_its_own(snapshot: Snapshot) -> None:
    assert snapshot.position_limit("GOLD", "trend") == 7
    assert snapshot.position_limit("US10", "trend") == 100
    assert snapshot.exposure_limit("US10", "trend") == 500_000.0
    assert snapshot.value("US10", "trading_mode", "trend") == "reduce_only"
    assert snapshot.position_limit("GOLD", "carry") == 3
    assert snapshot.symbol("GOLD", "trend") == ROWS["GOLD"]._replace(**TREND)


def test_the_limits_of_an_order_are_those_of_the_fields(snapshot: Snapshot) -> None:
    assert snapshot.order_limits("GOLD") == OrderLimits(3, 2, 2e9, "none", "limit", 0.0)
    assert snapshot.order_limits("GOLD", "trend") == OrderLimits(7, 2, 500_000.0, "reduce_only", "limit", 0.0)
    assert snapshot.order_limits("US10", "trend") == OrderLimits(
        100, 1_000_000, 500_000.0, "reduce_only", "market", 0.0
    )
    assert snapshot.order_limits("US10", "carry") == snapshot.order_limits("US10")


FREE = OrderLimits(10, 5, 1_000.0, "free", "market", 0.0)


@pytest.mark.parametrize(
    ("limits", "order", "position", "notional", "passed"),
    [
        (FREE, 5, 5, 100.0, None),  # at every limit: 10 contracts, 5 in the order, 1,000 of exposure
        (FREE, 6, 0, 1.0, "max_order_contracts"),
        (FREE, -5, -6, 1.0, "max_position_contracts"),
        (FREE, 5, 5, 100.1, "max_exposure_fraction"),
        (FREE, 5, 5, float("nan"), "max_exposure_fraction"),
        (FREE, -20, 30, 1_000.0, None),  # nearer to flat, though still beyond
        (FREE, -31, 30, 1.0, "max_order_contracts"),  # through flat
        (FREE._replace(trading_mode="reduce_only"), -1, 3, 1.0, None),
        (FREE._replace(trading_mode="reduce_only"), -4, 3, 1.0, "trading_mode"),
        (FREE._replace(trading_mode="reduce_only"), 1, 0, 1.0, "trading_mode"),
        (FREE._replace(trading_mode="none"), -1, 3, 1.0, "trading_mode"),
    ],
)
def test_an_order_is_compared_with_its_limits(limits, order, position, notional, passed) -> None:
    assert limits.passed_by(order, position, notional) == passed


def test_an_unknown_symbol_is_named_with_the_one_it_may_mean(snapshot: Snapshot) -> None:
    for given_, meant in {"us10": "US10", "GLOD": "GOLD", "US1": "US10", "GOLDX": "GOLD", "G0LD": "GOLD"}.items():
        with pytest.raises(UnknownSymbol, match=f"'{given_}' is not among the 3 .* Did you mean {meant}"):
            snapshot.position_limit(given_)
    with pytest.raises(UnknownSymbol) as found:
        snapshot.order_limits("COFFEE")
    assert found.value.did_you_mean is None
    with pytest.raises(UnknownSymbol):
        snapshot.row(10)  # type: ignore[arg-type]


def test_an_unknown_field_is_refused(snapshot: Snapshot) -> None:
    with pytest.raises(ConfigError, match=r"max_positon_contracts is not a setting .* Did you mean max_position"):
        snapshot.value("US10", "max_positon_contracts")
    with pytest.raises(ConfigError, match="own is not a setting"):
        snapshot.column("own")


# --- however many symbols and shards ----------------------------------------------------------------------------------
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
SETTINGS = st.builds(
    SymbolSettings,
    max_position_contracts=st.integers(0, 1_000_000),
    max_order_contracts=st.integers(0, 1_000_000),
    max_exposure_fraction=st.floats(0, 1000),
    trading_mode=st.sampled_from(["free", "reduce_only", "none"]),
    order_type=st.sampled_from(["market", "limit"]),
    limit_offset_fraction=st.floats(0, 0.5),
    max_spike=st.floats(1, 1e6),
    max_silent_sessions=st.integers(1, 1000),
    max_price_points=st.floats(1e-9, 1e12),
)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.dictionaries(NAMES, st.tuples(SETTINGS, st.integers(0, 511)), max_size=40),
    shards=st.integers(2, 256),
    others=st.lists(NAMES, max_size=10),
)
def test_every_number_of_shards_gives_the_answers_of_the_columns(rows, shards, others) -> None:
    columns = columns_of({name: row for name, (row, _) in rows.items()}, {name: own for name, (_, own) in rows.items()})
    one, split = (Snapshot.verified(compiled(columns, {}, FACTS, count)) for count in (1, shards))
    assert (one.shards, split.shards) == (1, shards)
    assert list(one) == list(split) == sorted(rows)
    for symbol in rows:
        for strategy in (None, "trend"):
            assert columns.settings(symbol, strategy) == one.symbol(symbol, strategy) == split.symbol(symbol, strategy)
            assert one.order_limits(symbol, strategy) == split.order_limits(symbol, strategy)
        assert one.asset_class(symbol) == split.asset_class(symbol)
        assert split.column("max_spike")[split.row(symbol)] == one.value(symbol, "max_spike")
    assert [name in one for name in others] == [name in split for name in others] == [name in rows for name in others]


def test_a_shard_alone_answers_for_its_symbols_as_the_whole_does() -> None:
    whole = Snapshot.open(compiled(many(500), SECTIONS, FACTS, shards=7))
    alone = [Snapshot.verified(whole.shard(number).content()) for number in range(7)]
    assert sorted(symbol for part in alone for symbol in part) == list(whole)
    assert max(map(len, alone)) < 2 * 500 / 7
    for part in alone:
        assert all(part.order_limits(symbol) == whole.order_limits(symbol) for symbol in part)
        assert part.section("data") == SECTIONS["data"]
    with pytest.raises(ConfigError, match=r"no shard 7: they are 0 to 6\."):
        whole.shard(7)


def test_a_process_remembers_no_more_rows_than_it_may() -> None:
    count = MEMORISED + 200
    snapshot = Snapshot.open(compiled(many(count), {}, FACTS))
    assert [snapshot.position_limit(symbol) for symbol in snapshot] == list(range(count))
    assert len(snapshot._rows) <= MEMORISED


def test_a_symbol_takes_less_than_160_bytes() -> None:
    assert len(compiled(many(10_000), {}, FACTS)) / 10_000 < 160


def test_wrong_columns_and_facts_are_refused() -> None:
    columns = columns_of(ROWS)
    with pytest.raises(ConfigError, match=r"environment is 5, but must be text\. fact capital_base is missing\."):
        compiled(columns, {}, {**{name: FACTS[name] for name in FACTS if name != "capital_base"}, "environment": 5})
    with pytest.raises(ConfigError, match="capital_base is inf, but must be finite"):
        compiled(columns, {}, {**FACTS, "capital_base": float("inf")})
    with pytest.raises(ConfigError, match=r"257 shards were asked for\. Ask for 1 to 256"):
        compiled(columns, {}, FACTS, shards=257)
    short = {**columns.fields, "max_spike": np.zeros(2)}
    with pytest.raises(ConfigError, match=r"max_spike has 2 values of float64, not 3 of format d"):
        compiled(_with(columns, fields=short), {}, FACTS)
    with pytest.raises(ConfigError, match="not sorted, or one is there twice"):
        compiled(_with(columns, symbols=("GOLD", "GOLD", "US10")), {}, FACTS)


def _with(columns: SymbolColumns, **changed: Any) -> SymbolColumns:
    names = SymbolColumns.__slots__
    return SymbolColumns(**{name: changed.get(name, getattr(columns, name)) for name in names})


# --- nobody changes it ------------------------------------------------------------------------------------------------
def test_nobody_can_change_it(content: bytes) -> None:
    buffer = bytearray(content)
    snapshot = Snapshot.open(buffer)
    buffer[:] = bytes(len(buffer))
    assert snapshot.symbol("US10") == ROWS["US10"]
    with pytest.raises(TypeError, match="read-only"):
        snapshot.column("max_position_contracts")[0] = 1
    with pytest.raises(AttributeError, match="cannot be changed"):
        snapshot.edits = 5  # type: ignore[misc]
    with pytest.raises(AttributeError, match="cannot be changed"):
        del snapshot._rows
    changed = snapshot.with_symbol("US10", {"max_position_contracts": 1}).column("max_position_contracts")
    assert changed.readonly
    assert isinstance(changed.obj, bytes)
    snapshot.facts["capital_base"] = 0.0
    assert snapshot.capital_base == 2_000_000.0


def test_another_one_has_one_symbol_changed_and_nothing_else(snapshot: Snapshot) -> None:
    other = snapshot.with_symbol("GOLD", {"max_exposure_fraction": 2, "trading_mode": "free"})
    assert other.symbol("GOLD") == ROWS["GOLD"]._replace(max_exposure_fraction=2.0, trading_mode="free")
    assert other.exposure_limit("GOLD") == 4_000_000.0
    assert [other.symbol(name) for name in ("US10", "ÖL")] == [ROWS["US10"], ROWS["ÖL"]]
    assert snapshot.symbol("GOLD") == ROWS["GOLD"]
    assert snapshot.exposure_limit("GOLD") == 2e9
    assert (snapshot.edits, other.edits) == (0, 1)
    assert other.column("max_spike") is snapshot.column("max_spike")


def test_what_was_changed_is_the_symbols_own_before_a_strategy(snapshot: Snapshot) -> None:
    assert snapshot.position_limit("GOLD", "trend") == 7
    other = snapshot.with_symbol("GOLD", {"max_position_contracts": 4})
    assert other.position_limit("GOLD", "trend") == 4
    assert other.order_limits("GOLD", "trend").max_position_contracts == 4
    assert other.order_limits("GOLD", "trend").max_exposure_base == 500_000.0


@settings(max_examples=40, deadline=None)
@given(rows=st.dictionaries(NAMES, SETTINGS, min_size=1, max_size=20), shards=st.integers(1, 5), data=st.data())
def test_changing_symbols_is_compiling_changed_columns(rows, shards, data) -> None:
    before = Snapshot.open(compiled(columns_of(rows), {}, FACTS, shards))
    new = data.draw(st.dictionaries(st.sampled_from(sorted(rows)), SETTINGS, min_size=1))
    after = before.with_symbols({symbol: row._asdict() for symbol, row in new.items()}, {"capital_base": 10.0})
    every_field = (1 << len(FIELDS)) - 1
    wanted = compiled(
        columns_of({**rows, **new}, dict.fromkeys(new, every_field)), {}, {**FACTS, "capital_base": 10.0}, shards
    )
    for symbol in rows:
        for strategy in (None, "trend"):
            assert after.order_limits(symbol, strategy) == Snapshot.open(wanted).order_limits(symbol, strategy)
    again = Snapshot.verified(after.content())
    assert again.content_hash == after.content_hash != before.content_hash
    assert [again.symbol(symbol) for symbol in rows] == [{**rows, **new}[symbol] for symbol in rows]
    assert again.max_daily_loss_base == 0.5


def test_a_wrong_change_is_refused_whole_with_every_fault(snapshot: Snapshot) -> None:
    with pytest.raises(ConfigError) as found:
        snapshot.with_symbols({"GOLD": {"max_spike": 0.5, "order_type": "stop"}, "US10": {"max_spikes": 2}})
    for text in (
        "GOLD: max_spike is 0.5: below 1.",
        "order_type is 'stop'",
        "market, limit",
        "US10: max_spikes is not",
    ):
        assert text in str(found.value)
    with pytest.raises(ConfigError, match="not a finite number"):
        snapshot.with_symbol("GOLD", {"max_exposure_fraction": float("nan")})
    with pytest.raises(UnknownSymbol):
        snapshot.with_symbol("GLD", {"max_spike": 2.0})


# --- its file ---------------------------------------------------------------------------------------------------------
def test_equal_configurations_are_equal_bytes(content: bytes, snapshot: Snapshot) -> None:
    again = compiled(columns_of(ROWS, {"US10": OWN_POSITION}), dict(reversed(SECTIONS.items())), FACTS)
    assert again == content == snapshot.content()
    other = compiled(columns_of(ROWS), SECTIONS, FACTS)
    assert Snapshot.open(other).content_hash != snapshot.content_hash


def test_the_content_hash_is_sha256_of_the_directory(content: bytes, snapshot: Snapshot) -> None:
    length = int.from_bytes(content[24:32], "little")
    directory = content[72 : 72 + length]
    assert hashlib.sha256(directory).hexdigest() == snapshot.content_hash
    name, form, offset, size, digest = json.loads(directory)["parts"][0]
    start = -(-(72 + length) // 8) * 8 + offset
    assert hashlib.sha256(content[start : start + size]).hexdigest() == digest
    assert (name, form, content[start : start + size]) == ("names", "B", "GOLDUS10ÖL".encode())


def test_a_flipped_bit_of_header_or_directory_is_refused(content: bytes) -> None:
    meaningless = range(68, 72)
    for place in set(range(72 + int.from_bytes(content[24:32], "little"))) - set(meaningless):
        with pytest.raises(SnapshotRefused):
            Snapshot.open(_flipped(content, place))


def test_a_flipped_bit_anywhere_else_is_found_by_verifying(content: bytes) -> None:
    start = -(-(72 + int.from_bytes(content[24:32], "little")) // 8) * 8
    listed = json.loads(content[72:start].rstrip(b"\0"))["parts"]
    meaningful = {start + offset + place for _, _, offset, length, _ in listed for place in range(length)}
    for place in range(start, len(content)):
        damaged = _flipped(content, place)
        Snapshot.open(damaged)  # nothing of it is read
        if place in meaningful:
            with pytest.raises(SnapshotRefused, match="is not what was written"):
                Snapshot.verified(damaged)
        else:
            assert Snapshot.verified(damaged)


def test_damage_where_one_looks_is_refused_or_an_answer_but_never_endless(content: bytes, snapshot: Snapshot) -> None:
    full = content.replace(bytes(snapshot._contents.parts["table"].view.cast("B")), b"\1\0\0\0" * 8)
    assert full != content
    with pytest.raises(UnknownSymbol):
        Snapshot.open(full).row("COFFEE")
    section = content.replace(SECTIONS["data"], SECTIONS["data"].upper())
    with pytest.raises(SnapshotRefused, match=r"section\.data is not what was written"):
        Snapshot.open(section).section("data")


def test_damage_that_no_answer_can_come_from_is_refused_by_name(content: bytes) -> None:
    start = -(-(72 + int.from_bytes(content[24:32], "little")) // 8) * 8
    listed = json.loads(content[72:start].rstrip(b"\0"))["parts"]
    parts = {name: (start + at, length) for name, _, at, length, _ in listed}
    known = next(iter(Snapshot.open(content)))
    for part, said in (("table", "index of symbols is damaged"), ("column.trading_mode", "none of its choices")):
        at, length = parts[part]
        opened = Snapshot.open(content[:at] + b"\xff" * length + content[at + length :])
        for read in (opened.order_limits, opened.symbol):
            with pytest.raises(SnapshotRefused, match=said):
                read(known)


def test_a_file_cut_short_or_longer_is_refused(content: bytes) -> None:
    for length in (*range(80), len(content) // 2, len(content) - 1):
        with pytest.raises(SnapshotRefused):
            Snapshot.open(content[:length])
    with pytest.raises(SnapshotRefused, match=r"of the [\d,]+ that were written"):
        Snapshot.open(content + b"\0")


@pytest.mark.parametrize(
    ("place", "new", "said"),
    [
        (0, b"PK\3\4", "no compiled configuration"),
        (8, b"\1\2\3\4", "other byte order"),
        (
            12,
            (LAYOUT + 1).to_bytes(4, "little"),
            f"layout is version {LAYOUT + 1}; this Daybook reads version {LAYOUT}",
        ),
    ],
)
def test_another_kind_of_file_is_refused_by_name(content: bytes, place: int, new: bytes, said: str) -> None:
    with pytest.raises(SnapshotRefused, match=f"{said}.*daybook config apply"):
        Snapshot.open(_summed(content[:place] + new + content[place + len(new) :]))


def test_settings_of_another_version_of_daybook_are_refused(content: bytes) -> None:
    other = content.replace(b'"max_spike"', b'"max_leaps"').replace(b"column.max_spike", b"column.max_leaps")
    with pytest.raises(SnapshotRefused, match="not those of this version of Daybook"):
        Snapshot.open(_summed(other))
    without = content.replace(b'exposure_base",', b'exposure_bass",')
    with pytest.raises(SnapshotRefused, match=r"missing or wrong \('exposure_base'\)"):
        Snapshot.open(_summed(without))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_directory_somebody_else_wrote_is_refused_by_name_or_gives_answers(data) -> None:
    content = compiled(columns_of(ROWS), SECTIONS, FACTS)
    directory = content[72 : 72 + int.from_bytes(content[24:32], "little")]
    tree = json.loads(directory)
    places = list(_places(tree))
    holder, key = data.draw(st.sampled_from(places))
    new = data.draw(st.one_of(JSON, st.sampled_from([other[place] for other, place in places])))
    holder[key] = json.loads(json.dumps(new))
    other = _rewritten(content, json.dumps(tree).encode())
    said = ""
    try:
        snapshot = Snapshot.verified(other)
        for symbol in snapshot:
            snapshot.order_limits(symbol, "trend").passed_by(1, 1, 1.0)
    except (SnapshotRefused, UnknownSymbol) as refused:
        said = str(refused)
    assert len(said) < 1_000


def test_a_directory_of_brackets_is_refused(content: bytes) -> None:
    with pytest.raises(SnapshotRefused, match="its directory cannot be read"):
        Snapshot.open(_rewritten(content, b"[" * 100_000))


JSON = st.one_of(st.none(), st.booleans(), st.integers(-10, 1 << 70), st.text(max_size=5), st.just([]), st.just({}))


def _places(tree: Any) -> Any:
    """Every place of a tree, as what holds it and its key there."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


def _rewritten(content: bytes, directory: bytes) -> bytes:
    """A file with another directory, and everything that says so."""
    before = -(-(72 + int.from_bytes(content[24:32], "little")) // 8) * 8
    padded = directory + bytes(-(72 + len(directory)) % 8)
    total = 72 + len(padded) + len(content) - before
    header = content[:16] + total.to_bytes(8, "little") + len(directory).to_bytes(8, "little")
    header += hashlib.sha256(directory).digest() + bytes(8)
    return _summed(header + padded + content[before:])


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def _summed(content: bytes) -> bytes:
    """With a checksum that fits, as another version would have written it."""
    length = int.from_bytes(content[24:32], "little")
    checksum = zlib.crc32(content[72 : 72 + length], zlib.crc32(content[:64]))
    return content[:64] + checksum.to_bytes(4, "little") + content[68:]


def test_reading_loads_neither_numpy_nor_pydantic(content: bytes, tmp_path: Path, root: Path) -> None:
    file = tmp_path / "one.snapshot"
    file.write_bytes(content)
    code = (
        "import sys; from pathlib import Path; from trading.config.snapshot import Snapshot; "
        f"opened = Snapshot.open(Path({str(file)!r}).read_bytes()); "
        "other = opened.with_symbol('GOLD', {'max_spike': 2.0}); "
        "assert other.order_limits('GOLD', 'trend').max_position_contracts == 7; "
        "print([name for name in ('numpy', 'pandas', 'pyarrow', 'pydantic', 'dagster') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
