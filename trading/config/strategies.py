"""A strategy as a typed, frozen value: everything between prices and contracts, and what its trades cost.

Belongs here: the settings of one strategy file. Does not belong here: the desk's settings (`models.py`), reading files
(`pipelines/authored.py`), or any calculation.

Where the reference system does something that is not sound, the sound choice is the default and the reference's is
named: set it for parity. Options that let a past number depend on later data are listed in `SEES_THE_FUTURE`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from trading.config.refusals import did_you_mean
from trading.config.settings import Code, Name, StrictSettings, refuse_in_the_clear

Estimated = Literal["estimated"]
Weight = Annotated[float, Field(ge=0, le=1000)]
Scalar = Annotated[float, Field(ge=-1e9, le=1e9)]
Parameter = Annotated[float, Field(ge=-1e12, le=1e12)] | Annotated[int, Field(ge=-(10**12), le=10**12)]
Multiplier = Annotated[float, Field(gt=0, le=100)]
SumOfWeights = Literal["one", "any"]
NEAR_ONE = 0.01  # weights written with two digits need not sum to 1 exactly

ANY = "any value"  # in SEES_THE_FUTURE: whatever the option is set to, none alone does not

SEES_THE_FUTURE: dict[str, object] = {
    "volatility.backfill": True,
    "forecasts.zero_rules": "missing",
    "forecasts.scalar_backfill": True,
    "forecasts.refits": "from_end",
    "forecasts.cost_ceiling_sharpe": ANY,
    "portfolio.refits": "from_end",
    "risk_overlay.refits": "from_end",
    "risk_overlay.backfill": True,
    "costs.method": "sharpe",
    "costs.rolls": "calendar",
    "costs.deflator": "final_volatility",
    "costs.same_date": "last",
    "weekend_rows": "friday",
}


class VolatilitySettings(StrictSettings):
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
    least_points: float = Field(1e-10, ge=0, le=1e12, description="no volatility is smaller, points")
    unknown_below_fraction: float = Field(
        1e-6,
        ge=0,
        le=0.01,
        description="a volatility below this share of the largest price so far is unknown: nothing is sized by it",
    )
    backfill: bool = Field(False, description="the first volatility also counts before it is known")


class RuleSettings(StrictSettings):
    """One forecasting rule of a strategy, with its parameters."""

    rule: Name = Field(description="which rule: a file of trading/strategies/rules")
    parameters: dict[Name, Parameter] = Field(default_factory=dict, max_length=20, description="as the rule says")
    scalar: Scalar | Estimated = Field(1.0, description="makes the average absolute forecast 10, or `estimated`")
    weight: Weight = Field(description="share of the combined forecast")

    @field_validator("scalar")
    @classmethod
    def _positive(cls, scalar: float | str) -> float | str:
        if not isinstance(scalar, str) and not 0 < scalar < 1e9:
            raise ValueError("give a positive number or 'estimated'")
        return scalar


class EstimateSettings(StrictSettings):
    """How a diversification multiplier is estimated from correlations."""

    span: int = Field(250, ge=2, le=100_000, description="span of the exponential correlation, weeks")
    min_periods: int = Field(20, ge=2, le=100_000, description="weeks needed before a correlation")
    floor_at_zero: bool = Field(True, description="negative correlations count as zero")
    smoothing_span: float = Field(125, ge=1, le=5000, description="span of the multiplier's smoothing, sessions")
    largest: float = Field(2.5, ge=1, le=100, description="no multiplier is larger")


class ForecastSettings(StrictSettings):
    """How the forecasts of several rules become one."""

    cap: float = Field(20.0, gt=0, le=1000, description="largest absolute forecast")
    average: float = Field(10.0, gt=0, le=1000, description="average absolute forecast that scalars aim at")
    multiplier: Multiplier | Estimated = Field(1.0, description="forecast diversification multiplier, or `estimated`")
    multipliers: dict[Code, Multiplier] = Field(
        default_factory=dict, max_length=2000, description="the same for single instruments"
    )
    weights: dict[Code, Annotated[dict[Name, Weight], Field(max_length=100)]] = Field(
        default_factory=dict,
        max_length=2000,
        description="weights of rules for single instruments, in place of the rules' own",
    )
    sum_of_weights: SumOfWeights = Field(
        "one", description="one: weights of rules sum to 1 within 0.01; any: only their ratios count"
    )
    weight_smoothing_span: float = Field(125, ge=0, le=5000, description="span that weights change with; 0: at once")
    cost_ceiling_sharpe: float | None = Field(
        None, ge=0, le=1e6, description="rules that cost more than this, in Sharpe a year, are left out; none: none is"
    )
    zero_rules: Literal["kept", "missing"] = Field(
        "kept", description="missing: a rule that is zero on every session counts as absent"
    )
    scalar_min_periods: int = Field(500, ge=1, le=20_000, description="estimated scalars: sessions needed")
    scalar_backfill: bool = Field(False, description="estimated scalars: the first also counts before it is known")
    refits: Literal["from_start", "from_end"] = Field(
        "from_start", description="estimated: yearly refits counted from the first session, or back from the last"
    )
    estimate: EstimateSettings = Field(default_factory=EstimateSettings, description="of the multiplier")


class PortfolioSettings(StrictSettings):
    """How positions in several instruments become a portfolio."""

    weights: dict[Code, Weight] = Field(
        default_factory=dict, max_length=2000, description="instrument weights; empty: equal"
    )
    sum_of_weights: SumOfWeights = Field(
        "one", description="one: weights of instruments sum to 1 within 0.01; any: only their ratios count"
    )
    weight_smoothing_com: float = Field(
        125, ge=0, le=5000, description="centre of mass that weights change with, sessions; 0: at once"
    )
    multiplier: Multiplier | Estimated = Field(1.0, description="instrument diversification multiplier, or `estimated`")
    refits: Literal["from_start", "from_end"] = Field(
        "from_start", description="estimated: yearly refits counted from the first session, or back from the last"
    )
    estimate: EstimateSettings = Field(default_factory=EstimateSettings, description="of the multiplier")


class BufferSettings(StrictSettings):
    """When a difference from the optimal position is traded."""

    method: Literal["position", "forecast", "none"] = Field(
        "forecast", description="zone as a share of the position, or of the position at an average forecast"
    )
    fraction: float = Field(0.10, ge=0, le=1, description="half the zone as a share")
    trade_to: Literal["optimal", "edge"] = Field("optimal", description="where a position outside the zone goes")
    whole_contracts: bool = Field(True, description="positions are whole contracts")


class RiskOverlaySettings(StrictSettings):
    """Scales all positions down where portfolio risk passes a limit. Fractions are of the volatility target."""

    normal_fraction: float | None = Field(None, gt=0, le=1e6, description="expected deviation; none: no limit")
    shocked_fraction: float | None = Field(
        None, gt=0, le=1e6, description="the same with volatilities at their 99 % quantile"
    )
    sum_absolute_fraction: float | None = Field(None, gt=0, le=1e6, description="sum of risks without diversification")
    leverage: float | None = Field(None, gt=0, le=1e6, description="sum of position values / capital")
    refits: Literal["from_start", "from_end"] = Field(
        "from_start", description="weekly correlation refits counted from the first session, or back from the last"
    )
    backfill: bool = Field(False, description="the first shocked volatility also counts before it is known")
    missing_correlations: Literal["zero", "no_risk"] = Field(
        "zero", description="no_risk: with a correlation missing, or one instrument alone, deviations are 0"
    )

    @property
    def limits(self) -> bool:
        """Whether any limit is set, so that risk must be known for every session."""
        given = (self.normal_fraction, self.shocked_fraction, self.sum_absolute_fraction, self.leverage)
        return any(value is not None for value in given)


class CostSettings(StrictSettings):
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
    same_date: Literal["added", "last"] = Field(
        "added", description="several costs on one date: their sum, or the one that the reference's sorting leaves"
    )


class ExecutionSettings(StrictSettings):
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


class StrategySettings(StrictSettings):
    """A strategy: rules, how forecasts become contracts, and what trading costs."""

    name: Name = Field(description="unique name")
    description: Annotated[str, AfterValidator(refuse_in_the_clear)] = Field(
        "", max_length=500, description="what it is, for people"
    )
    rules: dict[Name, RuleSettings] = Field(min_length=1, max_length=100, description="rules by name")
    instruments: tuple[Code, ...] = Field(
        (), max_length=2000, strict=False, description="instruments; empty: all there are"
    )
    prices_since: date | None = Field(None, strict=False, description="prices before are not used; none: all are")
    capital_share: float = Field(1.0, gt=0, le=1, description="share of the desk's capital")
    capital_base: float | None = Field(None, gt=0, le=1e13, description="capital; none: the desk's")
    base_currency: str | None = Field(None, pattern=r"^[A-Z]{3}$", description="currency of capital; none: the desk's")
    volatility_target_percent: float | None = Field(None, gt=0, le=200, description="annual; none: the desk's")
    compounding: Literal["fixed", "half", "full"] = Field("fixed", description="how profit changes capital")
    drawdown_from: Literal["start", "first_value"] = Field(
        "start", description="drawdowns count from nothing earned, or from the curve's first value"
    )
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

    @model_validator(mode="after")
    def _fits_together(self) -> StrategySettings:
        found = [*_doubtful_weights(self), *_doubtful_names(self), *_doubtful_sizes(self)]
        if found:
            raise ValueError(" ".join(found))
        return self


def sees_the_future(strategy: StrategySettings) -> tuple[str, ...]:
    """Names of the options that let a past number depend on later data (`SEES_THE_FUTURE`) and have an effect here."""
    values = strategy.model_dump()
    idle = _without_effect(strategy)
    return tuple(path for path in SEES_THE_FUTURE if path not in idle and is_set(values, path))


def is_set(values: Mapping[str, object], path: str) -> bool:
    """Whether an option of SEES_THE_FUTURE has the value that does, in a strategy's settings as plain values."""
    value, given = SEES_THE_FUTURE[path], value_at(values, path)
    return given is not None if value is ANY else given == value


