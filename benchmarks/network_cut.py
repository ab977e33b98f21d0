"""Claim: a desk whose network is cut in the middle of a close ends with a sentence and exit code 1, within a minute and
a half of a timeout of 3 s; when the network is back, the same command comes to what an undisturbed close comes to.

The desk's commands run in a network namespace of their own; real servers are outside, and a pair of virtual interfaces
joins the two. The network is cut in both directions by telling each side a wrong hardware address of the other: frames
go out and nobody takes them, as when a switch dies. Connections stay, and nobody is told. Needs root and `ip netns`;
without them it says so and ends well. Run: `python benchmarks/network_cut.py [--cuts 3] [--seed 1]`.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipelines import mongod

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE, INSIDE = "10.213.77.1", "10.213.77.2"
NOBODY = "02:00:00:00:00:01"  # a hardware address that neither side has
FIRST, SECOND = "2020-12-28", "2020-12-29"
LOAD = ("load", "--vendor", "simulated", "--instruments", "GOLD,US10", "--since", "2020-01-02", "--until", "2020-12-30")
CLOSE = ("backfill", "--from", FIRST, "--to", SECOND)
STEP = re.compile(r"^  [a-z_]+ +[0-9.]+ s", re.MULTILINE)
TIMEOUT_S = 3
PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class Network:
    """A namespace and the two ends of its only wire."""

    namespace: str
    near: str
    far: str

    def cut(self) -> None:
        """From now on nothing arrives."""
        ip("neigh", "replace", INSIDE, "lladdr", NOBODY, "nud", "permanent", "dev", self.near)
        self.inside("ip", "neigh", "replace", OUTSIDE, "lladdr", NOBODY, "nud", "permanent", "dev", self.far)

    def mend(self) -> None:
        """Everything arrives again."""
        ip("neigh", "del", INSIDE, "dev", self.near)
        self.inside("ip", "neigh", "del", OUTSIDE, "dev", self.far)

    def inside(self, *words: str) -> None:
        """Carries a command out in the namespace."""
        subprocess.run([*self.entering(), *words], check=True, capture_output=True)

    def entering(self) -> list[str]:
        """What a command begins with that runs in the namespace."""
        return ["ip", "netns", "exec", self.namespace]


def ip(*words: str) -> None:
    """Configures the network."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@contextmanager
def network() -> Iterator[Network]:
    """A namespace that is gone afterwards. Raises OSError or CalledProcessError where this machine allows none."""
    name = f"dbcut{os.getpid()}"
    made = Network(name, f"{name}a", f"{name}b")
    ip("netns", "add", name)
    try:
        ip("link", "add", made.near, "type", "veth", "peer", "name", made.far, "netns", name)
        ip("addr", "add", f"{OUTSIDE}/30", "dev", made.near)
        ip("link", "set", made.near, "up")
        made.inside("ip", "addr", "add", f"{INSIDE}/30", "dev", made.far)
        for interface in ("lo", made.far):
            made.inside("ip", "link", "set", interface, "up")
        yield made
    finally:
        ip("netns", "del", name)


# --- servers that the namespace can reach -----------------------------------------------------------------------------
@contextmanager
def mongodb(folder: Path) -> Iterator[Callable[[str], str]]:
    """A replica set of one member; gives addresses of its databases."""
    from pymongo import MongoClient

    program, port = mongod.mongod_program(), mongod.free_port()
    if program is None:
        raise FileNotFoundError(mongod.NO_MONGOD)
    words = mongod.command(program, folder, port)
    words = [f"--bind_ip={mongod.HOST},{OUTSIDE}" if "bind_ip" in word else word for word in words]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        members = [{"_id": 0, "host": f"{OUTSIDE}:{port}"}]
        with MongoClient(OUTSIDE, port, directConnection=True) as client:
            client.admin.command("replSetInitiate", {"_id": mongod.SET_NAME, "members": members})
        if mongod.primary([port], 60.0) is None:
            raise RuntimeError("mongod elected no primary")
        yield lambda name: f"mongodb://{OUTSIDE}:{port}/{name}?replicaSet={mongod.SET_NAME}"
    finally:
        server.kill()
        server.wait(30)


