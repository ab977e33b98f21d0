"""A letter box with one reader in a thread of its own: whoever puts something in never waits for the reader, and a
reader that fails or is slow is nobody else's concern.

Belongs here: the bounded queue, the thread, and counts of what went wrong. Does not belong here: who reads what
(`config_watcher.py`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

MOST = 100
Letter = TypeVar("Letter")


def _same(letter: Letter) -> Letter:
    return letter


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
        self.name, self.told, self.failures, self.dropped = name, 0, 0, 0
        self._read, self._log, self._after_loss = read, log, after_loss
        self._waiting: deque[Letter] = deque()
        self._most, self._lost, self._closed = most, False, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"mailbox {name}", daemon=True)
        self._thread.start()

    def put(self, letter: Letter) -> None:
        """Hands a letter over, without waiting. After `close` it is not read any more."""
        with self._changed:
            lost = len(self._waiting) >= self._most
            if lost:
                self._waiting.popleft()
                self.dropped += 1
                self._lost = True
            self._waiting.append(letter)
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
            letter, lost, self._lost = self._waiting.popleft(), self._lost, False
        return (self._after_loss(letter) if lost else letter,)
