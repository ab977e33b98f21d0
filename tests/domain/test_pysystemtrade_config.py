"""Configurations of pysystemtrade become strategies, and what cannot be taken over is said.

Belongs here: the translation. Does not belong here: the command (`tests/days/test_strategy_files.py`).
"""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading.config.pysystemtrade import translated
from trading.config.strategies import StrategySettings
from trading.errors import ConfigError
from trading.strategies.rule import check_rules

PRICES, VOLATILITY = "rawdata.get_daily_prices", "rawdata.daily_returns_volatility"


def trend(fast: int, **more: Any) -> dict[str, Any]:
    """A crossover as pysystemtrade writes it."""
    arguments = {"Lfast": fast, "Lslow": 4 * fast}
    function = "systems.provided.rules.ewmac.ewmac"
    return {"function": function, "data": [PRICES, VOLATILITY], "other_args": arguments, **more}


def system(**more: Any) -> dict[str, Any]:
    """Two rules on two instruments."""
    given = {
        "trading_rules": {"a": trend(8, forecast_scalar=5.3), "b": trend(16, forecast_scalar=3.75)},
        "forecast_weights": {"a": 0.4, "b": 0.6},
        "instrument_weights": {"US10": 0.5, "CORN": 0.5},
        "forecast_div_multiplier": 1.2,
        "instrument_div_multiplier": 1.5,
        "percentage_vol_target": 25,
        "notional_trading_capital": 500_000,
        "base_currency": "EUR",
        **more,
    }
    return {key: value for key, value in given.items() if value is not None}


def imported(**more: Any) -> StrategySettings:
    """That system with some keys changed, as a strategy."""
    return translated(system(**more), "two")[0]


def notes(**more: Any) -> list[str]:
    """What the import says of it."""
    return translated(system(**more), "two")[1]


def test_chapter_15_is_the_shipped_strategy_to_the_last_setting(root: Path) -> None:
    given = yaml.safe_load((root / "tests" / "domain" / "pysystemtrade_chapter15.yaml").read_text())
    strategy, said = translated(given, "chapter15")
    shipped = tomllib.loads((root / "config" / "strategies" / "chapter15.toml").read_text())
    assert strategy == StrategySettings.model_validate(shipped)
    assert said == ["ewmac2_8, ewmac4_16, ewmac8_32 left out: they have no forecast weight."]


def test_what_a_complete_configuration_says_is_taken_without_a_word() -> None:
    strategy, said = translated(system(), "two")
    assert said == []
    assert (strategy.capital_base, strategy.base_currency, strategy.volatility_target_percent) == (500_000, "EUR", 25)
    assert strategy.instruments == ("CORN", "US10")
    assert {name: rule.weight for name, rule in strategy.rules.items()} == {"a": 0.4, "b": 0.6}
    assert (strategy.forecasts.multiplier, strategy.portfolio.multiplier) == (1.2, 1.5)


def test_what_is_left_out_has_the_shipped_value_and_is_said() -> None:
    keys = ("percentage_vol_target", "notional_trading_capital", "forecast_div_multiplier", "instrument_div_multiplier")
    strategy, said = translated(system(**dict.fromkeys(keys)), "two")
    assert (strategy.volatility_target_percent, strategy.capital_base) == (16, 1_000_000)
    assert (strategy.forecasts.multiplier, strategy.portfolio.multiplier) == (1, 1)
    assert [line.split()[0] for line in said if "the shipped" in line] == [keys[1], keys[0], keys[2], keys[3]]


VOLATILITIES = {
    "sysquant.estimators.vol.mixed_vol_calc": {"method": "mixed", "span": 35, "slow_years": 10, "slow_share": 0.3},
    "syscore.algos.robust_vol_calc": {"method": "robust", "span": 35, "floor_rows": 500, "floor_quantile": 0.05},
    "x.simple_vol_calc": {"method": "simple", "window": 35, "min_periods": 10, "least_points": 0},
    "x.simple_ewvol_calc": {"method": "ewma", "span": 35, "least_points": 0},
}


@pytest.mark.parametrize("function", VOLATILITIES)
def test_volatility_by_its_function_with_shipped_arguments(function: str) -> None:
    found = imported(volatility_calculation={"func": function}).volatility.model_dump()
    assert {name: found[name] for name in VOLATILITIES[function]} == VOLATILITIES[function]
    assert found["returns"] == "consecutive"
    assert found["backfill"] is False


def test_arguments_of_volatility() -> None:
    given = {"func": "mixed_vol_calc", "days": 30, "slow_vol_years": 20, "proportion_of_slow_vol": 0.35,
             "vol_abs_min": "1e-8", "backfill": True}  # fmt: skip
    found = imported(volatility_calculation=given).volatility
    assert (found.span, found.slow_years, found.slow_share) == (30, 20, 0.35)
    assert (found.least_points, found.backfill) == (1e-8, True)
    floored = {"func": "robust_vol_calc", "floor_min_quant": 0.1, "floor_min_periods": 50, "floor_days": 250}
    found = imported(volatility_calculation=floored).volatility
    assert (found.floor_quantile, found.floor_min_periods, found.floor_rows) == (0.1, 50, 250)
    assert imported(volatility_calculation={**floored, "vol_floor": False}).volatility.method == "ewma"
    assert "volatility function astrology is not known" in notes(volatility_calculation={"func": "x.astrology"})[0]


