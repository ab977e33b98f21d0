"""The deployment `services` closes sessions with MongoDB or PostgreSQL and Redis, says what it needs without them, and
survives losing them; its doctor, its backups.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from pipelines.desk import Desk
from pipelines.settings import place

SESSIONS = ["2024-12-30", "2024-12-31"]  # what is decided on the first is filled on the second
CLOSE = ("backfill", "--from", SESSIONS[0], "--to", SESSIONS[1])
pytestmark = pytest.mark.timeout(300)
Servers = Mapping[str, str]  # environment variables by name


def daybook(home: Path, servers: Servers, *words: str) -> subprocess.CompletedProcess[str]:
    """The command on a home, with servers as said and no other."""
    command = [str(Path(sys.executable).parent / "daybook"), "--home", str(home), *words]
    return subprocess.run(command, env=environment(home, servers), capture_output=True, text=True, timeout=200)


def environment(home: Path, servers: Servers) -> dict[str, str]:
    """Of that command."""
    none = {"REDIS_URL": "", "MONGODB_URI": "", "POSTGRES_URI": ""}
    return {**os.environ, **none, **servers, "DAYBOOK_BACKUPS": str(home.parent / "backups")}


def close(home: Path, servers: Servers) -> subprocess.CompletedProcess[str]:
    """Closes both sessions in the deployment services."""
    return daybook(home, servers, "--deployment", "services", *CLOSE)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a year of prices of four instruments, up to the day before the sessions."""
    home = tmp_path_factory.mktemp("services") / "home"
    span = ["--since", "2024-01-02", "--until", "2024-12-27", "--instruments", "US10,SP500,GOLD,BUND"]
    loaded = daybook(home, {}, "load", "--vendor", "simulated", *span)
    assert loaded.returncode == 0, loaded.stderr
    return home


@pytest.fixture
def home(prepared: Path, tmp_path: Path) -> Path:
    """A copy of that home."""
    return shutil.copytree(prepared, tmp_path / "home")


