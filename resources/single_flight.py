"""One call for many who ask at the same time, and messages between threads: what every cache needs in its process.

Belongs here: coordination of threads. Does not belong here: keeping values.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class SingleFlight:
    """Calls in flight by key. Whoever asks while one is under way gets its answer, or its error."""

    def __init__(self) -> None:
        self._flying: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def do(self, key: str, call: Callable[[], T]) -> T:
        """What `call` gives: called here, or by the thread that asked first and has no answer yet."""
        with self._lock:
            flight = self._flying.get(key)
            first = flight is None
            if flight is None:
                flight = self._flying[key] = Future()
        if first:
            self._fly(key, flight, call)
        answer: T = flight.result()
        return answer

    def _fly(self, key: str, flight: Future[T], call: Callable[[], T]) -> None:
        try:
            flight.set_result(call())
        except BaseException as cause:
            flight.set_exception(cause)
        finally:
            with self._lock:
                del self._flying[key]


class Channels:
    """Publish and subscribe within a process."""

    def __init__(self) -> None:
        self._subscribers: dict[str, list[queue.SimpleQueue[bytes | None]]] = {}
        self._lock = threading.Lock()

    def publish(self, channel: str, message: bytes) -> None:
        """Sends to whoever subscribes now."""
        with self._lock:
            subscribers = list(self._subscribers.get(channel, ()))
        for subscriber in subscribers:
            subscriber.put(message)

    @contextmanager
    def subscribe(self, channel: str) -> Iterator[Iterator[bytes]]:
        """Messages from now on; iterating waits for each, and ends when the block is left."""
        messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with self._lock:
            self._subscribers.setdefault(channel, []).append(messages)
        try:
            yield _until_none(messages)
        finally:
            with self._lock:
                self._subscribers[channel].remove(messages)
            messages.put(None)


def _until_none(messages: queue.SimpleQueue[bytes | None]) -> Iterator[bytes]:
    while (message := messages.get()) is not None:
        yield message
