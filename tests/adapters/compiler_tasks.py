"""What the child process of the compiler's tests does: functions of a module that it can import."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

from trading.errors import ConfigError, NotASession


def doubled(number: int, *, plus: int = 0) -> int:
    """Twice a number."""
    return number * 2 + plus


def process(_: object = None) -> tuple[int, int, int]:
    """This process, its parent, and its niceness."""
    return os.getpid(), os.getppid(), os.nice(0)


def refused(text: str) -> None:
    """Refuses."""
    raise ConfigError(text)


def refused_in_its_own_way(_: object) -> None:
    """Raises an error that cannot be made from its text."""
    from datetime import date

    raise NotASession(date(2022, 1, 1), "a holiday", None, None)


def broken(_: object) -> None:
    """A fault of the code."""
    raise ZeroDivisionError("by nought")


def killed_once(mark: str) -> str:
    """Dies the first time it is asked."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def killed(_: object) -> None:
    """Dies."""
    os.kill(os.getpid(), signal.SIGKILL)


def slow(seconds: float) -> int:
    """Takes its time."""
    threading.Event().wait(seconds)
    return os.getpid()


def large(megabytes: int) -> int:
    """Holds memory for a while."""
    held = bytearray(os.urandom(1_000_000) * megabytes)
    threading.Event().wait(20)
    return len(held)


def talkative(_: object) -> str:
    """Prints."""
    print("said aloud")  # noqa: T201
    return "answered"


def half_said(seconds: float) -> str:
    """Begins an answer, and takes its time to go on; with nothing to wait for it answers well."""
    if seconds:
        os.write(int(sys.argv[1]), bytes(3))
        threading.Event().wait(seconds)
    return "said"


def said_in_drops(seconds: float) -> None:
    """Says a message that says of itself that it is long, byte by byte."""
    os.write(int(sys.argv[1]), bytes([0, 0, 0, 1, 0, 0, 0, 0]))
    for _ in range(int(seconds * 100)):
        os.write(int(sys.argv[1]), b"x")
        threading.Event().wait(0.01)


def long_answer(megabytes: int) -> bytes:
    """Much to say."""
    return b"0123456789" * (megabytes * 100_000)
