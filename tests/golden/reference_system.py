"""The reference system's numbers written out in plain pandas: slow, one series at a time, one function for each step.

Test support: what Daybook's backtests are held to on data for which no golden numbers exist. Reads the vendor's CSV
folder and a configuration as users of the reference system write it (a dictionary of its YAML). It was written from the
description of the reference system alone; it shares no code with Daybook. Does not belong here: Daybook's own options,
and estimated scalars or multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Config = Mapping[str, Any]
DAYS = 256
ROOT = 16


# --- dates and series -------------------------------------------------------------------------------------------------
def business_day(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The Monday to Friday that each time belongs to: its own date; Saturday and Sunday to the Friday before."""
    days = stamps.normalize()
    late = np.maximum(days.day_of_week.to_numpy() - 4, 0)
    return days - pd.to_timedelta(late, unit="D")


def business_daily(series: pd.Series, how: str = "last") -> pd.Series:
    """`how` ("last" or "mean") of what is present on each business day, NaN on days with nothing."""
    days = business_day(pd.DatetimeIndex(series.index))
    found = series.groupby(days).agg(how)
    return found.reindex(pd.bdate_range(found.index[0], found.index[-1]))


def as_of(series: pd.Series, dates: pd.Index) -> pd.Series:
    """The last row at or before each date, even if that row is missing."""
    return series.reindex(dates, method="ffill")


def exactly(series: pd.Series, dates: pd.Index) -> pd.Series:
    return series.reindex(dates)


def read_csv(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path)
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.pop("DATETIME")))
    return frame


def unique_times(series: pd.Series) -> pd.Series:
    """The last present value of each time."""
    return series.groupby(level=0).last()


# --- rules ------------------------------------------------------------------------------------------------------------
def ewmac(price: pd.Series, vol: pd.Series, Lfast: int, Lslow: int) -> pd.Series:
    fast, slow = price.ewm(span=Lfast).mean(), price.ewm(span=Lslow).mean()
    return (fast - slow) / vol.ffill()


def carry(raw_carry: pd.Series, smooth_days: float = 90) -> pd.Series:
    return raw_carry.ewm(com=smooth_days).mean()


def breakout(price: pd.Series, lookback: int = 10, smooth: int | None = None) -> pd.Series:
    smooth = max(int(lookback / 4), 1) if smooth is None else smooth
    window = price.rolling(lookback, min_periods=int(min(len(price), np.ceil(lookback / 2))))
    top, bottom = window.max(), window.min()
    position = 40.0 * (price - (top + bottom) / 2) / (top - bottom)
    return position.ewm(span=smooth, min_periods=int(np.ceil(smooth / 2))).mean()


def year_fraction(contract: pd.Series) -> pd.Series:
    """YYYYMMDD as a number of years: the month and a non-zero day count as MMDD / 1200."""
    return np.floor(contract / 10000) + (contract % 10000) / 100 / 12


def in_all_zero(forecast: pd.Series) -> bool:
    return bool((forecast.isna() | (forecast == 0)).all())


