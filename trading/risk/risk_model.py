"""How risk is measured: from prices through a session to the facts that the risk engine is given.

Belongs here: cutting history at a session, gains of one contract, volatility, the covariance, scenarios, factors,
stresses, margins and liquidity. Does not belong here: the value they make up (`market.py`), reading anything
(`assets/risk_inputs.py`), or a book.

Everything is cut at the session first, so nothing can look ahead. What is not known is NaN, and so is what was measured
from prices older than asked for: a rule that needs it says that it is missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from trading.config.risk import FactorSettings, RiskModelSettings, ScenarioSettings
from trading.errors import UnknownInstrument
from trading.market.contracts import first_of_month
from trading.market.instruments import Instrument, RollParameters
from trading.market.rolls import SOON_DAYS, desired_roll
from trading.risk.market import DIMENSIONS, HOLD, ROLL_SOON, ROLLED, Contract, Floats, Group, Integers, Market, group
from trading.strategies.prices import anchored_prices

Rates = Mapping[str, float]
LEAST_GAINS = 20  # of an instrument, to say anything of its risk
LEAST_COVER = 0.9  # of the days looked back on, by weight, that a covariance or a scenario needs prices of
MARKED = timedelta(days=400)  # how far back prices are read for marks, as the book does
QUOTED = timedelta(days=90)  # a contract that was not quoted for longer is not traded any more
VOLUME_SESSIONS = 20
GAP_SESSIONS = 30  # the longest holiday after which the first price still makes a gain
_DERIVED = ("version", "covariance_loadings", "covariance_rest", "component_loadings")  # of the facts hashed


# --- history, cut at a session ----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """What is known by session. Wide frames (index: sessions, Monday to Friday; columns: instruments): `prices_points`
    continuous and never changed by a later roll, `volumes` of the held contract, `held` its id. Long: `quotes`
    (instrument, contract, session, price_points; the last row of a contract is its newest) and `rates` (currency,
    session, rate, quoted_on), both in order of session."""

    prices_points: pd.DataFrame
    volumes: pd.DataFrame
    held: pd.DataFrame
    quotes: pd.DataFrame
    rates: pd.DataFrame

    def through(self, session: date) -> Histories:
        """The same without anything after a session."""
        last = pd.Timestamp(session)
        wide = [frame.iloc[: frame.index.searchsorted(last, side="right")] for frame in self._wide()]
        long = [frame.iloc[: frame["session"].searchsorted(last, side="right")] for frame in (self.quotes, self.rates)]
        return Histories(*wide, *long)

    def _wide(self) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        return self.prices_points, self.volumes, self.held


def histories(daily: pd.DataFrame, gaps: pd.DataFrame, rates: pd.DataFrame) -> Histories:
    """Rows of DAILY_PRICES, ROLL_GAPS and FX_RATES laid out by session."""
    priced = daily.dropna(subset=["price"])
    prices = anchored_prices(priced, gaps)
    volumes, held = (_wide(daily, name, prices) for name in ("volume", "price_contract"))
    return Histories(prices, volumes, held, _quotes(daily), rates.sort_values("session", kind="stable"))


def _wide(daily: pd.DataFrame, name: str, like: pd.DataFrame) -> pd.DataFrame:
    wide = daily.assign(value=daily[name].astype("float64")).pivot(
        index="session", columns="instrument", values="value"
    )
    return wide.reindex(index=like.index, columns=like.columns)


def _quotes(daily: pd.DataFrame) -> pd.DataFrame:
    """Prices by contract: where two columns name the same one the held price wins, then the forward one."""
    parts = []
    for name in ("carry", "forward", "price"):
        part = daily[["instrument", f"{name}_contract", "session", name]].dropna()
        parts.append(part.set_axis(["instrument", "contract", "session", "price_points"], axis=1))
    long = pd.concat(parts, ignore_index=True).astype({"contract": "int64", "price_points": "float64"})
    ordered = long.sort_values("session", kind="stable")
    return ordered.drop_duplicates(["instrument", "contract", "session"], keep="last").reset_index(drop=True)


def rates_of(rates: pd.DataFrame, session: date, base_currency: str, max_age_sessions: int) -> dict[str, float]:
    """Base currency for one unit of each currency, from rows of FX_RATES through a session. A rate that was quoted
    longer ago than `max_age_sessions` is left out."""
    last = rates.drop_duplicates("currency", keep="last")
    ages = ages_sessions(last["quoted_on"].fillna(last["session"]), session)
    known = last[(ages <= max_age_sessions) & last["rate"].notna()]
    return dict(zip(known["currency"], known["rate"].astype(float), strict=True)) | {base_currency: 1.0}


def ages_sessions(days: pd.Series, session: date) -> Floats:
    """Desk sessions (Monday to Friday without New Year's Day) from each day to a session; NaN of no day."""
    known = days.notna().to_numpy()
    found = np.full(len(days), np.nan)
    if known.any():
        began = days.to_numpy(dtype="datetime64[D]")[known]
        years = range(int(str(began.min())[:4]), session.year + 1)
        found[known] = np.busday_count(began, np.datetime64(session), holidays=[f"{year}-01-01" for year in years])
    return np.asarray(np.maximum(found, 0.0), dtype=np.float64)


# --- gains and what is measured of them -------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class Gains:
    """Gains of one contract in base currency, `base` (days, instruments), the newest day last; NaN where there is no
    price, and the next price has the whole move. `since` (instruments,): days from the first price on; `fresh`: whether
    the last one is new enough."""

    base: Floats
    since: Integers
    fresh: npt.NDArray[np.bool_]

    @property
    def days(self) -> int:
        """How many there are."""
        return int(self.base.shape[0])


def gains_of(prices_points: pd.DataFrame, base_per_point: Floats, sessions: int, fresh: npt.NDArray[np.bool_]) -> Gains:
    """The gains of the last `sessions` days, as far as there are so many: change of the continuous price x
    `base_per_point` (instruments,), which is point value x exchange rate of the session judged."""
    recent = prices_points.iloc[-(sessions + 1 + GAP_SESSIONS) :]
    values = recent.to_numpy(dtype=np.float64)
    moves = (recent - recent.ffill().shift(1)).to_numpy(dtype=np.float64)
    days = max(0, min(sessions, len(values) - 1))
    first = [int(there.argmax()) if there.any() else len(values) for there in np.isfinite(values).T]
    since = np.clip(len(values) - 1 - np.array(first, dtype=np.int64), 0, days)
    return Gains(moves[len(moves) - days :] * base_per_point, since, fresh)


def decay(days: int, half_life_sessions: float) -> Floats:
    """Weights of days, the newest (last) 1, each half that of `half_life_sessions` later; shape (days,)."""
    return np.asarray(0.5 ** (np.arange(days - 1, -1, -1) / half_life_sessions), dtype=np.float64)


def volatility_base(gains: Gains, half_life_sessions: float) -> Floats:
    """Standard deviation of a day: the root of the weighted mean square of the gains there are, around nothing, as over
    a day. NaN with fewer than LEAST_GAINS of them, with old ones, or where nothing ever moved. Shape (instruments,).
    Source: RiskMetrics Technical Document, 4th edition (1996), section 5.2, with the decay as a half-life."""
    there = np.isfinite(gains.base)
    weights = decay(gains.days, half_life_sessions)
    total = weights @ there
    squares = weights @ np.where(there, gains.base, 0.0) ** 2
    known = gains.fresh & (there.sum(axis=0) >= LEAST_GAINS) & (squares > 0.0)
    return np.sqrt(np.where(known, squares, np.nan) / np.where(known, total, 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class Correlated:
    """Gains scaled so that correlations are products of columns: `standard` (days, instruments), the correlation being
    standard' standard; columns of nothing where `known` (instruments,) is False. `volatility_base` (instruments,)."""

    standard: Floats
    known: npt.NDArray[np.bool_]
    volatility_base: Floats


def correlated(gains: Gains, half_life_sessions: float) -> Correlated:
    """Correlations of gains under the weights of the volatility. A day without a gain counts as one of nothing. Known
    of instruments with prices for LEAST_COVER of the weights: with fewer, correlations would come out too small."""
    weights = decay(gains.days, half_life_sessions)
    sigma = volatility_base(gains, half_life_sessions)
    covered = np.concatenate([[0.0], np.cumsum(weights[::-1])])[gains.since]
    known = np.isfinite(sigma) & (covered >= LEAST_COVER * weights.sum())
    scaled = np.sqrt(weights)[:, None] * np.nan_to_num(gains.base, nan=0.0)
    norms = np.sqrt((scaled**2).sum(axis=0))
    known &= norms > 0.0
    standard = np.where(known, scaled / np.where(known, norms, 1.0), 0.0)
    return Correlated(standard, known, sigma)


def loadings_of(found: Correlated, count: int) -> Floats:
    """The first `count` common directions of the covariance, (instruments, k): gain of a contract for one standard
    deviation of each. Eigenvectors of the correlation by falling eigenvalue, each scaled by volatility and the root of
    its eigenvalue; signed so that the largest is positive. NaN rows of instruments that are not known. With as many as
    instruments (or days) L L' is the covariance."""
    inside = found.standard[:, found.known]
    vectors, values = _directions(inside)
    kept = min(count, len(values))
    loadings = np.full((len(found.known), kept), np.nan)
    scaled = vectors[:, :kept] * np.sqrt(values[:kept])
    loadings[found.known] = scaled * found.volatility_base[found.known, None]
    return loadings


def _directions(standard: Floats) -> tuple[Floats, Floats]:
    """Eigenvectors (columns) and eigenvalues of standard' standard, falling, by the smaller of its two products."""
    days, count = standard.shape
    if count == 0 or days == 0:
        return np.zeros((count, 0)), np.zeros(0)
    if count <= days:
        values, vectors = np.linalg.eigh(standard.T @ standard)
    else:
        values, across = np.linalg.eigh(standard @ standard.T)
        vectors = standard.T @ across / np.sqrt(np.maximum(values, np.finfo(float).tiny))
    keep = values > 1e-12 * max(1.0, float(values.max()))
    values, vectors = values[keep][::-1], vectors[:, keep][:, ::-1]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])]
    return vectors * np.where(largest < 0.0, -1.0, 1.0), values


