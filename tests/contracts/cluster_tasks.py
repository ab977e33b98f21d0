"""What the workers of the cluster contract do: functions of a module that every worker can import."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np

from trading.errors import CalculationError


def doubled(shared: Any) -> Any:
    """Prepares: what is shared, times two, and the process that did it."""
    return {"doubled": shared * 2, "prepared_by": os.getpid()}


def same(shared: Any) -> Any:
    """Prepares nothing."""
    return shared


def unprepared(shared: Any) -> Any:
    """Cannot be prepared."""
    raise CalculationError("the panel is empty. Load prices.")


def looked_up(state: Any, item: int) -> float:
    """One of what was prepared."""
    return float(state["doubled"][item])


def whereabouts(state: Any, item: int) -> int:
    """The process that does it."""
    threading.Event().wait(0.02)
    return os.getpid()


def waited(state: Any, item: float) -> float:
    """Takes `item` seconds."""
    threading.Event().wait(item)
    return item


def computed(state: Any, item: float) -> float:
    """Takes for ever, without letting another thread run for long."""
    while True:
        item += 1.0


def refusing_seven(state: Any, item: int) -> int:
    """Raises on item 7."""
    if item == 7:
        raise CalculationError("item seven has no price. Load it.")
    return item


def hoard(shared: Any) -> list[Any]:
    """Prepares an empty hoard."""
    return []


def hoarding(state: list[Any], item: int) -> int:
    """Holds 20 MB more than before."""
    state.append(np.ones(2_500_000))
    threading.Event().wait(0.05)
    return item


def mortal(state: Any, item: tuple[int, str]) -> int:
    """Kills its own process at number 5: once where a file to mark it is named, always without."""
    number, mark = item
    if number == 5 and not (mark and Path(mark).exists()):
        if mark:
            Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slowly(shared: float) -> float:
    """Prepares for `shared` seconds."""
    threading.Event().wait(shared)
    return shared


def first_then_never(state: Any, item: int) -> int:
    """The process for the first items, and then something that never ends."""
    if item >= 1000:
        computed(state, 0.0)
    threading.Event().wait(0.06)
    return os.getpid()
