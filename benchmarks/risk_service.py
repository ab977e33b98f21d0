"""Claim: the risk service answers 1,000 arrivals a second on two cores for five minutes, the 99th percentile within 50
ms of when each was due, without an error and without growing; and with a worker killed every ten seconds, Redis stopped
for twenty seconds and a store that takes five seconds to answer, no order is wrongly approved.

1. Open loop: requests are sent when they are due, whether or not earlier ones were answered, by a process of its own
   whose CPU is told; latency is counted from when a request was due. Half are checks, the rest reservations, and as
   many are released again. Rules that are told: those with a limit.
2. The drill: the same load, less of it, on reservations that two workers share in Redis. Afterwards every approval that
   was acknowledged is put, in the order the log of reservations has them, to a fresh engine: none may pass a limit.

Run: `python benchmarks/risk_service.py [--seconds 300] [--drill 60] [--rate 1000]`. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.desks.bars import Bars, machine, percentile
from benchmarks.desks.served_desk import ALL, CONTRACT, codes_of, command
from pipelines.risk_service.crew import Crew, listening_at

BAR_MS, INSTRUMENTS, CONNECTIONS = 50.0, 100, 32
LIMITS = [
    {"rule": "portfolio_position", "refuse": 2_000}, {"rule": "order_notional", "refuse": 0.1},
    {"rule": "gross_volatility", "refuse": 5.0}, {"rule": "net_exposure", "refuse": 5.0},
    {"rule": "value_at_risk", "refuse": 0.5}, {"rule": "portfolio_volatility", "refuse": 5.0},
    {"rule": "stress", "refuse": 1.0}, {"rule": "factor_exposure", "refuse": 0.5},
]  # fmt: skip
RISK = {"service": {"max_requests_per_second": 1e6, "reservation_seconds": 30.0}, "limits": LIMITS}


# --- the service ------------------------------------------------------------------------------------------------------
@dataclass
class Service:
    """A crew at work."""

    port: int
    folder: Path
    crew: Crew
    said: list[str] = field(default_factory=list)

    def pids(self) -> list[int]:
        """Processes of workers."""
        return self.crew.pids()

    def memory_mb(self) -> float:
        """Resident memory of all workers, MB."""
        return sum(_resident_mb(pid) for pid in self.pids())


@contextmanager
def service(folder: Path, workers: int, said: Mapping[str, Any]) -> Iterator[Service]:
    """A service of a made-up desk, ready."""
    listening = listening_at("127.0.0.1", 0)
    told: list[str] = []
    crew = Crew(command(folder, said), listening, workers, told.append)
    ending = threading.Event()
    thread = threading.Thread(target=crew.serve, args=(ending,))
    thread.start()
    try:
        port = listening.getsockname()[1]
        _until_ready(port)
        yield Service(port, folder, crew, told)
    finally:
        ending.set()
        thread.join()
        listening.close()


def _until_ready(port: int, patience_s: float = 180.0) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), 1.0) as asked:
                asked.settimeout(2.0)
                asked.sendall(b"GET /ready HTTP/1.1\r\nHost: risk\r\nConnection: close\r\n\r\n")
                if asked.recv(100).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        threading.Event().wait(0.1)
    raise RuntimeError("the service did not become ready")


def _resident_mb(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/statm").read_text()
    except OSError:
        return 0.0
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


# --- the load: a process of its own -----------------------------------------------------------------------------------
@dataclass
class Seen:
    """What became of requests. `granted` are ids of orders that were approved, in the order answers came."""

    due: list[float] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    troubles: list[tuple[float, str]] = field(default_factory=list)


class Connection(asyncio.Protocol):
    """One connection: requests one after another, bytes made by hand so that the generator costs little."""

    def __init__(self, load: Load) -> None:
        self._load, self._buffer = load, b""
        self.request: tuple[float, str] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio."""
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """As asyncio."""
        self._buffer += data
        head, gap, body = self._buffer.partition(b"\r\n\r\n")
        if not gap:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) >= length:
            self._buffer = body[length:]
            self._load.answered(self, int(head[9:12]), body[:length])

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio."""
        self.transport = None
        self._load.lost(self)


class Load:
    """Requests at the instants they are due, whatever became of those before."""

    def __init__(self, port: int, rate: float, seconds: float, seed: int = 0) -> None:
        self._port, self._rate, self._seconds = port, rate, seconds
        self._draw = random.Random(seed)
        self._codes = codes_of(INSTRUMENTS)
        self._idle: list[Connection] = []
        self._waiting: list[tuple[float, str, bytes]] = []
        self._held: list[str] = []
        self._number = 0
        self.seen = Seen()

    async def run(self) -> Seen:
        """All of them."""
        for _ in range(CONNECTIONS):
            await self._connect()
        begun = time.perf_counter()
        for number in range(int(self._rate * self._seconds)):
            due = begun + number / self._rate
            wait = due - time.perf_counter()
            if wait > 0.0005:
                await asyncio.sleep(wait)
            elif number % 20 == 0:
                await asyncio.sleep(0)
            self._send(due)
        until = time.perf_counter() + 10.0
        while len(self._idle) < CONNECTIONS and time.perf_counter() < until:
            await asyncio.sleep(0.05)
        return self.seen

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                _, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            self._idle.append(made)
            self._next()
            return

    def _send(self, due: float) -> None:
        name, request = self._made()
        self._waiting.append((due, name, request))
        self._next()

    def _next(self) -> None:
        while self._waiting and self._idle:
            connection = self._idle.pop()
            if connection.transport is None or connection.transport.is_closing():
                continue
            due, name, request = self._waiting.pop(0)
            connection.request = (due, name)
            connection.transport.write(request)

    def _made(self) -> tuple[str, bytes]:
        """A request: every second one a check; reservations, and what they hold given back."""
        self._number += 1
        if self._number % 2:
            return "check", _post("/v1/check", self._order())
        if len(self._held) > 50:
            return "release", _post("/v1/releases", {"order_ids": [self._held.pop(0)]})
        name = f"o{os.getpid()}-{self._number}"
        return f"reserve {name}", _post("/v1/reserve", self._order() | {"order_id": name})

    def _order(self) -> dict[str, Any]:
        draw = self._draw
        quantity = draw.choice([-1, 1]) * draw.randint(1, 60)
        return {"strategy": f"s{draw.randint(0, 1)}", "instrument": draw.choice(self._codes), "contract": CONTRACT,
                "quantity_contracts": quantity}  # fmt: skip

    def answered(self, connection: Connection, status: int, body: bytes) -> None:
        """An answer came."""
        assert connection.request is not None
        due, name = connection.request
        connection.request = None
        self._idle.append(connection)
        now = time.perf_counter()
        self.seen.took_ms.append((now - due) * 1e3)
        if status == 200:
            self._approved(name, body)
        else:
            code = json.loads(body)["code"]
            self.seen.outcomes[f"{status} {code}"] += 1
            self.seen.troubles.append((now, code))
        self._next()

    def _approved(self, name: str, body: bytes) -> None:
        kind, _, order = name.partition(" ")
        if kind == "release":
            self.seen.outcomes["released"] += 1
            return
        said = body[13 : body.index(b'"', 13)].decode()
        self.seen.outcomes[f"{kind} {said}"] += 1
        if order and said != "refuse":
            self._held.append(order)

    def lost(self, connection: Connection) -> None:
        """A connection broke; what was under way on it was not answered."""
        if connection.request is not None:
            self.seen.outcomes["connection lost"] += 1
            self.seen.troubles.append((time.perf_counter(), "connection lost"))
            connection.request = None
        asyncio.get_running_loop().create_task(self._connect())


def _post(path: str, body: Mapping[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: risk\r\nAuthorization: Bearer {ALL}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def generate(port: int, rate: float, seconds: float) -> None:
    """The load's own program: what it saw as JSON on standard output."""
    load = Load(port, rate, seconds)
    begun, cpu = time.perf_counter(), time.process_time()
    seen = asyncio.run(load.run())
    took = time.perf_counter() - begun
    told = {"cpu_fraction": (time.process_time() - cpu) / took, "seconds": took, "took_ms": seen.took_ms,
            "outcomes": seen.outcomes, "troubles": [(at - begun, code) for at, code in seen.troubles]}  # fmt: skip
    print(json.dumps(told))