def rest_of(found: Correlated, loadings: Floats) -> Floats:
    """What the common directions leave of each variance, so that the diagonal is exact; NaN where it is not known."""
    rest = found.volatility_base**2 - (loadings**2).sum(axis=1)
    return np.where(found.known, np.maximum(0.0, rest), np.nan)


def scenarios_of(gains: Gains) -> Floats:
    """Gain of a contract on each day looked back on, (days, instruments). NaN throughout where prices are old or
    missing for more than a tenth of the days, and with fewer than LEAST_GAINS days."""
    enough = gains.fresh & (gains.since >= LEAST_COVER * gains.days) & (gains.days >= LEAST_GAINS)
    return np.where(enough, np.nan_to_num(gains.base, nan=0.0), np.nan)


def factor_loadings(
    factors: Mapping[str, FactorSettings], instruments: Sequence[str], found: Correlated
) -> tuple[tuple[str, ...], Floats]:
    """Names of factors, and the gain of a contract for one standard deviation of each, (factors, instruments).

    Of a basket: its scaled returns weighted, scaled to one standard deviation; the loading is the covariance of the
    gain with it (least squares). NaN for all where a member is not known. Given ones: times volatility, 0 where none is
    given."""
    names = tuple(sorted(factors))
    rows = [_factor(factors[name], instruments, found) for name in names]
    return names, np.array(rows).reshape(len(names), len(instruments))


