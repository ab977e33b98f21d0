"""A session's rows of the datasets of risk: exposures, value at risk with its backtest, stresses, headroom.

Belongs here: laying out what market and book come to. Does not belong here: measuring a market (`risk_model.py`),
reading or writing (`assets/`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from trading.config.risk import RiskModelSettings
from trading.risk.book import Book
from trading.risk.decision import Judged
from trading.risk.limit_table import rules
from trading.risk.market import DIMENSIONS, Floats, Group, Integers, Market
from trading.risk.risk_model import ages_sessions
from trading.risk.value_at_risk import Backtest, Loss, backtest, deviation, historical, parametric, scenario_gains

Row = dict[str, Any]
YEAR = 16.0
WORST_DAYS = 5
SINGLE = ("instrument", "contract", "holding")  # axes of which only what is held is told
REJECTED_AT = 0.01
HISTORICAL, PARAMETRIC = "historical", "parametric"


# --- positions --------------------------------------------------------------------------------------------------------
def by_contract(market: Market, book: Book) -> Floats:
    """Contracts of all strategies, in the order of the market's contracts. Raises KeyError on one it lacks."""
    places = {key: place for place, key in enumerate(market.contracts)}
    found = np.zeros(len(places))
    for (_, instrument, contract), contracts in book.positions.items():
        found[places[instrument, contract]] += contracts
    return found


def by_instrument(market: Market, contracts: Floats) -> Floats:
    """The same in the order of the market's instruments."""
    return _add(contracts, market.contract_instrument, len(market.instruments))


def _add(values: Floats, places: Integers, count: int) -> Floats:
    """Sums of values by place."""
    return np.bincount(places, weights=values, minlength=count).astype(np.float64)


def _worth(contracts: Floats, of_one: Floats) -> Floats:
    """Contracts x worth of one: what is not held is worth nothing, whether its price is known or not."""
    return np.where(contracts != 0.0, contracts * of_one, 0.0)


# --- exposures --------------------------------------------------------------------------------------------------------
def exposure_rows(market: Market, book: Book) -> list[Row]:
    """The whole book, and every group, instrument, factor and component that anything is held of."""
    lines = by_contract(market, book)
    own = by_instrument(market, lines)
    notional, volatility = _worth(lines, market.notional_base), YEAR * _worth(own, market.volatility_base)
    axes: list[tuple[str, Group]] = [("portfolio", Group(("book",), np.zeros(len(own), dtype=np.int64)))]
    axes += [(name, market.groups[name]) for name in DIMENSIONS]
    axes += [("instrument", Group(market.instruments, np.arange(len(own))))]
    found: list[Row] = []
    for axis, grouped in axes:
        found += _sums(axis, grouped, market.contract_instrument, notional, volatility, own)
    factors = [("factor", name, row) for name, row in zip(market.factors, market.factor_loadings, strict=True)]
    factors += [("component", str(n + 1), row) for n, row in enumerate(market.component_loadings)]
    return [row | {"session": market.session} for row in (*found, *(_factor(*each, own) for each in factors))]


def _sums(
    axis: str, grouped: Group, of_line: Integers, notional: Floats, volatility: Floats, own: Floats
) -> Iterator[Row]:
    names, codes = grouped.names, grouped.codes
    count = len(names)
    held = _add((own != 0.0).astype(np.float64), codes, count)
    sums = {
        "gross_base": _add(np.abs(notional), codes[of_line], count),
        "net_base": _add(notional, codes[of_line], count),
        "gross_volatility_base": _add(np.abs(volatility), codes, count),
        "net_volatility_base": _add(volatility, codes, count),
    }
    for place, name in enumerate(names):
        if held[place] or axis == "portfolio" or sums["gross_base"][place] != 0.0:
            yield {"axis": axis, "element": name, "one_deviation_base": None} | {
                column: float(values[place]) for column, values in sums.items()
            }


def _factor(axis: str, name: str, loadings: Floats, own: Floats) -> Row:
    empty = dict.fromkeys(("gross_base", "net_base", "gross_volatility_base", "net_volatility_base"))
    return {"axis": axis, "element": name, "one_deviation_base": float(_worth(own, loadings).sum())} | empty


# --- stresses ---------------------------------------------------------------------------------------------------------
def stress_rows(market: Market, book: Book) -> list[Row]:
    """Every named scenario, and the worst of the days looked back on, worst first."""
    own = by_instrument(market, by_contract(market, book))
    rows = [
        _stress("named", name, market, _worth(own, gains), book.capital_base)
        for name, gains in zip(market.stress_names, market.stresses, strict=True)
    ]
    gains = scenario_gains(market, own)
    known = len(gains) and np.isfinite(gains).all()
    worst = np.argsort(gains, kind="stable")[: WORST_DAYS if known else 0]
    return rows + [
        _stress("historical", f"worst day {place + 1}", market, _worth(own, market.scenarios[day]), book.capital_base)
        for place, day in enumerate(worst)
        if gains[day] < 0.0
    ]


def _stress(kind: str, name: str, market: Market, gains: Floats, capital_base: float) -> Row:
    gain = float(gains.sum())
    place = int(np.argmin(np.nan_to_num(gains, nan=0.0))) if len(gains) else 0
    loses = bool(len(gains)) and gains[place] < 0.0
    return {
        "kind": kind, "scenario": name, "session": market.session, "gain_base": gain,
        "loss_fraction": gain if math.isnan(gain) else max(0.0, -gain) / capital_base,
        "worst_instrument": market.instruments[place] if loses else None,
        "worst_gain_base": float(gains[place]) if loses else None,
    }  # fmt: skip


