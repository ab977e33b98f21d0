"""pysystemtrade's configuration keys: which there are, what it ships for those a file leaves out, and reading a file.

Belongs here: facts about its version of March 2022. Does not belong here: what becomes of them (`pysystemtrade.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trading.config.refusals import did_you_mean
from trading.errors import ConfigError

UNLIMITED = 99_999  # of the shipped risk overlay: a limit that nothing reaches
SHIPPED: Mapping[str, Any] = {
    "volatility_calculation": {
        "func": "mixed_vol_calc", "days": 35, "min_periods": 10, "slow_vol_years": 10, "proportion_of_slow_vol": 0.3,
        "vol_abs_min": 1e-10,
    },
    "forecast_scalar": 1.0,
    "use_forecast_scale_estimates": False,
    "forecast_scalar_estimate": {"pool_instruments": True, "window": 250_000, "min_periods": 500, "backfill": True},
    "forecast_cap": 20.0,
    "average_absolute_forecast": 10.0,
    "forecast_div_multiplier": 1.0,
    "use_forecast_div_mult_estimates": False,
    "forecast_correlation_estimate": {
        "pool_instruments": True, "frequency": "W", "date_method": "expanding", "using_exponent": True,
        "ew_lookback": 250, "min_periods": 20, "cleaning": True, "floor_at_zero": True,
    },
    "forecast_div_mult_estimate": {"ewma_span": 125, "dm_max": 2.5},
    "use_forecast_weight_estimates": False,
    "forecast_weight_ewma_span": 125,
    "forecast_post_ceiling_cost_SR": 999,
    "percentage_vol_target": 16.0,
    "notional_trading_capital": 1_000_000,
    "base_currency": "USD",
    "capital_multiplier": {"func": "fixed_capital"},
    "instrument_div_multiplier": 1.0,
    "use_instrument_div_mult_estimates": False,
    "instrument_correlation_estimate": {
        "frequency": "W", "date_method": "expanding", "using_exponent": True, "ew_lookback": 250, "min_periods": 20,
        "cleaning": True, "floor_at_zero": True,
    },
    "instrument_div_mult_estimate": {"ewma_span": 125, "dm_max": 2.5},
    "use_instrument_weight_estimates": False,
    "instrument_weight_ewma_span": 125,
    "buffer_method": "position",
    "buffer_size": 0.10,
    "buffer_trade_to_edge": False,
    "use_SR_costs": False,
    "vol_normalise_currency_costs": True,
    "multiply_roll_costs_by": 1.0,
    "risk_overlay": {},
}  # fmt: skip
EXCLUDED: Mapping[str, tuple[str, ...]] = {  # by the key under duplicate_instruments.exclude that a file may set
    "copper": ("COPPER-mini",), "corn": ("CORN_mini",), "crude": ("CRUDE_W",), "gas": ("GAS_US",),
    "gasoiline": ("GASOILINE_mini",), "gold": ("GOLD",), "heatoil": ("HEATOIL_mini",),
    "jgb": ("JGB_mini", "JGB-SGX-mini"), "jpy": ("JPY_micro", "JPY-SGX-TITAN", "JPY-SGX"), "kospi": ("KOSPI_mini",),
    "krwusd": ("KRWUSD_mini",), "nasdaq": ("NASDAQ",), "silver": ("SILVER_mini",), "soybean": ("SOYBEAN_mini",),
    "sp500": ("SP500",), "twd": ("TWD-mini",), "vix": ("VIX_mini",), "wheat": ("WHEAT_mini",),
}  # fmt: skip
IGNORED = ("EURIBOR", "CLP")
WITHOUT_EFFECT = frozenset({  # groups for reports, settings of other estimators and of live trading
    "rule_groups", "style_groups", "countries", "asset_classes", "rule_variations", "forecast_weight_estimate",
    "forecast_cost_estimates", "instrument_weight_estimate", "instruments_with_threshold", "trading_restrictions",
    "bad_markets", "strategy_list", "strategy_capital_allocation", "production_capital_method",
})  # fmt: skip
NOT_OURS = {
    "use_attenuation": "forecasts are not weakened when volatility is high",
    "forecast_mapping": "forecasts are not mapped with a threshold",
    "small_system": "positions are not optimised for small capital",
    "long_only_instruments": "no instrument is long only",
    "end_date": "prices are used to their end; give the backtest its dates instead",
    "instrument_returns_correlation": "the risk overlay's correlations are estimated as shipped",
}
TREND = ("get_daily_prices", "daily_returns_volatility")


@dataclass(frozen=True, slots=True)
class Function:
    """A rule function of theirs as a rule of ours: what it reads, and its arguments with ours and their defaults."""

    rule: str
    data: tuple[tuple[str, ...], ...]
    arguments: Mapping[str, str]
    defaults: Mapping[str, float] = field(default_factory=dict)


CARRY = Function(
    "carry", (("raw_carry",), ("daily_annualised_roll", TREND[1])), {"smooth_days": "smooth"}, {"smooth": 90}
)
FUNCTIONS: Mapping[str, Function] = {
    "ewmac": Function("ewmac", (TREND,), {"Lfast": "fast", "Lslow": "slow"}),
    "ewmac_forecast_with_defaults": Function(
        "ewmac", (TREND,), {"Lfast": "fast", "Lslow": "slow"}, {"fast": 32, "slow": 128}
    ),
    "ewmac_calc_vol": Function("ewmac", (TREND[:1],), {"Lfast": "fast", "Lslow": "slow", "vol_days": ""}),
    "ewmac_forecast_with_defaults_no_vol": Function(
        "ewmac", (TREND[:1],), {"Lfast": "fast", "Lslow": "slow", "vol_days": ""}, {"fast": 16, "slow": 64}
    ),
    "carry": CARRY,
    "carry2": CARRY,
    "breakout": Function(
        "breakout", (TREND[:1],), {"lookback": "lookback", "smooth": "smooth"}, {"lookback": 10}
    ),
    "accel": Function("acceleration", (TREND,), {"Lfast": "fast"}, {"fast": 4}),
    "mr_wings": Function("mean_reversion", (TREND,), {"Lfast": "fast"}, {"fast": 4}),
}  # fmt: skip
RISK_LIMITS = {
    "max_risk_fraction_normal_risk": "normal_fraction",
    "max_risk_fraction_stdev_risk": "shocked_fraction",
    "max_risk_limit_sum_abs_risk": "sum_absolute_fraction",
    "max_risk_leverage": "leverage",
}
COMPOUNDING = {"fixed_capital": "fixed", "half_compounding": "half", "full_compounding": "full"}
READ = (
    "trading_rules", "forecast_weights", "forecast_scalars", "instruments", "instrument_weights", "start_date",
    "ignore_instruments", "duplicate_instruments", "exclude_instrument_lists",
)  # fmt: skip


class Configuration:
    """Their file over what they ship, and the notes on it."""

    def __init__(self, given: Mapping[str, Any], source: str) -> None:
        self.given, self.source, self.notes = given, source, list[str]()

    def value(self, *path: str) -> Any:
        """What the file says at a path, or what is shipped; None where neither says anything."""
        for layer in (self.given, SHIPPED):
            found: Any = layer
            for key in path:
                found = found.get(key) if isinstance(found, Mapping) else None
            if found is not None:
                return found
        return None

    def number(self, *path: str, told: bool = False) -> float:
        """The same as a number; `told`: a note says so where it is the shipped one."""
        found = self.value(*path)
        if told and self.given.get(path[0]) is None:
            self.note(f"{path[0]} is not given: the shipped {found:,.10g} was taken.")
        return self.as_number(found, ".".join(path))

    def whole(self, *path: str) -> int:
        """The same as a whole number."""
        found = self.number(*path)
        if found != int(found):
            raise self.refused(f"{'.'.join(path)} is {found!r}, but must be a whole number")
        return int(found)

    def truth(self, *path: str) -> bool:
        """The same as true or false."""
        found = self.value(*path)
        if not isinstance(found, bool):
            raise self.refused(f"{'.'.join(path)} is {found!r}, but must be true or false")
        return found

    def table(self, *path: str) -> Mapping[str, Any]:
        """A section; empty where there is none."""
        found = self.value(*path)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise self.refused(f"{'.'.join(path)} is {found!r}, but must be a table")
        return {str(key): value for key, value in found.items()}

    def as_number(self, found: Any, where: str) -> float:
        """A number, also from text like 1e-10, which YAML takes for text."""
        try:
            if isinstance(found, bool):
                raise TypeError
            return float(found)
        except (TypeError, ValueError):
            raise self.refused(f"{where} is {found!r}, but must be a number") from None

    def function(self, *path: str) -> str:
        """The last part of a function's dotted name."""
        return str(self.value(*path)).rpartition(".")[2]

    def note(self, text: str) -> None:
        """Keeps a sentence, once."""
        if text not in self.notes:
            self.notes.append(text)

    def refused(self, text: str) -> ConfigError:
        """The error that the file gives no strategy."""
        return ConfigError(f"{self.source}: {text}. Correct it and import again; nothing was written.")

    def leftovers(self) -> None:
        """Notes on keys that nobody read."""
        known = {*SHIPPED, *WITHOUT_EFFECT, *NOT_OURS, *READ}
        for key in self.given:
            if key in NOT_OURS and self.given[key]:
                self.note(f"{key} was not taken over: {NOT_OURS[key]}.")
            elif key not in known:
                self.note(f"{key} is not known and was not taken over.{did_you_mean(key, sorted(known))}")
