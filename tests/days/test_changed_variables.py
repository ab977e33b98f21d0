"""A configuration in force that is whole, in a process whose environment variables do not take it: the variable is
named, and nobody is told to restore a backup or to go back."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines import configuration
from pipelines.configuration_status import status
from pipelines.settings import place, read_settings
from trading.errors import ConfigError, NotTakenHere

DESK = """schema = 2
environment = "paper"
[data.vendor]
name = "csv_folder"
source = "{prices}"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A desk on paper, its configuration in force, prices beside it."""
    home = tmp_path / "home"
    (tmp_path / "prices").mkdir()
    home.mkdir()
    (home / "desk.toml").write_text(DESK.format(prices=tmp_path / "prices"))
    configuration.apply(place(home), "the test says so")
    return home


VARIABLES = {
    "DAYBOOK_ROOTS": "/nowhere",
    "DAYBOOK_ENVIRONMENT": "production",
    "DAYBOOK_MAX_CONNECTIONS": "1",
}


@pytest.mark.parametrize("name", VARIABLES)
def test_the_variable_is_what_is_to_be_changed(home: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, VARIABLES[name])
    where = place(home)
    with pytest.raises(ConfigError) as cause:
        read_settings(where)
    found = status(where)
    said = " ".join([str(cause.value), *(each["message"] for each in found["findings"]), str(found["not_healed"])])
    assert isinstance(cause.value, NotTakenHere)
    assert name in said
    assert found["exit_code"] == 1
    for wrong in ("validation error", "pydantic", "rollback", "backup", "No run can begin"):
        assert wrong not in said


def test_once_it_is_as_it_was_nothing_is_wrong(home: Path) -> None:
    assert status(place(home))["findings"] == []
