"""Which assets read which setting, as data: what has to be made again when a setting changes.

Belongs here: the readers of every setting, who makes an asset that no change of a setting should, and telling two
configurations apart setting by setting. Does not belong here: starting anything (`configuration_sensor.py`), or the
settings themselves (`trading/config/`). A test holds this table to the settings: each has assets, or a reason for none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from trading.config.models import DeskSettings
from trading.config.symbol_fields import FIELDS

RAW = ("raw_bars", "raw_multiple_prices", "raw_adjusted_prices", "raw_fx_rates", "raw_roll_calendars")
CLEAN = ("clean_bars", "clean_multiple_prices", "clean_fx_rates")
SIGNALS = ("forecasts", "optimal_positions")
ACCOUNT = ("targets", "orders", "positions", "pnl", "equity", "attribution")
BACKTESTS = "backtests"  # of the strategies concerned
DRAWN = ("daily_report",)


class Effect(NamedTuple):
    """What a setting affects: assets that read it, datasets whose checks do (they are judged anew, and not made anew),
    or else why there are none."""

    assets: tuple[str, ...]
    judged: tuple[str, ...] = ()
    because: str = ""


def _read_by(*assets: str, judged: tuple[str, ...] = ()) -> Effect:
    return Effect(assets, judged)


def _none(because: str) -> Effect:
    return Effect((), (), because)


_SPIKES = ("raw_bars", "raw_multiple_prices", "raw_adjusted_prices", "raw_fx_rates")
_SILENCE = ("raw_bars", "raw_multiple_prices")

# The longest path that a setting begins with holds for it.
EFFECTS: Mapping[str, Effect] = {
    "schema": _none("how the file is written changes no value"),
    "environment": _none("it says what is allowed, and computes nothing"),
    # --- data
    "data.universe": _read_by(*RAW, "history"),
    "data.vendor": _read_by(*RAW, "history"),
    "data.timeframes": _read_by("raw_bars", "history"),
    "data.prices.calendar": _read_by(*RAW, "volatility", "correlation", "history"),
    "data.prices.stitching": _read_by("adjusted_prices"),
    "data.streaming": _none("how messages travel between processes changes no number"),
    "data.storage": _none("where things are kept is read when a run begins, and changes no number"),
    "data.parallelism": _none("how much runs at once changes no number"),
    "data.retention": _read_by("snapshot"),
    # --- features
    "features.volatility_span_sessions": _read_by("volatility"),
    "features.volatility_min_sessions": _read_by("volatility"),
    "features.correlation_span_weeks": _read_by("correlation"),
    "features.correlation_min_weeks": _read_by("correlation"),
    "features.training": _read_by("correlation"),
    # --- trading
    "trading.strategies": _read_by(*SIGNALS, "targets", "orders"),
    "trading.capital.base_currency": _read_by("fx_rates", *SIGNALS, *ACCOUNT, BACKTESTS, *DRAWN, "history"),
    "trading.capital.capital_base": _read_by(*SIGNALS, *ACCOUNT, BACKTESTS),
    "trading.capital.volatility_target_percent": _read_by(*SIGNALS, "targets", "orders", BACKTESTS),
    "trading.broker": _read_by("orders", "fills", "breaks"),
    "trading.orders": _read_by("collecting", "orders"),
    "trading.reconciliation": _read_by("breaks"),
    "trading.close": _read_by("attribution"),
    # --- risk
    "risk": _read_by("collecting", "orders"),
    # --- single instruments
    "symbols.max_position_contracts": _read_by("collecting", "targets", "orders"),
    "symbols.max_order_contracts": _read_by("collecting", "orders"),
    "symbols.max_exposure_fraction": _read_by("collecting", "orders"),
    "symbols.trading_mode": _read_by("collecting", "orders"),
    "symbols.order_type": _read_by("orders"),
    "symbols.limit_offset_fraction": _read_by("orders"),
    "symbols.max_spike": _read_by(judged=_SPIKES),
    "symbols.max_silent_sessions": _read_by(judged=_SILENCE),
    "symbols.max_price_points": _read_by(*CLEAN, judged=_SPIKES),  # a price beyond it is quarantined
    "symbols.inherits": _read_by(*CLEAN, "collecting", "targets", "orders", judged=_SPIKES),
    "symbols.table": _none("where the table lies: its content is table_sha256"),
    "symbols.table_sha256": _read_by(*CLEAN, "collecting", "targets", "orders", judged=_SPIKES),
    # --- operations, strategies
    "operations": _none("how runs wait, who is told and how changes come in: no number depends on it"),
    "strategies": _read_by(*SIGNALS, "targets", "orders", BACKTESTS),
}

# Assets that a changed setting does not start, and who makes them. A change must never trade or sign anything.
MADE_BY: Mapping[str, str] = {
    **dict.fromkeys(("collecting", "targets", "orders", "fills", "positions", "pnl", "equity"), "the next close"),
    **dict.fromkeys(("attribution", "daily_report"), "the next close"),
    "breaks": "the next close, or `daybook reconcile`",
    "history": "`daybook load`",
    "snapshot": "the next backup",
}


def effect(part: str) -> Effect:
    """The effect of one part of a configuration. Raises KeyError where the table does not know it."""
    path = part
    while path not in EFFECTS:
        path, dot, _ = path.rpartition(".")
        if not dot:
            raise KeyError(part)
    return EFFECTS[path]


def affected(parts: Iterable[str], traded: Iterable[str]) -> tuple[str, ...]:
    """Assets that read one of these parts, in order of the table; `backtests` stands for those of the strategy that
    changed, or of all in `traded`."""
    found: dict[str, None] = {}
    for part in parts:
        for asset in effect(part).assets:
            found |= dict.fromkeys(_backtests(part, traded) if asset == BACKTESTS else (asset,))
    return tuple(found)


def judged(parts: Iterable[str]) -> tuple[str, ...]:
    """Datasets whose checks read one of these parts, in order of the table."""
    return tuple(dict.fromkeys(dataset for part in parts for dataset in effect(part).judged))


def _backtests(part: str, traded: Iterable[str]) -> Iterator[str]:
    own = part.removeprefix("strategies.")
    yield from (f"{BACKTESTS}/{name}" for name in ([own] if own != part else traded))


# --- telling configurations apart -------------------------------------------------------------------------------------
def parts(settings: DeskSettings) -> dict[str, str]:
    """A short hash of every setting by path. Those of single instruments are one part a field, over all levels that may
    give it; a strategy is one part."""
    values = settings.model_dump(mode="json", by_alias=True)
    symbols, strategies = values.pop("symbols"), values.pop("strategies")
    found = {path: _short(value) for path, value in _leaves("", values)}
    found |= {f"symbols.{name}": _short(value) for name, value in _of_symbols(symbols).items()}
    return found | {f"strategies.{strategy['name']}": _short(strategy) for strategy in strategies}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Parts with another hash, and those that are new or gone, sorted."""
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Settings by path; a map that people fill (`trading.broker.symbols`) is one setting, and so is a secret."""
    if not isinstance(value, Mapping) or path in ONE_SETTING:
        yield path, value
        return
    for name, each in value.items():
        yield from _leaves(f"{path}.{name}" if path else name, each)


ONE_SETTING = frozenset(
    {
        "trading.broker.symbols",
        "data.storage.ledger.address",
        "data.storage.cache.address",
        "operations.notifier.webhook",
    }
)


def _of_symbols(symbols: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What every level gives, by field; levels that give nothing are left out."""
    levels = {("defaults", ""): symbols["defaults"]}
    for section in ("asset_classes", "exchange_groups", "strategies", "symbols"):
        levels |= {(section, name): given for name, given in symbols[section].items()}
    wanted = (*(field.name for field in FIELDS), "inherits")
    found = {
        name: [[*level, given[name]] for level, given in sorted(levels.items()) if given.get(name) is not None]
        for name in wanted
    }
    return {**found, "table": symbols.get("table"), "table_sha256": symbols.get("table_sha256")}


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