# --- the system -------------------------------------------------------------------------------------------------------
class Market:
    """One instrument's prices, volatility, terms and rates."""

    def __init__(self, folder: Path, code: str, config: Config) -> None:
        self.folder, self.code, self.config = folder, code, config
        self.terms = self._row("instrumentconfig")
        self.rolls_a_year = len(self._row("rollconfig")["HoldRollCycle"])
        self.point_size = float(self.terms["Pointsize"])

    def _row(self, table: str) -> pd.Series:
        return pd.read_csv(self.folder / "csvconfig" / f"{table}.csv").set_index("Instrument").loc[self.code]

    @cached_property
    def price(self) -> pd.Series:
        """1: daily adjusted prices."""
        return business_daily(self._rows("adjusted_prices_csv")["price"])

    def _rows(self, folder: str) -> pd.DataFrame:
        """1.5: from `start_date` on."""
        rows = read_csv(self.folder / folder / f"{self.code}.csv")
        start = self.config.get("start_date")
        return rows if start is None else rows[rows.index >= pd.Timestamp(start)]

    @cached_property
    def multiple(self) -> pd.DataFrame:
        return self._rows("multiple_prices_csv")

    @cached_property
    def denominator(self) -> pd.Series:
        """2: the held contract's own price."""
        return business_daily(self.multiple["PRICE"])

    @cached_property
    def vol(self) -> pd.Series:
        """2: daily volatility in price points."""
        settings = dict(self.config.get("volatility_calculation", {}))
        method = settings.pop("func", "sysquant.estimators.vol.mixed_vol_calc").rsplit(".", 1)[-1]
        return VOLATILITIES[method](self.price.diff(), **settings)

    @cached_property
    def raw_carry(self) -> pd.Series:
        """4: annualised roll over annual volatility."""
        multiple = self.multiple
        roll = multiple["PRICE"] - multiple["CARRY"]
        roll = unique_times(roll.where(roll != 0))
        years = year_fraction(multiple["CARRY_CONTRACT"]) - year_fraction(multiple["PRICE_CONTRACT"])
        least = 1 / 365.25
        years = unique_times(years.where(~((years > 0) & (years < least)), least))
        daily = business_daily(roll / years, "mean")
        return daily / (self.vol * ROOT)

    @cached_property
    def rate(self) -> pd.Series:
        """8: base currency for one unit of the instrument's, at its own times."""
        return fx(self.folder, self.terms["Currency"], self.config.get("base_currency", "USD"))

    @cached_property
    def value_vol(self) -> pd.Series:
        """8: volatility of one contract a day in base currency."""
        percent = 100 * self.vol / exactly(self.denominator, self.vol.index).ffill()
        block = self.denominator.ffill() * self.point_size * 0.01
        common = block.index.intersection(percent.index)
        currency_vol = block[common] * percent[common]
        return currency_vol.ffill() * as_of(self.rate, common)

    def forecast(self, rule: Mapping[str, Any]) -> pd.Series:
        """3 to 4: a raw forecast; zero throughout counts as missing."""
        name = rule["function"].rsplit(".", 1)[-1]
        given = dict(rule.get("other_args") or {})
        given.pop("_", None)
        made = {
            "ewmac": lambda: ewmac(self.price, self.vol, **given),
            "carry": lambda: carry(self.raw_carry, **given),
            "breakout": lambda: breakout(self.price, **given),
        }[name]()
        return made * np.nan if in_all_zero(made) else made


def mixed_vol_calc(
    returns: pd.Series,
    days: int = 35,
    min_periods: int = 10,
    slow_vol_years: float = 20,
    proportion_of_slow_vol: float = 0.3,
    vol_abs_min: float = 1e-10,
    backfill: bool = False,
    **_: object,
) -> pd.Series:
    fast = returns.ewm(span=days, min_periods=min_periods).std()
    slow = fast.ewm(com=slow_vol_years * DAYS).mean()
    mixed = proportion_of_slow_vol * slow + (1 - proportion_of_slow_vol) * fast
    mixed = mixed.where(~(mixed < vol_abs_min), vol_abs_min)
    return mixed.ffill().bfill() if backfill else mixed


def robust_vol_calc(
    returns: pd.Series,
    days: int = 35,
    min_periods: int = 10,
    vol_abs_min: float = 1e-10,
    vol_floor: bool = True,
    floor_min_quant: float = 0.05,
    floor_min_periods: int = 100,
    floor_days: int = 500,
    backfill: bool = False,
    **_: object,
) -> pd.Series:
    fast = returns.ewm(span=days, min_periods=min_periods).std()
    fast = fast.where(~(fast < vol_abs_min), vol_abs_min)
    if vol_floor:
        floor = fast.rolling(floor_days, min_periods=floor_min_periods).quantile(floor_min_quant)
        floor.iloc[0] = 0.0
        floor = floor.ffill()
        fast = fast.where(fast.isna() | (fast >= floor), floor)
    return fast.ffill().bfill() if backfill else fast


def simple_ewvol_calc(returns: pd.Series, days: int = 35, min_periods: int = 10, **_: object) -> pd.Series:
    return returns.ewm(span=days, min_periods=min_periods).std()


def simple_vol_calc(returns: pd.Series, days: int = 25, min_periods: int = 10, **_: object) -> pd.Series:
    return returns.rolling(days, min_periods=min_periods).std()


