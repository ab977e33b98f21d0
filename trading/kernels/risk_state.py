"""The arrays of the risk engine, and the one handle of all of them that loops are given.

Belongs here: what arrays there are. Does not belong here: their columns, or loops over them (`risk_checks.py`).

A loop that is given twenty arrays spends more time on being called than on what it does; it is given the handle, which
is one thing that refers to them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled, record

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class State(NamedTuple):
    """All arrays of an engine. (columns, elements): `lines`, `own` of instruments, `holdings`; `totals` (flat); `rows`
    (rules' axes, columns); `groups` (5, instruments); `line_weights` (w, lines) and `own_weights` (w, instruments), 0
    where `..._holes` is 1; `directions` (instruments, k) of the covariance; `scenarios` (instruments, days); `standing`
    (1 + strategies, 3); `levels` (2, places): refuse and warn; `flags` (2, places): judges and lenient; `orders`
    (capacity, columns) and the places free among them; `counts`; `ticks` (1 + strategies, 2, 60) orders and fills by
    second, `seconds` of the same shape but the last: which second each is of."""

    lines: Floats
    own: Floats
    holdings: Floats
    totals: Floats
    rows: Integers
    spans: Integers
    groups: Integers
    line_weights: Floats
    own_weights: Floats
    line_holes: Bytes
    own_holes: Bytes
    directions: Floats
    scenarios: Floats
    standing: Floats
    levels: Floats
    flags: Bytes
    orders: Floats
    free: Integers
    counts: Integers
    ticks: Integers
    seconds: Integers


ARRAYS = {
    "lines": ("float64", 2),
    "own": ("float64", 2),
    "holdings": ("float64", 2),
    "totals": ("float64", 1),
    "rows": ("int64", 2),
    "spans": ("int64", 2),
    "groups": ("int64", 2),
    "line_weights": ("float64", 2),
    "own_weights": ("float64", 2),
    "line_holes": ("uint8", 2),
    "own_holes": ("uint8", 2),
    "directions": ("float64", 2),
    "scenarios": ("float64", 2),
    "standing": ("float64", 2),
    "levels": ("float64", 2),
    "flags": ("uint8", 2),
    "orders": ("float64", 2),
    "free": ("int64", 1),
    "counts": ("int64", 1),
    "ticks": ("int64", 3),
    "seconds": ("int64", 3),
}  # kind and dimensions of each
_new = record("StateRecord", ARRAYS)


@compiled
def _handle(state: Any) -> Any:
    handle = _new()
    handle.lines = state.lines
    handle.own = state.own
    handle.holdings = state.holdings
    handle.totals = state.totals
    handle.rows = state.rows
    handle.spans = state.spans
    handle.groups = state.groups
    handle.line_weights = state.line_weights
    handle.own_weights = state.own_weights
    handle.line_holes = state.line_holes
    handle.own_holes = state.own_holes
    handle.directions = state.directions
    handle.scenarios = state.scenarios
    handle.standing = state.standing
    handle.levels = state.levels
    handle.flags = state.flags
    handle.orders = state.orders
    handle.free = state.free
    handle.counts = state.counts
    handle.ticks = state.ticks
    handle.seconds = state.seconds
    return handle


def handle_of(state: State) -> State:
    """What loops are given: it has the same arrays under the same names, for compiled code only."""
    found: State = _handle(state)
    return found
