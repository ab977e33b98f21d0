"""`daybook risk serve` of a desk: its prices, its limits and its configuration as it changes, by real processes.

Belongs here: what the service takes from a desk. Does not belong here: requests one by one
(`tests/adapters/test_risk_service.py`), or a crew of workers (`tests/adapters/test_risk_service_processes.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from pipelines.settings import place
from pipelines.wiring import ledger, utc_now

TOKEN = "a-token-of-this-test"
PATIENCE_S = 120.0
SERVICE = """
[risk.inputs]
max_age_sessions = 100
[risk.service]
truth = "file"
[risk.service.tokens.strategy]
token = { env = "SERVED_RISK_TOKEN" }
scopes = ["check", "reserve", "read"]
"""
WEEKS = (utc_now().date() - timedelta(days=1) - date(2021, 3, 31)).days // 7  # that prices are of later days
YEARS = utc_now().year - 2021
ORDER = {"strategy": "trend", "instrument": "CORN", "contract": 20221200 + 10_000 * YEARS, "quantity_contracts": 1}


@pytest.fixture(scope="module")
def loaded_now(
    tmp_path_factory: pytest.TempPathFactory, two_instruments: Path, loaded_two: Path, daybook: Callable[..., Any]
) -> Path:
    """A home whose prices end last week or this one. Not to be changed: copy it."""
    folder = tmp_path_factory.mktemp("now")
    source, home = folder / "futures", folder / "home"
    shutil.copytree(two_instruments, source)
    for file in source.glob("*prices_csv/*.csv"):
        file.write_text(re.sub(r"\b(\d{4})(-\d\d-\d\d|1200)\b", _later, file.read_text()))
    home.mkdir()
    shutil.copytree(loaded_two / "strategies", home / "strategies")
    words = ("--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays")
    ended = daybook("load", "--home", home, *words)
    assert ended.code == 0, ended.err
    return home


def _later(found: re.Match[str]) -> str:
    """A day, so many weeks later; a contract, so many years later."""
    year, rest = found.groups()
    if rest == "1200":
        return f"{int(year) + YEARS}{rest}"
    return str(date.fromisoformat(year + rest) + timedelta(weeks=WEEKS))


@pytest.fixture
def home(loaded_now: Path, copied: Callable[[Path], Path]) -> Path:
    """A desk with prices and a token."""
    return with_service(copied(loaded_now))


def with_service(home: Path) -> Path:
    """The same desk, that may be served."""
    with (home / "desk.toml").open("a") as file:
        file.write(SERVICE)
    return home


@contextmanager
def served(home: Path, *words: str) -> Iterator[tuple[httpx.Client, subprocess.Popen[str]]]:
    """The command at work, and who asks it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"SERVED_RISK_TOKEN": TOKEN}
    command = [sys.executable, "-m", "pipelines.cli", "risk", "serve", "--home", str(home), "--port", str(port), *words]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10.0) as client:
            wait_until(lambda: alive(client))
            yield client, process
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def alive(client: httpx.Client) -> bool:
    """Whether it answers."""
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def wait_until(true: Callable[[], Any]) -> None:
    """Waits for something."""
    for _ in range(int(PATIENCE_S / 0.1)):
        if true():
            return
        threading.Event().wait(0.1)
    raise AssertionError("it did not become true in time")


