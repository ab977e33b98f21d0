"""The risk service in this process: who may ask, what is answered, and what is refused before it is looked at.

Belongs here: requests against an application made of values. Does not belong here: processes
(`test_risk_service_processes.py`), the published schema (`test_risk_service_schema.py`), or judging (`tests/domain`).
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from benchmarks.desks.served_desk import ALL, CONTRACT, TOKENS, desk_of, made_application, made_callers, made_served
from pipelines.risk_server.batches import MOST_WAITING, Batches, Outcome
from pipelines.risk_server.door import KEY, RIGHTS, Asking
from pipelines.risk_server.orders import Orders
from pipelines.risk_server.problems import Problem
from pipelines.risk_server.served import Served
from pipelines.risk_server.short_way import ShortWay
from pipelines.risk_server.traces import spans_to, tracing
from pipelines.risk_server.upkeep import InForceNow, Nothing, Upkeep
from resources.memory import MemoryLedger
from resources.risk_memory import MemoryDecisionLog, MemoryReservations
from trading.errors import StoreBusy, StoreError, StoreUnavailable
from trading.risk.engine import Drift
from trading.risk.kept import Wanted

ONE = "I00001"
ORDER = {"strategy": "s0", "instrument": ONE, "contract": CONTRACT, "quantity_contracts": 5}
SERVICE = {"max_requests_per_second": 1e6, "deadline_ms": 60_000.0}
Ask = Callable[..., httpx.Response]


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """A service without limits but those every desk has."""
    return made_served(tmp_path, {"service": SERVICE}, journal=MemoryLedger())


@pytest.fixture
def ask(served: Served) -> Iterator[Ask]:
    """Asks the service."""
    with asking(served) as found:
        yield found


class asking:
    """Requests one after another against an application, without a network."""

    def __init__(self, served: Served) -> None:
        self._app, self._loop = made_application(served), asyncio.new_event_loop()

    def __enter__(self) -> Ask:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://risk")
        return self._ask

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._http.aclose())
        self._loop.close()

    def _ask(self, method: str, path: str, body: Any = None, token: str = ALL, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} | given.pop("headers", {})
        sent = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        request = self._http.request(method, path, headers=headers, **sent, **given)
        return self._loop.run_until_complete(request)


def limited(served: Served, **levels: float) -> None:
    """Puts limits in force: a rule and what it refuses at."""
    limits = [{"rule": rule, "refuse": level} for rule, level in levels.items()]
    served.desk = desk_of({"limits": limits, "service": SERVICE})
    served.engine.limit(served.desk, "limited")


def codes(answer: httpx.Response) -> list[str]:
    """Codes of an answer's reasons."""
    return [reason["code"] for reason in answer.json()["reasons"]]


# --- who may ask ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("authorization", ["", "Bearer ", "Bearer nobody-knows-this-0", f"Basic {ALL}", ALL])
def test_without_a_known_token_nothing_is_answered(ask: Ask, authorization: str) -> None:
    for method, path in RIGHTS:
        answer = ask(method, path, headers={"Authorization": authorization})
        assert answer.status_code == 401, path
        assert answer.json()["code"] == "token_unknown"
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["looker", "asker"])
def test_a_token_may_do_what_its_scopes_say_and_nothing_else(ask: Ask, name: str) -> None:
    token, scopes, _ = TOKENS[name]
    for (method, path), right in RIGHTS.items():
        answer = ask(method, path.replace("{halt_id}", "x"), {}, token)
        assert (answer.status_code == 403) == (right not in scopes), path
        if right not in scopes:
            assert answer.json()["code"] == "scope_missing"
            assert right in answer.json()["message"]