VOLATILITIES: dict[str, Callable[..., pd.Series]] = {
    function.__name__: function for function in (mixed_vol_calc, robust_vol_calc, simple_ewvol_calc, simple_vol_calc)
}


def fx(folder: Path, currency: str, base: str) -> pd.Series:
    """8: constant 1 for the same currency; from a file against USD; inverted; or the cross of two files."""
    if currency == base:
        return pd.Series(1.0, pd.bdate_range("1970-01-01", "2030-12-31"))
    if base == "USD":
        return unique_times(read_csv(folder / "fx_prices_csv" / f"{currency}USD.csv")["PRICE"])
    if currency == "USD":
        return 1 / fx(folder, base, "USD")
    both = pd.concat([fx(folder, currency, "USD"), fx(folder, base, "USD")], axis=1, sort=True).ffill()
    return both.iloc[:, 0] / both.iloc[:, 1]


def present_weights(weights: Mapping[str, float], values: pd.DataFrame, decay: Mapping[str, float]) -> pd.DataFrame:
    """6 and 9: fixed weights, 0 where the value is missing so far, summing to 1, on business days, smoothed."""
    filled = values.ffill()
    wide = pd.DataFrame({name: weights[name] for name in values.columns}, index=values.index)
    wide = wide.where(filled.notna(), 0.0)
    total = wide.sum(axis=1)
    wide = wide.div(total.where(total != 0, 0.0001), axis=0)
    daily = pd.DataFrame({name: business_daily(wide[name], "mean") for name in wide})
    return daily.ewm(**decay).mean()


def buffered(position: pd.Series, width: pd.Series, *, to_edge: bool) -> pd.Series:
    """11: whole contracts, traded when outside the zone."""
    position, width = position.ffill(), width.ffill()
    best, top, bottom = position.round(), (position + width).round(), (position - width).round()
    held = 0.0 if np.isnan(best.iloc[0]) else best.iloc[0]
    kept = [held]
    for want, high, low in zip(best.iloc[1:], top.iloc[1:], bottom.iloc[1:], strict=True):
        if not np.isnan([want, high, low]).any():
            if held > high:
                held = high if to_edge else want
            elif held < low:
                held = low if to_edge else want
        kept.append(held)
    return pd.Series(kept, position.index)


def curve(series: pd.Series, bins: str = "B") -> pd.Series:
    """14: cumulated, last of each bin, differenced; missing where the sum was."""
    total = series.cumsum()
    last = business_daily(total) if bins == "B" else total.resample(bins).last()
    return last.ffill().diff().where(last.notna())


def net_of(gross: pd.Series, costs: pd.Series) -> pd.Series:
    """13.7: the costs since the row before; none on and before the first known."""
    return gross + as_of(costs.cumsum(), gross.index).diff()


def sharpe(daily: pd.Series) -> float:
    return float((daily.sum() / (len(daily) / DAYS)) / (daily.std() * ROOT))