RULES = [
    ({"function": "x.carry", "data": "rawdata.raw_carry"}, "carry", {"smooth": 90}),
    ({"function": "x.carry2", "data": ["rawdata.raw_carry"], "other_args": {"smooth_days": 9}}, "carry", {"smooth": 9}),
    ({"function": "x.breakout", "data": PRICES, "other_args": {"lookback": 80}}, "breakout", {"lookback": 80}),
    ({"function": "x.breakout", "data": PRICES, "other_args": {"lookback": 80, "smooth": 5}}, "breakout",
     {"lookback": 80, "smooth": 5}),
    ({"function": "x.accel", "data": [PRICES, VOLATILITY], "other_args": {"Lfast": 16}}, "acceleration", {"fast": 16}),
    ({"function": "x.mr_wings", "data": [PRICES, VOLATILITY]}, "mean_reversion", {"fast": 4, "slow": 16}),
    (["x.ewmac", [PRICES, VOLATILITY], {"Lfast": 2, "Lslow": 8}], "ewmac", {"fast": 2, "slow": 8}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "rule", "parameters"), RULES)
def test_rules_by_their_function(given: Any, rule: str, parameters: dict[str, float]) -> None:
    strategy = imported(trading_rules={"a": trend(8), "b": given}, forecast_scalars={"a": 5, "b": 7})
    assert (strategy.rules["b"].rule, strategy.rules["b"].parameters) == (rule, parameters)
    assert strategy.rules["b"].scalar == 7
    check_rules(strategy)


LEFT_OUT = [
    ({"function": "x.relative_carry"}, "function relative_carry is not known here"),
    (trend(4, data=["rawdata.normalised_price", VOLATILITY]), "ewmac of normalised_price"),
    (trend(4, other_args={"Lfast": 4, "Lslow": 16, "magic": 1}), "magic of ewmac is not known here"),
]


@pytest.mark.parametrize(("given", "said"), LEFT_OUT)
def test_a_rule_that_we_do_not_have_is_left_out_and_said(given: Any, said: str) -> None:
    changed = {"a": trend(8, forecast_scalar=5.3), "b": given}
    strategy, found = translated(system(trading_rules=changed), "two")
    assert list(strategy.rules) == ["a"]
    assert said in found[0]
    assert "rule b left out" in found[0]
    assert strategy.forecasts.sum_of_weights == "any", "what is left of the weights is 0.4"


def test_a_rule_with_another_kind_of_name_gets_one_of_ours() -> None:
    rules = {"a": trend(8, forecast_scalar=5.3), "b-2": trend(16, forecast_scalar=3.75)}
    strategy, said = translated(system(trading_rules=rules, forecast_weights={"a": 0.4, "b-2": 0.6}), "two")
    assert {name: rule.weight for name, rule in strategy.rules.items()} == {"a": 0.4, "b_2": 0.6}
    assert said == ["rule b-2 is called b_2: names have letters, digits and _ only."]


def test_weights_by_instrument_stand_where_they_differ_from_most() -> None:
    usual, own = {"a": 0.4, "b": 0.6}, {"a": 1.0}
    strategy = imported(
        forecast_weights={"US10": usual, "CORN": own, "GOLD": {"c": 1.0}, "MXP": usual},
        instrument_weights={"US10": 0.5, "CORN": 0.25, "MXP": 0.25},
    )
    assert {name: rule.weight for name, rule in strategy.rules.items()} == usual
    assert strategy.forecasts.weights == {"CORN": own}


def test_multipliers_by_instrument() -> None:
    strategy, said = translated(system(forecast_div_multiplier={"US10": 1.3, "GOLD": 2.0}), "two")
    assert strategy.forecasts.multipliers == {"US10": 1.3}
    assert said == ["forecast_div_multiplier names no CORN: 1 was taken for them."]
    same = imported(forecast_div_multiplier={"US10": 1.3, "CORN": 1.3})
    assert (same.forecasts.multiplier, same.forecasts.multipliers) == (1.3, {})


def test_estimates() -> None:
    strategy = imported(
        use_forecast_scale_estimates=True, use_forecast_div_mult_estimates=True, use_instrument_div_mult_estimates=True,
        forecast_correlation_estimate={"ew_lookback": 500}, instrument_div_mult_estimate={"dm_max": 3.0},
    )  # fmt: skip
    assert {rule.scalar for rule in strategy.rules.values()} == {"estimated"}
    assert (strategy.forecasts.multiplier, strategy.portfolio.multiplier) == ("estimated", "estimated")
    assert (strategy.forecasts.estimate.span, strategy.forecasts.estimate.min_periods) == (500, 20)
    assert (strategy.portfolio.estimate.span, strategy.portfolio.estimate.largest) == (250, 3)
    assert strategy.portfolio.refits == strategy.forecasts.refits == "from_end"
    assert notes(use_forecast_weight_estimates=True) == [
        "estimated forecast weights are not supported: those given were taken."
    ]
    assert "equal ones were taken" in notes(use_instrument_weight_estimates=True, instrument_weights=None)[0]