def _factor(settings: FactorSettings, instruments: Sequence[str], found: Correlated) -> Floats:
    if settings.loadings is not None:
        given = np.array([settings.loadings.get(code, 0.0) for code in instruments])
        return np.where(given == 0.0, 0.0, given * found.volatility_base)
    basket = settings.basket or {}
    places = {code: place for place, code in enumerate(instruments)}
    if any(code not in places or not found.known[places[code]] for code in basket):
        return np.full(len(instruments), np.nan)
    weights = np.array([basket.get(code, 0.0) for code in instruments])
    returns = found.standard @ weights
    size = float(np.sqrt(returns @ returns))
    if size == 0.0:
        return np.full(len(instruments), np.nan)
    return np.where(found.known, found.volatility_base * (found.standard.T @ returns / size), np.nan)


class Classed(Protocol):
    """What a scenario has to know of an instrument."""

    @property
    def code(self) -> str:
        """Its code."""

    @property
    def asset_class(self) -> str:
        """Its asset class."""


def stresses_of(
    scenarios: Mapping[str, ScenarioSettings], instruments: Sequence[Classed], notional_base: Floats
) -> tuple[tuple[str, ...], Floats]:
    """Names of scenarios, and the gain of a contract in each, (scenarios, instruments): the move of the price x what
    one contract is worth, (instruments,). 0 where the scenario does not move it; NaN where what it is worth is not
    known."""
    names = tuple(sorted(scenarios))
    moves = np.array([[_move(scenarios[name], each) for each in instruments] for name in names])
    moves = moves.reshape(len(names), len(instruments))
    return names, np.where(moves == 0.0, 0.0, moves * notional_base)