def test_a_limit_that_is_applied_is_in_force_for_the_next_check(home: Path, daybook: Callable[..., Any]) -> None:
    os.environ["SERVED_RISK_TOKEN"] = TOKEN
    with served(home, "--workers", "2") as (client, process):
        first = client.post("/v1/check", json=ORDER).json()
        assert first["decision"] == "pass"
        with (home / "desk.toml").open("a") as file:
            file.write('\n[[risk.limits]]\nrule = "portfolio_position"\nrefuse = 0\n')
        applied = daybook("config", "apply", "--home", home, "--reason", "nothing may be held")
        assert applied.code == 0, applied.err
        second = client.post("/v1/check", json=ORDER).json()
        assert (second["decision"], [each["code"] for each in second["reasons"]]) == ("refuse", ["portfolio_position"])
        assert first["versions"]["configuration"] != second["versions"]["configuration"]
        assert first["versions"]["market"] == second["versions"]["market"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    kept = daybook("risk", "decisions", "--home", home, "--json").document
    assert [row["decision"] for row in kept["rows"]] == ["refuse", "pass"]


def test_the_service_counts_what_a_close_sends_before_it_reads_the_journal(
    home: Path, tmp_path: Path, daybook: Callable[..., Any]
) -> None:
    """One contract more than what the close wants of corn is the limit: one is left to strategies, whose service reads
    the journal again in a quarter of an hour."""
    os.environ["SERVED_RISK_TOKEN"] = TOKEN
    wanted = corn(Path(shutil.copytree(home, tmp_path / "other")), daybook)
    with (home / "desk.toml").open("a") as file:
        file.write(f'\n[[risk.limits]]\nrule = "contract_position"\ninstrument = "CORN"\nrefuse = {abs(wanted) + 1}\n')
    two = ORDER | {"quantity_contracts": 2 if wanted > 0 else -2}
    with served(home) as (client, _):
        assert client.post("/v1/check", json=two).json()["decision"] == "pass"
        assert corn(home, daybook) == wanted
        refused = client.post("/v1/reserve", json=two | {"order_id": "two"}).json()
        assert [each["code"] for each in refused["reasons"]] == ["contract_position"]
        one = two | {"quantity_contracts": two["quantity_contracts"] // 2, "order_id": "one"}
        assert client.post("/v1/reserve", json=one).json()["decision"] == "pass"


def corn(home: Path, daybook: Callable[..., Any]) -> int:
    """Contracts of corn that a close sends an order for."""
    ended = daybook("close", "--home", home)
    assert ended.code in (0, 1), ended.err  # a quarter is too short for some checks
    rows = ledger(place(home)).rows("orders", {"level": "contract", "status": "sent", "instrument": "CORN"})
    (found,) = [int(str(row["quantity_contracts"])) for row in rows]
    return found


def test_facts_that_are_too_old_are_no_readiness_and_pass_nothing(
    loaded_two: Path, copied: Callable[[Path], Path]
) -> None:
    with served(with_service(copied(loaded_two))) as (client, _):
        answer = client.get("/ready")
        assert answer.status_code == 503
        assert answer.json()["parts"]["facts"].startswith("facts are of 2021-03-31, and ")
        order = ORDER | {"contract": 20221200}
        answer = client.post("/v1/check", json=order).json()
        assert answer["decision"] == "refuse"
        assert "missing:gross_exposure" in [each["code"] for each in answer["reasons"]]


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (("[risk.service.tokens.strategy]", "[risk.service.tokens.other]"), (), "SERVED_RISK_TOKEN"),
        (('truth = "file"', 'truth = "memory"'), ("--workers", "2"), "cannot share reservations"),
        (('truth = "file"', 'truth = "redis"'), (), "REDIS_URL is not set"),
        (('truth = "file"', 'truth = "redis"'), (), "maxmemory-policy is allkeys-lru"),
    ],
)
def test_what_keeps_it_from_serving_is_said(
    home: Path, own_redis: Any, change: tuple[str, str], words: tuple[str, ...], said: str
) -> None:  # fmt: skip
    file = home / "desk.toml"
    file.write_text(file.read_text().replace(*change))
    command = [sys.executable, "-m", "pipelines.cli", "risk", "serve", "--home", str(home), "--port", "0", *words]
    environment = {name: value for name, value in os.environ.items() if name not in ("SERVED_RISK_TOKEN", "REDIS_URL")}
    if "SERVED_RISK_TOKEN" not in said:
        environment["SERVED_RISK_TOKEN"] = TOKEN
    if "maxmemory" in said:
        environment["REDIS_URL"] = own_redis.url
        with Redis.from_url(own_redis.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        command[command.index("--port") + 1] = str(probe.getsockname()[1])
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_nobody_who_may_ask_is_said(loaded_two: Path, daybook: Callable[..., Any]) -> None:
    ended = daybook("risk", "serve", "--home", loaded_two)
    assert ended.code == 2
    assert "risk.service.tokens is empty" in ended.err
