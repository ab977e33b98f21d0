"""Traces of the risk service: where they are sent, and that nobody is troubled by them who wants none.

Belongs here: variables and what is installed, each in a process of its own. Does not belong here: which spans a request
has (`test_risk_service.py`).
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

TRACED = """
import sys
{before}
from pipelines.risk_server.traces import tracing
with tracing()("decide"):
    pass
print(sorted(name for name in sys.modules if name.startswith("opentelemetry.sdk.trace")))
"""
MISSING = "sys.modules[{name!r}] = None"  # as if it were not installed


class Collector(HTTPServer):
    """Takes what is exported, and keeps path and body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: list[tuple[str, bytes]] = []


class _Taking(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        self.server.taken.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on this machine."""
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


def traced(root: Path, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """A process that traces one part of its work, and ends."""
    program = TRACED.format(before=before)
    return subprocess.run(
        [sys.executable, "-c", program], cwd=root, env={"PATH": "/usr/bin:/bin", **variables}, capture_output=True,
        text=True, timeout=120, check=True,
    )  # fmt: skip


def sent_to(collector: Collector) -> str:
    return f"http://127.0.0.1:{collector.server_address[1]}"


def test_spans_are_sent_where_the_variable_says(root: Path, collector: Collector) -> None:
    """The last ones before the process ends."""
    found = traced(root, OTEL_EXPORTER_OTLP_ENDPOINT=sent_to(collector), OTEL_EXPORTER_OTLP_COMPRESSION="none")
    (path, body), *more = collector.taken
    assert (path, more) == ("/v1/traces", [])
    assert b"decide" in body
    assert b"daybook-risk" in body
    assert found.stderr == ""


def test_without_a_variable_nothing_is_made_and_nothing_loaded(root: Path, collector: Collector) -> None:
    found = traced(root)
    assert (found.stdout.strip(), found.stderr, collector.taken) == ("[]", "", [])


@pytest.mark.parametrize("name", ["opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter"])
def test_without_the_extra_it_says_what_to_install_and_goes_on(root: Path, collector: Collector, name: str) -> None:
    found = traced(root, MISSING.format(name=name), OTEL_EXPORTER_OTLP_ENDPOINT=sent_to(collector))
    assert found.stderr.startswith(f"OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is traced: {name}")
    assert "pip install 'daybook[telemetry]'" in found.stderr
    assert collector.taken == []
