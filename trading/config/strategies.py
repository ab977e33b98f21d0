"""A strategy as a typed, frozen value: everything between prices and contracts, and what its trades cost.

Belongs here: the settings of one strategy file. Does not belong here: the desk's settings (`models.py`), reading files
(`pipelines/settings.py`), or any calculation.

Where the reference system does something that is not sound, the sound choice is the default and the reference's is
named: set it for parity. Options that let a past number depend on later data are listed in `SEES_THE_FUTURE`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from trading.config.settings import Name, Settings

Estimated = Literal["estimated"]

SEES_THE_FUTURE = {
    "volatility.backfill": True,
    "forecasts.zero_rules": "missing",
    "forecasts.scalar_backfill": True,
    "portfolio.refits": "from_end",
    "risk_overlay.refits": "from_end",
    "risk_overlay.backfill": True,
    "costs.deflator": "final_volatility",
    "weekend_rows": "friday",
}


class VolatilitySettings(Settings):
    """How the daily volatility of a price is estimated, in points."""

    method: Literal["mixed", "robust", "simple", "ewma", "garch"] = Field("mixed", description="estimator")
    returns: Literal["over_gaps", "consecutive"] = Field(
        "over_gaps", description="over_gaps: the next price has the move over a holiday; consecutive: it is lost"
    )
    span: int = Field(35, ge=2, le=5000, description="span of the exponential deviation, rows")
    min_periods: int = Field(10, ge=2, le=5000, description="returns needed before there is a volatility")
    slow_years: float = Field(10.0, gt=0, le=100, description="mixed: centre of mass of the slow average, years of 256")
    slow_share: float = Field(0.3, ge=0, le=1, description="mixed: share of the slow average")
    floor_rows: int = Field(500, ge=2, le=20_000, description="robust: rows the floor looks back")
    floor_min_periods: int = Field(100, ge=1, le=20_000, description="robust: rows needed before there is a floor")
    floor_quantile: float = Field(0.05, ge=0, le=1, description="robust: quantile that is the floor")
    window: int = Field(25, ge=2, le=5000, description="simple: rows of the rolling deviation")
    least_points: float = Field(1e-10, ge=0, description="no volatility is smaller, points")
    backfill: bool = Field(False, description="the first volatility also counts before it is known")


class RuleSettings(Settings):
    """One forecasting rule of a strategy, with its parameters."""

    rule: Name = Field(description="which rule: a file of trading/strategies/rules")
    parameters: dict[Name, float | int] = Field(default_factory=dict, max_length=20, description="as the rule says")
    scalar: float | Estimated = Field(1.0, description="makes the average absolute forecast 10, or `estimated`")
    weight: float = Field(ge=0, le=1, allow_inf_nan=False, description="share of the combined forecast")

    @field_validator("scalar")
    @classmethod
    def _positive(cls, scalar: float | str) -> float | str:
        if not isinstance(scalar, str) and not 0 < scalar < 1e9:
            raise ValueError("give a positive number or 'estimated'")
        return scalar


class EstimateSettings(Settings):
    """How a diversification multiplier is estimated from correlations."""

    span: int = Field(250, ge=2, le=100_000, description="span of the exponential correlation, weeks")
    min_periods: int = Field(20, ge=2, le=100_000, description="weeks needed before a correlation")
    floor_at_zero: bool = Field(True, description="negative correlations count as zero")
    smoothing_span: float = Field(125, ge=1, le=5000, description="span of the multiplier's smoothing, sessions")
    largest: float = Field(2.5, ge=1, le=100, description="no multiplier is larger")


class ForecastSettings(Settings):
    """How the forecasts of several rules become one."""

    cap: float = Field(20.0, gt=0, le=1000, description="largest absolute forecast")
    average: float = Field(10.0, gt=0, le=1000, description="average absolute forecast that scalars aim at")
    multiplier: float | Estimated = Field(1.0, description="forecast diversification multiplier, or `estimated`")
    multipliers: dict[Name, float] = Field(default_factory=dict, description="the same for single instruments")
    weights: dict[Name, dict[Name, float]] = Field(
        default_factory=dict, description="weights of rules for single instruments, in place of the rules' own"
    )
    weight_smoothing_span: float = Field(125, ge=0, le=5000, description="span that weights change with; 0: at once")
    zero_rules: Literal["kept", "missing"] = Field(
        "kept", description="missing: a rule that is zero on every session counts as absent"
    )
    scalar_min_periods: int = Field(500, ge=1, le=20_000, description="estimated scalars: sessions needed")
    scalar_backfill: bool = Field(False, description="estimated scalars: the first also counts before it is known")
    cost_ceiling_sharpe: float = Field(999.0, ge=0, description="rules dearer a year than this, in Sharpe, are dropped")
    estimate: EstimateSettings = Field(default_factory=EstimateSettings, description="of the multiplier")


class PortfolioSettings(Settings):
    """How positions in several instruments become a portfolio."""

    weights: dict[Name, float] = Field(default_factory=dict, description="instrument weights; empty: equal")
    weight_smoothing_com: float = Field(
        125, ge=0, le=5000, description="centre of mass that weights change with, sessions; 0: at once"
    )
    multiplier: float | Estimated = Field(1.0, description="instrument diversification multiplier, or `estimated`")
    refits: Literal["from_start", "from_end"] = Field(
        "from_start", description="estimated: yearly refits counted from the first session, or back from the last"
    )
    estimate: EstimateSettings = Field(default_factory=EstimateSettings, description="of the multiplier")


class BufferSettings(Settings):
    """When a difference from the optimal position is traded."""

    method: Literal["position", "forecast", "none"] = Field(
        "forecast", description="zone as a share of the position, or of the position at an average forecast"
    )
    fraction: float = Field(0.10, ge=0, le=1, description="half the zone as a share")
    trade_to: Literal["optimal", "edge"] = Field("optimal", description="where a position outside the zone goes")
    whole_contracts: bool = Field(True, description="positions are whole contracts")


class RiskOverlaySettings(Settings):
    """Scales all positions down where portfolio risk passes a limit. Fractions are of the volatility target."""

    normal_fraction: float | None = Field(None, gt=0, description="expected deviation; none: no limit")
    shocked_fraction: float | None = Field(None, gt=0, description="the same with volatilities at their 99 % quantile")
    sum_absolute_fraction: float | None = Field(None, gt=0, description="sum of risks without diversification")
    leverage: float | None = Field(None, gt=0, description="sum of position values / capital")
    refits: Literal["from_start", "from_end"] = Field(
        "from_start", description="weekly correlation refits counted from the first session, or back from the last"
    )
    backfill: bool = Field(False, description="the first shocked volatility also counts before it is known")

    @property
    def limits(self) -> bool:
        """Whether any limit is set, so that risk must be known for every session."""
        given = (self.normal_fraction, self.shocked_fraction, self.sum_absolute_fraction, self.leverage)
        return any(value is not None for value in given)


class CostSettings(Settings):
    """What trades cost in a backtest."""

    method: Literal["cash", "sharpe", "none"] = Field("cash", description="money a fill, or Sharpe a year")
    commission: Literal["sum", "largest"] = Field(
        "sum", description="commissions for each contract, trade and value: their sum, or the largest of them"
    )
    commission_price: Literal["held", "adjusted"] = Field("held", description="price a fraction of value is taken of")
    rolls: Literal["traded", "calendar"] = Field(
        "traded", description="both legs of each actual roll, or one fill at even dates of a year"
    )
    deflator: Literal["none", "final_volatility"] = Field(
        "none", description="final_volatility: costs of the past are smaller as volatility was, against the last"
    )
    first_cost: Literal["kept", "lost"] = Field("kept", description="lost: net is missing through the first cost")
    same_date: Literal["added", "last"] = Field("added", description="several costs of an instrument on one date")


class ExecutionSettings(Settings):
    """When a decision becomes a position, and at which rate money counts."""

    fills: Literal["when_traded", "next_session"] = Field(
        "when_traded", description="the next session with a price, or the next weekday with or without one"
    )
    rates: Literal["session", "midnight"] = Field(
        "session", description="last FX quote of the session, or the last one before its midnight began it"
    )
    start: Literal["flat", "rounded"] = Field(
        "flat", description="position of the first session: none, or the rounded optimal one"
    )


class StrategySettings(Settings):
    """A strategy: rules, how forecasts become contracts, and what trading costs."""

    name: Name = Field(description="unique name")
    description: str = Field("", max_length=500, description="what it is, for people")
    rules: dict[Name, RuleSettings] = Field(min_length=1, max_length=100, description="rules by name")
    instruments: tuple[Name, ...] = Field((), max_length=2000, description="instruments; empty: all there are")
    capital_share: float = Field(1.0, gt=0, le=1, description="share of the desk's capital")
    capital_base: float | None = Field(None, gt=0, le=1e13, description="capital; none: the desk's")
    base_currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="currency of capital; none: the desk's")
    volatility_target_percent: float | None = Field(None, gt=0, le=200, description="annual; none: the desk's")
    compounding: Literal["fixed", "half", "full"] = Field("fixed", description="how profit changes capital")
    weekend_rows: Literal["session", "friday"] = Field(
        "session", description="session of Saturday's and Sunday's rows: their own, Monday's, or Friday's before"
    )
    volatility: VolatilitySettings = Field(default_factory=VolatilitySettings, description="volatility of a price")
    forecasts: ForecastSettings = Field(default_factory=ForecastSettings, description="combining forecasts")
    portfolio: PortfolioSettings = Field(default_factory=PortfolioSettings, description="weights of instruments")
    buffer: BufferSettings = Field(default_factory=BufferSettings, description="no-trade zone")
    risk_overlay: RiskOverlaySettings = Field(default_factory=RiskOverlaySettings, description="limits of risk")
    execution: ExecutionSettings = Field(default_factory=ExecutionSettings, description="fills and rates")
    costs: CostSettings = Field(default_factory=CostSettings, description="costs of a backtest")
