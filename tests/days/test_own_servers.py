"""`daybook services`: a real MongoDB replica set and Redis of one home, started, found running, stopped, with their
data kept."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines import local_servers as services
from pipelines.settings import Place
from resources.mongo_ledger import MongoLedger
from trading.book.journal import Event


@pytest.fixture
def where(tmp_path: Path, mongod_program: str, redis_server: str) -> Iterator[Place]:
    """A home whose servers are stopped afterwards."""
    place = Place(tmp_path / "home", "local", tmp_path / "backups")
    yield place
    services.stop(place)


def daybook(where: Place, *words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON document and errors of a command, in a process of its own."""
    command = [sys.executable, "-m", "pipelines.cli", "--json", "--home", str(where.home), "services", *words]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    return found.returncode, json.loads(found.stdout), found.stderr


def states(found: dict[str, Any]) -> dict[str, str]:
    return {server["server"]: server["state"] for server in found["servers"]}


def test_servers_start_stop_and_keep_their_data(where: Place) -> None:
    assert daybook(where, "status")[:2] == (1, {"ok": False, "servers": [], "export": {}})
    code, found, _ = daybook(where, "start")
    assert (code, states(found)) == (0, {"mongodb": "running", "redis": "running"})
    assert sorted(found["export"]) == ["MONGODB_URI", "REDIS_URL"]
    assert all(server["data"].startswith(str(where.home / "services")) for server in found["servers"])
    ledger = MongoLedger(found["export"]["MONGODB_URI"])
    payload = {"process": "close", "session": "2022-02-25", "state": "done", "run_id": "r1", "detail": ""}
    ledger.record([Event("p", "process", date(2022, 2, 25), datetime(2022, 2, 25, tzinfo=UTC), "ann", payload)])
    ledger.close()
    again = daybook(where, "start")
    assert (again[0], again[1]["export"]) == (0, found["export"])
    code, stopped, _ = daybook(where, "stop")
    assert (code, states(stopped), stopped["export"]) == (0, {"mongodb": "stopped", "redis": "stopped"}, {})
    assert daybook(where, "status")[0] == 1
    assert daybook(where, "start")[1]["export"] == found["export"]
    ledger = MongoLedger(found["export"]["MONGODB_URI"])
    assert ledger.sequence() == 1
    ledger.close()


def test_what_somebody_else_runs_is_never_stopped(where: Place) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        folder = where.home / "services"
        folder.mkdir(parents=True)
        (folder / "ports.json").write_text(json.dumps({"redis": port}))
        code, found, _ = daybook(where, "status")
        assert (code, states(found)) == (1, {"redis": "foreign"})
        assert states(daybook(where, "stop")[1]) == {"redis": "foreign"}
        (folder / "ports.json").write_text(json.dumps({"mongodb": port, "redis": port}))
        code, found, said = daybook(where, "start")
        assert code == 1
        assert f"port {port}, which mongodb of this home has, is held by another program" in said