def _move(scenario: ScenarioSettings, instrument: Classed) -> float:
    of_class = scenario.asset_classes.get(instrument.asset_class, 0.0)
    return scenario.instruments.get(instrument.code, of_class)


def volumes_of(volumes: pd.DataFrame) -> tuple[Floats, Floats]:
    """Median and 25th percentile (linear) of the volumes there are in the last 20 sessions, contracts, (instruments,).
    NaN where there is none, and where it comes to nothing: what cannot be traded has no share that is small enough."""
    recent = volumes.iloc[-VOLUME_SESSIONS:]
    median, low = (recent.quantile(level).to_numpy(dtype=np.float64) for level in (0.5, 0.25))
    return np.where(median > 0.0, median, np.nan), np.where(low > 0.0, low, np.nan)


def roll_state(
    contract: int, held: float, parameters: RollParameters | None, session: date, soon_days: int = SOON_DAYS
) -> int:
    """ROLLED where a later contract is held (`held`, NaN where that is not known) or the month's expiry is past;
    ROLL_SOON where the held one is to be rolled within `soon_days`; else HOLD."""
    if contract < held:
        return ROLLED
    if parameters is None:
        return HOLD
    today = pd.Timestamp(session)
    if first_of_month(contract) + pd.Timedelta(days=parameters.expiry_offset_days) < today:
        return ROLLED
    roll_on = desired_roll(parameters, contract)
    roll_on -= pd.Timedelta(days=max(0, roll_on.weekday() - 4))  # a weekend's is Friday's
    return ROLL_SOON if contract == held and (roll_on - today).days <= soon_days else HOLD


# --- facts that grow old ----------------------------------------------------------------------------------------------
def aged(market: Market, session: date, max_age_sessions: int) -> Market:
    """Facts read for an earlier session as they are worth on a later one: marks are so much older, and what is too old
    counts as missing, that is as NaN; all of it, once the facts themselves are."""
    older = float(ages_sessions(pd.Series([market.session]), session)[0])
    if older <= 0.0:
        return market
    ages = market.mark_age_sessions + older
    newest = np.full(len(market.instruments), np.inf)
    np.fmin.at(newest, market.contract_instrument, ages)
    old = newest > max_age_sessions
    values: dict[str, Any] = {name: np.where(old, np.nan, getattr(market, name)) for name in _OF_INSTRUMENTS}
    return replace(
        market, session=session, version=f"{market.version}+{older:.0f}", mark_age_sessions=ages,
        notional_base=np.where(ages > max_age_sessions, np.nan, market.notional_base),
        covariance_loadings=np.where(old[:, None], np.nan, market.covariance_loadings), **values,
    )  # fmt: skip


_OF_INSTRUMENTS = (
    "volatility_base", "median_volume", "low_volume", "spread_fraction", "margin_base", "factor_loadings",
    "component_loadings", "stresses", "scenarios", "covariance_rest",
)  # fmt: skip


