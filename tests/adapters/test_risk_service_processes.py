"""Processes of the risk service: killed, ended, several over one truth, and asked through the client.

Belongs here: a crew of real workers of a made-up desk. Does not belong here: single requests (`test_risk_service.py`).
"""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.desks.served_desk import ALL, CONTRACT, TOKENS, command
from pipelines.risk_server.crew import CANNOT, Crew, listening_at
from resources.risk_client import AsyncRiskClient, Filled, Order, RiskClient, RiskRefused, RiskUnavailable
from trading.errors import UsageError

PATIENCE_S = 120.0
RISK = {"limits": [{"rule": "portfolio_position", "refuse": 8}]}
ONE = Order("s0", "I00001", CONTRACT, 5)


class Running:
    """A crew in a thread of its own."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.listening = listening_at("127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.said: list[str] = []
        self.crew = Crew(command(folder, {"risk": RISK}), self.listening, workers, self.said.append)
        self.ending, self.code = threading.Event(), -1
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.code = self.crew.serve(self.ending)

    def end(self) -> int:
        """Ends all of it in order; the exit code."""
        self.ending.set()
        self.thread.join(PATIENCE_S)
        self.listening.close()
        return self.code


@contextmanager
def crew(folder: Path, workers: int) -> Iterator[Running]:
    """Workers that answer."""
    running = Running(folder, workers)
    running.thread.start()
    try:
        until(lambda: answers(running.address))
        yield running
    finally:
        running.end()


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers over one file of reservations."""
    with crew(tmp_path_factory.mktemp("risk"), 2) as running:
        yield running


@pytest.fixture
def client(two: Running) -> Iterator[RiskClient]:
    """A client of theirs."""
    with RiskClient(two.address, ALL) as found:
        yield found


def answers(address: str) -> bool:
    """Whether the service is ready."""
    try:
        return httpx.get(f"{address}/ready", timeout=5.0).status_code == 200
    except httpx.TransportError:
        return False


