"""A pysystemtrade system configuration as a strategy of ours: what is taken over, and sentences on what is not.

Belongs here: what its keys become. Does not belong here: which there are (`pysystemtrade_keys.py`), reading YAML and
writing TOML (`pipelines/importing.py`), or any calculation.

The strategy has every option set so that numbers are the reference's; some of them see the future
(`trading/config/strategies.py`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from trading.config.pysystemtrade_keys import (
    COMPOUNDING,
    EXCLUDED,
    FUNCTIONS,
    IGNORED,
    RISK_LIMITS,
    SHIPPED,
    UNLIMITED,
    Configuration,
)
from trading.config.refusals import did_you_mean, refusal
from trading.config.strategies import NEAR_ONE, StrategySettings
from trading.errors import ConfigError


def translated(config: Mapping[str, Any], name: str, source: str = "the file") -> tuple[StrategySettings, list[str]]:
    """The strategy called `name` that a pysystemtrade configuration describes, and what was not or only partly taken
    over, a sentence each. Raises ConfigError where that gives no strategy that could run."""
    theirs = Configuration(config, source)
    volatility = _volatility(theirs)
    codes, weights = _instruments(theirs)
    by_code, used = _forecast_weights(theirs, codes)
    rules = _rules(theirs, used, volatility)
    given: dict[str, Any] = {
        "name": name,
        "instruments": codes,
        "prices_since": _start(theirs),
        "capital_base": theirs.number("notional_trading_capital", told=True),
        "base_currency": theirs.value("base_currency"),
        "volatility_target_percent": theirs.number("percentage_vol_target", told=True),
        "compounding": _compounding(theirs),
        "weekend_rows": "friday",
        "drawdown_from": "first_value",
        "volatility": volatility,
        **_forecasts(theirs, rules, by_code, codes),
        "portfolio": _portfolio(theirs, weights),
        "buffer": _buffer(theirs),
        "risk_overlay": _risk_overlay(theirs),
        "execution": {"fills": "next_session", "rates": "midnight", "start": "rounded"},
        "costs": _costs(theirs),
    }
    theirs.leftovers()
    try:
        return StrategySettings.model_validate(given), theirs.notes
    except ValidationError as cause:
        raise ConfigError(refusal(cause, StrategySettings, f"{source}, read as a strategy")) from cause


# --- volatility -------------------------------------------------------------------------------------------------------
def _volatility(theirs: Configuration) -> dict[str, Any]:
    section = "volatility_calculation"
    made = {"mixed_vol_calc": _mixed, "robust_vol_calc": _robust, "simple_vol_calc": _simple,
            "simple_ewvol_calc": _exponential, "simple_ewvol": _exponential}  # fmt: skip
    function = theirs.function(section, "func")
    if function not in made:
        theirs.note(f"volatility function {function} is not known: mixed_vol_calc was taken in its place.")
    found = made.get(function, _mixed)(theirs, section)
    backfill = theirs.value(section, "backfill")
    return {**found, "returns": "consecutive", "unknown_below_fraction": 0.0, "backfill": backfill is True}


def _mixed(theirs: Configuration, section: str) -> dict[str, Any]:
    return {
        **_exponential(theirs, section),
        "method": "mixed",
        "slow_years": theirs.number(section, "slow_vol_years"),
        "slow_share": theirs.number(section, "proportion_of_slow_vol"),
        "least_points": theirs.number(section, "vol_abs_min"),
    }


def _robust(theirs: Configuration, section: str) -> dict[str, Any]:
    found = {**_exponential(theirs, section), "least_points": theirs.number(section, "vol_abs_min")}
    if theirs.value(section, "vol_floor") is False:
        return found
    floor = {"floor_min_quant": 0.05, "floor_min_periods": 100, "floor_days": 500}
    given = {key: theirs.value(section, key) for key in floor}
    quantile, needed, rows = (
        theirs.as_number(floor[key] if given[key] is None else given[key], f"{section}.{key}") for key in floor
    )
    sizes = {"floor_quantile": quantile, "floor_min_periods": int(needed), "floor_rows": int(rows)}
    return {**found, "method": "robust", **sizes}


def _simple(theirs: Configuration, section: str) -> dict[str, Any]:
    window, needed = theirs.whole(section, "days"), theirs.whole(section, "min_periods")
    return {"method": "simple", "window": window, "min_periods": needed, "least_points": 0.0}


def _exponential(theirs: Configuration, section: str) -> dict[str, Any]:
    span, needed = theirs.whole(section, "days"), theirs.whole(section, "min_periods")
    return {"method": "ewma", "span": span, "min_periods": needed, "least_points": 0.0}


# --- instruments ------------------------------------------------------------------------------------------------------
def _instruments(theirs: Configuration) -> tuple[list[str], dict[str, float]]:
    """The codes that trade, in order, and their weights (empty: equal)."""
    weights = {
        code: theirs.as_number(weight, f"instrument_weights.{code}")
        for code, weight in theirs.table("instrument_weights").items()
    }
    listed = _listed(theirs)
    if theirs.truth("use_instrument_weight_estimates"):
        kind = "those given" if weights else "equal ones"
        theirs.note(f"estimated instrument weights are not supported: {kind} were taken.")
    _unmatched(theirs, listed, weights)
    codes = [code for code in (listed or weights) if not weights or code in weights]
    kept = sorted(set(codes) - _excluded(theirs, codes))
    if codes and not kept:
        raise theirs.refused("every instrument is one that pysystemtrade's shipped lists leave out")
    if not codes:
        theirs.note("no instruments are named: all that there are trade, with equal weights.")
    return kept, {code: weights[code] for code in kept} if weights else {}


def _listed(theirs: Configuration) -> list[str]:
    listed = theirs.value("instruments")
    if listed is None:
        return []
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise theirs.refused(f"instruments is {listed!r}, but must be a list")
    return [str(code) for code in listed]


def _unmatched(theirs: Configuration, listed: list[str], weights: Mapping[str, float]) -> None:
    if not (listed and weights):
        return
    unweighted = sorted(set(listed) - set(weights))
    unlisted = sorted(set(weights) - set(listed))
    if unweighted:
        theirs.note(f"{', '.join(unweighted)} left out: listed in instruments without a weight.")
    if unlisted:
        theirs.note(f"{', '.join(unlisted)} left out: weighted but not listed in instruments.")


def _excluded(theirs: Configuration, codes: Sequence[str]) -> set[str]:
    """Codes that the file's lists, or the shipped ones it does not replace, leave out; a note names them."""
    duplicates = {**EXCLUDED, **theirs.table("duplicate_instruments", "exclude")}
    own = theirs.value("exclude_instrument_lists", "ignore_instruments") or theirs.value("ignore_instruments")
    left_out = {*(IGNORED if own is None else _words(own))}
    for names in duplicates.values():
        left_out |= set(_words(names))
    found = left_out & set(codes)
    if found:
        theirs.note(
            f"{', '.join(sorted(found))} left out, as pysystemtrade does without a word: in its lists "
            "duplicate_instruments.exclude or ignore_instruments (as far as the shipped ones are known here)."
        )
    return found


