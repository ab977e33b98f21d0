"""The market of a close: contracts at their marks, with what else is known of their instruments laid beside.

Belongs here: a `Market` of the contracts that a session's book and orders are of. Does not belong here: measuring risk
(`risk_model.py` does, and hands its market in), or reading.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from trading.book.marks import Contract, Mark
from trading.market.instruments import Instrument, RollParameters
from trading.risk.market import DIMENSIONS, Floats, Group, Integers, Market, group
from trading.risk.risk_model import ages_sessions, roll_state

NO_ROLLS: Mapping[str, RollParameters] = MappingProxyType({})


def marked(
    session: date,
    contracts: Iterable[Contract],
    marks: Mapping[Contract, Mark],
    held: Mapping[str, int],
    instruments: Mapping[str, Instrument],
    rates: Mapping[str, float],
    risk: Market | None = None,
    rolls: Mapping[str, RollParameters] = NO_ROLLS,
) -> Market:
    """The market of some contracts. `held` is the contract to hold by instrument, `rates` base currency for one unit,
    `rolls` when instruments roll. Ages and states of rolling are as those of `risk_model.py`.
    What `risk` knows of their instruments is taken from it; without it, risks, volumes and margins are missing (NaN).
    A contract without a mark has no notional. Raises KeyError on an instrument without reference data."""
    keys = sorted(set(contracts))
    codes = sorted({code for code, _ in keys})
    place = {code: number for number, code in enumerate(codes)}
    points = np.array([marks[key].price_points if key in marks else math.nan for key in keys])
    worth = np.array([_point_base(instruments[code], rates) for code in codes])
    of_line = np.array([place[code] for code, _ in keys], dtype=np.int64)
    spread = np.array([2.0 * instruments[code].slippage_points for code in codes])
    own = _known(codes, risk)
    return Market(
        version=_version(session, keys, points, worth, risk), session=session, instruments=tuple(codes),
        contracts=tuple(keys), contract_instrument=of_line, mark_points=points,
        mark_age_sessions=_ages([marks.get(key) for key in keys], session),
        notional_base=np.abs(points * worth[of_line]) if len(keys) else points,
        roll_state=_roll_states(keys, held, rolls, session),
        spread_fraction=_spread(spread, keys, points, codes, held), groups=_groups(codes, instruments), **own,
    )  # fmt: skip


def _point_base(instrument: Instrument, rates: Mapping[str, float]) -> float:
    return instrument.point_value_local * rates.get(instrument.currency, math.nan)


def _ages(marks: Sequence[Mark | None], session: date) -> Floats:
    """Sessions since each mark's; NaN of none."""
    days = [pd.NaT if mark is None else pd.Timestamp(mark.session) for mark in marks]
    return ages_sessions(pd.Series(days, dtype="datetime64[us]"), session)


def _roll_states(
    keys: Sequence[Contract], held: Mapping[str, int], rolls: Mapping[str, RollParameters], session: date
) -> Integers:
    states = [roll_state(contract, held.get(code, math.nan), rolls.get(code), session) for code, contract in keys]
    return np.array(states, dtype=np.int64)


def _spread(
    spread_points: Floats, keys: list[Contract], points: Floats, codes: list[str], held: Mapping[str, int]
) -> Floats:
    """Of the mark of the contract to hold, else of the last one there is."""
    price = {code: value for (code, _), value in zip(keys, points, strict=True)}
    price |= {code: value for (code, contract), value in zip(keys, points, strict=True) if held.get(code) == contract}
    prices = np.abs(np.array([price[code] for code in codes]))
    return spread_points / np.where(prices > 0.0, prices, np.nan)


def _groups(codes: list[str], instruments: Mapping[str, Instrument]) -> dict[str, Group]:
    return {name: group([str(getattr(instruments[code], name)) for code in codes]) for name in DIMENSIONS}


_OF_INSTRUMENTS = ("volatility_base", "median_volume", "low_volume", "margin_base", "covariance_rest")
_BY_INSTRUMENT = ("factor_loadings", "component_loadings", "stresses", "scenarios")


def _known(codes: list[str], risk: Market | None) -> dict[str, Any]:
    """Facts of a risk model for these instruments; NaN for those it does not have."""
    if risk is None:
        nothing = np.full(len(codes), np.nan)
        missing_all: dict[str, Any] = dict.fromkeys(_OF_INSTRUMENTS, nothing)
        return missing_all | {
            "covariance_loadings": np.full((len(codes), 1), np.nan), "scenarios": np.full((1, len(codes)), np.nan),
        }  # fmt: skip
    known = {code: number for number, code in enumerate(risk.instruments)}
    columns = np.array([known.get(code, -1) for code in codes], dtype=np.int64)
    missing = columns < 0

    def taken(values: Floats, axis: int) -> Floats:
        found = np.array(np.take(values, columns, axis=axis), dtype=np.float64)
        found[(slice(None), missing) if axis else (missing,)] = np.nan
        return found

    return {
        **{name: taken(getattr(risk, name), 0) for name in _OF_INSTRUMENTS},
        **{name: taken(np.reshape(getattr(risk, name), (-1, len(known))), 1) for name in _BY_INSTRUMENT},
        "covariance_loadings": taken(risk.covariance_loadings, 0),
        "factors": risk.factors,
        "stress_names": risk.stress_names,
    }


def _version(session: date, keys: list[Contract], points: Floats, worth: Floats, risk: Market | None) -> str:
    said = f"{session}|{keys}|{points.tolist()}|{worth.tolist()}|{'' if risk is None else risk.version}"
    return hashlib.sha256(said.encode()).hexdigest()
