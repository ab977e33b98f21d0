"""What people type for the journal, and what they name, is not a secret: refused, not repeated, nothing recorded.

Does not belong here: what looks like a secret (`tests/domain/test_secrets.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import place
from pipelines.wiring import ledger

SECRET = "https://u:hunter2@h/x?token=hunter2"
SAID = {
    "config apply": ("config", "apply", "--reason", "less risk", "--author", "ada"),
    "config rollback": ("config", "rollback", "1", "--reason", "less risk", "--author", "ada"),
    "override": ("override", "--instrument", "CORN", "--reason", "the broker is late", "--by", "ada"),
    "overrides cleared": ("override", "--clear", "1", "--reason", "the broker is late", "--by", "ada"),
    "break closed": ("breaks", "close", "CORN", "--reason", "they rebook it", "--by", "ada"),
    "break assigned": ("breaks", "assign", "CORN", "cleo", "--reason", "knows it", "--by", "ada"),
    "cash": (
        *("book", "cash", "--currency", "USD", "--amount", "5", "--category", "fee"),
        *("--reason", "forgotten", "--by", "ada", "--session", "2024-12-30"),
    ),
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A desk with nothing but a file."""
    (tmp_path / "desk.toml").write_text("schema = 2\n")
    return tmp_path


@pytest.mark.parametrize("option", [1, 3], ids=["reason", "name"])
@pytest.mark.parametrize("command", SAID)
def test_no_reason_and_no_name_of_the_journal(
    command: str, option: int, home: Path, daybook: Callable[..., Any]
) -> None:
    words = list(SAID[command])
    at = words.index("--reason") + option
    words[at] = f"use {SECRET}"
    ended = daybook(*words, "--home", home)
    assert ended.code == 2
    assert f"{words[at - 1]} looks like it holds a password" in ended.err
    assert "hunter2" not in ended.out + ended.err
    assert ledger(place(home)).sequence() == 0


@pytest.mark.parametrize("command", ["validate", "apply"])
def test_no_description_of_a_strategy(command: str, home: Path, daybook: Callable[..., Any], root: Path) -> None:
    shipped = (root / "config" / "strategies" / "trend.toml").read_text("utf-8").splitlines()
    lines = [line for line in shipped if not line.startswith("description")]
    (home / "strategies").mkdir()
    (home / "strategies" / "trend.toml").write_text("\n".join([f'description = "see {SECRET}"', *lines]))
    given = ("--reason", "x") if command == "apply" else ()
    ended = daybook("config", command, *given, "--home", home)
    assert ended.code == 2
    assert "trend.toml:1: description holds a secret in the clear" in " ".join((ended.out + ended.err).split())
    assert "hunter2" not in ended.out + ended.err


@pytest.mark.parametrize("name", ["DAYBOOK_ENVIRONMENT", "DAYBOOK_DEPLOYMENT", "DAYBOOK_MAX_SYMBOLS"])
def test_no_value_of_a_variable(
    name: str, home: Path, daybook: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)
    ended = daybook("config", "validate", "--home", home)
    assert ended.code == 2
    assert "not shown here" in ended.err
    assert "hunter2" not in ended.out + ended.err


def test_no_name_of_a_column_of_prices(tmp_path: Path) -> None:
    from resources.csv_tables import read_rows
    from trading.errors import BadInput

    for content in (f"a,{SECRET}\n1,2\n", f"a,b,{SECRET},{SECRET}\n1,2,3,4\n"):
        (tmp_path / "rows.csv").write_text(content)
        with pytest.raises(BadInput, match="not shown here") as cause:
            read_rows(tmp_path / "rows.csv", ["a", "b"])
        assert "hunter2" not in str(cause.value)
