"""`daybook breaks`: what is open, who looks after it, a person closing one. Does not belong here: finding breaks."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from resources.sqlite_ledger import SqliteLedger
from trading.book.break_life import Reporter, follow
from trading.book.breaks import Comparison, Finding

Run = Callable[..., Any]
FRI = date(2022, 2, 25)
NOW = datetime(2022, 2, 25, 23, tzinfo=UTC)
US10, GOLD = "quantity:US10/20220600:2022-02-25", "price:GOLD/20220400:2022-02-25"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A desk with a break of quantity and one of price."""
    found = (
        Finding("quantity", "US10/20220600", FRI, 3.0, 4.0, "the book holds +3, the broker +4."),
        Finding("price", "GOLD/20220400", FRI, 1900.0, 1901.0, "the average price differs.", tolerance=0.19),
    )
    (tmp_path / "home" / "frames").mkdir(parents=True)
    ledger = SqliteLedger(tmp_path / "home" / "ledger.sqlite")
    ledger.record(follow(Comparison(found, frozenset({"quantity", "price"})), [], Reporter(FRI, NOW, owner="anna")))
    ledger.close()
    return tmp_path / "home"


def test_what_is_open_and_what_it_locks(home: Path, daybook: Run) -> None:
    told = daybook("breaks", "--open", "--home", home, "--json").document
    assert [(row["break_id"], row["owner"], row["age_sessions"]) for row in told["rows"]] == [
        (GOLD, "anna", 0), (US10, "anna", 0)
    ]  # fmt: skip
    assert told["locked"] == ["US10"]
    shown = daybook("breaks", "list", "--open", "--home", home)
    assert US10 in shown.out
    assert "locked against new orders: US10" in shown.out


def test_a_break_is_assigned_and_closed_by_name_and_reason(home: Path, daybook: Run) -> None:
    given = daybook("breaks", "assign", "US10", "cleo", "--by", "bert", "--reason", "knows the desk", "--home", home)
    assert given.code == 0, given.err
    ended = daybook(
        "breaks", "close", "quantity:US10", "--by", "bert", "--reason", "they rebook it", "--home", home, "--json"
    )
    assert (ended.code, ended.document["break_id"], ended.document["session"]) == (0, US10, "2022-02-25")
    left = daybook("breaks", "--open", "--home", home, "--json").document
    assert ([row["break_id"] for row in left["rows"]], left["locked"]) == ([GOLD], [])
    ledger = SqliteLedger(home / "ledger.sqlite")
    (row,) = ledger.rows("breaks", {"break_id": US10})
    assert (row["owner"], row["state"], row["closed_by"], row["reason"]) == ("cleo", "closed", "bert", "they rebook it")
    assert [entry.event.actor for entry in ledger.entries(kinds=["break_assigned", "break_closed"])] == ["bert", "bert"]
    ledger.close()
    again = daybook("breaks", "close", US10, "--by", "bert", "--reason", "again", "--home", home)
    assert again.code == 2
    assert "is closed since 2022-02-25, by bert: they rebook it" in again.err


@pytest.mark.parametrize(("words", "said"), [
    (["close", "US10"], "needs a reason"), (["close", "US10", "--reason", " "], "needs a reason"),
    (["close", "US10", "--reason", "x", "--by", " "], "needs a name"),
    (["close", "CORN", "--reason", "x"], f"no open break is called 'CORN'. Give one of: {GOLD}, {US10}."),
    (["close", "2022-02-25", "--reason", "x"], "may be several breaks"),
    (["assign", "US10", " ", "--reason", "x"], "who looks after the break?"),
    (["--open", "--session", "2022-02-25"], "Leave one out"),
])  # fmt: skip
def test_what_is_wrong_is_said_and_nothing_is_recorded(words: list[str], said: str, home: Path, daybook: Run) -> None:
    ended = daybook("breaks", *words, "--home", home)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    ledger = SqliteLedger(home / "ledger.sqlite")
    assert ledger.sequence() == 2
    ledger.close()