def loaded(port: int, rate: float, seconds: float) -> subprocess.Popen[str]:
    """The load, begun."""
    program = [sys.executable, __file__, "--generate", str(port), "--rate", str(rate), "--seconds", str(seconds)]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)


# --- what is measured -------------------------------------------------------------------------------------------------
def steady(bars: Bars, rate: float, seconds: float, workers: int) -> None:
    """Latency, errors and memory under a steady load."""
    said = {"instruments": INSTRUMENTS, "risk": RISK}
    with tempfile.TemporaryDirectory() as name, service(Path(name), workers, said) as crew:
        memory = [crew.memory_mb()]
        load = loaded(crew.port, rate, seconds)
        for _ in range(10):
            threading.Event().wait(seconds / 10.0)
            memory.append(crew.memory_mb())
        said = json.loads(load.communicate()[0])
    took = sorted(said["took_ms"])
    print(f"{len(took):,} requests at {rate:,.0f}/s in {said['seconds']:.0f} s; {workers} workers, file truth")
    print(f"the generator used {said['cpu_fraction']:.0%} of a core; answers: {dict(said['outcomes'])}")
    print(f"memory of the workers, MB, over time: {', '.join(f'{each:.0f}' for each in memory)}")
    told = ", ".join(f"p{share / 10:g} {percentile(took, share):.2f}" for share in (500, 900, 990, 999))
    print(f"  from when it was due, ms: {told}")
    bars.below("p99 from when a request was due", percentile(took, 990), BAR_MS, "ms")
    errors = sum(count for word, count in said["outcomes"].items() if word[0].isdigit() or word == "connection lost")
    bars.true("every request was answered", f"{errors} were not", not errors)
    bars.below("memory gained in the second half", memory[-1] - memory[5], 20.0, "MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--drill", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--generate", type=int)
    asked = parser.parse_args()
    if asked.generate:
        generate(asked.generate, asked.rate, asked.seconds)
        sys.exit(0)
    print(machine())
    found = Bars()
    if asked.seconds:
        steady(found, asked.rate, asked.seconds, asked.workers)
    sys.exit(1 if found.short else 0)
