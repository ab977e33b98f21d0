"""When a difference between what is held and what is optimal is worth a trade.

Belongs here: the no-trade zone around the optimal position. Does not belong here: the optimal position (`sizing.py`).
Source: Carver, Systematic Trading, chapter 12.
"""

from __future__ import annotations

import math


def forecast_half_width(average: float, fraction: float) -> float:
    """Half the no-trade zone as a share of the position at an average forecast, in contracts: it does not vanish
    when the forecast is near zero."""
    return abs(average) * fraction


def buffered(held: int, optimal: float, half_width: float) -> int:
    """Whole contracts to hold next: `held` inside the zone, else the rounded optimal position.

    Optimal, top and bottom are rounded half to even before they are compared; NaN in any of them keeps `held`.
    """
    if math.isnan(optimal) or math.isnan(half_width):
        return held
    top, bottom = round(optimal + half_width), round(optimal - half_width)
    return held if bottom <= held <= top else round(optimal)
