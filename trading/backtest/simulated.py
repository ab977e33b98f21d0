"""Panels out of a seed: a market for the tests of one's own strategies, where no real prices are at hand.

Belongs here: made-up prices as daily series. Does not belong here: the simulated market that a desk loads day by day
(`trading/market/simulation.py`), which has bars, contracts and rolls of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from trading.backtest.market_days import (
    DailySeries,
    Quotes,
    Rates,
    Terms,
    conversion,
    dates,
    joined,
    weekdays,
)
from trading.backtest.panel import Floats, Panel

_BEGIN = int(weekdays(np.array(["2000-01-03"], "datetime64[us]"))[0])
_QUARTER = 65  # sessions between rolls
_HOLIDAYS = 0.03  # share of sessions without a price


def simulated_panel(
    instruments: Sequence[str] = ("ALPHA", "BETA", "GAMMA"),
    sessions: int = 2500,
    seed: int = 0,
    currencies: Sequence[str] = ("USD", "EUR"),
) -> Panel:
    """A panel in US dollars from Monday 3 January 2000 on: the same for the same arguments, whatever the machine.

    Each instrument is a random walk of about 1 % a day around 100 points with trends of some months, its own holidays,
    a roll each quarter and a carry that comes and goes; a point is worth 100 of its currency. Currencies are given out
    in turn, and are worth 0.8 to 1.5 dollars. An instrument's numbers do not depend on which others are asked for or on
    how many sessions: a longer panel begins with the shorter one.
    """
    codes = sorted(set(instruments))
    money = {code: currencies[place % len(currencies)] for place, code in enumerate(codes)}
    series = {code: _series(np.random.default_rng([seed, *code.encode()]), sessions) for code in codes}
    quotes = {f"{name}USD": _quotes(np.random.default_rng([seed, *name.encode()]), sessions) for name in currencies}
    ways = {name: conversion(name, "USD", quotes) for name in currencies}
    terms = {code: Terms(money[code], 100.0, 0.02, 2.0, rolls_a_year=4.0) for code in codes}
    version = hashlib.sha256(f"{seed} {sessions} {','.join(codes)} {','.join(currencies)}".encode()).hexdigest()
    return joined(series, terms, Rates("USD", ways, quotes), version)


def _series(random: np.random.Generator, sessions: int) -> DailySeries:
    """One instrument; all of a session's numbers are drawn before the next session's."""
    draws = random.standard_normal((sessions, 4))
    trend = _lingering(draws[:, 0], 0.98) * 0.15
    price = 100.0 + np.cumsum(draws[:, 1] + trend)
    open_day = np.abs(draws[:, 2]) > _HOLIDAYS * 1.25  # |normal| is below 0.0376 on 3 days in 100
    price[~open_day] = np.nan
    held = np.maximum(price, 1.0)
    carry = np.where(open_day, _lingering(draws[:, 3], 0.99) * 2.0, np.nan)
    rolls = (np.arange(sessions) % _QUARTER == _QUARTER - 1).astype(np.float64)
    return DailySeries(_BEGIN, price, _BEGIN, held, carry, rolls)


def _quotes(random: np.random.Generator, sessions: int) -> Quotes:
    """Quotes at 23:00 of every session, which keep returning to 1.15."""
    weekday = np.arange(_BEGIN, _BEGIN + sessions)
    rate = 1.15 + 0.35 * np.tanh(_lingering(random.standard_normal(sessions), 0.995))
    stamps = np.array(dates(weekday).astype("datetime64[us]") + np.timedelta64(23, "h"), dtype="datetime64[us]")
    return Quotes(weekday, stamps, rate)


def _lingering(shocks: Floats, decay: float) -> Floats:
    """Shocks that fade, of standard deviation one: each value is `decay` of the one before and a new shock."""
    values, now, share = np.empty(len(shocks)), 0.0, float(np.sqrt(1.0 - decay * decay))
    for row, shock in enumerate(shocks.tolist()):
        now = decay * now + share * shock
        values[row] = now
    return values
