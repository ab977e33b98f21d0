"""Failures of the ledger through the command line: a sentence, an exit code that is not 0, and an intact book.

Belongs here: servers that are down, die, fall silent, hang up, refuse or have no room, and ledgers of other schemas,
as a person at the command line meets them. What the person then does is in `docs/runbooks/ledger-down.md`. Does not
belong here: what an adapter alone makes of them (`tests/adapters/`), or a full disk under the whole home
(`test_bad_input.py`).

Every command is a process of its own, forked from one that has imported everything. Each failure ends with the same
command again, which has to come to what an undisturbed close comes to.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import re
import selectors
import shutil
import socket
import sqlite3
import struct
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import PyMongoError

from pipelines import mongod
from pipelines.settings import place
from trading.book.journal import SCHEMA
from trading.ports import Ledger

SESSIONS = ("2021-03-24", "2021-03-25")  # what is decided on the first is filled on the second
CLOSE = ("backfill", "--from", SESSIONS[0], "--to", SESSIONS[1])
NEXT = "2021-03-26"
ADJUST = ("book", "adjust", "--strategy", "trend", "--instrument", "CORN", "--contract", "20221200", "--quantity", "1",
          "--price", "500", "--reason", "a rehearsal", "--session", SESSIONS[0])  # fmt: skip
STEP = re.compile(r"^  [a-z_]+ +[0-9.]+ s", re.MULTILINE)
TIMEOUT_S = 3
PATIENCE_S = 120.0  # a few seconds where nobody else uses the machine
STORES = ("mongodb", "postgresql")
VARIABLES = {"mongodb": "MONGODB_URI", "postgresql": "POSTGRES_URI"}
IMPORTED = [
    "pipelines.cli", "pipelines.definitions", "pipelines.closing", "pipelines.signing", "deltalake", "rich.table",
    "matplotlib.figure", "matplotlib.dates", "matplotlib.backends.backend_agg", "sqlalchemy.dialects.sqlite",
    "resources.mongo_ledger", "resources.postgres_ledger", "resources.sqlite_ledger", "pymongo",
    "pipelines.event_log", "pipelines.desk", "numba", "alembic.command", "pygments.lexers",
]  # fmt: skip
PROGRAM = """
import os
os.environ.update(servers)
for number, file in ((1, out), (2, err)):
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
from pipelines.cli import main
main(words)
"""
pytestmark = pytest.mark.timeout(600)


# --- the command line -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Started:
    """A command at work."""

    process: BaseProcess
    output: Path

    def steps(self) -> int:
        """How many of its steps it has told of."""
        told = (self.output / "err").read_text() if (self.output / "err").exists() else ""
        return len(STEP.findall(told))

    def ended(self, within_s: float = 200.0) -> Said:
        """Waits for its end."""
        self.process.join(within_s)
        assert self.process.exitcode is not None, "the command hangs"
        texts = [(self.output / name).read_text() for name in ("out", "err")]
        assert "Traceback (most recent call last)" not in "".join(texts), texts[1]
        return Said(self.process.exitcode, *texts)


@dataclass(frozen=True, slots=True)
class Desk:
    """A home, and the environment variable that says where its book is."""

    home: Path
    servers: Mapping[str, str]
    outputs: Path

    def start(self, *words: str) -> Started:
        """Starts a command on it."""
        output = Path(tempfile.mkdtemp(dir=self.outputs))
        given = {"words": ["--home", str(self.home), *words], "servers": dict(self.servers)}
        names = {"out": str(output / "out"), "err": str(output / "err")}
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        process = context.Process(target=exec, args=(PROGRAM, {**given, **names}))
        process.start()
        return Started(process, output)

    def run(self, *words: str) -> Said:
        """Carries a command out."""
        return self.start(*words).ended()

    @contextmanager
    def ledger(self) -> Iterator[Ledger]:
        """Its ledger, read in this process."""
        from pipelines.wiring import ledger

        given = {VARIABLES[name].lower(): self.servers.get(VARIABLES[name]) for name in STORES}
        book = ledger(replace(place(self.home), **given))
        yield book
        book.close()  # type: ignore[attr-defined]  # every adapter of a server or a file has it

    def sessions_closed(self) -> list[date]:
        """What its datasets say was closed, whatever the ledger says."""
        from pipelines.deployments import frame_store
        from trading.frames import EQUITY

        frames = frame_store(place(self.home))
        return frames.history(EQUITY)["session"].to_pylist() if EQUITY.name in frames.written() else []

    def book(self) -> dict[str, Any]:
        """What must be the same whatever happened on the way: datasets, orders, fills, positions, the signed hash and
        the close; and what is wrong with the ledger."""
        from assets.audited import audited
        from pipelines.deployments import frame_store
        from trading.frames import DATASETS

        frames = frame_store(place(self.home))
        found: dict[str, Any] = {name: frames.content_hash(DATASETS[name]) for name in frames.written()}
        with self.ledger() as ledger:
            for name in ("orders", "fills", "positions"):
                found[name] = ledger.rows(name)
            found["signed"] = [(row["session"], row["version"], row["hash"]) for row in ledger.rows("signatures")]
            found["closes"] = [(row["session"], row["state"]) for row in ledger.rows("closes")]
            found["wrong"] = audited(ledger)
        return found


# --- servers ----------------------------------------------------------------------------------------------------------
@dataclass
class OwnMongo:
    """A replica set of one member, which a test may kill and start again."""

    servers: mongod.ReplicaSet

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.servers.ports[0]

    def kill(self) -> None:
        """SIGKILL."""
        self.servers.kill(self.port)

    def checkpoint(self) -> None:
        """Makes it write its tables now, as it does every minute: a batch itself fits into its journal's files."""
        with suppress(PyMongoError), mongod.direct(self.port, 10.0) as client:
            client.admin.command("fsync")

    def start(self) -> None:
        """Starts it again, and waits until it takes writes."""
        self.servers.start(self.port)
        assert mongod.primary([self.port], 60) == self.port

    def address(self, database: str, port: int | None = None) -> str:
        """Of a database; `port`: of a wire that leads there, which must not be told of another way."""
        way = "replicaSet=daybook" if port is None else "directConnection=true"
        return f"mongodb://127.0.0.1:{port or self.port}/{database}?{way}"

    def database(self) -> str:
        """A new one."""
        return f"daybook_{uuid.uuid4().hex[:12]}"


