"""`daybook audit`: the trail can be listed and searched, and `audit verify` finds what was changed in a real ledger.

Belongs here: the commands, on a desk that closed sessions and whose SQLite file somebody wrote to. Does not belong
here: every kind of finding (`tests/domain/test_audit.py`).
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory, loaded_two: Path, daybook: Run) -> Path:
    """Three sessions closed, with orders and fills. Not to be changed."""
    home = tmp_path_factory.mktemp("audited") / "home"
    shutil.copytree(loaded_two, home)
    ended = daybook("backfill", "--home", home, "--from", "2021-03-24", "--to", "2021-03-26")
    assert ended.code == 0, ended.err
    return home


def journal(home: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Whoever has the file can do anything to it."""
    with closing(sqlite3.connect(home / "ledger.sqlite")) as connection, connection:
        return connection.execute(sql, values).fetchall()


# --- looking ----------------------------------------------------------------------------------------------------------
def entries(daybook: Run, home: Path, *words: str) -> list[dict[str, Any]]:
    ended = daybook("audit", "--home", home, *words, "--json")
    assert ended.code == 0, ended.err
    found: list[dict[str, Any]] = ended.document["entries"]
    return found


def test_the_trail_is_newest_first_with_time_actor_and_cause(closed: Path, daybook: Run) -> None:
    found = entries(daybook, closed, "--limit", "3")
    assert len(found) == 3
    assert (found[0]["kind"], found[0]["what"]["state"]) == ("process", "done")
    assert found[0]["cause"] == f"process:{found[0]['correlation']}:started"
    assert [entry["at"] for entry in found] == sorted((entry["at"] for entry in found), reverse=True)
    shown = daybook("audit", "--home", closed, "--limit", "3").out
    assert "process" in shown
    assert "done" in shown


def test_entries_are_chosen_by_kind_session_actor_and_stream(closed: Path, daybook: Run) -> None:
    moves = entries(daybook, closed, "--kind", "close_moved", "--session", "2021-03-26")
    assert [entry["what"]["to_state"] for entry in moves] == [
        "published", "signed", "reconciled", "explained", "marked", "validated", "collecting",
    ]  # fmt: skip
    fills = entries(daybook, closed, "--kind", "fill")
    assert len(fills) == journal(closed, "select count(*) from fills")[0][0] > 0
    assert {entry["actor"] for entry in entries(daybook, closed, "--actor", "close", "--limit", "1000")} == {"close"}
    of_book = entries(daybook, closed, "--stream", "book/trend", "--limit", "1000")
    assert sorted(entry["number"] for entry in of_book) == list(range(1, len(of_book) + 1))
    assert entries(daybook, closed, "--actor", "nobody") == []


def test_the_trail_is_searched_by_words(closed: Path, daybook: Run) -> None:
    found = entries(daybook, closed, "--search", "RECONCILED 2021-03-25", "--kind", "close_moved")
    assert [entry["what"]["to_state"] for entry in found] == ["reconciled"]
    orders = entries(daybook, closed, "--search", "corn", "--kind", "order_created", "--limit", "1000")
    assert orders
    assert {entry["what"]["instrument"] for entry in orders} == {"CORN"}
    assert entries(daybook, closed, "--search", "zebra") == []


def test_a_kind_that_does_not_exist_is_refused_with_what_was_meant(closed: Path, daybook: Run) -> None:
    ended = daybook("audit", "--home", closed, "--kind", "fil")
    assert ended.code == 2
    assert "Did you mean fill" in ended.err


# --- verifying --------------------------------------------------------------------------------------------------------
def test_an_intact_desk_is_verified(closed: Path, daybook: Run) -> None:
    ended = daybook("audit", "verify", "--home", closed, "--json")
    assert (ended.code, ended.document["problems"]) == (0, [])
    assert ended.document["entries"] == journal(closed, "select count(*) from journal")[0][0]
    assert "nothing is wrong" in daybook("audit", "verify", "--home", closed).out