def test_a_token_of_one_strategy_asks_for_no_other(ask: Ask) -> None:
    token, _, (own,) = TOKENS["mine"]
    other = ORDER | {"strategy": "s1"}
    held = ask("POST", "/v1/reserve", other | {"order_id": "theirs"}).json()
    assert held["granted_contracts"] == 5
    headroom = {"strategy": "s1", "instrument": ONE, "contract": CONTRACT}
    refused = [
        ask("POST", "/v1/check", other, token),
        ask("POST", "/v1/check-list", {"orders": [ORDER, other]}, token),
        ask("POST", "/v1/reserve", other | {"order_id": "a"}, token),
        ask("POST", "/v1/fills", {"fills": [other]}, token),
        ask("POST", "/v1/releases", {"order_ids": ["theirs"]}, token),
        ask("GET", "/v1/headroom", None, token, params=headroom),
        ask("GET", "/v1/decisions", None, token, params={"strategy": "s1"}),
        ask("POST", "/v1/halts", {"scope": "everything", "mode": "nothing", "who": "me", "why": "x"}, token),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert {answer.json()["code"] for answer in refused} == {"strategy_not_yours"}
    assert ask("POST", "/v1/check", ORDER | {"strategy": own}, token).status_code == 200
    seen = ask("GET", "/v1/decisions", None, token).json()["decisions"]
    assert {each["strategy"] for each in seen} == {"s0"}


def test_who_asks_too_often_waits(tmp_path: Path) -> None:
    served = made_served(tmp_path, {"service": {"max_requests_per_second": 3}}, journal=MemoryLedger())
    with asking(served) as ask:
        answers = [ask("POST", "/v1/check", ORDER) for _ in range(5)]
    assert [answer.status_code for answer in answers[:4]] == [200, 200, 200, 429]
    assert answers[3].json()["code"] == "too_many_requests"
    assert answers[3].headers["retry-after"] == "1"


# --- orders -----------------------------------------------------------------------------------------------------------
def test_an_order_at_its_limit_passes_and_one_above_it_is_refused(ask: Ask, served: Served) -> None:
    notional = float(served.market.notional_base[1]) / 1e8  # of a contract, times capital
    limited(served, order_notional=10.5 * notional)
    passed = ask("POST", "/v1/check", ORDER | {"quantity_contracts": 10}).json()
    assert (passed["decision"], passed["granted_contracts"], passed["reasons"]) == ("pass", 10, [])
    refused = ask("POST", "/v1/check", ORDER | {"quantity_contracts": -11})
    assert refused.status_code == 200
    assert (refused.json()["decision"], refused.json()["granted_contracts"]) == ("refuse", 0)
    assert codes(refused) == ["order_notional"]
    rule = next(each for each in refused.json()["rules"] if each["rule"] == "order_notional")
    assert rule["value"] == pytest.approx(11 * notional, rel=1e-12)
    assert rule["headroom"] == pytest.approx(-0.5 * notional, rel=1e-9)
    assert refused.json()["versions"] == {"book": 0, "market": "made 20 0", "configuration": "limited"}


def test_which_rules_are_told_is_asked_for(ask: Ask, served: Served) -> None:
    limited(served, order_notional=1.0)
    told = {
        shown: ask("POST", f"/v1/check?rules={shown}", ORDER).json()["rules"] for shown in ("all", "limited", "none")
    }
    assert told["none"] == []
    assert {"order_notional", "halt"} <= {rule["rule"] for rule in told["limited"]}
    assert all(rule["limit"] is not None or rule["warn"] is not None for rule in told["limited"])
    assert len(told["all"]) > len(told["limited"])


def test_two_orders_do_not_both_take_the_last_headroom(ask: Ask, served: Served) -> None:
    limited(served, portfolio_position=8)
    first = ask("POST", "/v1/reserve", ORDER | {"order_id": "first"})
    second = ask("POST", "/v1/reserve", ORDER | {"order_id": "second"})
    assert (first.json()["decision"], second.json()["decision"]) == ("pass", "refuse")
    assert codes(second) == ["portfolio_position"]
    assert ask("POST", "/v1/releases", {"order_ids": ["first", "never"]}).json()["releases"] == [
        {"order_id": "first", "released_contracts": 5}, {"order_id": "never", "released_contracts": 0}
    ]  # fmt: skip
    assert ask("POST", "/v1/reserve", ORDER | {"order_id": "second"}).json()["decision"] == "pass"


def test_asking_again_with_the_same_id_holds_nothing_twice(ask: Ask, served: Served) -> None:
    limited(served, portfolio_position=8)
    body = ORDER | {"order_id": "once"}
    assert ask("POST", "/v1/reserve", body).json()["decision"] == "pass"
    again = ask("POST", "/v1/reserve", body)
    assert (again.json()["decision"], again.json()["granted_contracts"]) == ("pass", 5)
    assert codes(again) == ["held_already"]
    other = ask("POST", "/v1/reserve", body | {"quantity_contracts": 3})
    assert (other.json()["decision"], codes(other)) == ("refuse", ["duplicate_order"])
    kept = [(each.outcome, each.granted_contracts) for each in served.decisions.read() if each.asked.order_id == "once"]
    assert kept == [("refuse", 0), ("pass", 5), ("pass", 5)], "what is kept, the last first, is what was answered"
    assert (
        ask("POST", "/v1/reserve", ORDER | {"quantity_contracts": 3, "order_id": "rest"}).json()["decision"] == "pass"
    )


def test_lists_are_all_or_nothing_a_prefix_or_scaled_and_netted_as_asked(ask: Ask, served: Served) -> None:
    limited(served, portfolio_position=8)
    orders = [ORDER | {"order_id": name} for name in ("a", "b")]

    def granted(mode: str, orders: Sequence[dict[str, Any]] = orders, netted: bool = False) -> list[int]:
        body = {"orders": orders, "mode": mode, "netted": netted}
        answer = ask("POST", "/v1/check-list", body | {"orders": [_without_id(order) for order in orders]})
        return [each["granted_contracts"] for each in answer.json()["decisions"]]

    assert granted("all") == [0, 0]
    assert granted("prefix") == [5, 0]
    assert granted("scale") == [4, 4]
    opposite = [orders[0] | {"quantity_contracts": 20}, orders[1] | {"quantity_contracts": -16}]
    assert granted("all", opposite) == [0, 0]
    assert granted("all", opposite, netted=True) == [20, -16]
    held = ask("POST", "/v1/reserve-list", {"orders": orders, "mode": "prefix"}).json()["decisions"]
    assert [each["granted_contracts"] for each in held] == [5, 0]
    assert set(served.engine.working()) == {"a"}


def _without_id(order: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name != "order_id"}


def test_a_fill_told_twice_counts_once(ask: Ask, served: Served) -> None:
    limited(served, portfolio_position=8)
    ask("POST", "/v1/reserve", ORDER | {"order_id": "a"})
    fill = ORDER | {"quantity_contracts": 2, "order_id": "a", "fill_id": "f1"}
    for _ in range(2):
        assert ask("POST", "/v1/fills", {"fills": [fill]}).json()["fills"][0]["left_contracts"] == 3
    wrong = ask("POST", "/v1/fills", {"fills": [fill | {"instrument": "NONE", "fill_id": "f2"}]}).json()["fills"][0]
    assert wrong["left_contracts"] is None
    assert wrong["problem"]["code"] == "not_booked"
    headroom = ask("GET", "/v1/headroom", params={"strategy": "s1", "instrument": ONE, "contract": CONTRACT}).json()
    assert headroom["buy_contracts"] == 3  # 8, less 2 held and 3 at work
    assert headroom["sell_contracts"] == 10  # down to -8 from 2


def test_a_fill_of_another_line_than_its_orders_is_not_booked(ask: Ask, served: Served) -> None:
    limited(served, strategy_position=8)
    ask("POST", "/v1/reserve", ORDER | {"order_id": "live"})
    fill = ORDER | {"instrument": "I00002", "order_id": "live", "fill_id": "f1"}
    told = ask("POST", "/v1/fills", {"fills": [fill, ORDER | {"order_id": "live", "quantity_contracts": 2}]})
    wrong, right = told.json()["fills"]
    assert (told.status_code, wrong["problem"]["code"], wrong["left_contracts"]) == (200, "not_booked", None)
    assert "cannot be of order live" in wrong["problem"]["message"]
    assert (right["problem"], right["left_contracts"]) == (None, 3)
    assert ask("POST", "/v1/reserve", ORDER | {"order_id": "other"}).json()["decision"] == "refuse"  # 2 + 3 + 5
    assert ask("POST", "/v1/reserve", ORDER | {"instrument": "I00003", "order_id": "more"}).json()["decision"] == "pass"


def test_headroom_under_a_halt_that_lets_positions_be_closed_is_what_closes_them(ask: Ask) -> None:
    """Five are held: nothing less may be sold, and nothing more."""
    ask("POST", "/v1/fills", {"fills": [ORDER]})
    ask("POST", "/v1/halts", {"scope": "everything", "mode": "close_only", "who": "Ann", "why": "x"})
    asked = {"strategy": "s0", "instrument": ONE, "contract": CONTRACT}
    headroom = ask("GET", "/v1/headroom", params=asked).json()
    assert (headroom["buy_contracts"], headroom["sell_contracts"]) == (0, 5)
    for count, outcome in ((4, "refuse"), (5, "pass"), (6, "refuse")):
        assert ask("POST", "/v1/check", ORDER | {"quantity_contracts": -count}).json()["decision"] == outcome
    short = {"fills": [ORDER | {"strategy": "s1", "instrument": "I00002", "quantity_contracts": -3}]}
    ask("POST", "/v1/fills", short)
    found = ask("GET", "/v1/headroom", params=asked | {"strategy": "s1", "instrument": "I00002"}).json()
    assert (found["buy_contracts"], found["sell_contracts"]) == (3, 0)


def test_the_longest_prefix_of_a_netted_list_is_looked_for_among_few(ask: Ask, served: Served) -> None:
    limited(served, portfolio_position=450)
    for path, named in (("/v1/check-list", False), ("/v1/reserve-list", True)):
        orders = [ORDER | ({"order_id": f"o{number}"} if named else {}) for number in range(129)]
        body = {"orders": orders, "mode": "prefix", "netted": True}
        answer = ask("POST", path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "prefix_too_long")
        assert "129 orders" in answer.json()["message"]
        whole = ask("POST", path, body | {"mode": "all"})
        assert whole.json()["decisions"][0]["decision"] == "refuse"  # 645 contracts
        fewer = ask("POST", path, body | {"orders": orders[:128]}).json()["decisions"]
        assert [each["granted_contracts"] for each in fewer].count(5) == 90


def test_long_lists_are_judged_beside_the_requests_of_others(ask: Ask, served: Served) -> None:
    """In a thread of their own, and kept as all are."""
    seen: list[str] = []
    check_list = served.engine.check_list

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

        def check_list(self, *given: Any) -> Any:
            seen.append(threading.current_thread().name)
            return check_list(*given)

    engine, served.engine = served.engine, Watched()  # type: ignore[assignment]
    for count in (64, 65):
        answer = ask("POST", "/v1/check-list", {"orders": [ORDER] * count})
        assert [each["decision"] for each in answer.json()["decisions"]] == ["pass"] * count
    assert seen[0] == threading.current_thread().name
    assert seen[1].startswith("lists")
    assert len(list(served.decisions.read())) == 129


# --- what is refused before it is looked at ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"quantity_contracts": "5"}, "quantity_contracts"),
        ({"quantity_contracts": None}, "quantity_contracts"),
        ({"contract": 1.5}, "contract"),
        ({"contract": 0}, "contract"),
        ({"instrument": ""}, "instrument"),
        ({"strategy": "x" * 101}, "strategy"),
        ({"limit_points": "market"}, "limit_points"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(ask: Ask, change: dict[str, Any], word: str) -> None:
    answer = ask("POST", "/v1/check", ORDER | change)
    assert answer.status_code == 422
    assert answer.json()["code"] == "request_wrong"
    assert word in answer.json()["message"]
    assert answer.json()["message"].endswith("Correct it and send it again.")


@pytest.mark.parametrize("body", [b"{", b"", b"[1,2", b"\xff\xfe", b"[" * 100_000, b'{"a":' + b"9" * 5_000 + b"}"])
def test_what_is_no_json_is_said(ask: Ask, body: bytes) -> None:
    answer = ask("POST", "/v1/check", body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"code", "message"}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(ask: Ask, word: str) -> None:
    text = json.dumps(ORDER).replace(": 5", f": {word}").encode()
    answer = ask("POST", "/v1/check", text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "quantity_contracts" in answer.json()["message"]


def test_a_body_that_is_too_large_is_not_read(ask: Ask, served: Served) -> None:
    read: list[int] = []

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            read.append(1)
            yield b" " * 10_000

    for body in (b" " * 262_145, parts()):
        sent = {"content": body}
        answer = ask("POST", "/v1/check", None, headers={"Content-Type": "application/json"}, **sent)
        assert answer.status_code == 413
        assert answer.json()["code"] == "body_too_large"


def test_a_list_that_is_too_long_is_refused(tmp_path: Path) -> None:
    served = made_served(tmp_path, {"service": SERVICE | {"max_orders": 2}}, journal=MemoryLedger())
    with asking(served) as ask:
        answer = ask("POST", "/v1/check-list", {"orders": [ORDER] * 3})
    assert (answer.status_code, answer.json()["code"]) == (422, "too_many_orders")


def test_paths_and_methods_that_are_none_get_a_sentence(ask: Ask) -> None:
    for method, path, status in (("GET", "/v2", 404), ("GET", "/v1/check", 405), ("PUT", "/health", 405)):
        answer = ask(method, path)
        assert answer.status_code == status
        assert set(answer.json()) == {"code", "message"}


# --- the short way ----------------------------------------------------------------------------------------------------
def test_answers_are_the_same_by_the_short_way_and_the_frameworks(tmp_path: Path) -> None:
    found = []
    for kind in ("application/json", "application/json; charset=utf-8"):  # only the first goes the short way
        served = made_served(tmp_path / str(len(found)), {"service": SERVICE}, journal=MemoryLedger())
        limited(served, strategy_position=8)
        with asking(served) as ask:
            found.append([_told(ask("POST", *asked, headers={"Content-Type": kind})) for asked in _plain()])
    assert found[0] == found[1]
    assert [status for status, _ in found[0]] == [200] * 10 + [422] * 4 + [400]


def _plain() -> list[tuple[str, bytes]]:
    one, over = ORDER | {"order_id": "a"}, ORDER | {"quantity_contracts": 9.0}
    fill = ORDER | {"quantity_contracts": 2, "order_id": "a", "fill_id": "f"}
    asked = [
        ("check", ORDER), ("check", over), ("check?rules=all", over), ("check?rules=none", over),
        ("check-list", {"orders": [ORDER, over], "mode": "prefix"}), ("reserve", one), ("reserve", one),
        ("reserve-list", {"orders": [one | {"order_id": "b", "quantity_contracts": 3}]}), ("fills", {"fills": [fill]}),
        ("releases", {"order_ids": ["a"]}), ("check", ORDER | {"contract": "x"}), ("check?rules=many", ORDER),
        ("releases?rules=all", {"order_ids": ["a"]}), ("reserve", ORDER),
    ]  # fmt: skip
    return [(f"/v1/{path}", json.dumps(body).encode()) for path, body in asked] + [("/v1/check", b"{")]


def _told(answer: httpx.Response) -> tuple[int, str]:
    """An answer without how long it took."""
    return answer.status_code, re.sub(r'"microseconds":[^,}]+', "", answer.text)


def test_what_is_plainly_right_does_not_reach_the_framework(served: Served) -> None:
    async def framework(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it was reached")

    sent: list[Any] = []
    asker = Asking(None, 0.0, math.inf)
    scope = {
        "type": "http", "method": "POST", "path": "/v1/check", "query_string": b"", KEY: asker,
        "headers": [(b"content-type", b"application/json")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(ORDER).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(ShortWay(framework, Orders(served))(scope, receive, send))
    assert (sent[0]["status"], json.loads(sent[1]["body"])["decision"]) == (200, "pass")


# --- deadlines, and what cannot be reached ----------------------------------------------------------------------------
def test_a_request_whose_deadline_passed_is_not_decided(ask: Ask, served: Served) -> None:
    body = ORDER | {"order_id": "late"}
    answer = ask("POST", "/v1/reserve", body, headers={"X-Deadline-Ms": "0.001"})
    assert (answer.status_code, answer.json()["code"]) == (504, "deadline_passed")
    assert served.engine.working() == {}
    assert list(served.decisions.read()) == []
    assert ask("POST", "/v1/reserve", body, headers={"X-Deadline-Ms": "60000"}).status_code == 200


@pytest.mark.parametrize("deadline", ["soon", "0", "-1", "nan", "inf"])
def test_a_deadline_that_is_none_is_refused(ask: Ask, deadline: str) -> None:
    answer = ask("POST", "/v1/check", ORDER, headers={"X-Deadline-Ms": deadline})
    assert (answer.status_code, answer.json()["code"]) == (422, "deadline_wrong")


class Unreachable(MemoryReservations):
    """A log of reservations that does not answer while it is `away`."""

    away = False

    def __init__(self, error: type[StoreError]) -> None:
        super().__init__()
        self._error = error

    def append(self, entry: Any, at: Any) -> Any:
        """As the port."""
        if self.away:
            raise self._error("the log of reservations does not answer. Start it.")
        return super().append(entry, at)

    def since(self, at: Any) -> Any:
        """As the port."""
        if self.away:
            raise self._error("the log of reservations does not answer. Start it.")
        return super().since(at)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreUnavailable, "reservation_truth_unreachable"), (StoreBusy, "reservation_truth_busy")],
)
def test_without_the_truth_nothing_is_granted_and_questions_are_answered(
    tmp_path: Path, error: type[StoreError], code: str, shared: bool
) -> None:
    log = Unreachable(error)
    served = made_served(tmp_path, {"service": SERVICE}, journal=MemoryLedger(), log=log, shared=shared)
    with asking(served) as ask:
        assert ask("POST", "/v1/reserve", ORDER | {"order_id": "before"}).status_code == 200
        log.away = True
        fill = ORDER | {"order_id": "before", "fill_id": "f"}
        for path, body in (
            ("/v1/reserve", ORDER | {"order_id": "a"}),
            ("/v1/reserve-list", {"orders": [ORDER | {"order_id": "a"}]}),
            ("/v1/fills", {"fills": [fill]}),
            ("/v1/releases", {"order_ids": ["before"]}),
        ):
            answer = ask("POST", path, body)
            assert (answer.status_code, answer.json()["code"]) == (503, code), path
            assert answer.headers["Retry-After"] == "1"
            assert "does not answer" in answer.json()["message"]
        assert ask("POST", "/v1/check", ORDER).status_code == 200
        log.away = False
        assert ask("POST", "/v1/reserve", ORDER | {"order_id": "a"}).json()["decision"] == "pass"
    refused = list(served.decisions.read(Wanted(outcomes=("refuse",))))
    assert {reason.code for each in refused for reason in each.reasons} == {code}


def test_a_truth_that_was_lost_with_all_who_knew_it_is_put_together_from_decisions(tmp_path: Path) -> None:
    decisions = MemoryDecisionLog()
    risk = {"service": SERVICE, "limits": [{"rule": "portfolio_position", "refuse": 8}]}
    for name, granted in (("first", 5), ("second", 0)):
        served = made_served(tmp_path, risk, journal=MemoryLedger(), decisions=decisions, log=MemoryReservations())
        with asking(served) as ask:
            assert ask("POST", "/v1/reserve", ORDER | {"order_id": name}).json()["granted_contracts"] == granted
        assert set(served.engine.working()) == {"first"}


class FullDisk(MemoryDecisionLog):
    """A log of decisions whose disk is full."""

    def append(self, decisions: Any, about: Any) -> int:
        """As the port."""
        raise StoreUnavailable("the disk is full. Free it.")


def test_a_decision_that_cannot_be_kept_is_none(tmp_path: Path) -> None:
    served = made_served(tmp_path, {"service": SERVICE}, journal=MemoryLedger(), decisions=FullDisk())
    with asking(served) as ask:
        for path, body in (("/v1/check", ORDER), ("/v1/reserve", ORDER | {"order_id": "a"})):
            answer = ask("POST", path, body)
            assert (answer.status_code, answer.json()["code"]) == (503, "decisions_not_kept")
            assert "the disk is full" in answer.json()["message"]
    assert served.engine.working() == {}


# --- what is looked at ------------------------------------------------------------------------------------------------
def test_decisions_are_found_again_the_newest_first(ask: Ask) -> None:
    ask("POST", "/v1/check", ORDER)
    ask("POST", "/v1/reserve", ORDER | {"order_id": "a", "strategy": "s1"})
    found = ask("GET", "/v1/decisions").json()["decisions"]
    assert [(each["action"], each["strategy"], each["by"]) for each in found] == [
        ("reserve", "s1", "all"), ("check", "s0", "all")
    ]  # fmt: skip
    assert len(ask("GET", "/v1/decisions", params={"limit": 1}).json()["decisions"]) == 1
    assert ask("GET", "/v1/decisions", params={"outcome": "refuse"}).json()["decisions"] == []
    assert ask("GET", "/v1/decisions", params={"since": "2026-01-01T00:00:00"}).status_code == 422


def test_limits_in_force_are_listed(ask: Ask, served: Served) -> None:
    limited(served, portfolio_position=8, stress=0.25)
    found = ask("GET", "/v1/limits", params={"rule": "stress"}).json()
    assert found["configuration"] == "limited"
    assert [(each["element"], each["refuse"]) for each in found["limits"]] == [("crash", 0.25), ("rally", 0.25)]
    assert ask("GET", "/v1/limits", params={"limit": 1}).json()["total"] > 1


def test_a_halt_stops_at_once_and_resuming_needs_a_name_and_a_reason(ask: Ask) -> None:
    body = {"scope": "strategy", "item": "s0", "mode": "nothing", "who": "Ann", "why": "its prices look wrong"}
    made = ask("POST", "/v1/halts", body)
    assert made.status_code == 201
    assert codes(ask("POST", "/v1/check", ORDER)) == ["halt"]
    assert ask("POST", "/v1/check", ORDER | {"strategy": "s1"}).json()["decision"] == "pass"
    listed = ask("GET", "/v1/halts").json()["halts"]
    assert [(each["who"], each["why"]) for each in listed] == [("Ann", "its prices look wrong")]
    path = f"/v1/halts/{made.json()['halt_id']}"
    assert ask("DELETE", path, {"who": "", "why": "fine"}).status_code == 422
    assert ask("DELETE", path, {"who": "Bob", "why": "prices are right"}).status_code == 200
    assert ask("DELETE", path, {"who": "Bob", "why": "prices are right"}).json()["code"] == "no_such_halt"
    assert ask("POST", "/v1/check", ORDER).json()["decision"] == "pass"


@pytest.mark.parametrize(
    "change", [{"item": ""}, {"scope": "everything"}, {"mode": "some"}, {"until": "2020-01-01T00:00:00Z"}, {"why": " "}]
)
def test_what_is_no_halt_is_refused(ask: Ask, change: dict[str, str]) -> None:
    body = {"scope": "strategy", "item": "s0", "mode": "nothing", "who": "Ann", "why": "x"} | change
    assert ask("POST", "/v1/halts", body).status_code == 422
    assert ask("GET", "/v1/halts").json() == {"halts": []}


@pytest.mark.parametrize(
    ("scope", "item", "said"),
    [("instrument", "I0001", "Did you mean I0001"), ("strategy", "s", "Strategies are: s0, s1."),
     ("instrument", "s0", "there is no instrument s0: halting it would stop nothing.")],
)  # fmt: skip
def test_a_halt_of_what_there_is_not_is_refused(ask: Ask, scope: str, item: str, said: str) -> None:
    answer = ask("POST", "/v1/halts", {"scope": scope, "item": item, "mode": "nothing", "who": "Ann", "why": "x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_a_halt")
    assert said in answer.json()["message"]
    assert ask("GET", "/v1/halts").json() == {"halts": []}


def test_readiness_says_what_is_not_well(ask: Ask, served: Served) -> None:
    assert ask("GET", "/ready", token="").json()["ready"] is True
    served.unwell("facts", "facts are of 2020-01-01. Load prices.")
    answer = ask("GET", "/ready", token="")
    assert answer.status_code == 503
    assert answer.json()["parts"]["facts"] == "facts are of 2020-01-01. Load prices."
    assert ask("GET", "/health", token="").json() == {"alive": True}


def test_figures_count_what_was_decided_and_refused(ask: Ask, served: Served) -> None:
    limited(served, portfolio_position=8)
    for quantity in (5, 5, 20):
        ask("POST", "/v1/check", ORDER | {"quantity_contracts": quantity})
    ask("POST", "/v1/check", {})
    text = ask("GET", "/metrics", token="").text
    for line in (
        'daybook_risk_decisions_total{outcome="pass",worker="1"} 2.0',
        'daybook_risk_decisions_total{outcome="refuse",worker="1"} 1.0',
        'daybook_risk_refusals_total{reason="portfolio_position",worker="1"} 1.0',
        'daybook_risk_problems_total{code="request_wrong",worker="1"} 1.0',
        'daybook_risk_request_seconds_count{route="/v1/check",status="200",worker="1"} 3.0',
    ):
        assert line in text


def test_figures_of_other_workers_are_told_too(tmp_path: Path) -> None:
    first, second = (made_served(tmp_path, {}, journal=MemoryLedger(), name=name) for name in "12")
    with asking(first) as ask:
        ask("POST", "/v1/check", ORDER)
    first.metrics.leave()
    with asking(second) as ask:
        text = ask("GET", "/metrics").text
    assert 'daybook_risk_decisions_total{outcome="pass",worker="1"} 1.0' in text
    assert text.count("# TYPE daybook_risk_decisions_total counter") == 1


def test_a_request_has_spans_where_somebody_wants_traces(tmp_path: Path) -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    seen = InMemorySpanExporter()
    span = spans_to(SimpleSpanProcessor(seen))
    with asking(made_served(tmp_path, {}, journal=MemoryLedger(), span=span)) as ask:
        ask("POST", "/v1/check", ORDER)
    assert {each.name for each in seen.get_finished_spans()} == {"request", "decide", "append"}
    assert tracing() is nullcontext  # no OTEL_ variable says where they would go


# --- beside answering -------------------------------------------------------------------------------------------------
class Changing(Nothing):
    """Settings that changed, and are given when they are asked for."""

    def __init__(self, served: Served) -> None:
        self._served, self.new = served, True

    def pending(self) -> bool:
        """As the port."""
        return self.new

    def settings(self) -> InForceNow | None:
        """As the port."""
        desk = desk_of({"limits": [{"rule": "portfolio_position", "refuse": 3}], "service": SERVICE})
        return InForceNow(desk, "changed", made_callers(desk))

    def taken(self) -> None:
        """As the port."""
        assert self._served.engine.versions.configuration == "changed"  # until then, nobody may be answered
        self.new = False


def test_no_order_is_decided_under_limits_that_are_not_in_force_any_more(tmp_path: Path) -> None:
    sources: list[Changing] = []
    served = made_served(
        tmp_path, {"service": SERVICE}, journal=MemoryLedger(), pending=lambda: bool(sources) and sources[0].new
    )
    upkeep = Upkeep(served, Changing(served))
    with asking(served) as ask:
        assert ask("POST", "/v1/check", ORDER).json()["decision"] == "pass"
        sources.append(upkeep._sources)  # type: ignore[arg-type]
        found = _meanwhile(ask, upkeep)
    assert found.json()["versions"]["configuration"] == "changed"
    assert codes(found) == ["portfolio_position"]


def _meanwhile(ask: Ask, upkeep: Upkeep) -> httpx.Response:
    """Asks, and has the settings taken over a moment after the request came."""
    loop = ask.__self__._loop  # type: ignore[attr-defined]
    loop.call_later(0.05, upkeep.configure)
    return ask("POST", "/v1/check", ORDER)


def test_reservations_whose_time_is_over_are_given_back(tmp_path: Path) -> None:
    service = SERVICE | {"reservation_seconds": 0.1}
    served = made_served(tmp_path, {"service": service}, journal=MemoryLedger())
    upkeep = Upkeep(served, Nothing())
    with asking(served) as ask:
        ask("POST", "/v1/reserve", ORDER | {"order_id": "a"})
        assert set(served.engine.working()) == {"a"}
        ask("GET", "/health")
        asyncio.run(asyncio.sleep(0.15))
        upkeep.expire()
    assert served.engine.working() == {}


class Drifting:
    """An engine whose sums are off."""

    def __init__(self, engine: Any, largest: float) -> None:
        self._engine, self._largest = engine, largest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def recompute(self) -> Drift:
        """As the engine."""
        return Drift(self._largest, 12)


@pytest.mark.parametrize(("largest", "well"), [(1e-9, True), (2e-9, False), (math.nan, False)])
def test_sums_that_were_far_off_are_no_readiness(
    ask: Ask, served: Served, caplog: pytest.LogCaptureFixture, largest: float, well: bool
) -> None:
    upkeep = Upkeep(served, Nothing())
    engine, served.engine = served.engine, Drifting(served.engine, largest)  # type: ignore[assignment]
    upkeep.recompute()
    answer = ask("GET", "/ready")
    assert (answer.status_code, answer.json()["parts"]["sums"] == "well") == ((200, True) if well else (503, False))
    assert (f"the largest of 12 sums that orders are judged by was {largest:.3g}" in caplog.text) is not well
    found = gauge(ask, "daybook_risk_drift")
    assert found == largest or (math.isnan(found) and math.isnan(largest))
    served.engine = engine
    upkeep.recompute()
    assert ask("GET", "/ready").json()["parts"]["sums"] == "well"
    assert gauge(ask, "daybook_risk_drift") <= 1e-9


def gauge(ask: Ask, name: str) -> float:
    """A figure of worker 1 out of the metrics."""
    return next(float(line.split()[-1]) for line in ask("GET", "/metrics").text.splitlines() if line.startswith(name))


def test_all_work_beside_answering_is_done_again_and_again(served: Served) -> None:
    """Each part of it at its own pace: sums are made anew every minute, less up to half of that."""
    paces = {"configuration": 0.05, "reservations": 0.2, "halts": 0.25, "facts": 22.5, "sums": 45.0, "figures": 1.0}
    done: list[str] = []
    upkeep = Upkeep(served, Nothing(), early=0.5)
    found = {part: (seconds, do) for part, seconds, do in upkeep.work()}
    assert {part: seconds for part, (seconds, _) in found.items()} == paces
    assert found["sums"][1] == upkeep.recompute
    upkeep.work = lambda: [("sums", 0.01, lambda: done.append("sums"))]  # type: ignore[method-assign]

    async def run() -> None:
        async with upkeep.during(FastAPI()):
            while len(done) < 3:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 20.0))


def test_depth_of_each_queue_is_told(served: Served, ask: Ask) -> None:
    """A thread has the first request of each; the others wait, and are not mixed up."""
    served.lists._watches.waiting(7)
    served.checks._watches.waiting(3)
    text = ask("GET", "/metrics").text
    for queue, depth in (("lists", 7.0), ("checks", 3.0)):
        assert f'daybook_risk_queue_depth{{queue="{queue}",worker="1"}} {depth}' in text
    assert ask("POST", "/v1/check", ORDER).status_code == 200  # after which nobody waits
    assert 'daybook_risk_queue_depth{queue="checks",worker="1"} 0.0' in ask("GET", "/metrics").text
    assert 'daybook_risk_queue_depth{queue="lists",worker="1"} 7.0' in ask("GET", "/metrics").text


def test_a_queue_that_is_full_refuses_and_what_waits_is_answered() -> None:
    waited: list[int] = []

    class Watching:
        def decided(self, decisions: Any) -> None:
            pass

        def waiting(self, count: int) -> None:
            waited.append(count)

    async def run() -> tuple[list[Any], Problem]:
        queue = Batches(MemoryDecisionLog(), Watching(), lambda: 0.0)
        asked = [asyncio.ensure_future(queue.ask(lambda: Outcome("done"), 1.0)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await queue.ask(lambda: Outcome("too much"), 1.0)
        return await asyncio.gather(*asked), refused.value

    found, refused = asyncio.run(run())
    assert found == ["done"] * 10_000
    assert (refused.status, refused.code) == (503, "queue_full")
    assert (waited[0], waited[-1]) == (10_000 - 256, 0)


def test_a_body_that_does_not_come_is_not_waited_for(ask: Ask) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30.0)
        yield b"}"

    headers = {"Content-Type": "application/json", "X-Deadline-Ms": "50"}
    begun = time.monotonic()
    answer = ask("POST", "/v1/check", None, headers=headers, content=parts())
    assert (answer.status_code, answer.json()["code"]) == (408, "body_late")
    assert time.monotonic() - begun < 10.0


def test_breakers_and_reads_of_facts_are_figures(served: Served, ask: Ask) -> None:
    class Told(Nothing):
        def tell(self, metrics: Any) -> None:
            metrics.breaker("ledger", "open")
            metrics.reads(5, 2)

    Upkeep(served, Told()).tell()
    text = ask("GET", "/metrics").text
    for line in (
        'daybook_risk_breaker{backend="ledger",worker="1"} 2.0',
        'daybook_risk_input_reads_total{found="hit",worker="1"} 5.0',
        'daybook_risk_input_reads_total{found="miss",worker="1"} 2.0',
    ):
        assert line in text


def test_the_breaker_of_reservations_is_told(tmp_path: Path) -> None:
    log = Unreachable(StoreUnavailable)
    served = made_served(tmp_path, {"service": SERVICE}, journal=MemoryLedger(), log=log)
    upkeep = Upkeep(served, Nothing())
    with asking(served) as ask:
        upkeep.expire()
        assert gauge(ask, 'daybook_risk_breaker{backend="reservations"') == 0.0
        log.away = True
        with pytest.raises(StoreUnavailable):
            upkeep.expire()
        assert gauge(ask, 'daybook_risk_breaker{backend="reservations"') == 2.0


def test_other_settings_undo_no_requests(tmp_path: Path) -> None:
    """Three a second, of which two were made before other settings came into force; a new token begins anew."""
    served = made_served(tmp_path, {"service": {"max_requests_per_second": 3}}, journal=MemoryLedger())
    now = served.callers._callers[0].bucket.at
    authorization = f"Bearer {ALL}".encode()
    for _ in range(2):
        served.callers.admitted(authorization, now)
    again = made_callers(served.desk).continuing(served.callers)
    again.admitted(authorization, now)
    with pytest.raises(Problem, match="asked more than") as refused:
        again.admitted(authorization, now)
    assert refused.value.status == 429
    assert again.admitted(f"Bearer {TOKENS['looker'][0]}".encode(), now).name == "looker"
    fewer = made_callers(desk_of({"service": {"max_requests_per_second": 1}})).continuing(made_callers(served.desk))
    fewer.admitted(authorization, fewer._callers[0].bucket.at)
    with pytest.raises(Problem, match="asked more than"):
        fewer.admitted(authorization, fewer._callers[0].bucket.at)


def test_settings_that_come_into_force_keep_what_was_counted(tmp_path: Path) -> None:
    served = made_served(tmp_path, {"service": SERVICE}, journal=MemoryLedger())
    before = served.callers
    before._callers[0].bucket.left = 1.0
    Upkeep(served, Changing(served)).configure()
    assert served.callers is not before
    assert served.callers._callers[0].bucket.left == 1.0


def test_who_has_no_token_is_counted_by_the_address(ask: Ask) -> None:
    wrong = {"Authorization": "Bearer nobody-knows-this-0"}
    answers = [ask("GET", "/v1/limits", headers=wrong) for _ in range(40)]
    told = [answer.status_code for answer in answers]
    assert told[:20] == [401] * 20
    assert 429 in told
    late = next(answer for answer in answers if answer.status_code == 429)
    assert (late.json()["code"], late.headers["connection"], late.headers["retry-after"]) == (
        "too_many_unknown", "close", "1"
    )  # fmt: skip
    assert ask("POST", "/v1/check", ORDER).status_code == 200  # who has one is not held up by who has none
    assert ask("GET", "/health").status_code == 200


def test_what_is_no_json_object_is_told_how_to_be_one(ask: Ask) -> None:
    broken = ask("POST", "/v1/check", b"{bad", headers={"Content-Type": "application/json"})
    assert broken.status_code == 400
    assert "JSON decode error" in broken.json()["message"]
    untyped = ask("POST", "/v1/check", b'{"strategy": "s0"}', headers={"Content-Type": "text/plain"})
    assert "with the header Content-Type: application/json" in untyped.json()["message"]