class Reference:
    """Every step of the reference system for one configuration; series by instrument, each computed once."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder, self.config = folder, config
        self.codes = list(config["instrument_weights"])
        self.markets = {code: Market(folder, code, config) for code in self.codes}
        self.capital = float(config["notional_trading_capital"])

    def _own(self, key: str, code: str, default: Any) -> Any:
        """A setting that may be one for all or by instrument."""
        given = self.config.get(key, default)
        return given[code] if isinstance(given, Mapping) and code in given else given

    def rules(self, code: str) -> dict[str, float]:
        return dict(sorted(self._own("forecast_weights", code, {}).items()))

    @cached_property
    def forecasts(self) -> dict[str, pd.DataFrame]:
        """5: scaled and capped."""
        return {code: pd.concat(self._forecasts(code), axis=1, sort=True) for code in self.codes}

    def _forecasts(self, code: str) -> dict[str, pd.Series]:
        cap = self.config.get("forecast_cap", 20.0)
        rules = {name: self.config["trading_rules"][name] for name in self.rules(code)}
        raw = {name: self.markets[code].forecast(rule) for name, rule in rules.items()}
        scalars = {name: self.config.get("forecast_scalars", {}).get(name) for name in rules}
        scalars = {name: rules[name].get("forecast_scalar", 1.0) if s is None else s for name, s in scalars.items()}
        return {name: (raw[name] * scalars[name]).clip(-cap, cap) for name in rules}

    @cached_property
    def combined(self) -> dict[str, pd.Series]:
        """6: one forecast."""
        return {code: self._combined(code) for code in self.codes}

    def _combined(self, code: str) -> pd.Series:
        forecasts, cap = self.forecasts[code].ffill(), self.config.get("forecast_cap", 20.0)
        span = self.config.get("forecast_weight_ewma_span", 125)
        weights = present_weights(self.rules(code), forecasts, {"span": span}).reindex(forecasts.index, method="ffill")
        multiplier = self._own("forecast_div_multiplier", code, 1.0)
        return ((forecasts * weights).sum(axis=1) * multiplier).clip(-cap, cap)

    @cached_property
    def scalar(self) -> dict[str, pd.Series]:
        """8: contracts at a forecast of 10 with all the capital."""
        target = self.capital * self.config["percentage_vol_target"] / 100 / ROOT
        return {code: target / market.value_vol for code, market in self.markets.items()}

    @cached_property
    def subsystem(self) -> dict[str, pd.Series]:
        """8: contracts with all the capital."""
        made = {}
        for code, forecast in self.combined.items():
            made[code] = exactly(self.scalar[code], forecast.index).ffill() * forecast / 10
        return made

    @cached_property
    def weights(self) -> pd.DataFrame:
        """9: smoothed instrument weights."""
        positions = pd.concat(self.subsystem, axis=1, sort=True)
        com = self.config.get("instrument_weight_ewma_span", 125)
        return present_weights(self.config["instrument_weights"], positions, {"com": com})

    def _share(self, code: str, dates: pd.Index) -> pd.Series:
        return exactly(self.weights[code], dates).ffill() * self.config.get("instrument_div_multiplier", 1.0)

    @cached_property
    def notional(self) -> dict[str, pd.Series]:
        return {code: held * self._share(code, held.index) for code, held in self.subsystem.items()}

    @cached_property
    def average(self) -> dict[str, pd.Series]:
        """Contracts at a forecast of 10."""
        return {c: exactly(self.scalar[c], p.index).ffill() * self._share(c, p.index) for c, p in self.notional.items()}

    @cached_property
    def positions(self) -> dict[str, pd.Series]:
        """11: decided with the close of each row."""
        edge = bool(self.config.get("buffer_trade_to_edge", False))
        return {c: buffered(p, self._width(c), to_edge=edge) for c, p in self.notional.items()}

    def _width(self, code: str) -> pd.Series:
        size, position = self.config.get("buffer_size", 0.1), self.notional[code]
        method = self.config.get("buffer_method", "position")
        if method == "position":
            return size * position.abs()
        if method == "forecast":
            return size * self.average[code].abs()
        return position.ffill() * 0 + 0.001

    @cached_property
    def held(self) -> dict[str, pd.Series]:
        """12: after the delay."""
        return {code: position.shift(1).round() for code, position in self.positions.items()}

    @cached_property
    def gross(self) -> dict[str, pd.Series]:
        """12: profit in base currency on the rows of prices."""
        return {code: self._gross(code) for code in self.codes}

    def _gross(self, code: str) -> pd.Series:
        market = self.markets[code]
        change = market.price.ffill().diff()
        points = (as_of(self.held[code], change.index).shift(1) * change).fillna(0.0)
        return points * market.point_size * as_of(market.rate, change.index)

    @cached_property
    def costs(self) -> dict[str, pd.Series]:
        """13: in base currency, negative, on their own dates."""
        known = self._sharpe_costs if self.config.get("use_SR_costs", False) else self._cash_costs
        return {code: self._in_base(known(code), code) for code in self.codes}

    def _in_base(self, series: pd.Series, code: str) -> pd.Series:
        return series * as_of(self.markets[code].rate, series.index)

    # --- 13.1 to 13.6 ---
    def _cash_costs(self, code: str) -> pd.Series:
        price, position = self.markets[code].price, self.held[code]
        trades = position.diff()
        trades = trades[trades.notna() & (trades != 0)]
        at = as_of(price, trades.index)
        rows = [(day, self.cost_of(code, q, p)) for day, q, p in zip(trades.index, trades, at, strict=True)]
        rows += [(day, self.cost_of(code, q, 0.0)) for day, q in self._holding(code)]
        raw = pd.DataFrame(rows, columns=["day", "cost"]).groupby("day")["cost"].sum().sort_index()
        return -raw * exactly(self.deflator(code), raw.index).ffill()

    def cost_of(self, code: str, quantity: float, price: float) -> float:
        """13.2: slippage and the largest of three commissions; a missing price has no commission by value."""
        terms, size = self.markets[code].terms, self.markets[code].point_size
        blocks = abs(quantity)
        value = terms["Percentage"] * blocks * price * size
        kinds = [blocks * terms["PerBlock"], terms["PerTrade"], 0.0 if np.isnan(value) else value]
        return float(blocks * terms["Slippage"] * size + max(kinds))

    def _holding(self, code: str) -> list[tuple[pd.Timestamp, float]]:
        """13.3: the mean holding between even dates of each year."""
        held, n = self.held[code].abs(), self.markets[code].rolls_a_year
        step, first = int(365.25 / n), int(int(365.25 / n) / 2)
        years = range(held.index[0].year, held.index[-1].year + 1)
        dates = [pd.Timestamp(y, 1, 1) + pd.Timedelta(days=first + k * step) for y in years for k in range(n)]
        before = [held.index[0] - pd.Timedelta(days=1), *dates[:-1]]
        means = [held[(held.index >= a) & (held.index <= b)].mean() for a, b in zip(before, dates, strict=True)]
        return [(day, 0.0 if np.isnan(mean) else float(mean)) for day, mean in zip(dates, means, strict=True)]

    def deflator(self, code: str) -> pd.Series:
        """13.4."""
        spread = self.markets[code].price.ffill().diff().rolling(180, min_periods=3).std().ffill()
        return spread / spread.iloc[-1]

    # --- 13.8 ---
    def sharpe_terms(self, code: str) -> tuple[float, float, float]:
        """Cost of a trade, of holding a year (both as Sharpe ratios), and turnover a year."""
        market = self.markets[code]
        since = market.price.index[-1] - pd.DateOffset(years=1)
        price, vol = market.price[since:].mean(), market.vol[since:].mean()
        share = self.cost_of(code, 1, price) / (price * market.point_size)
        trade = 2 * share / (vol * ROOT / price)
        return trade, trade * market.rolls_a_year / 2, self.turnover(code)

    def turnover(self, code: str) -> float:
        position = business_daily(self.positions[code])
        average = as_of(self.average[code], position.index).ewm(com=250).mean()
        return float((position / average.ffill()).diff().abs().mean() * DAYS)

    def _sharpe_costs(self, code: str) -> pd.Series:
        trade, holding, turnover = self.sharpe_terms(code)
        held = self.held[code]
        vol = self.markets[code].vol
        annual = (turnover * trade + holding) * as_of(self.average[code], vol.index) * vol * ROOT
        annual = as_of(annual, held.index).bfill()
        years = held.index.to_series().diff().dt.total_seconds() / (365.25 * 86400)
        points = -annual * years
        return points.where(held.notna()) * self.markets[code].point_size

    # --- 14 ---
    @cached_property
    def portfolio(self) -> dict[str, pd.Series]:
        """Gross, costs and net of all instruments, in base currency (`*_base`) and percent of capital (`*_percent`)."""
        gross = pd.concat(self.gross, axis=1, sort=True).sum(axis=1)
        costs = pd.concat(self.costs, axis=1, sort=True).sum(axis=1)
        capital = pd.Series(self.capital, gross.index)
        made = {"gross_base": gross, "costs_base": costs, "net_base": net_of(gross, costs)}
        made |= {
            f"{kind}_percent": 100 * made[f"{kind}_base"] / as_of(capital, made[f"{kind}_base"].index)
            for kind in ("gross", "costs")
        }
        made["net_percent"] = net_of(made["gross_percent"], made["costs_percent"])
        return made

    def instrument(self, code: str) -> dict[str, pd.Series]:
        """The same of one instrument, in percent of all the capital."""
        gross, costs = 100 * self.gross[code] / self.capital, self.costs[code]
        costs = 100 * costs / as_of(pd.Series(self.capital, gross.index), costs.index)
        return {"gross_percent": gross, "costs_percent": costs, "net_percent": net_of(gross, costs)}