# --- all of it --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What is in force on a session beside prices: reference data, settings of the model, and how old a price may be
    that anything is measured by."""

    instruments: Mapping[str, Instrument]
    rolls: Mapping[str, RollParameters]
    model: RiskModelSettings
    base_currency: str
    max_age_sessions: int = 3


def market_of(found: Histories, session: date, known: Known, also: Collection[Contract] = ()) -> Market:
    """The facts of a session: of every contract quoted in the last 90 days, and of those in `also`, which are held.
    Raises UnknownInstrument where reference data lacks one that is held."""
    cut = found.through(session)
    quotes = _last_quotes(cut.quotes, session, known, also)
    contracts = tuple(zip(quotes["instrument"], quotes["contract"], strict=True))
    codes = tuple(sorted({code for code, _ in contracts}))
    listed = [known.instruments[code] for code in codes]
    place = {code: number for number, code in enumerate(codes)}
    lines = np.array([place[code] for code, _ in contracts], dtype=np.int64)
    rates = rates_of(cut.rates, session, known.base_currency, known.max_age_sessions)
    per_point = np.array([each.point_value_local * rates.get(each.currency, np.nan) for each in listed])
    marks, ages = quotes["price_points"].to_numpy(float), ages_sessions(quotes["session"], session)
    notional = np.where(ages <= known.max_age_sessions, np.abs(marks) * per_point[lines], np.nan)
    held = cut.held.iloc[-MARKED.days :].reindex(columns=list(codes)).ffill().iloc[-1:].to_numpy(float).reshape(-1)
    held = held if len(held) else np.full(len(codes), np.nan)
    own = _of_held(contracts, lines, held)
    at_rest = Market(
        version="", session=session, instruments=codes, contracts=contracts, contract_instrument=lines,
        mark_points=marks, mark_age_sessions=ages, notional_base=notional,
        roll_state=_roll_states(contracts, lines, held, known, session),
        volatility_base=np.full(len(codes), np.nan), median_volume=np.full(len(codes), np.nan),
        low_volume=np.full(len(codes), np.nan), spread_fraction=_spreads(listed, _at(marks, own)),
        margin_base=np.full(len(codes), np.nan), groups=groups_of(listed),
    )  # fmt: skip
    return versioned(_with_risk(at_rest, cut, listed, per_point, _at(notional, own), known, rates), known.model)


def _with_risk(
    market: Market, cut: Histories, listed: Sequence[Instrument], per_point: Floats, notional: Floats, known: Known,
    rates: Rates,
) -> Market:  # fmt: skip
    """The facts with everything that is measured of prices and volumes. `notional` of the held contracts."""
    model, codes = known.model, list(market.instruments)
    prices = cut.prices_points.reindex(columns=codes)
    fresh = _price_ages(prices, market.session) <= known.max_age_sessions
    gains = gains_of(prices, per_point, model.sessions, fresh)
    together = correlated(gains, model.half_life_sessions)
    loadings = loadings_of(together, model.loadings)
    factors, by_factor = factor_loadings(model.factors, codes, together)
    stress_names, stresses = stresses_of(model.scenarios, listed, notional)
    median, low = volumes_of(cut.volumes.reindex(columns=codes))
    components = loadings_of(together, model.components) if model.components > model.loadings else loadings
    return replace(
        market, volatility_base=together.volatility_base, median_volume=median, low_volume=low,
        margin_base=margins_of(listed, together.volatility_base, rates, model), factors=factors,
        factor_loadings=by_factor, component_loadings=components[:, : model.components].T.copy(),
        stress_names=stress_names, stresses=stresses, scenarios=scenarios_of(gains), covariance_loadings=loadings,
        covariance_rest=rest_of(together, loadings),
    )  # fmt: skip


def margins_of(instruments: Sequence[Instrument], volatility: Floats, rates: Rates, model: RiskModelSettings) -> Floats:
    """Initial margin of a contract, base currency: as given, at the session's rate, else so many volatilities."""
    given = [model.margins_local.get(each.code, np.nan) * rates.get(each.currency, np.nan) for each in instruments]
    is_given = np.array([each.code in model.margins_local for each in instruments], dtype=bool)
    return np.where(is_given, np.array(given), model.margin_volatilities * volatility)


