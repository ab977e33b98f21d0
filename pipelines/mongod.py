"""Real MongoDB servers on this machine: finding the program, starting it, and making members a replica set.

Belongs here: processes of mongod, for people without a server, for tests and for benchmarks. Does not belong here: what
is kept in a MongoDB (`resources/mongo_ledger.py`), or where a desk's own servers live (`local_servers.py`).
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from threading import Event
from typing import Any

from trading.errors import StoreUnavailable

HOST = "127.0.0.1"
SET_NAME = "daybook"
DATABASE = "daybook"
NO_MONGOD = (
    "no MongoDB: set MONGODB_URI to a replica set, or put the program mongod on the PATH (package mongodb-org of the "
    "maker), or install the Python package fiftyone-db, which has one"
)
_READY_S = 60.0
_ALREADY_INITIALIZED = 23


def mongod_program() -> str | None:
    """The mongod to start: that on the PATH, else that of the package fiftyone-db; None where there is neither."""
    found = shutil.which("mongod")
    return found or packed_program("fiftyone", "db/bin/mongod")


def packed_program(package: str, path: str) -> str | None:
    """A program inside an installed Python package, found without importing it; None where it is not there."""
    spec = util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    files = [Path(folder) / path for folder in folders]
    return next((str(file) for file in files if file.exists()), None)


def command(program: str, folder: Path, port: int, cache_gb: float = 0.25) -> list[str]:
    """The command line of a member of a replica set that only this machine can reach, with its data in `folder`."""
    options: dict[str, object] = {
        "replSet": SET_NAME, "port": port, "bind_ip": HOST, "dbpath": folder, "logpath": folder / "mongod.log",
        "wiredTigerCacheSizeGB": cache_gb, "setParameter": "diagnosticDataCollectionEnabled=false",
    }  # fmt: skip
    return [program, "--logappend", "--nounixsocket", *(f"--{name}={value}" for name, value in options.items())]


def uri(ports: Sequence[int]) -> str:
    """The address of a replica set of ours, as MONGODB_URI takes it."""
    return f"mongodb://{','.join(f'{HOST}:{port}' for port in ports)}/{DATABASE}?replicaSet={SET_NAME}"


def listening(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def initiate(ports: Sequence[int], election_ms: int = 10_000) -> None:
    """Makes running members a replica set, unless they are one, and waits for a primary that takes writes.

    `election_ms` is how long the others wait for a primary that does not answer. Raises StoreUnavailable.
    """
    from pymongo.errors import OperationFailure, PyMongoError

    members = [{"_id": number, "host": f"{HOST}:{port}"} for number, port in enumerate(ports)]
    asked = {"_id": SET_NAME, "members": members, "settings": {"electionTimeoutMillis": election_ms}}
    try:
        with direct(ports[0], _READY_S) as client:
            client.admin.command("replSetInitiate", asked)
    except OperationFailure as cause:
        if cause.code != _ALREADY_INITIALIZED:
            raise StoreUnavailable(f"mongod at {HOST}:{ports[0]} would not start a replica set: {cause}.") from cause
    except PyMongoError as cause:
        raise StoreUnavailable(f"mongod at {HOST}:{ports[0]} does not answer: {cause}.") from cause
    if primary(ports, _READY_S) is None:
        raise StoreUnavailable(f"the members at ports {list(ports)} elected no primary in {_READY_S:g} s.")


def primary(ports: Sequence[int], wait_s: float) -> int | None:
    """The port of the member that takes writes, waited for; None where there is none after `wait_s` seconds."""
    until = time.monotonic() + wait_s
    while True:
        found = next((port for port in ports if _says(port).get("isWritablePrimary")), None)
        if found is not None or time.monotonic() >= until:
            return found
        Event().wait(0.1)


def settled(ports: Sequence[int], wait_s: float) -> bool:
    """Whether every member is primary or secondary, waited for."""
    until = time.monotonic() + wait_s
    while not all(said.get("isWritablePrimary") or said.get("secondary") for said in map(_says, ports)):
        if time.monotonic() >= until:
            return False
        Event().wait(0.1)
    return True


def _says(port: int) -> dict[str, Any]:
    """What a member says of itself; nothing where it does not answer."""
    from pymongo.errors import PyMongoError

    if not listening(port):
        return {}
    try:
        with direct(port) as client:
            return dict(client.admin.command("hello"))
    except PyMongoError:
        return {}


def direct(port: int, timeout_s: float = 3.0) -> Any:
    """A connection to one member, whatever it is a member of; it has so long for each answer."""
    from pymongo import MongoClient

    return MongoClient(HOST, port, directConnection=True, timeoutMS=int(timeout_s * 1000))


@dataclass
class ReplicaSet:
    """Members that live as long as a `with` block; each may be killed and started again within it."""

    program: str
    folder: Path
    members: int = 1
    election_ms: int = 10_000
    options: tuple[str, ...] = ()
    ports: list[int] = field(default_factory=list)
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> ReplicaSet:
        try:
            for _ in range(self.members):
                self.ports.append(free_port())
                self.start(self.ports[-1])
            initiate(self.ports, self.election_ms)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def uri(self) -> str:
        """Where it is, as MONGODB_URI takes it."""
        return uri(self.ports)

    def start(self, port: int) -> None:
        """Starts a member on its port and its data, and waits until it listens. Raises StoreUnavailable."""
        folder = self.folder / str(port)
        folder.mkdir(parents=True, exist_ok=True)
        words = [*command(self.program, folder, port), *self.options]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        self.processes[port] = process
        until = time.monotonic() + _READY_S
        while not listening(port):
            if process.poll() is not None or time.monotonic() > until:
                raise StoreUnavailable(f"mongod did not start; its log, {folder / 'mongod.log'}, says why.")
            Event().wait(0.05)

    def kill(self, port: int) -> None:
        """SIGKILL: the member has no time for anything."""
        process = self.processes.pop(port)
        process.kill()
        process.wait(30)

    def stop(self) -> None:
        """Ends all members at once: their data are for nothing that comes after."""
        for port in list(self.processes):
            self.kill(port)
