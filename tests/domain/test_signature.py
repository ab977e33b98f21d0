"""The signed document: its bytes, what its one hash covers, the fold of the book, and the chains of the journal."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from trading.book.journal import Event, Head, Scalar, link
from trading.book.restatement import TOTAL, changes
from trading.book.signature import (
    Chain,
    Circumstances,
    Document,
    Pin,
    Substance,
    book_hashes,
    chain_differences,
    content_of,
    differences,
    document_of,
    first_name,
    substance_hash,
)
from trading.errors import SignatureError
from trading.frames import BREAKS, RAW_FX_RATES, Dataset, content_hash
from trading.ports import Entry

DAY = date(2022, 2, 25)
BEFORE_VERSIONS = "94cf0c3d981a11755c320fe833a632f665cc26829b4be4fecfc0dd9a0e5eb896"  # of DOCUMENT
SUBSTANCE = Substance(DAY, {"pnl": "aa"}, {"fills": "bb"}, "cc", "dd", "ee")
DOCUMENT = Document(
    1,
    SUBSTANCE,
    Circumstances(
        pins={"pnl": Pin(3, "aa", ("strategy", "total_base"), "ff")},
        heads={"close": Head(2, "9" * 64)},
        reference_files={"0/instruments.csv": "11"},
        signed_at="2022-02-25T22:00:00+00:00",
        who="anna",
        run_id="run",
        key="77",
        previous="",
        overrides=({"override_id": "o1", "session": None},),
    ),
)


# --- the document -----------------------------------------------------------------------------------------------------
def test_the_one_hash_is_of_the_substance_alone() -> None:
    by_hand = (
        '{"book":{"fills":"bb"},"code":"ee","configuration":"cc","datasets":{"pnl":"aa"},"reference":"dd",'
        '"session":"2022-02-25"}'
    )
    assert SUBSTANCE.one_hash() == hashlib.sha256(by_hand.encode()).hexdigest()


def test_a_document_is_read_back_from_its_bytes() -> None:
    content = DOCUMENT.content()
    assert document_of(content) == DOCUMENT
    assert json.loads(content)["hash"] == SUBSTANCE.one_hash()
    assert b" " not in content


def test_the_version_of_the_configuration_is_signed_beside_its_hash() -> None:
    around = replace(DOCUMENT.circumstances, configuration_version=12)
    numbered = replace(DOCUMENT, circumstances=around)
    content = numbered.content()
    assert json.loads(content)["circumstances"]["configuration_version"] == 12
    assert json.loads(content)["substance"]["configuration"] == "cc"
    assert document_of(content) == numbered
    assert numbered.substance.one_hash() == DOCUMENT.substance.one_hash(), "the number is beside the one hash"


def test_a_document_of_before_configurations_had_versions_keeps_its_bytes() -> None:
    """SHA-256 of the bytes that this document had before the field was there."""
    assert b"configuration_version" not in DOCUMENT.content()
    assert hashlib.sha256(DOCUMENT.content()).hexdigest() == BEFORE_VERSIONS


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b'"datasets":{"pnl":"aa"', b'"datasets":{"pnl":"ab"'),
        (b'"hash":"', b'"hash":"0'),
        (b'"format":1', b'"format":2'),
        (b"{", b""),
        (b"}", b"} "),
    ],
)
def test_bytes_that_are_no_document_are_refused(was: bytes, becomes: bytes) -> None:
    with pytest.raises(SignatureError, match="Restore it from a backup"):
        document_of(DOCUMENT.content().replace(was, becomes, 1))


def test_differences_are_named() -> None:
    other = replace(SUBSTANCE, datasets={"pnl": "xx", "fx_rates": "yy"}, book={"fills": "zz"}, code="new")
    assert differences(SUBSTANCE, other) == ["dataset fx_rates", "dataset pnl", "the book's fills", "the code"]
    assert differences(SUBSTANCE, SUBSTANCE) == []


# --- datasets ---------------------------------------------------------------------------------------------------------
def rates(known_at: datetime, rate: float = 1.1) -> pa.Table:
    row = {
        "vendor": "v", "pair": "EURUSD", "label": "a", "occurrence": 0, "stamp": datetime.fromisoformat("2022-02-25"),
        "event_at": None, "session": DAY, "known_at": known_at, "loaded_at": known_at, "rate": rate,
    }  # fmt: skip
    return pa.Table.from_pylist([row], schema=RAW_FX_RATES.schema)


def test_when_a_late_row_was_loaded_is_not_hashed_and_is_pinned() -> None:
    early, late = (rates(datetime(2022, 2, 25, hour, tzinfo=UTC)) for hour in (20, 21))
    assert substance_hash(early, RAW_FX_RATES) == substance_hash(late, RAW_FX_RATES)
    assert content_of(early, RAW_FX_RATES) != content_of(late, RAW_FX_RATES)
    corrected = rates(datetime(2022, 2, 25, 20, tzinfo=UTC), 1.2)
    assert substance_hash(early, RAW_FX_RATES) != substance_hash(corrected, RAW_FX_RATES)


def test_a_dataset_that_gained_a_column_keeps_the_hash_of_those_it_had() -> None:
    before = rates(datetime(2022, 2, 25, 20, tzinfo=UTC))
    schema = RAW_FX_RATES.schema.append(pa.field("source", pa.string()))
    gained = Dataset(RAW_FX_RATES.name, "raw", "", schema, RAW_FX_RATES.series, RAW_FX_RATES.time)
    after = before.append_column("source", pa.array(["x"]))
    assert content_of(after, gained, RAW_FX_RATES.content) == content_hash(before, RAW_FX_RATES)
    assert content_of(after, gained) != content_hash(before, RAW_FX_RATES)


def test_truth_values_are_hashed() -> None:
    texts = [field.name for field in BREAKS.schema if pa.types.is_string(field.type)]
    row: dict[str, object] = {**dict.fromkeys(BREAKS.schema.names), **dict.fromkeys(texts, "")}
    row |= {field.name: DAY for field in BREAKS.schema if pa.types.is_date(field.type)}
    row |= {field.name: 1 for field in BREAKS.schema if pa.types.is_integer(field.type)}
    both = [pa.Table.from_pylist([row | {"timing": value}], schema=BREAKS.schema) for value in (True, False)]
    assert len({content_hash(table, BREAKS) for table in both}) == 2


# --- the book ---------------------------------------------------------------------------------------------------------
NAME = "2022-02-25:trend:US10:20220600:target"


def order(order_id: str, status: str = "sent", filled: int = 0, **more: Scalar) -> dict[str, Scalar]:
    return {
        "order_id": order_id, "parent_id": None, "level": "contract", "strategy": "trend", "instrument": "US10",
        "contract": 20220600, "session": "2022-02-25", "quantity_contracts": 3, "reason": "target", "status": status,
        "moved": status, "filled_contracts": filled, "reference_points": 128.5, "reference_at": None, "refusal": None,
        "ended": None, "open_children": 0, **more,
    }  # fmt: skip


def fill(order_id: str, fill_id: str) -> dict[str, Scalar]:
    return {
        "fill_id": fill_id, "order_id": order_id, "strategy": "trend", "instrument": "US10", "contract": 20220600,
        "session": "2022-02-28", "quantity_contracts": 3, "price_points": 128.75, "commission_local": 2.5,
        "executed_at": None, "version": 0, "state": "live",
    }  # fmt: skip


def test_an_order_withdrawn_and_placed_again_by_a_rerun_is_the_same_book() -> None:
    undisturbed = {"orders": [order(NAME, "filled", 3)], "fills": [fill(NAME, f"paper:{NAME}")]}
    again = f"{NAME}:2"
    rerun = {
        "orders": [order(NAME, "cancelled"), order(again, "filled", 3)],
        "fills": [fill(again, f"paper:{again}")],
    }
    assert book_hashes(rerun) == book_hashes(undisturbed)


def test_what_was_traded_is_hashed_whatever_its_order_is_called() -> None:
    whole = {"orders": [order(NAME, "filled", 3)], "fills": [fill(NAME, "ib-77")]}
    dearer = {**whole, "fills": [{**fill(NAME, "ib-77"), "price_points": 128.76}]}
    other = {**whole, "fills": [fill(NAME, "ib-78")]}
    partly = {**whole, "orders": [order(NAME, "cancelled", 1)]}
    hashes = [book_hashes(book) for book in (whole, dearer, other, partly)]
    assert len({json.dumps(found) for found in hashes}) == 4


def test_rows_in_any_order_are_the_same_book() -> None:
    rows = [fill(NAME, "a"), fill(NAME, "b")]
    assert book_hashes({"fills": rows}) == book_hashes({"fills": rows[::-1]})


@pytest.mark.parametrize(
    ("order_id", "name"),
    [
        (NAME, NAME), (f"{NAME}:2", NAME), (f"{NAME}:17", NAME), ("77", "77"), ("broker:12", "broker:12"),
        ("2022-02-25:trend:US10:20220600", "2022-02-25:trend:US10:20220600"),
    ],
)  # fmt: skip
def test_the_first_name_of_an_order(order_id: str, name: str) -> None:
    assert first_name(order_id) == name


# --- the journal ------------------------------------------------------------------------------------------------------
def event(number: int) -> Event:
    return Event(f"e{number}", "cash_booked", DAY, datetime(2022, 2, 25, tzinfo=UTC), "anna", {"amount_local": number})


def journal(*batches: int) -> list[Entry]:
    """Entries of the stream `cash` in batches of these sizes."""
    entries: list[Entry] = []
    last = ""
    for size in batches:
        events = [event(len(entries) + place + 1) for place in range(size)]
        last = link(last, [each.record_text() for each in events])
        for place, each in enumerate(events):
            entries.append(Entry("cash", len(entries) + 1, each, last if place == size - 1 else None))
    return entries


def wrong(entries: list[Entry], head: Head) -> str:
    chain = Chain()
    for entry in entries:
        chain.read(entry)
    return " ".join(chain_differences({"cash": head}, {"cash": chain}))


def test_the_journal_that_was_signed_is_found_whole_also_after_it_went_on() -> None:
    entries = journal(2, 3, 1)
    assert wrong(entries, Head(5, str(entries[4].link))) == ""
    assert wrong(entries[:5], Head(5, str(entries[4].link))) == ""
    assert chain_differences({}, {}) == []


def test_a_changed_missing_moved_or_added_entry_is_named() -> None:
    entries = journal(2, 3, 1)
    head = Head(5, str(entries[4].link))
    changed = [*entries[:3], Entry("cash", 4, event(77)), *entries[4:]]
    assert "one of entries 3 to 5 was changed" in wrong(changed, head)
    assert "entry 4 is not where it was" in wrong([*entries[:2], *entries[3:]], head)
    moved = [Entry("cash", 0, entries[0].event), *entries[1:]]
    assert "entry 0 is not where it was" in wrong(moved, head)
    assert wrong(entries[:4], head) != ""
    assert wrong([], head) != ""
    assert wrong([*entries[:5], Entry("cash", 6, event(77), entries[5].link)], head) == ""  # after the signed head


def test_a_journal_written_anew_with_all_its_links_is_found() -> None:
    entries = journal(2, 3)
    forged = journal(1, 4)
    assert "come to another link" in wrong(forged, Head(5, str(entries[4].link)))


# --- money ------------------------------------------------------------------------------------------------------------
def test_a_restatement_in_money() -> None:
    before = [{"instrument": "US10", "total_base": 100.0}, {"instrument": "CORN", "total_base": -5.0}]
    after = [
        {"instrument": "US10", "total_base": 60.0}, {"instrument": "CORN", "total_base": -5.0},
        {"instrument": "US10", "total_base": 90.0}, {"instrument": "GOLD", "total_base": 1.0},
    ]  # fmt: skip
    found = [
        (change.instrument, change.before_base, change.after_base, change.difference_base)
        for change in changes(DAY, before, after)
    ]
    assert found == [("GOLD", 0.0, 1.0, 1.0), ("US10", 100.0, 150.0, 50.0), (TOTAL, 95.0, 146.0, 51.0)]
    assert changes(DAY, before, before[::-1]) == []