def groups_of(instruments: Sequence[Instrument]) -> dict[str, Group]:
    """The groups of instruments by dimension, as reference data has them."""
    return {name: group([getattr(each, name) or "none" for each in instruments]) for name in DIMENSIONS}


def versioned(market: Market, model: RiskModelSettings) -> Market:
    """The facts under the hash of what they say and the settings they are measured by. What follows from these by
    linear algebra is not hashed: its last bits are the machine's."""
    digest = hashlib.sha256(model.model_dump_json().encode())
    for name in (field.name for field in fields(Market) if field.name not in _DERIVED):
        digest.update(name.encode())
        digest.update(_bytes(getattr(market, name)))
    return replace(market, version=digest.hexdigest())


def _bytes(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        plain = np.where(np.isnan(value), np.nan, value) + 0.0 if value.dtype.kind == "f" else value
        return json.dumps(value.shape).encode() + np.ascontiguousarray(plain).tobytes()
    if isinstance(value, Mapping):
        return b"".join(f"{name}{each.names}".encode() + each.codes.tobytes() for name, each in sorted(value.items()))
    return repr(value).encode()


def _last_quotes(quotes: pd.DataFrame, session: date, known: Known, also: Collection[Contract]) -> pd.DataFrame:
    """The newest price of every contract that is quoted or held, by instrument and contract; NaN where a held one never
    had one."""
    unknown = sorted({code for code, _ in also} - set(known.instruments))
    if unknown:
        raise UnknownInstrument(unknown[0], list(known.instruments))
    within = quotes.iloc[quotes["session"].searchsorted(pd.Timestamp(session - MARKED)) :]
    last = within.drop_duplicates(["instrument", "contract"], keep="last").set_index(["instrument", "contract"])
    recent = (last["session"] > pd.Timestamp(session - QUOTED)) & last.index.get_level_values(0).isin(known.instruments)
    wanted = sorted({*last.index[recent], *((code, contract) for code, contract in also)})
    index = pd.MultiIndex.from_tuples(wanted, names=["instrument", "contract"]) if wanted else last.index[:0]
    return last.reindex(index).reset_index()


def _of_held(contracts: Sequence[Contract], lines: Integers, held: Floats) -> Integers:
    """The line of each instrument's held contract, else of its last one; (instruments,)."""
    found = np.zeros(len(held), dtype=np.int64)
    for number, (_, contract) in enumerate(contracts):
        code = lines[number]
        is_held = contracts[found[code]][1] == held[code] and lines[found[code]] == code
        if contract == held[code] or not is_held:
            found[code] = number
    return found


def _at(values: Floats, places: Integers) -> Floats:
    return values[places] if len(places) else np.zeros(0)


def _roll_states(contracts: Sequence[Contract], lines: Integers, held: Floats, known: Known, session: date) -> Integers:
    states = [
        roll_state(contract, held[lines[number]], known.rolls.get(code), session)
        for number, (code, contract) in enumerate(contracts)
    ]
    return np.array(states, dtype=np.int64)


def _spreads(instruments: Sequence[Instrument], marks: Floats) -> Floats:
    """Twice the slippage of each over its mark."""
    slippage = np.array([each.slippage_points for each in instruments])
    there = np.abs(marks) > 0.0
    return np.where(there, 2.0 * slippage / np.where(there, np.abs(marks), 1.0), np.nan)


def _price_ages(prices: pd.DataFrame, session: date) -> Floats:
    """Sessions since the last price of each column; NaN where there is none."""
    last = [prices.index[at] if at >= 0 else pd.NaT for at in _last_places(prices)]
    return ages_sessions(pd.Series(last, dtype="datetime64[us]"), session)


def _last_places(prices: pd.DataFrame) -> list[int]:
    there = prices.notna().to_numpy()
    count = len(there)
    return [count - 1 - int(column[::-1].argmax()) if column.any() else -1 for column in there.T]