def until(true: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
    """Waits for something."""
    for _ in range(int(patience_s / 0.05)):
        if true():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it did not become true in time")


def named(name: str, quantity: int = 5) -> Order:
    """An order with an id."""
    return ONE._replace(order_id=name, quantity_contracts=quantity)


def test_a_client_reads_answers_as_values(client: RiskClient) -> None:
    passed, refused = client.check(ONE), client.check(ONE._replace(quantity_contracts=9))
    assert (passed.decision, passed.granted_contracts, passed.order.instrument) == ("pass", 5, "I00001")
    assert [reason.code for reason in refused.reasons] == ["portfolio_position"]
    rule = next(rule for rule in refused.rules if rule.rule == "portfolio_position")
    assert (rule.value, rule.limit, rule.headroom) == (9.0, 8.0, -1.0)
    assert [each.granted_contracts for each in client.check_list([ONE, ONE], "prefix")] == [5, 0]


def test_workers_share_what_is_held(two: Running, client: RiskClient) -> None:
    assert client.reserve(named("a")).passed
    seen = [RiskClient(two.address, ALL) for _ in range(8)]  # connections of their own: some to either worker
    assert not any(each.reserve(named(f"b{number}")).passed for number, each in enumerate(seen))
    assert seen[0].reserve(named("a")).reasons[0].code == "held_already"
    assert client.fill(Filled("s0", "I00001", CONTRACT, 2, "a", "f1"))[0]["left_contracts"] == 3
    assert [each.fill(Filled("s0", "I00001", CONTRACT, 2, "a", "f1"))[0]["left_contracts"] for each in seen] == [3] * 8
    assert client.release("a") == {"a": 3}
    assert client.reserve(named("rest", 6)).passed
    assert client.release("rest") == {"rest": 6}
    assert client.reserve(named("back", -2)).passed
    assert client.fill(Filled("s0", "I00001", CONTRACT, -2, "back", "f2"))[0]["left_contracts"] == 0
    for each in seen:
        each.close()


def test_what_may_not_be_asked_is_an_error_with_a_sentence(two: Running) -> None:
    with RiskClient(two.address, TOKENS["looker"][0]) as looker, pytest.raises(RiskRefused) as refused:
        looker.check(ONE)
    assert (refused.value.status, refused.value.code) == (403, "scope_missing")
    assert isinstance(refused.value, UsageError)
    with RiskClient(two.address, ALL, deadline_ms=0.001) as late, pytest.raises(RiskUnavailable) as passed:
        late.check(ONE)
    assert passed.value.code == "deadline_passed"


def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    listening = listening_at("127.0.0.1", 0)
    port = listening.getsockname()[1]
    listening.close()
    with RiskClient(f"http://127.0.0.1:{port}", ALL) as client, pytest.raises(RiskUnavailable) as away:
        client.check(ONE)
    assert "daybook risk serve" in str(away.value)
    with RiskClient("127.0.0.1:8731", ALL) as client, pytest.raises(RiskUnavailable, match="http://"):
        client.check(ONE)
    with RiskClient("http://127.0.0.1:1", ALL) as client, pytest.raises(RiskRefused, match="a number of the request"):
        client.check(ONE._replace(limit_points=math.nan))


def test_the_client_that_is_awaited_asks_for_lists_and_tells_fills_too(two: Running) -> None:
    async def asked() -> tuple[list[int], list[int], object, dict[str, int]]:
        async with AsyncRiskClient(two.address, ALL) as client:
            looked = [each.granted_contracts for each in await client.check_list([ONE, ONE], "prefix")]
            held = [each.granted_contracts for each in await client.reserve_list([named("later", 2)])]
            filled = await client.fill(Filled("s0", "I00001", CONTRACT, 1, "later", "f3"))
            return looked, held, filled[0]["left_contracts"], await client.release("later")

    looked, held, left, released = asyncio.run(asked())
    assert (looked, held, left, released) == ([5, 0], [2], 1, {"later": 1})
    with RiskClient(two.address, ALL) as client:
        assert client.fill(Filled("s0", "I00001", CONTRACT, -1, None, "f4"))[0]["problem"] is None


def test_it_is_asked_without_waiting_too(two: Running) -> None:
    import asyncio

    async def ask() -> tuple[str, dict[str, int]]:
        async with AsyncRiskClient(two.address, ALL) as client:
            await client.reserve(named("async"))
            return (await client.check(ONE._replace(quantity_contracts=3))).decision, await client.release("async")

    assert asyncio.run(ask()) == ("pass", {"async": 5})


def test_a_killed_worker_is_started_again_and_nothing_that_was_held_is_lost(two: Running, client: RiskClient) -> None:
    assert client.reserve(named("kept")).passed
    before = two.crew.pids()
    os.kill(before[0], signal.SIGKILL)
    assert not client.reserve(named("too-much")).passed
    until(lambda: len(two.crew.pids()) == 2 and before[0] not in two.crew.pids())
    os.kill(before[1], signal.SIGKILL)
    until(lambda: answers(two.address))
    assert not client.reserve(named("too-much")).passed
    assert client.release("kept") == {"kept": 5}
    assert sum("was killed by signal 9" in line for line in two.said) == 2
    told = {(each["order_id"], each["decision"]) for each in client.ask(_decisions("kept"))}
    assert told == {("kept", "pass")}  # acknowledged by a worker that was killed since


def _decisions(order_id: str) -> Any:
    from resources.risk_client import CALLS

    return CALLS.decisions(order_id=order_id)


def test_it_ends_in_order_and_what_is_under_way_is_answered(tmp_path: Path) -> None:
    with crew(tmp_path, 1) as running, RiskClient(running.address, ALL) as client:
        answered: list[bool] = []

        def ask() -> None:
            while not running.ending.is_set():
                answered.append(client.check(ONE).passed)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: len(answered) > 20)
        pids = running.crew.pids()
        assert running.end() == 0
        asking.join(PATIENCE_S)
        assert all(answered)
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_workers_that_cannot_begin_end_the_service() -> None:
    import sys

    with listening_at("127.0.0.1", 0) as listening:
        made = Crew(lambda number, name: [sys.executable, "-c", f"raise SystemExit({CANNOT})"], listening, 1)
        assert made.serve(threading.Event()) == CANNOT


def test_a_port_that_is_taken_is_said() -> None:
    with listening_at("127.0.0.1", 0) as listening, pytest.raises(UsageError) as taken:
        listening_at("127.0.0.1", listening.getsockname()[1])
    assert "Choose another --port" in str(taken.value)