def _without_effect(strategy: StrategySettings) -> set[str]:
    """Options about estimates of a strategy that estimates nothing, and about limits of one that has none."""
    used = {
        "forecasts.scalar_backfill": any(rule.scalar == "estimated" for rule in strategy.rules.values()),
        "forecasts.refits": strategy.forecasts.multiplier == "estimated",
        "portfolio.refits": strategy.portfolio.multiplier == "estimated",
        "risk_overlay.refits": strategy.risk_overlay.limits,
        "risk_overlay.backfill": strategy.risk_overlay.limits,
        "costs.rolls": strategy.costs.method == "cash",
        "costs.deflator": strategy.costs.method == "cash",
        "costs.same_date": strategy.costs.method == "cash",
    }
    return {path for path, has_effect in used.items() if not has_effect}


def value_at(values: Mapping[str, object], path: str) -> object:
    """The value of a setting by dotted path, in a strategy's settings as plain values."""
    section, _, name = path.partition(".")
    inner = values[section]
    return inner[name] if isinstance(inner, Mapping) else inner


# --- what single settings cannot see ----------------------------------------------------------------------------------
def _doubtful_weights(strategy: StrategySettings) -> Iterator[str]:
    forecasts, portfolio = strategy.forecasts, strategy.portfolio
    common = {name: rule.weight for name, rule in strategy.rules.items()}
    uncovered = not strategy.instruments or set(strategy.instruments) - set(forecasts.weights)
    if uncovered:
        yield from _sum("weights of the rules", common, forecasts.sum_of_weights, "forecasts")
    for code, weights in forecasts.weights.items():
        yield from _sum(f"forecasts.weights.{code}", weights, forecasts.sum_of_weights, "forecasts")
    if portfolio.weights:
        yield from _sum("portfolio.weights", portfolio.weights, portfolio.sum_of_weights, "portfolio")