# --- value at risk ----------------------------------------------------------------------------------------------------
class Forecast(NamedTuple):
    """One session of one method: what may be lost after it, what had been forecast for it, and what it gained."""

    session: date
    value_at_risk_base: float
    forecast_base: float
    gain_base: float


Past = dict[str, list[Forecast]]  # by method, in order of session


def losses_of(market: Market, book: Book, model: RiskModelSettings) -> dict[str, Loss]:
    """What the book may lose on the next session, by method, base currency; NaN where a position's risk is not
    known."""
    own = by_instrument(market, by_contract(market, book))
    if not own.any():
        return dict.fromkeys((HISTORICAL, PARAMETRIC), Loss(0.0, 0.0))
    return {
        HISTORICAL: historical(scenario_gains(market, own), model.confidence),
        PARAMETRIC: parametric(deviation(market, own), model.confidence),
    }


def value_at_risk_rows(
    session: date, losses: Mapping[str, Loss], gain_base: float, past: Past, model: RiskModelSettings
) -> list[Row]:
    """A row a method; `past` goes on with it. A forecast counts for the session after it only, and where something was
    held: sessions that follow a gap, or an empty book, are not judged."""
    rows = []
    for method, loss in losses.items():
        known = past.setdefault(method, [])
        before = known[-1] if known else None
        is_next = before is not None and ages_sessions(_days(before.session), session)[0] <= 1.0
        forecast = before.value_at_risk_base if before and is_next and before.value_at_risk_base > 0.0 else math.nan
        known.append(Forecast(session, loss.value_at_risk, forecast, gain_base))
        judged = judged_through(known, model)
        rows.append({"method": method, "session": session} | _told(known[-1], loss) | _tested(judged))
    return rows


def judged_through(known: Sequence[Forecast], model: RiskModelSettings) -> Backtest:
    """The backtest of a method's last sessions: as many as are looked back on."""
    recent = known[-model.sessions :]
    return backtest([each.forecast_base for each in recent], [each.gain_base for each in recent], model.confidence)


def _days(session: date) -> Any:
    import pandas as pd

    return pd.Series([pd.Timestamp(session)])


def _told(now: Forecast, loss: Loss) -> Row:
    judged = math.isfinite(now.forecast_base) and math.isfinite(now.gain_base)
    return {
        "value_at_risk_base": loss.value_at_risk, "expected_shortfall_base": loss.expected_shortfall,
        "forecast_base": now.forecast_base, "gain_base": now.gain_base,
        "exceeded": -now.gain_base > now.forecast_base if judged else None,
    }  # fmt: skip


def _tested(found: Backtest) -> Row:
    return {
        "days": found.days, "exceedances": found.exceedances, "expected_exceedances": found.expected,
        "unconditional_p": found.unconditional.p_value, "independence_p": found.independent.p_value,
        "conditional_p": found.conditional.p_value,
    }  # fmt: skip


def rejections(rows: Iterable[Mapping[str, Any]], level: float = REJECTED_AT) -> list[str]:
    """Sentences about rows of VALUE_AT_RISK of which a test rejects the forecast."""
    tests = (("unconditional_p", "how many"), ("independence_p", "how they follow each other"),
             ("conditional_p", "both"))  # fmt: skip
    return [
        f"{row['session']}: the {row['method']} value at risk was exceeded on {row['exceedances']} of {row['days']} "
        f"sessions, {row['expected_exceedances']:.1f} were to be expected; by {what} the forecast is rejected "
        f"(p {row[name]:.2g}). Look at risk.model: sessions, half_life_sessions and confidence."
        for row in rows
        for name, what in tests
        if row[name] is not None and row[name] < level
    ]


# --- headroom ---------------------------------------------------------------------------------------------------------
def headroom_rows(standing: Iterable[Judged], session: date) -> list[Row]:
    """Every limit that is set, where anything stands against it, and every rule of the whole book."""
    return [
        {
            "rule": each.rule, "axis": each.axis, "element": each.element, "session": session, "value": each.value,
            "warn": _finite(each.warn), "limit": _finite(each.limit), "headroom": _finite(each.headroom),
            "outcome": each.outcome, "unit": each.unit,
        }
        for each in standing
        if _is_told(each)
    ]  # fmt: skip


def beyond_limits(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Sentences about rows of HEADROOM that are beyond a limit as they stand: limits of the book, not of what is
    traded."""
    cures = {rule.name: rule.cure for rule in rules()}
    return [
        f"{row['session']}: {row['rule']} of {_what(row)} is {row['value']:,.6g} {row['unit']}, beyond the limit of "
        f"{row['limit']:,.6g}. {cures.get(row['rule'], '')}"
        for row in _refused(rows)
        if row["value"] is not None
    ]


def unmeasured(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Sentences about rows of HEADROOM that have a limit and no value."""
    return [
        f"{row['session']}: {row['rule']} of {_what(row)} cannot be measured: prices or rates that it needs are "
        "missing or too old, so that orders that add to it are refused. Load them, or set missing = 'warn' for it."
        for row in _refused(rows)
        if row["value"] is None
    ]


def _refused(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    of_orders = {rule.name for rule in rules() if rule.form == "ORDER"}
    return [row for row in rows if row["outcome"] == "refuse" and row["rule"] not in of_orders]


def _what(row: Mapping[str, Any]) -> str:
    return "the book" if row["axis"] == "portfolio" else str(row["element"])


def _is_told(each: Judged) -> bool:
    limited = math.isfinite(each.limit) or math.isfinite(each.warn)
    return (limited or each.axis == "portfolio") and (each.axis not in SINGLE or each.value != 0.0)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
