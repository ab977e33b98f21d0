"""Calendars that were worked out once, kept in a folder: the calendar library takes seconds for some exchanges.

Belongs here: writing and reading them. Does not belong here: working them out. Losing the folder loses nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path

Days = tuple[set[date], set[date]]  # sessions, early closes


def remembered(folder: Path | None, name: str, work_out: Callable[[], Days]) -> Days:
    """Sessions and early closes kept under a name, worked out and kept if they are not; `folder` None keeps nothing.

    The name must say all that the answer depends on. A file that cannot be read or written is as good as none.
    """
    if folder is None:
        return work_out()
    file = folder / f"{name}.json"
    with contextlib.suppress(OSError, ValueError, KeyError):
        kept = json.loads(file.read_text())
        return _days(kept["sessions"]), _days(kept["early_closes"])
    sessions, early = work_out()
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{name}.{os.getpid()}"
        draft.write_text(json.dumps({"sessions": _ordinals(sessions), "early_closes": _ordinals(early)}))
        draft.replace(file)
    return sessions, early


def _ordinals(days: set[date]) -> list[int]:
    return sorted(day.toordinal() for day in days)


def _days(ordinals: list[int]) -> set[date]:
    return {date.fromordinal(number) for number in ordinals}
