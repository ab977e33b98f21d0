"""What Configurations promises (trading.ports.Configurations), run against each adapter."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import configuration
from pipelines.configuration_status import configurations
from pipelines.settings import place
from resources.memory import MemoryConfigurations
from trading.config.models import DeskSettings
from trading.errors import ConfigError
from trading.ports import Configurations

TABLE = b"symbol,max_position_contracts\nCORN,7\n"
LOSSES = {"in force": 0.04, "files": 0.02}
Made = Callable[[str], Configurations]


@pytest.fixture(params=["memory", "home"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """A desk on paper that is `new` (nothing applied), `moved on` (its files say something else since), or `wrong`
    (its files are)."""
    return _in_memory if request.param == "memory" else lambda state: _of_home(tmp_path / "home", state)


def _in_memory(state: str) -> Configurations:
    def settings(fraction: float) -> DeskSettings:
        return DeskSettings.model_validate({"environment": "paper", "risk": {"max_daily_loss_fraction": fraction}})

    on_disk = "risk.max_daily_loss_fraction is 7." if state == "wrong" else settings(LOSSES["files"])
    now = None if state == "new" else settings(LOSSES["in force"])
    return MemoryConfigurations(on_disk, now, tables=() if state == "new" else [TABLE])


def _of_home(home: Path, state: str) -> Configurations:
    home.mkdir()

    def write(fraction: float) -> None:
        (home / "symbols.csv").write_bytes(TABLE)
        (home / "desk.toml").write_text(
            f'schema = 2\nenvironment = "paper"\n[symbols]\ntable = "symbols.csv"\n'
            f"[risk]\nmax_daily_loss_fraction = {fraction}\n"
        )

    write(LOSSES["in force"])
    if state != "new":
        configuration.apply(place(home), "first")
    write(7 if state == "wrong" else LOSSES["files"])
    return configurations(place(home))


def test_files_are_told_whatever_is_in_force(made: Made) -> None:
    for_each = made("moved on")
    assert isinstance(for_each, Configurations)
    assert for_each.files().risk.max_daily_loss_fraction == LOSSES["files"]


def test_what_is_in_force_is_told_with_its_name(made: Made) -> None:
    named, settings = made("moved on").in_force() or pytest.fail("nothing is in force")
    assert settings.risk.max_daily_loss_fraction == LOSSES["in force"]
    assert (named.configuration, named.number) == (settings.content_hash(), 1)


def test_nothing_is_in_force_before_anything_was_applied(made: Made) -> None:
    found = made("new")
    assert found.in_force() is None
    assert found.files().environment == "paper"


def test_wrong_files_are_told_and_change_nothing(made: Made) -> None:
    found = made("wrong")
    with pytest.raises(ConfigError, match=r"risk\.max_daily_loss_fraction is 7"):
        found.files()
    assert found.in_force() is not None


def test_a_table_is_given_by_its_hash(made: Made) -> None:
    found = made("moved on")
    assert found.table(hashlib.sha256(TABLE).hexdigest()) == TABLE
    with pytest.raises(ConfigError, match="the table of symbols 000000000000 is not kept"):
        found.table("0" * 64)
