"""Every limit that risk rules read, as one value.

Belongs here: the value, and taking it out of a desk's settings. Does not belong here: bounds of the settings
(`trading/config/`), or a rule (one file each).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trading.config.models import DeskSettings
from trading.config.symbol_lookup import OfSymbol, as_shipped


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit: on the book as fractions of capital, on the number of a session's orders, and by `of` on
    instruments."""

    max_gross_exposure_fraction: float = 20.0
    max_daily_loss_fraction: float = 0.05
    max_orders: int = 10_000
    of: OfSymbol = field(default=as_shipped)


def limits_of(desk: DeskSettings) -> Limits:
    """The limits of a desk's settings."""
    return Limits(
        max_gross_exposure_fraction=desk.risk.max_gross_exposure_fraction,
        max_daily_loss_fraction=desk.risk.max_daily_loss_fraction,
        max_orders=desk.trading.orders.max_per_session,
        of=desk.symbol,
    )
