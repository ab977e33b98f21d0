"""When estimates are made anew, and from what: the dates of refits.

Belongs here: dates. Does not belong here: an estimate. Definitions: reference numbers, section 10.

Counted from the first date, a refit is what a desk would have had on that date. The reference counts back from the last
date of the data, so that each new day of data moves the refits of the past; and it asks of the row dated with the fit's
end whether a series has data, a row that holds later days where weeks are named by their first day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trading.kernels.averages import Floats

Days = npt.NDArray[np.datetime64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Counted = Literal["from_start", "from_end"]


@dataclass(frozen=True, slots=True)
class Refits:
    """Estimate k uses rows dated from `window_start[k]` to before `used_from[k]`, and holds from `used_from[k]` on.

    Shapes (n_refits,). The first is the first date of all, when nothing is known. `counted`: see the module.
    """

    used_from: Days
    window_start: Days
    counted: Counted

    def in_force(self, sessions: Days) -> Integers:
        """The refit that holds on each session: the last used from that day or earlier; -1 before the first."""
        return np.searchsorted(self.used_from, sessions, side="right") - 1

    def counts(self, labels: Days) -> Integers:
        """How many rows of data, dated `labels`, each refit may use: those dated before it; -1 for the first."""
        found = np.searchsorted(labels, self.used_from, side="left")
        found[0] = -1
        return found

    def seen(self, labels: Days, values: Floats) -> Flags:
        """Which columns of `values` (n_rows, n_columns), dated `labels`, had data in each refit's window.

        From the end, a row dated with the fit's end counts too, as in the reference.
        """
        present = np.zeros((len(values) + 1, values.shape[1]), dtype=np.int64)
        np.cumsum(np.isfinite(values), axis=0, out=present[1:])
        stop = np.searchsorted(labels, self.used_from, side="right" if self.counted == "from_end" else "left")
        start = np.searchsorted(labels, self.window_start, side="left")
        found: Flags = present[stop] > present[np.minimum(start, stop)]
        return found


def refits(labels: Days, days: int, counted: Counted, rolling: int | None = None) -> Refits:
    """Refits `days` apart over data dated `labels`. Windows begin with the data, or `rolling` refits earlier.

    From the start: the first date plus whole steps, to the last date. From the end: the last date less whole steps; the
    earliest of them begins no estimate, and the last date none either. Raises ValueError without a date.
    """
    if len(labels) == 0:
        raise ValueError("no dates to refit an estimate on: give at least one row of data")
    first, last, step = labels[0], labels[-1], np.timedelta64(days, "D")
    steps = int((last - first) // step)
    if counted == "from_start":
        dates = first + np.arange(steps + 1) * step
        used = dates[1:]
    else:
        dates = last - np.arange(steps, -1, -1) * step
        used = dates[1:-1]
    windows = np.full(len(used), first)
    if rolling is not None and len(used) > rolling:
        windows[rolling:] = dates[1 : len(used) - rolling + 1]
    return Refits(np.concatenate(([first], used)), np.concatenate(([first], windows)), counted)
