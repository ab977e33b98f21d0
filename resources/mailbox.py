"""Letter boxes with one reader, in a thread of its own or in an event loop: whoever puts something in never waits for
the reader, and a reader that fails or is slow is nobody else's concern.

Belongs here: the bounded queue, the thread, and counts of what went wrong. Does not belong here: who reads what
(`config_watcher.py`).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

MOST = 100
Letter = TypeVar("Letter")


def _same(letter: Letter) -> Letter:
    return letter


class _Waiting(Generic[Letter]):
    """Letters that were not read yet. Whoever calls it holds a lock."""

    def __init__(self, most: int, after_loss: Callable[[Letter], Letter]) -> None:
        self.dropped = 0
        self._letters: deque[Letter] = deque()
        self._most, self._after_loss, self._lost = most, after_loss, False

    def put(self, letter: Letter) -> bool:
        """Takes a letter in; whether the oldest was dropped for it."""
        full = len(self._letters) >= self._most
        if full:
            self._letters.popleft()
            self.dropped += 1
            self._lost = True
        self._letters.append(letter)
        return full

    def take(self) -> Letter:
        """The oldest letter; as `after_loss` makes it, where one before it was dropped."""
        letter, lost, self._lost = self._letters.popleft(), self._lost, False
        return self._after_loss(letter) if lost else letter

    def __len__(self) -> int:
        return len(self._letters)


class Mailbox(Generic[Letter]):
    """Calls `read` with every letter, in order. At most `most` wait: one more, and the oldest is dropped; the letter
    after it is handed over as `after_loss` makes it. What `read` raises is counted and logged; the next one follows.
    """

    def __init__(
        self,
        read: Callable[[Letter], object],
        name: str,
        log: Any,
        most: int = MOST,
        after_loss: Callable[[Letter], Letter] = _same,
    ) -> None:
        self.name, self.told, self.failures = name, 0, 0
        self._read, self._log, self._most, self._closed = read, log, most, False
        self._waiting = _Waiting(most, after_loss)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"mailbox {name}", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many letters were never read, for too many waited."""
        return self._waiting.dropped

    def put(self, letter: Letter) -> None:
        """Hands a letter over, without waiting. After `close` it is not read any more."""
        with self._changed:
            lost = self._waiting.put(letter)
            self._changed.notify()
        if lost:
            self._log.warning("mailbox_full", subscriber=self.name, dropped=self.dropped, most=self._most)

    def close(self, wait_s: float = 1.0) -> None:
        """Ends the reader after what it reads now; waits for that so long at most."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(wait_s)

    def _run(self) -> None:
        while (letter := self._next()) is not None:
            try:
                self._read(letter[0])
                self.told += 1
            except Exception as cause:
                self.failures += 1
                said = f"{type(cause).__name__}: {cause}"
                self._log.error("subscriber_failed", subscriber=self.name, failures=self.failures, error=said)

    def _next(self) -> tuple[Letter] | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            return (self._waiting.take(),)


class LoopMailbox(Generic[Letter]):
    """Letters for one reader in the event loop it was made in, who iterates over `letters`. At most `most` wait, also
    while the loop is busy, as in a `Mailbox`."""

    def __init__(self, name: str, log: Any, most: int = MOST, after_loss: Callable[[Letter], Letter] = _same) -> None:
        self.name, self._log, self._most, self._closed = name, log, most, False
        self._waiting, self._lock = _Waiting(most, after_loss), threading.Lock()
        self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()

    @property
    def dropped(self) -> int:
        """How many letters were never read, for too many waited."""
        return self._waiting.dropped

    def put(self, letter: Letter) -> None:
        """Hands a letter over from any thread, without waiting."""
        with self._lock:
            first, lost = not self._waiting, self._waiting.put(letter)
        if first:
            self._wake()
        if lost:
            self._log.warning("mailbox_full", subscriber=self.name, dropped=self.dropped, most=self._most)

    def close(self) -> None:
        """Ends the iteration, from any thread, after what waits already."""
        self._closed = True
        self._wake()

    async def letters(self) -> AsyncGenerator[Letter, None]:
        """Every letter in order, waiting for each, until `close`."""
        while True:
            self._changed.clear()
            while self._waiting:
                with self._lock:
                    letter = self._waiting.take()
                yield letter
            if self._closed:
                return
            await self._changed.wait()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody reads any more
            self._loop.call_soon_threadsafe(self._changed.set)
