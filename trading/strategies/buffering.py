"""When a difference between what is held and what is optimal is worth a trade: one instrument, one session.

Belongs here: the no-trade zone around the optimal position, for the close. Does not belong here: the same over all
sessions of a backtest (`trading/kernels/holdings.py`; a test holds the two together), or the optimal position and the
zone's width (`optimal.py`). Source: Carver, Systematic Trading, chapter 12.
"""

from __future__ import annotations

import math


def buffered(held: float, optimal: float, half_width: float, whole: bool = True, to_edge: bool = False) -> float:
    """Contracts to hold next: `held` inside the zone, else the optimal position or, with `to_edge`, the zone's edge.

    With `whole`, optimal, top and bottom are rounded half to even before they are compared. One that is not finite
    keeps `held`.
    """
    if not (math.isfinite(optimal) and math.isfinite(half_width)):
        return held
    top, bottom = optimal + half_width, optimal - half_width
    if whole:
        optimal, top, bottom = float(round(optimal)), float(round(top)), float(round(bottom))
    if held > top:
        return top if to_edge else optimal
    if held < bottom:
        return bottom if to_edge else optimal
    return held
