"""Fixtures every test may use. Does not belong here: fixtures of one folder only."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference prices and golden numbers beside the project; absent on most machines."""
    place = ROOT.parent / "shared"
    if not (place / "data" / "futures").is_dir():
        pytest.skip("no ../shared beside the project: real prices and golden numbers are not on this machine")
    return place
