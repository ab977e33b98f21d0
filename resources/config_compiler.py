"""A child process that does one thing at a time for us, away from whoever trades: loading, validating and compiling a
configuration holds a Python interpreter for 100 ms, so it is not done in the one that decides.

Belongs here: the child, its deadline, its bound on memory, and what happens when it dies. Does not belong here: what it
does (a function of a module, given by who makes it), and when (`config_watcher.py`).

The child runs at a lower priority and stays between requests, so that imports are paid once. One request has one
answer. It ends with its parent, however that ends, and is started anew when it dies.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, Generic, ParamSpec, TypeVar

from trading.errors import Cancelled, ConfigError, DaybookError, DeadlinePassed, MemoryCeilingPassed, WorkerLost

FRESH = "import sys; sys.path[:] = sys.argv[3:]; from resources.config_compiler import serve; serve()"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LOOK_S = 0.02  # how often a request's memory is looked at, and whether it was cancelled
_ALIVE_S = 0.5  # how often an idle child looks whether its parent is still its parent
_READY_S = 60.0  # imports on a machine that is busy
_SIZE = struct.Struct("!Q")  # before every message: how many bytes follow
_PART_BYTES = 1_000_000  # of an answer, between two looks at the deadline
Given = ParamSpec("Given")
Answer = TypeVar("Answer")


def _never() -> bool:
    return False


class ConfigCompiler(Generic[Given, Answer]):
    """Calls `function`, of a module, in a child process: at most `timeout_s` seconds a call, in at most `memory_mb`
    megabytes of resident memory, and `niceness` steps below our own priority. What goes in and out can be pickled.

    Threads that ask at the same time are answered in turn. The child starts with `start` or the first request.
    """

    def __init__(
        self, function: Callable[Given, Answer], timeout_s: float, memory_mb: float, niceness: int = 10
    ) -> None:
        self._function, self._timeout_s, self._memory_mb, self._niceness = function, timeout_s, memory_mb, niceness
        self._child: _Child | None = None
        self._turn = threading.Lock()
        self.restarts = 0  # children that died or were ended before their time

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        child = self._child
        return child.process.pid if child is not None else None

    def start(self) -> None:
        """Starts the child, without waiting until it is ready."""
        with self._turn:
            self._living()

    def ask(self, *given: Given.args, **named: Given.kwargs) -> Answer:
        """What the function gives. Raises what it raised; DeadlinePassed, MemoryCeilingPassed, and WorkerLost where the
        child died twice on this request. After any of these the next request has a new child."""
        return self._asked(given, named, _never)

    async def asked(self, *given: Given.args, **named: Given.kwargs) -> Answer:
        """As `ask`, without holding up the event loop. Cancelled, it ends the child and with it the work."""
        stopped = threading.Event()
        try:
            return await asyncio.to_thread(self._asked, given, named, stopped.is_set)
        except asyncio.CancelledError:
            stopped.set()
            raise

    def close(self) -> None:
        """Ends the child; when it returns there is none."""
        with self._turn:
            self._end()

    def __enter__(self) -> ConfigCompiler[Given, Answer]:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _asked(self, given: tuple[Any, ...], named: dict[str, Any], cancelled: Callable[[], bool]) -> Answer:
        request = pickle.dumps((given, named))
        with self._turn:
            for _ in range(2):
                with suppress(EOFError, OSError):
                    return self._answer(request, cancelled)
                self._renew()
        raise WorkerLost(
            "the process that checks the configuration died, and so did the one after it", 0, 1,
            "Look for what ended them (the system's log tells of memory that ran out) and save the file again.",
            "configurations",
        )  # fmt: skip

    def _answer(self, request: bytes, cancelled: Callable[[], bool]) -> Answer:
        child = self._living()
        try:
            if not child.ready:
                child.ready = bool(self._received(child, _READY_S, cancelled))
            child.send(request, self._timeout_s)
            good, answer = pickle.loads(self._received(child, self._timeout_s, cancelled))
        except DaybookError:
            self._renew()
            raise
        if good:
            return answer  # type: ignore[no-any-return]
        raise answer

    def _received(self, child: _Child, seconds: float, cancelled: Callable[[], bool]) -> bytes:
        """What the child has to say, all of it. Raises why it is not waited for any longer, also in the middle."""
        end, message = time.monotonic() + seconds, bytearray()
        heard = select.poll()
        heard.register(child.pipe.fileno(), select.POLLIN)
        while left := _left(message):
            if heard.poll(_LOOK_S * 1000):
                message += _part(child.pipe, left)
            if not _left(message):
                break
            if cancelled():
                raise Cancelled("checking the configuration was cancelled", 0, 1, "Ask again.", "configurations")
            if time.monotonic() > end:
                raise _too_slow(seconds)
            if child.resident_mb() > self._memory_mb:
                raise _too_large(self._memory_mb)
        return bytes(message[_SIZE.size :])

    def _living(self) -> _Child:
        if self._child is not None and self._child.process.poll() is not None:
            self._end()
            self.restarts += 1
        if self._child is None:
            self._child = _Child(self._function, self._niceness)
        return self._child

    def _renew(self) -> None:
        self._end()
        self.restarts += 1
        self._living()

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
        self._child = None


def _part(pipe: socket.socket, most: int) -> bytes:
    """What is there of a message. Raises EOFError where it ends."""
    part = pipe.recv(min(most, _PART_BYTES))
    if not part:
        raise EOFError
    return part


def _left(message: bytearray) -> int:
    """Bytes that a message lacks, as far as it says so far."""
    head = _SIZE.size
    size = _SIZE.unpack_from(message)[0] if len(message) >= head else 0
    return int(head + size - len(message))


def _too_slow(seconds: float) -> DeadlinePassed:
    return DeadlinePassed(
        f"checking the configuration took more than {seconds:g} s", 0, 1,
        "Make its tables smaller, or raise operations.changes.validation_timeout_seconds.", "configurations",
    )  # fmt: skip


def _too_large(megabytes: float) -> MemoryCeilingPassed:
    return MemoryCeilingPassed(
        f"checking the configuration took more than {megabytes:g} MB of memory", 0, 1,
        "Make its tables smaller, or raise operations.changes.validation_memory_mb.", "configurations",
    )  # fmt: skip


class _Child:
    """The child as its parent holds it. Its standard input is a pipe that closes when the parent is gone."""

    def __init__(self, function: Callable[..., Any], niceness: int) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            command = [sys.executable, "-c", FRESH, str(theirs.fileno()), str(os.getpid()), *sys.path]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), process_group=0
            )
            self.pipe = socket.socket(fileno=ours.detach())
        self.ready = False
        self._memory = _opened(f"/proc/{self.process.pid}/statm")
        with suppress(OSError):  # whoever asks will find that it died
            self.send(pickle.dumps((niceness, function)), _READY_S)

    def send(self, message: bytes, seconds: float) -> None:
        """Hands it a message. Raises DeadlinePassed where it does not take it in time, OSError where it is gone."""
        self.pipe.settimeout(seconds)
        try:
            self.pipe.sendall(_SIZE.pack(len(message)) + message)
        except TimeoutError as cause:
            raise _too_slow(seconds) from cause

    def resident_mb(self) -> float:
        """What it holds in memory; 0 where the system does not tell."""
        if self._memory is None:
            return 0.0
        try:
            return int(os.pread(self._memory, 100, 0).split()[1]) * _PAGE_BYTES / 1e6
        except (OSError, IndexError):
            return 0.0

    def end(self) -> None:
        """Kills it and closes what led to it."""
        self.process.kill()
        self.process.wait()
        if self._memory is not None:
            os.close(self._memory)
            self._memory = None
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.pipe.close()


def _opened(file: str) -> int | None:
    """A file of the system's, kept open: it is read many times a second. None where there is none."""
    try:
        return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