TAMPERED = {
    "a price": ("update journal set payload = replace(payload, '\"price_points\":', '\"price_points\":1') "
                "where number = (select min(number) from journal where kind = 'fill')", "book/trend, entr"),
    "an actor": ("update journal set actor = 'bob' where stream = 'close' and number = 3", "close, entr"),
    "a time": ("update journal set at = replace(at, '+00:00', '+01:00') where stream = 'limits' and number = 1",
               "limits, entries 1 to 7: not what was recorded"),
    "a time written in another way": ("update journal set at = replace(at, 'T', ' ') where stream = 'limits' and "
                                      "number = 1", "limits, entries 1 to 7: not what was recorded"),
    "a space in a payload": ("update journal set payload = replace(payload, ':', ': ') where stream = 'limits' and "
                             "number = 1", "limits, entries 1 to 7: not what was recorded"),
    "the newest entry": ("delete from journal where stream = 'processes' and number = "
                         "(select max(number) from journal where stream = 'processes')",
                         "is the last there is, and the head says"),
    "an entry between": ("delete from journal where stream = 'close' and number = 4", "entry 4 is missing before it"),
    "a link": ("update journal set link = replace(link, substr(link, 1, 1), 'g') where stream = 'close' and link is "
               "not null", "not what was recorded"),
    "a head": ("update heads set number = number + 1 where stream = 'close'", "the head says"),
    "a position": ("update positions set quantity_contracts = quantity_contracts + 1 where instrument = 'CORN'",
                   "quantity_contracts is kept as"),
    "an order": ("update orders set status = 'refused' where order_id = (select min(order_id) from orders)",
                 "status is kept as 'refused'"),
    "a fill taken out": ("delete from fills where fill_id = (select min(fill_id) from fills)", "is missing;"),
    "a state": ("update closes set state = 'signed' where session = '2021-03-26'", "closes of 2021-03-26: state"),
    "a signed hash": ("update signatures set hash = replace(hash, substr(hash, 1, 1), '0') || ''",
                      "signatures of 2021-03-26/1: hash"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_what_was_changed_is_found_and_named(closed: Path, copied: Callable[[Path], Path], daybook: Run,
                                              what: str) -> None:  # fmt: skip
    home = copied(closed)
    sql, said = TAMPERED[what]
    journal(home, sql)
    ended = daybook("audit", "verify", "--home", home, "--json")
    assert ended.code == 1, f"{what} was changed and nothing found"
    assert any(said in problem for problem in ended.document["problems"]), ended.document["problems"]
    assert "problems: " in daybook("audit", "verify", "--home", home).out


def test_a_byte_changed_anywhere_in_the_journal_is_found(
    closed: Path, copied: Callable[[Path], Path], daybook: Run
) -> None:
    """Forty of them, in columns that the chain covers and in the chain itself."""
    from assets.audited import audited
    from pipelines.settings import place
    from pipelines.wiring import ledger

    home, chance = copied(closed), random.Random(7)
    columns = ("event_id", "kind", "session", "at", "actor", "correlation", "payload", "link")
    keys = journal(home, "select stream, number from journal")
    journal(home, "pragma journal_mode = delete")
    kept = (home / "ledger.sqlite").read_bytes()
    changed = 0
    while changed < 40:
        stream, number = chance.choice(keys)
        column = chance.choice(columns)
        where = "where stream = ? and number = ?"
        ((text,),) = journal(home, f"select {column} from journal {where}", stream, number)
        if text is None:
            continue
        at = chance.randrange(len(text))
        other = chance.choice([c for c in '0123456789abcxyz-:" ' if c != text[at]])
        try:
            journal(
                home, f"update journal set {column} = ? {where}", f"{text[:at]}{other}{text[at + 1 :]}", stream, number
            )
        except sqlite3.IntegrityError:
            continue  # the table itself refuses it
        changed += 1
        assert audited(ledger(place(home))), (stream, number, column, text, at, other)
        for leftover in home.glob("ledger.sqlite*"):
            leftover.unlink()
        (home / "ledger.sqlite").write_bytes(kept)
