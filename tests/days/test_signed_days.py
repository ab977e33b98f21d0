"""Signed days: signed, opened as they were, restated in money, and nothing of them changed unnoticed.

Belongs here: a desk of two instruments whose vendor corrects a price late, and whoever edits files behind our back.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.desk import Desk
from pipelines.settings import place
from pipelines.signing import verify_signatures
from trading.book.journal import Event
from trading.errors import SignatureError, UsageError
from trading.frames import PNL, Dataset

Run = Callable[..., Any]
FIRST, CORRECTED, AFTER, LAST = (date(2021, 3, day) for day in (22, 24, 25, 26))
LABEL = "2021-03-24 23:00:00"
RISE_POINTS = {"CORN": 0.5, "BUND": 0.25}  # what the vendor's prices of 24 March were too low by
POINT_VALUE = {"CORN": 50.0, "BUND": 1000.0}  # csvconfig of the folder


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, two_instruments: Path, loaded_two: Path, daybook: Run) -> Path:
    """A home with a vendor's folder beside it, closed over a week; 24 March signed by hand, 26 by the run."""
    top = tmp_path_factory.mktemp("signed")
    shutil.copytree(two_instruments, top / "futures")
    shutil.copytree(loaded_two, top / "home")
    ended = daybook("backfill", "--home", top / "home", "--from", FIRST, "--to", LAST, "--json")
    assert ended.code == 0, ended.err
    assert len(ended.document["hash"]) == 64
    ended = daybook("sign", "--home", top / "home", "--session", CORRECTED)
    assert ended.code == 0, ended.err
    return top