# --- in the child -----------------------------------------------------------------------------------------------------
def serve() -> None:
    """What the child runs: answers requests until there are no more, or no parent."""
    parent = int(sys.argv[2])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with socket.socket(fileno=int(sys.argv[1])) as pipe, pipe.makefile("rb") as asked:
        niceness, function = pickle.loads(_read(asked))
        os.nice(niceness)
        with suppress(EOFError, OSError):
            _say(pipe, b"ready")
            while True:
                given, named = pickle.loads(_read(asked))
                _say(pipe, _answered(function, given, named))


def _say(pipe: socket.socket, message: bytes) -> None:
    pipe.sendall(_SIZE.pack(len(message)) + message)


def _read(asked: IO[bytes]) -> bytes:
    """The next message. Raises EOFError where there is none."""
    size = asked.read(_SIZE.size)
    message = asked.read(_SIZE.unpack(size)[0]) if len(size) == _SIZE.size else b""
    if not message:
        raise EOFError
    return message


def _end_with(parent: int) -> None:
    """Ends this process when its parent is gone: then nobody holds the other end of the standard input, unless a child
    of the parent inherited it; and the parent's id is another."""
    while os.getppid() == parent:
        if select.select([0], [], [], _ALIVE_S)[0] and not os.read(0, 1):
            break
    os._exit(0)


def _answered(function: Callable[..., Any], given: tuple[Any, ...], named: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps((True, function(*given, **named)))
    except MemoryError:
        return pickle.dumps((False, ConfigError("the configuration does not fit into memory. Make it smaller.")))
    except Exception as cause:
        return _failure(cause)


def _failure(cause: Exception) -> bytes:
    """The error itself where it can be sent as it is; what it says in any case."""
    if isinstance(cause, DaybookError):
        with suppress(Exception):
            sent = pickle.dumps((False, cause))
            if str(pickle.loads(sent)[1]) == str(cause):
                return sent
        return pickle.dumps((False, ConfigError(str(cause))))
    said = f"the configuration could not be checked: {type(cause).__name__}: {cause}. This is a fault of Daybook's own."
    return pickle.dumps((False, ConfigError(said)))
