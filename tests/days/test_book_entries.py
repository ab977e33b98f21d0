"""`daybook book`: what a person may enter. Does not belong here: what an entry does to the book."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from resources.sqlite_ledger import SqliteLedger

Run = Callable[..., Any]
WHY = ["--reason", "typed by hand", "--session", "2022-02-25"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A desk that was never closed: it trades the shipped strategy, and knows no rate but that of its base currency."""
    (tmp_path / "home" / "frames").mkdir(parents=True)
    return tmp_path / "home"


@pytest.mark.parametrize(("words", "said"), [
    (["cash", "--currency", "USDD", "--amount", "3", "--category", "fee"], "no exchange rate of 'USDD'"),
    (["cash", "--currency", "USD", "--amount", "3", "--category", "fees"], "no category 'fees'"),
    (["adjust", "--strategy", "trendy", "--instrument", "CORN", "--contract", "20221200", "--quantity", "1",
      "--price", "470"], "no strategy trendy trades here"),
    (["adjust", "--strategy", "trend", "--instrument", "CORNX", "--contract", "20221200", "--quantity", "1",
      "--price", "470"], "CORNX is not in the reference data"),
])  # fmt: skip
def test_what_could_not_be_taken_back_is_refused(home: Path, daybook: Run, words: list[str], said: str) -> None:
    """The journal keeps every entry: a misspelt currency or strategy would stand in the way of all later closes."""
    told = daybook("book", *words, *WHY, "--home", home)
    assert (told.code, said in told.err) == (2, True), told.err
    ledger = SqliteLedger(home / "ledger.sqlite")
    assert list(ledger.entries()) == []
    ledger.close()


def test_ids_and_reasons_are_shown_as_they_are(home: Path, daybook: Run) -> None:
    """Not as the picture of a cob, which is what `:CORN:` is to a terminal library, nor as a colour."""
    words = [
        "--strategy",
        "trend",
        "--instrument",
        "CORN",
        "--contract",
        "20221200",
        "--quantity",
        "1",
        "--price",
        "470",
    ]
    told = daybook("book", "adjust", *words, "--reason", "[red] ticket", "--session", "2022-02-25", "--home", home)
    assert told.code == 0, told.err
    assert "adjusted:2022-02-25:trend:CORN:20221200:1" in told.out
    assert "[red] ticket" in told.out
