"""Variables of the environment that nothing reads, or that a setting refers to and that are not set, are noted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.place import VARIABLES


def test_a_misspelt_variable_is_noted_with_what_is_meant(
    daybook: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "desk.toml").write_text("schema = 2\n[operations.notifier]\nwebhook = { env = 'DAYBOOK_HOOK' }\n")
    monkeypatch.setenv("DAYBOOK_ENVIROMENT", "production")
    said = "the environment variable DAYBOOK_ENVIROMENT is not one of Daybook's own. Did you mean DAYBOOK_ENVIRONMENT?"
    notes = daybook("config", "validate", "--home", tmp_path, "--json").document["notes"]
    assert said in notes
    assert "a setting refers to the environment variable DAYBOOK_HOOK, which is not set here." in notes
    monkeypatch.setenv("DAYBOOK_HOOK", "https://desk.example/x")
    assert daybook("config", "validate", "--home", tmp_path, "--json").document["notes"] == [said]
    assert said in daybook("config", "status", "--home", tmp_path, "--json").document["notes"]
    rows = daybook("doctor", "--home", tmp_path, "--json").document["backends"]
    assert said in next(row["do"] for row in rows if row["part"] == "settings")


def test_the_names_are_those_of_the_reference(root: Path) -> None:
    page = (root / "docs" / "reference" / "settings.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(DAYBOOK_\w+)` \|", page, re.MULTILINE)) == set(VARIABLES)


def test_a_variable_that_is_like_none_of_ours_is_noted_without_a_guess(
    daybook: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "desk.toml").write_text("schema = 2\n")
    monkeypatch.setenv("DAYBOOK_PASSWORD", "x")
    notes = daybook("config", "validate", "--home", tmp_path, "--json").document["notes"]
    assert notes == ["the environment variable DAYBOOK_PASSWORD is not one of Daybook's own."]


def test_a_file_of_a_secret_that_is_not_there_is_noted(daybook: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("schema = 2\n[operations.notifier]\nwebhook = { file = 'keys/hook' }\n")
    notes = daybook("config", "validate", "--home", tmp_path, "--json").document["notes"]
    assert notes == [f"a setting refers to the file {tmp_path / 'keys' / 'hook'}, which is not there."]
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "hook").write_text("https://desk.example/x")
    assert daybook("config", "validate", "--home", tmp_path, "--json").document["notes"] == []