def _sum(what: str, weights: Mapping[str, float], wanted: SumOfWeights, section: str) -> Iterator[str]:
    total = sum(weights.values())
    if total <= 0:
        yield f"{what}: all are 0. Give at least one a weight."
    elif wanted == "one" and abs(total - 1) > NEAR_ONE + 1e-9:
        yield (
            f"{what} sum to {total:.6g}, not 1 (within {NEAR_ONE:g}). "
            f"Correct them, or set {section}.sum_of_weights = 'any' if only their ratios matter."
        )


def _doubtful_names(strategy: StrategySettings) -> Iterator[str]:
    codes = strategy.instruments
    twice = sorted({code for code in codes if codes.count(code) > 1})
    if twice:
        yield f"instruments lists {', '.join(twice)} more than once."
    forecasts, weights = strategy.forecasts, strategy.portfolio.weights
    for code, own in forecasts.weights.items():
        yield from _unknown(f"forecasts.weights.{code} names", own, strategy.rules, "the rules are")
    if codes:
        yield from _unknown("forecasts.weights names", forecasts.weights, codes, "instruments lists")
        yield from _unknown("forecasts.multipliers names", forecasts.multipliers, codes, "instruments lists")
        yield from _unknown("portfolio.weights names", weights, codes, "instruments lists")
    without = [code for code in codes if weights and code not in weights]
    if without:
        yield f"portfolio.weights has none for {', '.join(without)}. Add them, or remove all for equal weights."
    if weights and not codes:
        yield "portfolio.weights is given but instruments is empty. List the same instruments there."


def _unknown(what: str, given: Iterable[str], known: Iterable[str], words: str) -> Iterator[str]:
    listed = list(known)
    for name in given:
        if name not in listed:
            yield f"{what} {name}, but {words} {', '.join(listed)}.{did_you_mean(name, listed)}"


def _doubtful_sizes(strategy: StrategySettings) -> Iterator[str]:
    volatility, forecasts = strategy.volatility, strategy.forecasts
    if forecasts.average > forecasts.cap:
        yield f"forecasts.average ({forecasts.average:g}) is above forecasts.cap ({forecasts.cap:g})."
    if volatility.method == "simple" and volatility.min_periods > volatility.window:
        yield (
            f"volatility.min_periods ({volatility.min_periods}) is above volatility.window ({volatility.window}): "
            "there would never be a volatility."
        )
    if volatility.method == "robust" and volatility.floor_min_periods > volatility.floor_rows:
        yield (
            f"volatility.floor_min_periods ({volatility.floor_min_periods}) is above volatility.floor_rows "
            f"({volatility.floor_rows}): there would never be a floor."
        )
