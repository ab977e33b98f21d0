"""`daybook config schema --out`: a file that cannot be written is wrong usage, and nothing is made for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_file_that_cannot_be_written_is_wrong_usage(
    daybook: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAYBOOK_HOME", raising=False)
    for out in (tmp_path / "no" / "x.json", tmp_path):
        ended = daybook("config", "schema", "--out", out)
        assert ended.code == 2
        assert f"{out} cannot be written: " in ended.err
    assert list(tmp_path.iterdir()) == []