def test_instruments_that_the_reference_leaves_out_silently_are_said() -> None:
    weights = {"US10": 0.4, "GOLD": 0.3, "EURIBOR": 0.3}
    strategy, said = translated(system(instrument_weights=weights), "two")
    assert strategy.instruments == ("US10",)
    assert strategy.portfolio.sum_of_weights == "any"
    assert "EURIBOR, GOLD left out" in said[0]
    kept = imported(instrument_weights=weights, duplicate_instruments={"exclude": {"gold": []}})
    assert kept.instruments == ("GOLD", "US10")
    own = {"duplicate_instruments": {"exclude": {"mine": ["US10"]}}, "ignore_instruments": ["GOLD"]}
    assert imported(instrument_weights=weights, **own).instruments == ("EURIBOR",)


def test_sections_about_trading_and_costs() -> None:
    strategy, said = translated(
        system(
            buffer_method="forecast", buffer_size=0.2, buffer_trade_to_edge=True, use_SR_costs=True,
            vol_normalise_currency_costs=False, capital_multiplier={"func": "syscore.capital.half_compounding"},
            start_date=date(2000, 1, 19), forecast_weight_ewma_span=60, instrument_weight_ewma_span=90,
            risk_overlay={"max_risk_fraction_normal_risk": 1.4, "max_risk_leverage": 99999, "astrology": 1},
            forecast_post_ceiling_cost_SR=0.13,
        ),
        "two",
    )  # fmt: skip
    buffer = strategy.buffer
    assert (buffer.method, buffer.fraction, buffer.trade_to) == ("forecast", 0.2, "edge")
    assert (strategy.costs.method, strategy.costs.deflator, strategy.compounding) == ("sharpe", "none", "half")
    assert strategy.prices_since == date(2000, 1, 19)
    assert (strategy.forecasts.weight_smoothing_span, strategy.portfolio.weight_smoothing_com) == (60, 90)
    assert (strategy.risk_overlay.normal_fraction, strategy.risk_overlay.leverage) == (1.4, None)
    assert strategy.forecasts.cost_ceiling_sharpe == 0.13
    assert said == ["risk_overlay.astrology is not known and was not taken over."]


def test_unknown_keys_are_said_and_those_without_effect_are_not() -> None:
    said = notes(forecast_cpa=10, rule_groups={"x": ["a"]}, use_attenuation=["a"], small_system={"shadow_cost": 50})
    assert said == [
        "forecast_cpa is not known and was not taken over. Did you mean forecast_cap?",
        "use_attenuation was not taken over: forecasts are not weakened when volatility is high.",
        "small_system was not taken over: positions are not optimised for small capital.",
    ]


REFUSED = [
    ({"trading_rules": None}, "trading_rules is missing"),
    ({"trading_rules": {"a": {"data": PRICES}, "b": trend(4)}}, "trading_rules.a has no function"),
    ({"forecast_weights": {"a": 0.4, "c": 0.6}}, "forecast_weights names c, not in trading_rules"),
    ({"forecast_weights": {"a": 0.4, "US10": {"a": 1.0}}}, "rules beside tables of instruments"),
    ({"forecast_weights": {"US10": {"a": 1.0}}}, "forecast_weights has no table for CORN"),
    ({"forecast_weights": {"a": 0.0, "b": 0.0}}, "no rule with a weight is left for all instruments"),
    ({"trading_rules": {"a": {"function": "x.luck"}, "b": {"function": "x.luck"}}}, "none of its rules (a, b)"),
    ({"instrument_weights": {"GOLD": 1.0}}, "every instrument is one that"),
    ({"instrument_weights": {"CORN": "half"}}, "instrument_weights.CORN is 'half', but must be a number"),
    ({"instrument_weights": ["CORN"]}, "instrument_weights is ['CORN'], but must be a table"),
    ({"instruments": "CORN"}, "instruments is 'CORN', but must be a list"),
    ({"percentage_vol_target": "much"}, "percentage_vol_target is 'much', but must be a number"),
    ({"percentage_vol_target": -20}, "volatility_target_percent is -20.0, but must be more than 0"),
    ({"base_currency": "dollars"}, "base_currency is 'dollars', but must be a currency"),
    ({"buffer_method": "sometimes"}, "buffer.method is 'sometimes', but must be one of position, forecast, none"),
    ({"use_SR_costs": "perhaps"}, "use_SR_costs is 'perhaps', but must be true or false"),
    ({"start_date": "once"}, "start_date is 'once', but must be a date"),
    ({"volatility_calculation": {"days": 35.5}}, "volatility_calculation.days is 35.5, but must be a whole number"),
]


@pytest.mark.parametrize(("change", "said"), REFUSED)
def test_a_configuration_without_a_strategy_in_it_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as found:
        translated(system(**change), "two", "system.yaml")
    assert found.value.exit_code == 2
    assert str(found.value).startswith("system.yaml")
    assert said in str(found.value)