@dataclass
class Postgres:
    """A server of the tests, which a test may kill and start again."""

    server: Any

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.port)

    def kill(self) -> None:
        """SIGKILL of the postmaster, and of what it started: as when the machine goes down."""
        import psutil

        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.server.server.pid)
            for process in [found, *found.children()]:
                process.kill()
        self.server.server.wait(30)

    def checkpoint(self) -> None:
        """It needs none: every batch asks its disk for room."""

    def start(self) -> None:
        """Starts it again, and waits until it answers."""
        self.server.start()

    def address(self, database: str, port: int | None = None) -> str:
        """Of a database."""
        found = str(self.server.uri(database))
        return found.replace(f":{self.port}/", f":{port or self.port}/")

    def database(self) -> str:
        """A new one."""
        import psycopg

        name = f"daybook_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.server.uri(), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return name


Server = OwnMongo | Postgres


@pytest.fixture(scope="module")
def servers(mongod_program: str, module_postgres: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One server of each kind, by store."""
    folder = tmp_path_factory.mktemp("mongod")
    with mongod.ReplicaSet(mongod_program, folder) as members:
        yield {"mongodb": OwnMongo(members), "postgresql": Postgres(module_postgres)}


@pytest.fixture(scope="module")
def homes(loaded_two: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Desk]:
    """Makes desks with nothing closed, whose book is in a store."""

    def make(store: str, address: str = "", folder: Path | None = None) -> Desk:
        outputs = tmp_path_factory.mktemp(store)
        home = (folder or outputs) / "home"
        shutil.copytree(loaded_two, home)
        with (home / "desk.toml").open("a") as settings:
            settings.write(f'\n[data.storage.ledger]\nstore = "{store}"\ntimeout_seconds = {TIMEOUT_S}\n')
        return Desk(home, {VARIABLES[store]: address} if address else {}, outputs)

    return make


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a close comes to that nothing happens to, and how many steps it tells of."""

    book: Mapping[str, Any]
    steps: int


@pytest.fixture(scope="module")
def undisturbed(homes: Callable[..., Desk], servers: Mapping[str, Server]) -> Callable[[str], Undisturbed]:
    """By store; each is closed once."""
    known: dict[str, Undisturbed] = {}

    def close(store: str) -> Undisturbed:
        if store not in known:
            server = servers.get(store)
            desk = homes(store, server.address(server.database()) if server else "")
            ended = desk.run(*CLOSE)
            assert ended.code == 0, ended.err
            known[store] = Undisturbed(desk.book(), len(STEP.findall(ended.err)))
            assert known[store].book["fills"]
            assert known[store].book["wrong"] == []
            assert known[store].book["signed"]
        return known[store]

    return close


# --- how a server fails -----------------------------------------------------------------------------------------------
class Wire:
    """A way to a server, which may fall silent, as when a firewall drops everything, or hang up on everybody."""

    def __init__(self, port: int) -> None:
        self._to, self._state, self._over = port, "open", threading.Event()
        self._ways: dict[socket.socket, socket.socket] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join(10)
        self._listener.close()
        self._selector.close()

    def silence(self) -> None:
        """From now on nothing arrives, in neither direction, and nobody is told."""
        self._state = "silent"

    def hang_up(self) -> None:
        """From now on every connection, there or new, is reset."""
        self._state = "reset"

    def mend(self) -> None:
        """As new; what was connected is gone."""
        self._state = "mended"

    def _serve(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.02):
                self._heard(key.fileobj)  # type: ignore[arg-type]
            if self._state in ("reset", "mended"):
                for way in list(self._ways):
                    self._cut(way)
            if self._state == "mended":
                self._state = "open"
        for way in list(self._ways):
            self._cut(way)

    def _heard(self, way: socket.socket) -> None:
        if way is self._listener:
            near, far = way.accept()[0], socket.create_connection(("127.0.0.1", self._to))
            for one, other in ((near, far), (far, near)):
                self._ways[one] = other
                self._selector.register(one, selectors.EVENT_READ)
        elif way in self._ways:
            self._passed_on(way)

    def _passed_on(self, way: socket.socket) -> None:
        try:
            said = way.recv(65_536)
            if said and self._state == "open":
                self._ways[way].sendall(said)
        except OSError:
            said = b""
        if not said:
            self._cut(way)

    def _cut(self, way: socket.socket) -> None:
        """Closes both ends with a reset."""
        for end in (way, self._ways.get(way)):
            if end is not None and self._ways.pop(end, None) is not None:
                self._selector.unregister(end)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.close()


def struck(desk: Desk, strike: Callable[[], None], expected: Undisturbed, chance: random.Random) -> str:
    """Starts the close and does something to its server after a random step of it. The close has to end soon, with exit
    code 1 and one message, which is returned; and the log of runs has it, whatever became of the ledger. (A full disk
    may have room for the few bytes that say how the run ended: then there is its summary, and the step's message.)"""
    started = desk.start(*CLOSE)
    step, until = chance.randrange(2, expected.steps - 3), time.monotonic() + 150
    while started.steps() < step:
        assert started.process.is_alive(), "the close ended before its time"
        assert time.monotonic() < until
        threading.Event().wait(0.005)
    threading.Event().wait(chance.uniform(0, 0.1))
    strike()
    at, said = time.monotonic(), started.ended()
    assert time.monotonic() - at < PATIENCE_S, "the close waited too long for a server that does not answer"
    *_, last = said.err.splitlines()
    assert (said.code, last.startswith("daybook: ")) == (1, said.out == ""), said
    logged = json.loads((desk.home / "logs" / "daybook.jsonl").read_text().splitlines()[-1])
    assert (logged["process"], logged["state"]) == ("backfill", "failed")
    return last


def refused(desk: Desk, *sentence: str, secret: str = "") -> None:
    """What every command says of a ledger that cannot be used: one message with these words in it, exit code 1. The
    doctor finds the ledger ill and nothing else. Nothing is closed, and no password is told or kept."""
    waiting = [desk.start(*words) for words in (CLOSE, ("status",), ("audit", "verify"))]
    doctor = desk.run("--json", "doctor")
    for said in (*(started.ended() for started in waiting), desk.run(*ADJUST)):
        assert (said.code, said.out) == (1, ""), said
        assert said.err.startswith("daybook: ")
        assert said.err.count("\n") == 1, said.err
        assert all(words in said.err for words in sentence), said.err
        assert not secret or secret not in said.err
    rows = {row["part"]: row for row in json.loads(doctor.out)["backends"]}
    assert (doctor.code, [part for part, row in rows.items() if row["state"] == "ILL"]) == (1, ["ledger"])
    told = f"{rows['ledger']['found']} {rows['ledger']['do']}"
    assert all(words in told for words in sentence), told
    assert desk.sessions_closed() == []
    if secret:
        assert secret not in doctor.out + doctor.err
        kept = [file for file in desk.home.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
        assert kept == []


def states_of_runs(desk: Desk) -> list[str]:
    """What `daybook runs` says of the closes, the newest first."""
    said = desk.run("--json", "runs")
    return [row["state"] for row in json.loads(said.out)["runs"] if row["process"] == "backfill"]


def again(desk: Desk, expected: Undisturbed) -> None:
    """The same command comes to what it comes to where nothing happens."""
    said = desk.run(*CLOSE)
    assert said.code == 0, said.err + said.out
    assert desk.book() == expected.book


# --- down, and dead ---------------------------------------------------------------------------------------------------
DOWN = {
    "mongodb": ("did not answer for 3 s, or has no primary that takes writes", "Start it", "correct MONGODB_URI"),
    "postgresql": ("cannot be reached, or went away", "Start it", "correct POSTGRES_URI"),
}
AGAIN = "un the same command again"


@pytest.mark.parametrize("store", STORES)
def test_a_server_that_is_down_and_then_dies_in_the_middle_of_a_close(
    store: str, servers: Any, homes: Any, undisturbed: Any
) -> None:
    expected, server = undisturbed(store), servers[store]
    desk = homes(store, server.address(server.database()))
    server.kill()
    try:
        refused(desk, *DOWN[store], AGAIN)
    finally:
        server.start()
    try:
        said = struck(desk, server.kill, expected, random.Random(f"{store} dies"))
    finally:
        server.start()
    assert all(words in said for words in (*DOWN[store], AGAIN)), said
    assert states_of_runs(desk) == ["crashed"], "the ledger never heard of its end"
    again(desk, expected)
    assert states_of_runs(desk) == ["done", "failed"], "what the next run found out"


@pytest.mark.parametrize("store", STORES)
def test_a_network_that_swallows_everything_and_then_hangs_up(
    store: str, servers: Any, homes: Any, undisturbed: Any
) -> None:
    expected, server, chance = undisturbed(store), servers[store], random.Random(f"{store} wire")
    with Wire(server.port) as wire:
        desk = homes(store, server.address(server.database(), wire.port))
        for cut in (wire.silence, wire.hang_up):
            said = struck(desk, cut, expected, chance)
            assert all(words in said for words in (*DOWN[store], AGAIN)), said
            after = desk.run("status")
            assert (after.code, after.out) == (1, "")
            assert all(words in after.err for words in DOWN[store]), after.err
            wire.mend()
        again(desk, expected)


# --- no room ----------------------------------------------------------------------------------------------------------
@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """A disk of so many megabytes; skips where this user may not mount one."""
    folder = Path(tempfile.mkdtemp(prefix="small-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "daybook-test", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        folder.rmdir()
        pytest.skip("mounting a small disk needs root, or a machine that allows it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
        folder.rmdir()


def filled(disk: Path, leaving_bytes: int) -> Path:
    """Fills a disk but for some bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        for piece in (65_536, 4_096):  # down to the last page: an entry fits into what is left of a larger piece
            while shutil.disk_usage(disk).free - leaving_bytes >= piece:
                file.write(bytes(piece))
                file.flush()
    return ballast


def test_a_full_disk_under_a_book_in_a_file(homes: Any) -> None:
    with small_disk(24) as disk:
        desk = homes("sqlite", folder=disk)
        assert desk.run(*ADJUST).code == 0
        ballast = filled(disk, 0)
        said = desk.run(*ADJUST)
        assert (said.code, said.out) == (1, "")
        assert "ledger.sqlite is full (0.0 MB free): nothing was written. Free some space" in said.err
        with desk.ledger() as ledger:
            assert [row["quantity_contracts"] for row in ledger.rows("positions")] == [1]
        ballast.unlink()
        assert desk.run(*ADJUST).code == 0
        with desk.ledger() as ledger:
            assert [row["quantity_contracts"] for row in ledger.rows("positions")] == [2]


FULL = {
    "mongodb": (*DOWN["mongodb"], "its log says why it ended"),  # what a mongod does of a full disk is to end
    "postgresql": ("the disk of the PostgreSQL server", "is full", "nothing was recorded", "Free some space there"),
}


@pytest.mark.parametrize("store", STORES)
def test_a_full_disk_of_the_server(
    store: str, mongod_program: str, postgres_in: Any, homes: Any, undisturbed: Any
) -> None:
    expected, chance = undisturbed(store), random.Random(f"{store} disk")
    with small_disk(320) as disk, ExitStack() as stack:
        if store == "mongodb":
            server = OwnMongo(stack.enter_context(mongod.ReplicaSet(mongod_program, disk / "mongod")))
        else:
            (disk / "postgres").mkdir()
            server = Postgres(stack.enter_context(postgres_in(disk / "postgres")))
        desk = homes(store, server.address(server.database()))
        assert desk.run("status").code == 0  # which makes the tables
        ballast: list[Path] = []

        def fill_up() -> None:
            ballast.append(filled(disk, 0))
            server.checkpoint()

        said = struck(desk, fill_up, expected, chance)
        assert all(words in said for words in FULL[store]), said
        ballast[0].unlink()
        server.kill()
        server.start()
        again(desk, expected)


# --- not let in -------------------------------------------------------------------------------------------------------
WRONG, RIGHT = "wr0ng-hunter2", "r1ght-hunter2"


def test_a_wrong_password_of_postgresql(servers: Any, homes: Any) -> None:
    server = servers["postgresql"]
    address, password = server.address(server.database()), server.server.password
    desk = homes("postgresql", address.replace(password, WRONG))
    refused(desk, "does not let daybook in", "Correct user or password in POSTGRES_URI", secret=WRONG)
    right = replace(desk, servers={"POSTGRES_URI": address})
    assert right.run("status").code == 0
    with right.ledger() as ledger:
        assert ledger.sequence() == 0


def test_a_wrong_password_of_mongodb(mongod_program: str, homes: Any, tmp_path: Path) -> None:
    from pymongo import MongoClient

    key = tmp_path / "key"
    key.write_text("a key that members of the set share")
    key.chmod(0o600)
    with mongod.ReplicaSet(mongod_program, tmp_path / "data", options=(f"--keyFile={key}",)) as members:
        with MongoClient("127.0.0.1", members.ports[0], directConnection=True) as client:
            roles = [{"role": "root", "db": "admin"}]
            client.admin.command({"createUser": "ann", "pwd": RIGHT, "roles": roles})
        way = f"127.0.0.1:{members.ports[0]}/daybook?authSource=admin&replicaSet=daybook"
        desk = homes("mongodb", f"mongodb://ann:{WRONG}@{way}")
        refused(desk, "does not accept the password of the user ann", "Correct MONGODB_URI", secret=WRONG)
        right = replace(desk, servers={"MONGODB_URI": f"mongodb://ann:{RIGHT}@{way}"})
        assert right.run("status").code == 0
        with right.ledger() as ledger:
            assert ledger.sequence() == 0


def test_a_file_that_is_no_ledger(homes: Any) -> None:
    desk = homes("sqlite")
    (desk.home / "ledger.sqlite").write_bytes(b"certainly no database of ours " * 200)
    before = kept(desk, "sqlite")
    refused(desk, "cannot be used: file is not a database", "restore it from a backup")
    assert kept(desk, "sqlite") == before


# --- other schemas ----------------------------------------------------------------------------------------------------
def kept(desk: Desk, store: str) -> Any:
    """All that a ledger's file or database holds, whatever it means."""
    if store == "sqlite":
        return {file.name: file.read_bytes() for file in desk.home.glob("ledger.sqlite*")}
    address = desk.servers[VARIABLES[store]]
    return _rows_of_postgresql(address) if store == "postgresql" else _documents_of_mongodb(address)


def _rows_of_postgresql(address: str) -> Any:
    import psycopg

    with psycopg.connect(address, options="-c search_path=daybook") as database:
        names = [name for (name,) in database.execute("select tablename from pg_tables where schemaname = 'daybook'")]
        return {name: sorted(map(str, database.execute(f"select * from {name}").fetchall())) for name in names}


def _documents_of_mongodb(address: str) -> Any:
    from pymongo import MongoClient

    with MongoClient(address) as client:
        database = client.get_default_database()
        return {name: list(database[name].find().sort("_id", 1)) for name in database.list_collection_names()}


def marked(desk: Desk, store: str, schema: int) -> None:
    """Writes another version of the schema into a ledger."""
    import psycopg
    from pymongo import MongoClient

    if store == "sqlite":
        with closing(sqlite3.connect(desk.home / "ledger.sqlite")) as database, database:
            database.execute("update meta set value = ? where name = 'schema'", (str(schema),))
    elif store == "postgresql":
        with psycopg.connect(desk.servers["POSTGRES_URI"], autocommit=True) as server:
            server.execute("update daybook.meta set schema = %s", (schema,))
    else:
        with MongoClient(desk.servers["MONGODB_URI"]) as client:
            client.get_default_database()["meta"].update_one({"_id": "schema"}, {"$set": {"schema": schema}})


@pytest.mark.parametrize("store", ["sqlite", *STORES])
def test_a_ledger_of_another_schema_is_left_as_it_is(store: str, servers: Any, homes: Any) -> None:
    server = servers.get(store)
    desk = homes(store, server.address(server.database()) if server else "")
    assert desk.run(*ADJUST).code == 0
    marked(desk, store, SCHEMA + 1)
    before = kept(desk, store)
    refused(desk, f"is of schema {SCHEMA + 1}: a newer Daybook wrote it", "Run that newer version")
    said = desk.run("ledger", "migrate")
    assert (said.code, "a newer Daybook wrote it" in said.err) == (1, True), said
    assert kept(desk, store) == before
    marked(desk, store, SCHEMA - 1)
    before = kept(desk, store)
    refused(desk, f"is of schema {SCHEMA - 1}, and this Daybook keeps schema {SCHEMA}", "daybook ledger migrate")
    assert kept(desk, store) == before
    marked(desk, store, SCHEMA)
    assert desk.run("status").code == 0


def in_schema_1(path: Path) -> list[tuple[Any, ...]]:
    """Rewrites a ledger of today as schema 1 kept it: one chain over all entries, orders of contracts only, placed or
    refused. Returns the entries."""
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        orders = [dict(row) for row in database.execute("select * from orders where level = 'contract'")]
        fills = [dict(row) for row in database.execute("select * from fills")]
    path.unlink()
    told = []
    for order in orders:
        names = ("order_id", "strategy", "instrument", "contract", "session", "quantity_contracts", "reason",
                 "reference_points", "refusal")  # fmt: skip
        told.append((f"placed:{order['order_id']}", "order_placed", {name: order[name] for name in names}))
    for fill in fills:
        names = ("fill_id", "order_id", "strategy", "instrument", "contract", "session", "quantity_contracts",
                 "price_points", "commission_local")  # fmt: skip
        told.append((f"fill:{fill['fill_id']}", "fill", {name: fill[name] for name in names}))
    rows: list[tuple[Any, ...]] = []
    digest = ""
    for number, (event_id, kind, payload) in enumerate(sorted(told, key=lambda each: each[2]["session"]), 1):
        content = {"id": event_id, "kind": kind, "session": payload["session"], "payload": payload}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256((digest + text).encode()).hexdigest()
        at = f"{payload['session']}T22:00:00+00:00"
        rows.append((number, event_id, kind, payload["session"], at, "close", json.dumps(payload), digest))
    columns = "sequence integer primary key, event_id text unique, kind, session, at, actor, payload, chain"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"create table journal ({columns})")
        database.execute("create table positions (strategy, instrument, contract, quantity_contracts)")
        database.executemany("insert into journal values (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    return rows


def test_a_desk_of_schema_1_is_migrated_and_closes_its_next_session(homes: Any) -> None:
    desk = homes("sqlite")
    assert desk.run(*CLOSE).code == 0
    other = replace(desk, home=Path(shutil.copytree(desk.home, desk.home.parent / "other")))
    rows = in_schema_1(other.home / "ledger.sqlite")
    shutil.rmtree(other.home / "config")  # that schema knew no versions of a configuration
    assert {row[2] for row in rows} == {"order_placed", "fill"}
    said = other.run("close", "--session", NEXT)
    assert (said.code, "is of schema 1" in said.err, "daybook ledger migrate" in said.err) == (1, True, True), said
    migrated = other.run("ledger", "migrate")
    assert migrated.code == 0
    assert f"is of schema {SCHEMA} now: {len(rows)} old entries" in migrated.out.replace("\n", "")
    for each in (desk, other):
        said = each.run("close", "--session", NEXT)
        assert said.code == 0, said.err
    theirs, ours = desk.book(), other.book()
    assert ours["wrong"] == []
    assert ours["fills"] == theirs["fills"]
    assert ours["positions"] == theirs["positions"]
    assert ours["equity"] == theirs["equity"]
    with closing(sqlite3.connect(other.home / "ledger.sqlite")) as database:
        assert database.execute("select * from journal_1 order by sequence").fetchall() == rows
