"""Settings of risk: limits on the whole book.

Belongs here: the section `risk` of a desk's settings. Does not belong here: limits on single instruments
(`symbols.py`), or judging anything (`trading/risk/`).
"""

from __future__ import annotations

from pydantic import Field

from trading.config.settings import StrictSettings


class RiskSettings(StrictSettings):
    """What no order and no position may pass. Fractions are of capital."""

    max_gross_exposure_fraction: float = Field(20.0, ge=0, le=1000, description="sum of |notional| / capital")
    max_daily_loss_fraction: float = Field(0.05, ge=0, le=1, description="session loss / capital that stops new orders")
