"""When a long copy says how far it is. Does not belong here: where the words go (a terminal, a run's log)."""

from __future__ import annotations

from collections.abc import Callable

_FILES = 100


def told(say: Callable[[str], None]) -> Callable[[int, int, str], None]:
    """A Progress (`trading.ports`) that says a line every tenth of the files, of 100 at least, and when all are copied.

    Small desks are done before a line would be read, so they get the last line only.
    """

    def progress(done: int, total: int, what: str) -> None:
        if done == total or (done and done % max(_FILES, total // 10) == 0):
            say(f"{done:,} of {total:,} files, now {what}")

    return progress