def _words(given: Any) -> list[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else [str(word) for word in given]


# --- rules ------------------------------------------------------------------------------------------------------------
def _forecast_weights(theirs: Configuration, codes: Sequence[str]) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Weights of rules by instrument (under "" for all), and the rules that have any, sorted."""
    given = theirs.table("forecast_weights")
    if theirs.truth("use_forecast_weight_estimates"):
        theirs.note(
            f"estimated forecast weights are not supported: {'those given' if given else 'equal ones'} were taken."
        )
    if not given:
        names = [str(name) for name in theirs.given.get("rule_variations") or theirs.table("trading_rules")]
        given = {name: 1.0 / len(names) for name in names}
        theirs.note("forecast_weights is not given: every rule has the same weight.")
    nested = [key for key, value in given.items() if isinstance(value, Mapping)]
    if nested and len(nested) < len(given):
        raise theirs.refused(
            "forecast_weights has weights of rules beside tables of instruments: give one or the other"
        )
    found = {code: given[code] for code in (codes or nested) if code in given} if nested else {"": given}
    without = [code for code in codes if nested and code not in given]
    if without:
        raise theirs.refused(f"forecast_weights has no table for {', '.join(without)}")
    read = {code: _weights(theirs, code, weights) for code, weights in found.items()}
    return read, sorted({rule for weights in read.values() for rule in weights})


def _weights(theirs: Configuration, code: str, given: Mapping[str, Any]) -> dict[str, float]:
    where = f"forecast_weights.{code}" if code else "forecast_weights"
    return {str(rule): theirs.as_number(weight, f"{where}.{rule}") for rule, weight in given.items()}


def _rules(theirs: Configuration, used: Sequence[str], volatility: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Rules of ours by their name, without weights; those we do not have are noted and left out."""
    all_rules = theirs.table("trading_rules")
    if not all_rules:
        raise theirs.refused("trading_rules is missing: without rules there is no strategy")
    missing = [name for name in used if name not in all_rules]
    if missing:
        near = did_you_mean(missing[0], all_rules)
        raise theirs.refused(f"forecast_weights names {', '.join(missing)}, not in trading_rules.{near}".rstrip("."))
    idle = sorted(set(all_rules) - set(used))
    if idle:
        theirs.note(f"{', '.join(idle)} left out: they have no forecast weight.")
    found = {name: _rule(theirs, name, all_rules[name], volatility) for name in used}
    taken = {name: rule for name, rule in found.items() if rule is not None}
    if not taken:
        raise theirs.refused(f"none of its rules ({', '.join(used)}) has a counterpart here")
    return taken


def _rule(theirs: Configuration, name: str, given: Any, volatility: Mapping[str, Any]) -> dict[str, Any] | None:
    function, data, arguments = _parts(theirs, name, given)
    known = FUNCTIONS.get(function)
    if known is None:
        theirs.note(f"rule {name} left out: function {function} is not known here.{did_you_mean(function, FUNCTIONS)}")
        return None
    if data and tuple(data) not in known.data:
        theirs.note(f"rule {name} left out: {function} of {', '.join(data)} is not known here.")
        return None
    if known.arguments.get("vol_days") == "":
        _own_volatility(theirs, name, arguments.pop("vol_days", 35), volatility)
    extra = sorted(set(arguments) - set(known.arguments))
    if extra:
        theirs.note(f"rule {name} left out: {', '.join(extra)} of {function} is not known here.")
        return None
    parameters = dict(known.defaults)
    for key, value in arguments.items():
        if value is not None:
            parameters[known.arguments[key]] = _exact(theirs.as_number(value, f"trading_rules.{name}.other_args.{key}"))
    if known.rule == "mean_reversion":
        parameters["slow"] = 4 * parameters["fast"]
    return {"rule": known.rule, "parameters": parameters, "scalar": _scalar(theirs, name, given)}


def _parts(theirs: Configuration, name: str, given: Any) -> tuple[str, list[str], dict[str, Any]]:
    """Function, data and arguments of a rule, each by the last part of its name."""
    if isinstance(given, str):
        given = {"function": given}
    if isinstance(given, list):
        given = dict(zip(("function", "data", "other_args"), given, strict=False))
    if not isinstance(given, Mapping) or not isinstance(given.get("function"), str):
        raise theirs.refused(f"trading_rules.{name} has no function")
    arguments = given.get("other_args") or {}
    if not isinstance(arguments, Mapping):
        raise theirs.refused(f"trading_rules.{name}.other_args is {arguments!r}, but must be a table")
    data = [word.rpartition(".")[2] for word in _words(given.get("data"))]
    return given["function"].rpartition(".")[2], data, {str(key): value for key, value in arguments.items()}


def _own_volatility(theirs: Configuration, name: str, days: Any, volatility: Mapping[str, Any]) -> None:
    if volatility["method"] != "robust" or volatility["span"] != days:
        theirs.note(f"rule {name} partly: it has the strategy's volatility, not its own robust one of {days} days.")


def _exact(value: float) -> float | int:
    return int(value) if value == int(value) else value


def _scalar(theirs: Configuration, name: str, given: Any) -> float | str:
    if theirs.truth("use_forecast_scale_estimates"):
        return "estimated"
    own = given.get("forecast_scalar") if isinstance(given, Mapping) else None
    found = theirs.value("forecast_scalars", name) if own is None else own
    if found is None:
        found = theirs.value("forecast_scalar")
        theirs.note(f"rule {name} has no forecast scalar: {found} was taken.")
    return theirs.as_number(found, f"forecast scalar of {name}")


# --- forecasts and portfolio ------------------------------------------------------------------------------------------
def _forecasts(
    theirs: Configuration,
    rules: Mapping[str, dict[str, Any]],
    weights: Mapping[str, Mapping[str, float]],
    codes: Sequence[str],
) -> dict[str, Any]:
    """Sections `rules` and `forecasts`. The weights that most instruments have are the rules' own."""
    names = {name: _our_name(theirs, name) for name in rules}
    rules = {names[name]: rule for name, rule in rules.items()}
    known = {code: {names[name]: own[name] for name in own if name in names} for code, own in weights.items()}
    idle = [code or "all instruments" for code, own in known.items() if sum(own.values()) <= 0]
    if idle:
        raise theirs.refused(f"no rule with a weight is left for {', '.join(idle)}")
    common = dict(Counter(tuple(sorted(own.items())) for own in known.values()).most_common(1)[0][0])
    named = {name: {**rule, "weight": common.get(name, 0.0)} for name, rule in rules.items()}
    own = {code: given for code, given in known.items() if code and given != common}
    ceiling = theirs.number("forecast_post_ceiling_cost_SR")
    off = any(abs(sum(given.values()) - 1) > NEAR_ONE for given in known.values())
    multiplier, multipliers = _forecast_multiplier(theirs, codes)
    section = {
        "cap": theirs.number("forecast_cap"),
        "average": theirs.number("average_absolute_forecast"),
        "multiplier": multiplier,
        "multipliers": multipliers,
        "weights": own,
        "sum_of_weights": _any_sum(theirs, off, "forecast weights"),
        "weight_smoothing_span": theirs.number("forecast_weight_ewma_span"),
        "cost_ceiling_sharpe": ceiling if ceiling < SHIPPED["forecast_post_ceiling_cost_SR"] else None,
        "zero_rules": "missing",
        **_estimated_scalars(theirs),
        "refits": "from_end",
        "estimate": _estimate(theirs, "forecast") if multiplier == "estimated" else {},
    }
    return {"rules": named, "forecasts": section}


def _our_name(theirs: Configuration, name: str) -> str:
    ours = re.sub(r"[^A-Za-z0-9_]", "_", name)[:40]
    if ours != name:
        theirs.note(f"rule {name} is called {ours}: names have letters, digits and _ only.")
    return ours


def _any_sum(theirs: Configuration, off: bool, what: str) -> str:
    if off:
        theirs.note(f"{what} do not sum to 1: as in pysystemtrade only their ratios count.")
    return "any" if off else "one"


def _forecast_multiplier(theirs: Configuration, codes: Sequence[str]) -> tuple[float | str, dict[str, float]]:
    if theirs.truth("use_forecast_div_mult_estimates"):
        return "estimated", {}
    found = theirs.value("forecast_div_multiplier")
    if not isinstance(found, Mapping):
        return theirs.number("forecast_div_multiplier", told=True), {}
    given = {str(code): theirs.as_number(each, f"forecast_div_multiplier.{code}") for code, each in found.items()}
    own = {code: given[code] for code in (codes or given) if code in given}
    without = [code for code in codes if code not in given]
    if without:
        theirs.note(f"forecast_div_multiplier names no {', '.join(without)}: 1 was taken for them.")
    if own and not without and len(set(own.values())) == 1:
        return next(iter(own.values())), {}
    return 1.0, own


def _estimated_scalars(theirs: Configuration) -> dict[str, Any]:
    section = "forecast_scalar_estimate"
    if theirs.truth("use_forecast_scale_estimates"):
        _as_shipped(theirs, section, ("pool_instruments", "window"))
    return {
        "scalar_min_periods": theirs.whole(section, "min_periods"),
        "scalar_backfill": theirs.truth(section, "backfill"),
    }


def _estimate(theirs: Configuration, kind: str) -> dict[str, Any]:
    correlation, multiplier = f"{kind}_correlation_estimate", f"{kind}_div_mult_estimate"
    _as_shipped(
        theirs, correlation, ("pool_instruments", "frequency", "date_method", "using_exponent", "cleaning", "offdiag")
    )
    return {
        "span": theirs.whole(correlation, "ew_lookback"),
        "min_periods": theirs.whole(correlation, "min_periods"),
        "floor_at_zero": theirs.truth(correlation, "floor_at_zero"),
        "smoothing_span": theirs.number(multiplier, "ewma_span"),
        "largest": theirs.number(multiplier, "dm_max"),
    }


def _as_shipped(theirs: Configuration, section: str, keys: Sequence[str]) -> None:
    shipped = SHIPPED[section]
    for key in keys:
        given = theirs.value(section, key)
        if given != shipped.get(key):
            theirs.note(f"{section}.{key} = {given} was not taken over: it is as shipped ({shipped.get(key)}).")


def _portfolio(theirs: Configuration, weights: Mapping[str, float]) -> dict[str, Any]:
    estimated = theirs.truth("use_instrument_div_mult_estimates")
    off = bool(weights) and abs(sum(weights.values()) - 1) > NEAR_ONE
    return {
        "weights": weights,
        "sum_of_weights": _any_sum(theirs, off, "instrument weights"),
        "weight_smoothing_com": theirs.number("instrument_weight_ewma_span"),
        "multiplier": "estimated" if estimated else theirs.number("instrument_div_multiplier", told=True),
        "refits": "from_end",
        "estimate": _estimate(theirs, "instrument") if estimated else {},
    }


# --- capital, trading, costs ------------------------------------------------------------------------------------------
def _start(theirs: Configuration) -> date | None:
    given = theirs.value("start_date")
    if given is None:
        return None
    if isinstance(given, datetime):
        return given.date()
    if isinstance(given, date):
        return given
    if isinstance(given, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", given):
        try:
            return date.fromisoformat(given)
        except ValueError:
            pass
    raise theirs.refused(f"start_date is {given!r}, but must be a date, like 2000-01-31")


def _compounding(theirs: Configuration) -> str:
    function = theirs.function("capital_multiplier", "func")
    if function not in COMPOUNDING:
        theirs.note(f"capital_multiplier {function} is not known: capital is fixed.")
    return COMPOUNDING.get(function, "fixed")


def _buffer(theirs: Configuration) -> dict[str, Any]:
    return {
        "method": str(theirs.value("buffer_method")),
        "fraction": theirs.number("buffer_size"),
        "trade_to": "edge" if theirs.truth("buffer_trade_to_edge") else "optimal",
        "whole_contracts": True,
    }


def _risk_overlay(theirs: Configuration) -> dict[str, Any]:
    found: dict[str, Any] = {"refits": "from_end", "backfill": True, "missing_correlations": "no_risk"}
    for key, limit in theirs.table("risk_overlay").items():
        if key not in RISK_LIMITS:
            theirs.note(f"risk_overlay.{key} is not known and was not taken over.{did_you_mean(key, RISK_LIMITS)}")
            continue
        value = theirs.as_number(limit, f"risk_overlay.{key}")
        if value < UNLIMITED:
            found[RISK_LIMITS[key]] = value
    return found


def _costs(theirs: Configuration) -> dict[str, Any]:
    if theirs.number("multiply_roll_costs_by") != 1:
        theirs.note("multiply_roll_costs_by was not taken over: a roll costs what a trade does.")
    return {
        "method": "sharpe" if theirs.truth("use_SR_costs") else "cash",
        "commission": "largest",
        "commission_price": "adjusted",
        "rolls": "calendar",
        "deflator": "final_volatility" if theirs.truth("vol_normalise_currency_costs") else "none",
        "first_cost": "lost",
        "same_date": "last",
    }