@pytest.fixture
def home(signed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed; its vendor is the same until it is corrected."""
    shutil.copytree(signed, tmp_path / "signed")
    return tmp_path / "signed" / "home"


def opened(daybook: Run, home: Path, session: date, *more: object) -> dict[str, Any]:
    ended = daybook("open", session, "--home", home, "--json", *more)
    assert ended.code == 0, ended.err
    found: dict[str, Any] = ended.document
    return found


def correct(home: Path) -> None:
    """The vendor's files, now of the copy, as they come the next time: the prices of 24 March are higher."""
    desk, folder = home / "desk.toml", home.parent / "futures"
    settings = desk.read_text().splitlines()
    settings = [f'source = "{folder}"' if line.startswith("source = ") else line for line in settings]
    desk.write_text("\n".join(settings) + "\n")
    for code, rise in RISE_POINTS.items():
        file = folder / "multiple_prices_csv" / f"{code}.csv"
        lines = file.read_text().splitlines()
        where = next(number for number, line in enumerate(lines) if line.startswith(LABEL))
        cells = lines[where].split(",")
        cells[3] = str(float(cells[3]) + rise)
        lines[where] = ",".join(cells)
        file.write_text("\n".join(lines) + "\n")


def held(found: dict[str, Any]) -> dict[str, int]:
    return {row["instrument"]: row["quantity_contracts"] for row in found["positions"]}


# --- restating --------------------------------------------------------------------------------------------------------
def test_a_late_correction_is_restated_in_money_and_the_first_signature_stands(home: Path, daybook: Run) -> None:
    days = (CORRECTED, LAST)
    first = {day: opened(daybook, home, day) for day in days}
    prices = {day: opened(daybook, home, day, "--prices", "CORN")["prices"] for day in days}
    correct(home)
    ended = daybook("close", "--restate", "--home", home, "--session", CORRECTED, "--json")
    assert ended.code == 0, ended.err
    found = ended.document

    # The mark of 24 March moves by the correction: whoever held q contracts after that session made q x correction x
    # point value more in it, and as much less in the next. FX of the day is the folder's: 1.2 + 0.0005 a weekday.
    rate = {"CORN": 1.0, "BUND": 1.2 + 0.0005 * weekday_number(CORRECTED)}
    contracts = held(first[CORRECTED])
    assert set(contracts) == {"CORN", "BUND"}
    expected = {code: contracts[code] * RISE_POINTS[code] * POINT_VALUE[code] * rate[code] for code in contracts}
    changed = {(row["session"], row["instrument"]): row for row in found["changes"]}
    on_the_day = {code: changed[str(CORRECTED), code]["difference_base"] for code in expected}
    assert on_the_day == pytest.approx(expected, rel=1e-9)
    assert found["difference_base"] == pytest.approx(sum(expected.values()), rel=1e-9)
    assert changed[str(AFTER), "CORN"]["difference_base"] == pytest.approx(-expected["CORN"], rel=1e-9)
    assert found["before_base"] == pytest.approx(first[CORRECTED]["pnl_total"])
    assert found["after_base"] == pytest.approx(first[CORRECTED]["pnl_total"] + sum(expected.values()))

    # The first signatures still give the first numbers, bit for bit, and the second ones the new.
    for day in days:
        assert opened(daybook, home, day, "--version", 1) == first[day]
        assert opened(daybook, home, day, "--version", 1, "--prices", "CORN")["prices"] == prices[day]
        second = opened(daybook, home, day)
        assert (second["version"], second["hash"] != first[day]["hash"]) == (2, True)
    assert opened(daybook, home, CORRECTED)["pnl_total"] == pytest.approx(found["after_base"])
    now = opened(daybook, home, CORRECTED, "--prices", "CORN")["prices"][-1]["price"]
    assert now - prices[CORRECTED][-1]["price"] == pytest.approx(RISE_POINTS["CORN"])
    signatures = {row["session"]: row for row in found["signatures"]}
    assert set(signatures) == {str(day) for day in days}
    assert "dataset pnl" in signatures[str(CORRECTED)]["changed"]
    assert verify_signatures(place(home)) == []


def weekday_number(day: date) -> int:
    """Weekdays from the folder's first, 4 January 2021, to a day of the same year."""
    weeks, rest = divmod((day - date(2021, 1, 4)).days, 7)
    return 5 * weeks + rest


def test_a_close_without_restating_leaves_the_signature_and_says_so(home: Path, daybook: Run) -> None:
    before = opened(daybook, home, CORRECTED)
    correct(home)
    ended = daybook("backfill", "--home", home, "--from", CORRECTED, "--to", LAST, "--json")
    assert ended.code == 1
    assert "close --restate" in ended.document["failed_checks"]["signature/still_as_signed"]
    assert opened(daybook, home, CORRECTED) == before
    again = daybook("sign", "--home", home, "--session", CORRECTED)
    assert again.code == 1
    assert "dataset pnl" in again.err
    assert f"daybook close --restate --session {CORRECTED}" in again.err


def test_restating_what_did_not_change_signs_nothing(home: Path, daybook: Run) -> None:
    ended = daybook("close", "--restate", "--home", home, "--session", CORRECTED, "--json")
    assert ended.code == 0, ended.err
    assert ended.document["changes"] == []
    assert {(row["version"], row["changed"]) for row in ended.document["signatures"]} == {(1, "nothing")}


def test_signing_again_keeps_the_signature(home: Path, daybook: Run) -> None:
    before = opened(daybook, home, CORRECTED)["hash"]
    ended = daybook("sign", "--home", home, "--session", CORRECTED, "--json")
    assert (ended.document["hash"], ended.document["signed"]) == (before, "before")


def test_a_close_that_did_not_come_to_its_end_is_not_signed(home: Path, daybook: Run) -> None:
    payload = {
        "session": str(AFTER), "from_state": "published", "to_state": "collecting", "run_id": "another",
        "overridden": None, "detail": "reopened",
    }  # fmt: skip
    at = datetime(2021, 3, 25, 22, tzinfo=UTC)
    Desk.open(str(home)).adapters.ledger.record([Event("moved", "close_moved", AFTER, at, "anna", payload)])
    ended = daybook("sign", "--home", home, "--session", AFTER)
    assert ended.code == 1
    assert "a close that stands at collecting cannot go to signed" in ended.err


WRONG = {
    "never signed": (("open", AFTER), ["2021-03-25 is not signed", "2021-03-24 and 2021-03-26", "daybook sign"]),
    "no such version": (("open", CORRECTED, "--version", 7), ["no signature 7", "Its signatures: 1"]),
    "not closed": (("sign", "--session", "2021-03-29"), ["2021-03-29 is not closed"]),
    "restate nothing": (("close", "--restate"), ["name the session"]),
    "restate the unclosed": (("close", "--restate", "--session", "2021-03-29"), ["2021-03-29 is not closed"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_requests_are_refused_in_a_sentence(case: str, signed: Path, daybook: Run) -> None:
    words, said = WRONG[case]
    ended = daybook(*words, "--home", signed / "home")
    assert ended.code == 2
    assert all(word in ended.err for word in said), ended.err


# --- opening ----------------------------------------------------------------------------------------------------------
def test_a_notebook_opens_a_day_as_it_was_signed(home: Path, daybook: Run) -> None:
    desk = Desk.open(str(home))
    day = desk.open(str(CORRECTED))
    then = day.pnl(CORRECTED)
    assert set(then["instrument"]) == {"CORN", "BUND"}
    assert day.closed_sessions()[-1] == CORRECTED
    assert day.adapters.settings.document() == desk.adapters.settings.document()
    assert day.adapters.reference.content_hash() == desk.adapters.reference.content_hash()
    held_then = {row["instrument"]: row["quantity_contracts"] for row in day.adapters.ledger.rows("positions")}
    assert held_then == held(opened(daybook, home, CORRECTED))
    assert int(day.sql("select count(*) as n from pnl where session > '2021-03-24'")["n"][0]) == 0
    file = home / "desk.toml"
    file.write_text(file.read_text() + "\n[trading.capital]\nvolatility_target_percent = 10.0\n")
    correct(home)
    assert daybook("close", "--restate", "--home", home, "--session", CORRECTED).code == 0
    again = Desk.open(str(home)).open(CORRECTED, version=1)
    assert again.pnl(CORRECTED).equals(then)
    assert again.adapters.settings.capital.volatility_target_percent != 10.0
    assert Desk.open(str(home)).open(CORRECTED).adapters.settings.capital.volatility_target_percent == 10.0


def test_nothing_signed_can_be_written(signed: Path) -> None:
    day = Desk.open(str(signed / "home")).open(CORRECTED)
    with pytest.raises(UsageError, match="--restate"):
        day.adapters.frames.replace(PNL, PNL.schema.empty_table(), _all())
    with pytest.raises(UsageError, match="signed"):
        day.adapters.ledger.record([])


def _all() -> Any:
    from trading.ports import Span

    return Span(date.min, date.max)


# --- tampering --------------------------------------------------------------------------------------------------------
def told(home: Path) -> str:
    """What verifying everything finds; opening the day must refuse where it finds something of that day."""
    return " ".join(verify_signatures(place(home)))


def refused(home: Path, session: date = LAST) -> str:
    with pytest.raises(SignatureError) as raised:
        Desk.open(str(home)).open(session)
    return str(raised.value)


@contextmanager
def edited(home: Path, statement: str, *values: object) -> Iterator[None]:
    """The ledger's file edited directly, and put back afterwards."""
    file, kept = home / "ledger.sqlite", home / "ledger.kept"
    with closing(sqlite3.connect(file)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    shutil.copy2(file, kept)
    with closing(sqlite3.connect(file)) as database, database:
        assert database.execute(statement, values).rowcount >= 1
    yield
    for name in ("ledger.sqlite-wal", "ledger.sqlite-shm"):
        (home / name).unlink(missing_ok=True)
    kept.replace(file)


FIELDS = {
    "stream": "stream = 'book/other'", "number": "number = 900", "event_id": "event_id = event_id || 'x'",
    "kind": "kind = case kind when 'fill' then 'fill_busted' else 'fill' end", "session": "session = '2021-03-23'",
    "at": "at = '2021-03-22T22:00:00+00:00'", "actor": "actor = 'somebody'", "cause": "cause = 'nothing'",
    "correlation": "correlation = 'nothing'", "link": f"link = '{'0' * 64}'",
    "payload": "payload = json_set(payload, '$.quantity_contracts', 77)",
}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_field_of_any_kind_of_event_is_found(field: str, home: Path) -> None:
    book = "stream = 'book/trend' and link is not null"
    with closing(sqlite3.connect(home / "ledger.sqlite")) as database:
        numbers = [row[0] for row in database.execute(f"select number from journal where {book} order by number")]
    assert len(numbers) > 3
    for number in (numbers[0], numbers[len(numbers) // 2]):
        with edited(home, f"update journal set {FIELDS[field]} where stream = 'book/trend' and number = ?", number):
            assert "book/trend" in told(home), (field, number)
            assert "book/trend" in refused(home)
    assert told(home) == ""


def test_every_event_before_the_heads_is_guarded(home: Path) -> None:
    """One changed character in each, and each taken away."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as database:
        heads = Desk.open(str(home)).open(LAST).adapters.ledger.heads()
        rows = database.execute("select stream, number from journal order by stream, number").fetchall()
    guarded = [(stream, number) for stream, number in rows if stream in heads and number <= heads[stream].number]
    assert len(guarded) > 20
    for stream, number in guarded[::5]:
        at = "where stream = ? and number = ?"
        for statement in (f"update journal set actor = actor || '.' {at}", f"delete from journal {at}"):
            with edited(home, statement, stream, number):
                assert f"stream {stream} up to" in told(home), (statement, stream, number)


def parts(home: Path, dataset: Dataset) -> list[Path]:
    found = sorted((home / "frames" / dataset.name).glob("*.parquet"))
    assert found
    return found


def test_a_changed_byte_of_a_data_file_is_found_wherever_it_is(home: Path) -> None:
    file = parts(home, PNL)[0]
    content = file.read_bytes()
    for position in range(4, len(content), max(1, len(content) // 25)):
        file.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        assert "dataset pnl, version" in told(home), position
        assert "dataset pnl, version" in refused(home)
    file.write_bytes(content)
    assert told(home) == ""


def test_a_changed_row_is_told_from_touched_bytes(home: Path) -> None:
    file = parts(home, PNL)[0]
    content, table = file.read_bytes(), pq.read_table(file)
    pq.write_table(table, file)
    assert "its rows are those that were signed, but somebody touched what is stored of it" in told(home)
    column = table.column_names.index("total_base")
    pq.write_table(table.set_column(column, "total_base", [[1.0] * table.num_rows]), file)
    assert f"its rows through {LAST} are not those that were signed" in told(home)
    file.unlink()
    assert "dataset pnl, version" in refused(home)
    file.write_bytes(content)
    assert told(home) == ""


def test_a_changed_commit_is_found(home: Path) -> None:
    log = home / "frames" / "pnl" / "_delta_log"
    newest = sorted(log.glob("*.json"))[-1]
    newest.write_text(newest.read_text().replace("2021-03-26", "2021-03-25"))
    assert "dataset pnl, version" in told(home)


def test_a_changed_document_signature_or_key_is_found(home: Path) -> None:
    row = Desk.open(str(home)).adapters.ledger.rows("signatures", {"session": str(LAST)})[0]
    digest = str(row["document"])
    file = home / "signed" / digest[:2] / digest
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"who":"', b'"who":"not '))
    assert f"document {digest[:12]}" in told(home)
    assert f"document {digest[:12]}" in refused(home)
    file.write_bytes(content)
    for change in (
        "signature = replace(signature, substr(signature, 1, 4), 'abcd')",
        "hash = 'f' || hash",
        "actor = 'me'",
    ):
        with edited(home, f"update signatures set {change} where session = ?", str(LAST)):
            assert str(LAST) in told(home), change
            assert "signature 1" in refused(home)
    public = home / "keys" / f"{row['key']}.pub"
    kept = public.read_bytes()
    public.unlink()
    assert f"no public key {row['key']}" in refused(home)
    public.write_bytes(kept)
    assert told(home) == ""


def test_a_document_made_anew_with_another_key_is_found(home: Path) -> None:
    """Whoever has the disk but not the key: document, digest and ledger row changed so that they fit each other."""
    from resources.disk_blobs import DiskBlobs
    from resources.ed25519_signer import Ed25519Signer
    from trading.book.signature import document_of

    row = Desk.open(str(home)).adapters.ledger.rows("signatures", {"session": str(LAST)})[0]
    blobs = DiskBlobs(home / "signed")
    forged = document_of(blobs.get(str(row["document"])))
    forged = replace(forged, circumstances=replace(forged.circumstances, who="me"))
    digest = blobs.put(forged.content())
    signature = Ed25519Signer(home.parent / "forger").sign(forged.content()).hex()
    change = "update signatures set document = ?, signature = ?, actor = 'me' where session = ?"
    with edited(home, change, digest, signature, str(LAST)):
        assert f"document {digest[:12]} is not what key {row['key']} signed" in refused(home)


def test_changed_configuration_and_reference_files_are_found(home: Path) -> None:
    blobs = home / "signed"
    day = Desk.open(str(home)).open(LAST)
    digest = day.adapters.settings.content_hash()
    file = blobs / digest[:2] / digest
    settings = json.loads(file.read_text())
    settings["trading"]["capital"]["capital_base"] = 1.0
    content = file.read_bytes()
    file.write_text(json.dumps(settings))
    assert "configuration" in refused(home)
    file.write_bytes(content)
    for laid_out in (home / "cache" / "signed").rglob("*.csv"):
        laid_out.write_text("nothing")
    assert Desk.open(str(home)).open(LAST).adapters.reference.instruments(LAST)


def test_a_day_that_a_replaced_key_signed_still_opens(home: Path, daybook: Run) -> None:
    (home / "keys" / "signing.pem").unlink()
    assert daybook("sign", "--home", home, "--session", AFTER).code == 0
    keys = {opened(daybook, home, day)["key"] for day in (CORRECTED, AFTER, LAST)}
    assert len(keys) == 2
    assert told(home) == ""


def test_the_environment_names_a_key(home: Path, daybook: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from resources.ed25519_signer import PRIVATE, Ed25519Signer

    elsewhere = Ed25519Signer(tmp_path / "safe")
    name = elsewhere.key_id
    monkeypatch.setenv("DAYBOOK_SIGNING_KEY", str(tmp_path / "nowhere.pem"))
    ended = daybook("sign", "--home", home, "--session", AFTER)
    assert (ended.code, "DAYBOOK_SIGNING_KEY" in ended.err) == (1, True)
    monkeypatch.setenv("DAYBOOK_SIGNING_KEY", str(tmp_path / "safe" / PRIVATE))
    assert daybook("sign", "--home", home, "--session", AFTER).code == 0
    monkeypatch.delenv("DAYBOOK_SIGNING_KEY")
    assert opened(daybook, home, AFTER)["key"] == name
    assert told(home) == ""


def test_a_restored_desk_opens_its_signed_days(home: Path, daybook: Run, tmp_path: Path) -> None:
    before = opened(daybook, home, CORRECTED)
    assert daybook("backup", "--home", home).code == 0
    shutil.rmtree(home)
    ended = daybook("restore", "latest", "--home", home, "--into", tmp_path / "restored")
    assert ended.code == 0, ended.err
    assert opened(daybook, tmp_path / "restored", CORRECTED) == before
    assert told(tmp_path / "restored") == ""
    assert not (tmp_path / "restored" / "keys" / "signing.pem").exists()
