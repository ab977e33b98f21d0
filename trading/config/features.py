"""Settings of features: the measures of prices that reports and risk use, and what they are estimated from.

Belongs here: the section `features` of a desk's settings. Does not belong here: what a strategy estimates for itself
(its file says: `strategies.py`).
"""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field, model_validator

from trading.config.ceilings import within
from trading.config.settings import Code, StrictSettings


class TrainingUniverse(StrictSettings):
    """What correlations are estimated from."""

    instruments: Annotated[tuple[Code, ...], within("symbols")] = Field(
        (), strict=False, description="instruments correlations are estimated of; empty: all that have prices"
    )
    since: date | None = Field(None, strict=False, description="returns before are not used; none: all are")


class FeatureSettings(StrictSettings):
    """Measures of prices."""

    volatility_span_sessions: int = Field(35, ge=2, le=5000, description="span of the exponential deviation, sessions")
    volatility_min_sessions: int = Field(10, ge=2, le=5000, description="returns needed before a volatility")
    correlation_span_weeks: int = Field(75, ge=2, le=1000, description="span of the exponential correlation, weeks")
    correlation_min_weeks: int = Field(10, ge=2, le=1000, description="weekly returns needed before a correlation")
    training: TrainingUniverse = Field(default_factory=TrainingUniverse, description="what correlations are of")

    @model_validator(mode="after")
    def _reachable(self) -> FeatureSettings:
        pairs = (
            ("volatility_min_sessions", "volatility_span_sessions", 10),
            ("correlation_min_weeks", "correlation_span_weeks", 10),
        )
        for least, span, times in pairs:
            if getattr(self, least) > times * getattr(self, span):
                raise ValueError(
                    f"features.{least} ({getattr(self, least)}) is more than {times} times features.{span} "
                    f"({getattr(self, span)}): what is waited for no longer counts. Lower the first."
                )
        return self