@pytest.fixture(scope="module")
def in_files(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Positions and profit of the last session, as the deployment without servers comes to them."""
    home = shutil.copytree(prepared, tmp_path_factory.mktemp("files") / "home")
    done = daybook(home, {}, *CLOSE)
    assert done.returncode == 0, done.stderr
    found = [daybook(home, {}, "--json", what).stdout for what in ("positions", "pnl")]
    assert '"contract"' in found[0]
    return found


def shown(home: Path, servers: Servers) -> list[str]:
    """The same of a home whose book is on a server."""
    words = ("--deployment", "services", "--json")
    return [daybook(home, servers, *words, what).stdout for what in ("positions", "pnl")]


@pytest.fixture
def servers(redis_url: str, mongo_database: str) -> Servers:
    """A Redis, and an empty database on a MongoDB."""
    return {"REDIS_URL": redis_url, "MONGODB_URI": mongo_database}


def desk(home: Path, servers: Servers) -> Desk:
    """The desk, read in this process."""
    where = place(home, "services")
    return Desk.open(
        replace(
            where,
            redis_url=servers.get("REDIS_URL"),
            mongodb_uri=servers.get("MONGODB_URI"),
            postgres_uri=servers.get("POSTGRES_URI"),
        )
    )


def on_postgresql(home: Path) -> None:
    """Sets that the home's ledger is in PostgreSQL."""
    with (home / "desk.toml").open("a") as settings:
        settings.write('\n[data.storage.ledger]\nstore = "postgresql"\n')


def test_without_addresses_it_says_what_to_set(prepared: Path) -> None:
    mongodb, redis = "mongodb://127.0.0.1:1/daybook", "redis://127.0.0.1:1/0"
    for given, missing in (
        ({"MONGODB_URI": mongodb}, "REDIS_URL is not set. Set it, like redis://host:6379/0."),
        ({"REDIS_URL": redis}, "MONGODB_URI is not set. Set it, like mongodb://host:27017/daybook?replicaSet=rs0."),
    ):
        done = close(prepared, given)
        assert (done.returncode, missing in done.stderr) == (2, True), done.stderr
    assert "make services" in done.stderr
    assert [str(day) for day in Desk.open(place(prepared, "local")).closed_sessions()] == []


def test_the_close_is_in_mongodb_and_warms_redis(home: Path, servers: Servers, in_files: list[str]) -> None:
    done = close(home, servers)
    assert done.returncode == 0, done.stderr
    assert [str(day) for day in desk(home, servers).closed_sessions()] == SESSIONS
    with Redis.from_url(servers["REDIS_URL"]) as redis:
        kept = set(redis.scan_iter("daybook:stitched-1:*"))
        assert len(kept) >= 4
        shared = daybook(home, servers, "--deployment", "services", "--json", "prices", "GOLD")
        alone = daybook(home, {}, "--deployment", "local", "--json", "prices", "GOLD")
        assert set(redis.scan_iter("daybook:stitched-1:*")) == kept, "the reader asked for what the close had made"
    assert shared.stdout == alone.stdout
    assert '"count": 25' in shared.stdout
    assert shown(home, servers) == in_files


def test_redis_that_dies_during_the_close_changes_nothing(home: Path, own_redis: Any, mongo_database: str) -> None:
    servers = {"REDIS_URL": own_redis.url, "MONGODB_URI": mongo_database}
    words = ["--deployment", "services", *CLOSE]
    command = [str(Path(sys.executable).parent / "daybook"), "--home", str(home), *words]
    with subprocess.Popen(
        command, env=environment(home, servers), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as closing:
        assert closing.stderr is not None
        words = (line.split()[0] for line in closing.stderr)
        first_step = next(word for word in words if word in ("collecting", "raw_bars"))  # prices are not stitched yet
        own_redis.stop()
        _, rest = closing.communicate(timeout=200)
    assert first_step
    assert closing.returncode == 0, rest
    assert [str(day) for day in desk(home, servers).closed_sessions()] == SESSIONS


# --- doctor ---
def told(home: Path, servers: Servers) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit code of the doctor, and what it says of each part."""
    done = daybook(home, servers, "--deployment", "services", "--json", "doctor")
    return done.returncode, {row["part"]: row for row in json.loads(done.stdout)["backends"]}


def test_the_doctor_finds_everything_well(home: Path, servers: Servers) -> None:
    code, found = told(home, servers)
    assert set(found) == {
        "settings", "ledger", "datasets", "cache", "reference", "vendor", "broker", "blobs", "backups",
    }  # fmt: skip
    assert {part: row["state"] for part, row in found.items()} == dict.fromkeys(found, "well")
    assert code == 0
    assert found["ledger"]["backend"] == "mongodb"
    assert found["cache"]["backend"] == "redis"


def test_the_doctor_says_who_is_ill_and_what_to_do(home: Path, own_redis: Any, own_postgres: Any) -> None:
    on_postgresql(home)
    servers = {"REDIS_URL": own_redis.url, "POSTGRES_URI": own_postgres.uri()}
    assert told(home, servers)[0] == 0
    own_redis.stop()
    own_postgres.stop()
    code, found = told(home, servers)
    assert code == 1
    assert {part for part, row in found.items() if row["state"] == "ILL"} == {"cache", "ledger"}
    assert found["cache"]["do"] == "Start it, or correct REDIS_URL."
    assert "Start it, or correct POSTGRES_URI" in found["ledger"]["found"]
    assert own_postgres.password not in json.dumps(found)
    with (home / "desk.toml").open("a") as settings:
        settings.write("\ncolour = 'red'\n")
    code, found = told(home, servers)
    assert (code, found["settings"]["state"]) == (1, "ILL")
    assert "colour" in found["settings"]["found"]
    assert "ledger" not in found


# --- a server that is lost, and a home that is ---
def test_a_close_and_its_backup_with_the_book_in_postgresql(
    home: Path, redis_url: str, own_postgres: Any, in_files: list[str]
) -> None:
    on_postgresql(home)
    servers = {"REDIS_URL": redis_url, "POSTGRES_URI": own_postgres.uri()}
    own_postgres.stop()
    done = close(home, servers)
    assert done.returncode == 1
    assert f"the PostgreSQL server 127.0.0.1:{own_postgres.port}/postgres cannot be reached" in done.stderr
    assert own_postgres.password not in done.stdout + done.stderr
    own_postgres.start()
    again = close(home, servers)
    assert again.returncode == 0, again.stderr
    assert shown(home, servers) == in_files
    assert daybook(home, servers, "--deployment", "services", "backup").returncode == 0
    restored(home, servers, {**servers, "POSTGRES_URI": own_postgres.uri("template1")})


def restored(home: Path, servers: Servers, other: Servers) -> None:
    """Restores the newest snapshot: refused into the book that lives, whole into an empty one."""
    into = home.parent / "restored"
    words = ["--deployment", "services", "restore", "latest", "--into", str(into)]
    refused = daybook(home, servers, *words)
    assert refused.returncode == 2
    assert "is not empty" in refused.stderr
    assert not into.exists()
    done = daybook(home, other, *words)
    assert done.returncode == 0, done.stderr
    before, after = desk(home, servers).adapters.ledger, desk(into, other).adapters.ledger
    upto = {stream: head.number for stream, head in after.heads().items()}
    assert list(before.entries(upto=upto)) == list(after.entries())
    assert after.rows("positions") == before.rows("positions") != []
