"""Settings of risk: limits on the whole book, and all limits as the rules read them.

Belongs here: the section `risk` of a desk's settings, and `Limits`. Does not belong here: limits on single instruments
(`symbols.py`), or judging anything (`trading/risk/`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pydantic import Field

from trading.config.settings import Settings
from trading.config.symbol_fields import SymbolSettings


class RiskSettings(Settings):
    """What no order and no position may pass. Fractions are of capital."""

    max_gross_exposure_fraction: float = Field(20.0, ge=0, le=1000, description="sum of |notional| / capital")
    max_daily_loss_fraction: float = Field(0.05, ge=0, le=1, description="session loss / capital that stops new orders")


class OfSymbol(Protocol):
    """What is in force for an instrument, for a strategy or for none."""

    def __call__(self, code: str, strategy: str | None = None) -> SymbolSettings:
        """Its settings."""
        ...


def as_shipped(code: str, strategy: str | None = None) -> SymbolSettings:
    """The settings that every instrument has where nothing was set."""
    return SymbolSettings()


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit: on the book as fractions of capital, on the number of a session's orders, and by `of` on
    instruments."""

    max_gross_exposure_fraction: float = 20.0
    max_daily_loss_fraction: float = 0.05
    max_orders: int = 10_000
    of: OfSymbol = field(default=as_shipped)
