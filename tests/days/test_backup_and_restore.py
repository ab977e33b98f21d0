"""A desk is backed up, its home deleted and restored: the same desk, which closes the next session the same.

Belongs here: the whole way through the command line. Does not belong here: killed backups and damaged blobs
(tests/adapters/test_snapshots.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.deployments import frame_store, ledger, snapshots
from pipelines.settings import Place, place, read_settings
from trading.frames import DATASETS

NEXT = "2020-04-27"
Command = Callable[..., Any]


def hashes(where: Place) -> dict[str, str]:
    """Content hash of every version of every dataset, of the ledger and of the configuration."""
    frames = frame_store(where)
    found = {
        f"{name} {version.number}": frames.content_hash(DATASETS[name], as_of=version.number)
        for name in frames.written()
        for version in frames.versions(DATASETS[name])
    }
    return {**found, "ledger": ledger(where).content_hash(), "configuration": read_settings(where).content_hash()}


def broker_statement(where: Place) -> object:
    """What the paper broker says it holds."""
    from pipelines.deployments import adapters

    return adapters(where).broker.statement(date(2020, 4, 24))


@pytest.fixture
def home(copied: Callable[[Path], Path], glut: Path) -> Path:
    """A desk of three weeks with settings of its own."""
    home = copied(glut)
    (home / "strategies").mkdir(exist_ok=True)
    return home


def test_a_deleted_home_comes_back_and_goes_on(
    home: Path, tmp_path: Path, daybook: Command, fingerprint: Callable[[Path], dict[str, Any]]
) -> None:
    backed_up = daybook("backup", "--home", home, "--json")
    assert backed_up.code == 0, backed_up.err
    taken = backed_up.document
    assert taken["destination"] == str(tmp_path / "home-backups")
    assert taken["files_new"] > 30
    (manifest,) = snapshots(place(home)).snapshots()
    wanted, books, report = hashes(place(home)), broker_statement(place(home)), "reports/2020-04-24.html"
    page = (home / report).read_bytes()
    shutil.copytree(home, tmp_path / "twin")
    shutil.rmtree(home)

    restored = daybook("restore", "latest", "--home", home, "--into", tmp_path / "back", "--json")
    assert restored.code == 0, restored.err
    assert "hashes of the datasets" in restored.err
    back = place(tmp_path / "back")
    found = hashes(back)
    # the ledger goes on while its backup is recorded: the snapshot has it as of the moment it was copied
    assert found.pop("ledger") == restored.document["ledger"] == manifest.ledger.content_hash
    assert {**found, "ledger": wanted["ledger"]} == wanted
    assert restored.document["configuration"] == wanted["configuration"] == restored.document["configuration_now"]
    assert broker_statement(back) == books
    assert (back.home / report).read_bytes() == page

    status = daybook("status", "--home", back.home, "--json").document
    assert (status["last_closed"], status["sessions_closed"]) == ("2020-04-24", 15)  # weekdays of three weeks
    words = ("--session", NEXT, "--json")
    closed = {name: daybook("close", "--home", tmp_path / name, *words) for name in ("back", "twin")}
    assert [ended.code for ended in closed.values()] == [0, 0], closed["back"].err
    days = [{name: ended.document[name] for name in ("pnl", "positions", "breaks")} for ended in closed.values()]
    assert days[0] == days[1]
    assert days[0]["breaks"] == 0
    assert any(row["total_base"] for row in days[0]["pnl"])
    assert fingerprint(tmp_path / "back") == fingerprint(tmp_path / "twin")


def test_a_second_backup_reuses_the_first(home: Path, daybook: Command) -> None:
    first = daybook("backup", "--home", home, "--json").document
    second = daybook("backup", "--home", home, "--json").document
    assert second["files_reused"] == second["files"] - 1  # the ledger, in which the first one was recorded
    assert second["files"] == first["files"]
    assert second["bytes_added"] < first["bytes"] / 3  # that ledger, whole


def test_what_cannot_be_restored_is_said(home: Path, tmp_path: Path, daybook: Command) -> None:
    none = daybook("restore", "latest", "--home", home, "--into", tmp_path / "back")
    assert none.code == 1
    assert "there are no snapshots in" in none.err
    assert "DAYBOOK_BACKUPS" in none.err
    assert daybook("backup", "--home", home).code == 0
    full = daybook("restore", "latest", "--home", home, "--into", home, "--json")
    assert full.code == 2
    assert "is not empty" in full.document["message"]
    unknown = daybook("restore", "19990101T000000Z", "--home", home, "--into", tmp_path / "back", "--json")
    assert unknown.code == 1
    assert "Newest there: 20" in unknown.document["message"]
    (place(home).backups / "snapshots").joinpath("99990101T000000Z.json").write_text("{")
    damaged = daybook("restore", "latest", "--home", home, "--into", tmp_path / "back", "--json")
    assert damaged.code == 1
    assert "99990101T000000Z.json is damaged" in damaged.document["message"]
    assert not (tmp_path / "back").exists()
    again = daybook("backup", "--home", home, "--json")
    assert again.code == 0, "a damaged manifest must not stop the next backup"
    assert "none: the manifest" in again.document["let_go"]
