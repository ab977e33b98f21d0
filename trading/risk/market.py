"""What the risk engine knows of instruments and contracts, as arrays: one immutable value a version of the data.

Belongs here: the value and its names. Does not belong here: measuring any of it (`risk_model.py`), reading it
(`assets/risk_inputs.py`), or the book (`book.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Contract = tuple[str, int]

DIMENSIONS = ("sector", "asset_class", "country", "currency", "exchange_group")
HOLD, ROLL_SOON, ROLLED = 0, 1, 2  # states of a contract


@dataclass(frozen=True, slots=True)
class Group:
    """Which of `names` each instrument belongs to: `codes`, shape (n_instruments,), are places in `names`."""

    names: tuple[str, ...]
    codes: Integers


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """Facts of n instruments and m contracts, for one session. NaN is what is not known. Money is of the base currency,
    for one contract, and one day where it is a risk.

    `instruments` and `contracts` are sorted. (m,): `contract_instrument` is the place of a contract's instrument;
    `mark_points`, `mark_age_sessions`, `notional_base` (positive), `roll_state` (HOLD, ROLL_SOON, ROLLED).
    (n,): `volatility_base` is a standard deviation; `median_volume` and `low_volume` (25th percentile) of 20 sessions,
    contracts; `spread_fraction` of the mark; `margin_base`. (f, n): `factor_loadings` and `component_loadings`, gain of
    a contract for one standard deviation of the factor; `stresses`, gain in a scenario; `scenarios`, gain on each of
    the days looked back on. The covariance of gains is L L' + diag(e): `covariance_loadings` (n, k) and
    `covariance_rest` (n,).
    """

    version: str
    session: date
    instruments: tuple[str, ...]
    contracts: tuple[Contract, ...]
    contract_instrument: Integers
    mark_points: Floats
    mark_age_sessions: Floats
    notional_base: Floats
    roll_state: Integers
    volatility_base: Floats
    median_volume: Floats
    low_volume: Floats
    spread_fraction: Floats
    margin_base: Floats
    groups: Mapping[str, Group]
    factors: tuple[str, ...] = ()
    factor_loadings: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    component_loadings: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    stress_names: tuple[str, ...] = ()
    stresses: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    scenarios: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    covariance_loadings: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    covariance_rest: Floats = field(default_factory=lambda: np.zeros(0))


def group(names: Sequence[str]) -> Group:
    """A group out of the name each instrument has in it, in their order."""
    known = tuple(sorted(set(names)))
    place = {name: number for number, name in enumerate(known)}
    return Group(known, np.array([place[name] for name in names], dtype=np.int64))