@contextmanager
def postgresql(folder: Path) -> Iterator[Callable[[str], str]]:
    """A server with a password; gives addresses of new databases."""
    import psycopg

    from tests.conftest import postgres_server

    with postgres_server() as server:
        server.stop()
        with (server.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {OUTSIDE}/30 scram-sha-256\n")
        server.settings["listen_addresses"] = f"127.0.0.1,{OUTSIDE}"
        server.start()

        def address(name: str) -> str:
            with psycopg.connect(server.uri(), autocommit=True) as database:
                database.execute(f"create database {name}")
            return str(server.uri(name)).replace("127.0.0.1", OUTSIDE)

        yield address


SERVERS = {"mongodb": (mongodb, "MONGODB_URI"), "postgresql": (postgresql, "POSTGRES_URI")}


# --- the desk ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Desk:
    """A home, what says where its book is, and what its commands begin with."""

    home: Path
    servers: Mapping[str, str]
    entering: Sequence[str] = ()

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts a command; what it says goes into files beside the home."""
        command = [*self.entering, sys.executable, "-m", "pipelines.cli", "--home", str(self.home), *words]
        with self.said("out").open("w") as out, self.said("err").open("w") as err:
            environment = {**os.environ, **self.servers}
            return subprocess.Popen(command, stdout=out, stderr=err, text=True, cwd=ROOT, env=environment)

    def said(self, where: str) -> Path:
        """The file of what the latest command said."""
        return self.home.with_suffix(f".{where}")

    def done(self, *words: str) -> None:
        """Carries out a command that must end well."""
        if self.start(*words).wait():
            raise SystemExit(f"{' '.join(words)}: {self.said('err').read_text()}{self.said('out').read_text()}")

    def steps(self) -> int:
        """How many steps the latest command has told of."""
        return len(STEP.findall(self.said("err").read_text()))

    def book(self, ledger: Any) -> dict[str, Any]:
        """What must be the same: datasets, orders, fills, positions, the signed hash, and no findings of the audit."""
        from assets.audited import audited
        from pipelines.deployments import frame_store
        from pipelines.settings import place
        from trading.frames import DATASETS

        frames = frame_store(place(self.home))
        found: dict[str, Any] = {name: frames.content_hash(DATASETS[name]) for name in frames.written()}
        found |= {name: ledger.rows(name) for name in ("orders", "fills", "positions")}
        return found | {"signed": [row["hash"] for row in ledger.rows("signatures")], "audit": audited(ledger)}


def ledger_of(store: str, address: str) -> Any:
    """A ledger, read by this process, outside the namespace."""
    from resources.mongo_ledger import MongoLedger
    from resources.postgres_ledger import PostgresLedger

    return {"mongodb": MongoLedger, "postgresql": PostgresLedger}[store](address)


def copied(home: Path, store: str, name: str) -> Path:
    """A desk with nothing closed, whose book is in a store."""
    made = Path(shutil.copytree(home, home.parent / f"{store}-{name}"))
    with (made / "desk.toml").open("a") as settings:
        settings.write(f'\n[data.storage.ledger]\nstore = "{store}"\ntimeout_seconds = {TIMEOUT_S}\n')
    return made


# --- the trial --------------------------------------------------------------------------------------------------------
def trial(store: str, home: Path, wire: Network, cuts: int, chance: random.Random) -> bool:
    """Cuts a store's network in the middle of so many closes; prints each. Whether all went as claimed."""
    serve, variable = SERVERS[store]
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as address:
        where = address("undisturbed")
        alone = Desk(copied(home, store, "undisturbed"), {variable: where}, wire.entering())
        alone.done(*CLOSE)
        steps, expected = alone.steps(), alone.book(ledger_of(store, where))
        well = [not expected["audit"], bool(expected["fills"]), len(expected["signed"]) == 1]
        for number in range(cuts):
            where = address(f"cut{number}")
            desk = replace(alone, home=copied(home, store, f"cut{number}"), servers={variable: where})
            well.append(cut_once(desk, wire, chance.randrange(1, steps - 3)))
            desk.done(*CLOSE)
            well.append(desk.book(ledger_of(store, where)) == expected)
            print(f"    the same command again: {'as undisturbed' if well[-1] else 'DIFFERENT'}", flush=True)
    return all(well)


def cut_once(desk: Desk, wire: Network, step: int) -> bool:
    """Cuts the network when a close has come to a step; prints how the close ended. Whether as claimed."""
    closing = desk.start(*CLOSE)
    while desk.steps() < step and closing.poll() is None:
        threading.Event().wait(0.005)
    wire.cut()
    began = time.monotonic()
    try:
        code = closing.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        closing.kill()
        code = closing.wait()
    seconds = time.monotonic() - began
    wire.mend()
    said = desk.said("err").read_text()
    last = said.strip().splitlines()[-1]
    print(f"  cut after step {step}: exit code {code} after {seconds:.1f} s\n    {last}", flush=True)
    return code == 1 and last.startswith("daybook: ") and "Traceback" not in said


def main() -> int:
    """Returns 1 where a close hung, ended without a sentence, or came to something else afterwards."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--cuts", type=int, default=3)
    words.add_argument("--seed", type=int, default=1)
    given = words.parse_args()
    chance = random.Random(given.seed)
    try:
        with network() as wire, tempfile.TemporaryDirectory() as folder:
            home = Path(folder) / "home"
            Desk(home, {}).done(*LOAD)
            for store in SERVERS:
                print(f"{store}:", flush=True)
                if not trial(store, home, wire, given.cuts, chance):
                    return 1
    except (OSError, subprocess.CalledProcessError) as cause:
        reason = getattr(cause, "stderr", b"") or str(cause).encode()
        print(f"not measured: this machine allows no network namespace ({reason.decode().strip()})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
