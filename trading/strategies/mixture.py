"""From a strategy's rules to one forecast an instrument: scaling, capping, weighting.

Belongs here: forecasts as arrays of shape `(n_sessions, n_instruments)`. Does not belong here: a rule (`rules/`), or a
position (`optimal.py`). Definitions: reference numbers, sections 5 to 7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trading.config.strategies import StrategySettings
from trading.errors import CalculationError, DaybookError
from trading.kernels.averages import filled, of_span
from trading.kernels.holdings import combined_forecasts, is_always_zero
from trading.strategies.rule import ForecastRule, Market, rule_named, rules
from trading.strategies.volatility import estimated
from trading.strategies.workbench import Workbench

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Raw forecasts by rule name, the same `scaled` (shape `(n_rules, n_sessions, n_instruments)`, rules in that
    order), and `combined`; `first` and `last` are the rows of each instrument between which it has a combined forecast
    (0 before any rule has one, NaN outside)."""

    raw: Mapping[str, Floats]
    scaled: Floats
    cap: float
    combined: Floats
    first: Integers
    last: Integers

    @property
    def capped(self) -> Mapping[str, Floats]:
        """Scaled forecasts within the cap, by rule name."""
        return dict(zip(self.raw, np.clip(self.scaled, -self.cap, self.cap), strict=True))


def market_of(bench: Workbench, strategy: StrategySettings) -> Market:
    """What rules see of the bench's panel, with the strategy's volatility."""
    panel = bench.panel

    def make() -> Market:
        volatility = estimated(panel.price, panel.first, panel.last, strategy.volatility)
        return Market(panel.price, volatility, filled(volatility), panel.carry)

    return bench.once(("market", strategy.volatility), make)


def forecasts(
    bench: Workbench, strategy: StrategySettings, known: Mapping[str, ForecastRule[Any]] | None = None
) -> Forecasts:
    """All forecasts of a strategy on the instruments of the bench's panel. `known` are the rules there are.

    Raises ConfigError on an unknown rule or parameter, CalculationError where a rule fails.
    """
    known = bench.once("rules", rules) if known is None else dict(known)
    used = {name: rule_named(rule.rule, known) for name, rule in sorted(strategy.rules.items())}
    raw = {name: _raw(bench, strategy, name, rule) for name, rule in used.items()}
    scaled = np.empty((len(raw), *bench.panel.price.shape))
    for place, (name, values) in enumerate(raw.items()):
        np.multiply(values, _scalar(strategy, name, values), out=scaled[place])
    cap = strategy.forecasts.cap
    smoothing = strategy.forecasts.weight_smoothing_span
    weights = _affordable(bench, strategy, rule_weights(strategy, bench.panel.instruments), scaled)
    with_carry = weights[[rule.uses_carry for rule in used.values()]].any(axis=0)
    first, last = _rows(bench, np.asarray(with_carry, dtype=np.bool_))
    combined = combined_forecasts(
        scaled, weights, _multipliers(bench, strategy, scaled, weights, first, last), cap,
        of_span(smoothing) if smoothing > 0 else 0.0, first, last,
    )  # fmt: skip
    return Forecasts(raw, scaled, cap, combined, first, last)


def _affordable(bench: Workbench, strategy: StrategySettings, weights: Floats, scaled: Floats) -> Floats:
    ceiling, cap = strategy.forecasts.cost_ceiling_sharpe, strategy.forecasts.cap
    if ceiling is None:
        return weights
    from trading.strategies.rule_costs import affordable, annual_costs

    panel, volatility = bench.panel, market_of(bench, strategy).volatility
    costs = annual_costs(panel, strategy, np.clip(scaled, -cap, cap), volatility, panel.first, panel.last)
    return affordable(weights, costs, ceiling)


def rule_weights(strategy: StrategySettings, instruments: tuple[str, ...]) -> Floats:
    """Weights of the rules in order of name, shape `(n_rules, n_instruments)`; an instrument's own where given."""
    own = strategy.forecasts.weights
    common = {name: rule.weight for name, rule in strategy.rules.items()}
    return np.array(
        [[own.get(code, common).get(name, 0.0) for code in instruments] for name in sorted(strategy.rules)],
        dtype=np.float64,
    )


def _raw(bench: Workbench, strategy: StrategySettings, name: str, rule: ForecastRule[Any]) -> Floats:
    settings = strategy.rules[name]

    def make() -> Floats:
        given = rule.read(dict(settings.parameters), f"strategy {strategy.name}, rules.{name}")
        values = _forecast(rule, market_of(bench, strategy), given)
        return _without_zeros(values) if strategy.forecasts.zero_rules == "missing" else values

    parameters = tuple(sorted(settings.parameters.items()))
    return bench.once(("raw", rule, parameters, strategy.volatility, strategy.forecasts.zero_rules), make)


def _forecast(rule: ForecastRule[Any], market: Market, given: Any) -> Floats:
    """What a rule gives. Raises CalculationError, naming the rule, where it fails or gives another shape."""
    try:
        values = np.asarray(rule.forecast(market, given), dtype=np.float64)
    except DaybookError:
        raise
    except Exception as cause:
        raise CalculationError(
            f"rule {rule.name} failed: {type(cause).__name__}: {cause}. Correct the file of the rule."
        ) from cause
    if values.shape != market.price.shape:
        raise CalculationError(
            f"rule {rule.name} gave an array of shape {values.shape} for prices of {market.price.shape} (sessions, "
            "instruments). Give a forecast for each session and instrument, NaN where there is none."
        )
    return values


def _without_zeros(raw: Floats) -> Floats:
    """A forecast that is zero wherever it is known counts as missing: the reference's way, which needs the future."""
    empty = is_always_zero(raw)
    return np.where(empty, np.nan, raw) if empty.any() else raw


def _scalar(strategy: StrategySettings, name: str, raw: Floats) -> Floats | float:
    scalar = strategy.rules[name].scalar
    if not isinstance(scalar, str):
        return scalar
    from trading.strategies.estimates import scalars

    return scalars(raw, strategy.forecasts)[:, None]


def _multipliers(
    bench: Workbench, strategy: StrategySettings, scaled: Floats, weights: Floats, first: Integers, last: Integers
) -> Floats:
    given, own = strategy.forecasts.multiplier, strategy.forecasts.multipliers
    if isinstance(given, str):
        from trading.strategies.estimates import forecast_multipliers

        return forecast_multipliers(bench.panel, strategy, scaled, weights, first, last)
    return np.array([[own.get(code, given) for code in bench.panel.instruments]], dtype=np.float64)


def _rows(bench: Workbench, with_carry: npt.NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """Rows of each instrument's forecasts: its price's, and `with_carry`, where it has such a rule, its contracts'."""
    panel = bench.panel
    first, last = np.minimum(panel.first, panel.held_first), np.maximum(panel.last, panel.held_last)
    return np.where(with_carry, first, panel.first), np.where(with_carry, last, panel.last)
