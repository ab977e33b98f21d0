"""The facts of a session against numpy and pandas computed apart, and numbers worked by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from trading.config.risk import RiskModelSettings
from trading.errors import UnknownInstrument
from trading.market.instruments import Instrument, RollParameters
from trading.risk import risk_model as model
from trading.risk.market import HOLD, ROLL_SOON, ROLLED, Market

ROLLS = RollParameters("AAA", "HMUZ", "HMUZ", roll_offset_days=-5, expiry_offset_days=14, carry_offset=-1)


def instrument(code: str, currency: str = "USD", asset_class: str = "Equity", slippage: float = 0.25) -> Instrument:
    return Instrument(code, code, "CME", currency, 50.0, 0.25, asset_class, f"sector {code[0]}", "US", slippage)


INSTRUMENTS = {each.code: each for each in (
    instrument("AAA"), instrument("BBB", "EUR"), instrument("CCC", asset_class="Bond", slippage=0.0),
)}  # fmt: skip


def rows(days: int = 300, seed: int = 1, codes: str = "ABC") -> pd.DataFrame:
    """Daily prices: random walks, one contract held throughout, one carried."""
    sessions = pd.bdate_range(end="2024-06-14", periods=days).astype("datetime64[us]")
    draw, parts = np.random.default_rng(seed), []
    common = draw.standard_normal(days)
    for place, letter in enumerate(codes):
        own = draw.standard_normal(days)
        price = 1000.0 * (place + 1) + np.cumsum((place + 1) * (common + own))
        parts.append(pd.DataFrame({
            "instrument": letter * 3, "session": sessions, "stamp": sessions, "price": price,
            "price_contract": 20240900, "carry": price - 2.0, "carry_contract": 20240600, "forward": math.nan,
            "forward_contract": pd.NA, "volume": draw.integers(100, 200, days).astype(float),
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def no_gaps() -> pd.DataFrame:
    return pd.DataFrame({"instrument": pd.Series(dtype="str"), "stamp": pd.Series(dtype="datetime64[us]"),
                         "gap_points": pd.Series(dtype=float)})  # fmt: skip


def rates(quoted_on: str = "2024-06-14", rate: float = 1.25) -> pd.DataFrame:
    return pd.DataFrame({"currency": ["EUR", "USD"], "session": pd.Timestamp("2024-06-14"), "rate": [rate, 1.0],
                         "quoted_on": pd.Timestamp(quoted_on)})  # fmt: skip


def known(**settings: object) -> model.Known:
    chosen = RiskModelSettings.model_validate({"sessions": 250, "half_life_sessions": 30.0} | settings)
    return model.Known(INSTRUMENTS, {"AAA": ROLLS}, chosen, "USD")


SESSION = date(2024, 6, 14)


def market(daily: pd.DataFrame | None = None, session: date = SESSION, **settings: object) -> Market:
    daily = rows() if daily is None else daily
    return model.market_of(model.histories(daily, no_gaps(), rates()), session, known(**settings))


def gains(daily: pd.DataFrame, last: int = 250) -> pd.DataFrame:
    """Gains of one contract, apart: pandas alone."""
    wide = daily.pivot(index="session", columns="instrument", values="price").diff().iloc[-last:]
    return wide * np.array([50.0, 50.0 * 1.25, 50.0])


def weights(days: int, half_life: float = 30.0) -> np.ndarray:
    return np.exp(-math.log(2) / half_life * np.arange(days)[::-1])


def covariance(found: Market) -> np.ndarray:
    return found.covariance_loadings @ found.covariance_loadings.T + np.diag(found.covariance_rest)


def test_volatility_and_covariance_are_the_weighted_moments_of_gains() -> None:
    found, apart = market(), gains(rows()).to_numpy()
    w = weights(250) / weights(250).sum()
    expected = sum(weight * np.outer(gain, gain) for weight, gain in zip(w, apart, strict=True))
    np.testing.assert_allclose(covariance(found), expected, rtol=1e-9)
    np.testing.assert_allclose(found.volatility_base, np.sqrt(np.diag(expected)), rtol=1e-12)
    np.testing.assert_allclose(found.scenarios, apart, rtol=1e-9, atol=1e-7)


def test_a_volatility_worked_by_hand() -> None:
    """Half-life 1 of moves 3, 4 and 5: (9/4 + 16/2 + 25) / (7/4) = 20.142857."""
    held = model.Gains(np.array([[3.0], [4.0], [5.0]]), np.array([3]), np.array([True]))
    assert np.isnan(model.volatility_base(held, 1.0)).all()  # three gains say nothing
    many = model.Gains(np.vstack([np.zeros((200, 1)), held.base]), np.array([203]), np.array([True]))
    assert model.volatility_base(many, 1.0)[0] == pytest.approx(math.sqrt(35.25 / 2.0))  # all weights sum to 2


def test_fewer_directions_keep_the_diagonal_and_are_the_largest_eigenvectors() -> None:
    whole, one = covariance(market()), market(loadings=1)
    assert one.covariance_loadings.shape == (3, 1)
    np.testing.assert_allclose(np.diag(covariance(one)), np.diag(whole), rtol=1e-12)
    sigma = np.sqrt(np.diag(whole))
    values, vectors = np.linalg.eigh(whole / np.outer(sigma, sigma))
    np.testing.assert_allclose(np.abs(one.covariance_loadings[:, 0]),
                               np.abs(sigma * vectors[:, -1]) * math.sqrt(values[-1]), rtol=1e-8)  # fmt: skip
    np.testing.assert_allclose(market(components=2).component_loadings[0], one.covariance_loadings[:, 0], rtol=1e-9)


def test_more_instruments_than_days_give_the_same_covariance() -> None:
    draw = np.random.default_rng(3)
    held = model.Gains(draw.standard_normal((40, 90)) * 100, np.full(90, 40), np.full(90, True))
    found = model.correlated(held, 15.0)
    loadings = model.loadings_of(found, 512)
    assert loadings.shape == (90, 40)
    w = weights(40, 15.0) / weights(40, 15.0).sum()
    np.testing.assert_allclose(loadings @ loadings.T + np.diag(model.rest_of(found, loadings)),
                               (held.base * w[:, None]).T @ held.base, rtol=1e-7, atol=1e-6)  # fmt: skip


def test_nothing_later_than_the_session_is_seen() -> None:
    daily = rows()
    cut = daily[daily["session"] <= "2024-05-15"]
    assert market(daily, date(2024, 5, 15)).version == market(cut, date(2024, 5, 15)).version
    assert market(daily, date(2024, 5, 15)).version != market(daily).version


def test_the_version_follows_the_facts_and_the_settings() -> None:
    daily = rows()
    assert market(daily).version == market(rows()).version
    assert market(daily).version != market(daily, half_life_sessions=31.0).version
    daily.loc[daily.index[-1], "price"] += 0.25
    assert market(daily).version != market().version


def test_a_holiday_is_a_day_of_nothing_and_the_next_price_has_the_whole_move() -> None:
    daily = rows()
    prices = daily[daily["instrument"] == "BBB"].set_index("session")["price"]
    off = prices.index[-3]
    found = market(daily[(daily["instrument"] != "BBB") | (daily["session"] != off)])
    per_point = 50.0 * 1.25
    assert found.scenarios[-3, 1] == 0.0
    assert found.scenarios[-2, 1] == pytest.approx((prices.iloc[-2] - prices.iloc[-4]) * per_point)
    assert found.scenarios[-1, 1] == pytest.approx((prices.iloc[-1] - prices.iloc[-2]) * per_point)


def test_a_roll_is_no_gain() -> None:
    daily = rows(codes="A")
    before, after = daily["session"].iloc[-11], daily["session"].iloc[-10]
    rolled = daily.assign(price=daily["price"].where(daily["session"] <= before, daily["price"] + 40.0))
    gaps = pd.DataFrame({"instrument": ["AAA"], "stamp": [after], "gap_points": [40.0]})
    found = model.market_of(model.histories(rolled, gaps, rates()), SESSION, known())
    np.testing.assert_allclose(found.scenarios, market(daily).scenarios, atol=1e-6)


def test_too_short_a_history_is_missing_and_leaves_the_others_alone() -> None:
    daily = rows()
    first = daily["session"].unique()[-60]
    found = market(daily[(daily["instrument"] != "CCC") | (daily["session"] >= first)])
    assert np.isnan(found.scenarios[:, 2]).all()
    assert np.isnan(found.covariance_loadings[2]).all()
    assert np.isnan(found.covariance_rest[2])
    assert np.isnan(found.component_loadings[:, 2]).all()
    assert found.volatility_base[2] > 0.0  # 59 gains are enough for that
    np.testing.assert_allclose(covariance(found)[:2, :2], covariance(market())[:2, :2], rtol=1e-9)
    shortest = market(daily[(daily["instrument"] != "CCC") | (daily["session"] >= daily["session"].unique()[-20])])
    assert np.isnan(shortest.volatility_base[2])


def test_old_prices_count_as_missing() -> None:
    daily = rows()
    stopped = daily["session"].unique()[-5]
    still = daily[(daily["instrument"] != "AAA") | (daily["session"] <= stopped)]
    found = market(still)
    assert found.mark_age_sessions[:2].tolist() == [4.0, 4.0]
    assert np.isnan(found.notional_base[:2]).all()
    assert np.isnan(found.volatility_base[0])
    assert np.isnan(found.scenarios[:, 0]).all()
    assert found.mark_points[1] == still[still["instrument"] == "AAA"]["price"].iloc[-1]  # known, and how old it is
    fresh = model.market_of(model.histories(still, no_gaps(), rates()), SESSION, replace(known(), max_age_sessions=4))
    assert np.isfinite(fresh.notional_base).all()


def test_an_old_or_unknown_rate_leaves_what_is_in_that_currency_unknown() -> None:
    old = model.market_of(model.histories(rows(), no_gaps(), rates("2024-06-07")), SESSION, known())
    assert np.isnan(old.notional_base).tolist() == [False, False, True, True, False, False]
    assert np.isnan(old.volatility_base).tolist() == [False, True, False]


def test_marks_notional_and_spread_are_of_each_contract() -> None:
    daily = rows()
    found = market(daily)
    last = daily[daily["session"] == daily["session"].max()].set_index("instrument")
    assert found.contracts == tuple(
        (code, contract) for code in ("AAA", "BBB", "CCC") for contract in (20240600, 20240900)
    )
    assert found.mark_points[2] == last.loc["BBB", "carry"]
    assert found.notional_base[2] == pytest.approx(last.loc["BBB", "carry"] * 50 * 1.25)
    np.testing.assert_allclose(
        found.spread_fraction, [0.5 / last.loc["AAA", "price"], 0.5 / last.loc["BBB", "price"], 0]
    )
    assert found.groups["sector"].names == ("sector A", "sector B", "sector C")
    assert found.groups["currency"].codes.tolist() == [1, 0, 1]


def test_a_held_contract_without_any_price_is_there_and_unknown() -> None:
    facts = model.histories(rows(), no_gaps(), rates())
    found = model.market_of(facts, SESSION, known(), also=[("AAA", 20230300)])
    assert found.contracts[0] == ("AAA", 20230300)
    assert np.isnan(found.notional_base[0])
    assert np.isnan(found.mark_age_sessions[0])
    with pytest.raises(UnknownInstrument, match="ZZZ"):
        model.market_of(facts, SESSION, known(), also=[("ZZZ", 20230300)])


def test_volumes_are_of_twenty_sessions_and_nothing_where_there_are_none() -> None:
    daily = rows()
    daily.loc[daily["instrument"] == "CCC", "volume"] = math.nan
    found = market(daily)
    last = daily[daily["instrument"] == "AAA"]["volume"].to_numpy()[-20:]
    assert found.median_volume[0] == pytest.approx(np.median(last))
    assert found.low_volume[0] == pytest.approx(np.percentile(last, 25))
    assert np.isnan([found.median_volume[2], found.low_volume[2]]).all()


def test_a_basket_factor_is_the_regression_on_its_scaled_returns() -> None:
    found = market(factors={"stocks": {"basket": {"AAA": 0.5, "BBB": 0.5}}, "duration": {"loadings": {"CCC": -0.8}}})
    apart = gains(rows()).to_numpy()
    w = weights(250)
    returns = apart[:, :2] / found.volatility_base[:2] @ np.array([0.5, 0.5])
    returns /= math.sqrt((w * returns**2).sum() / w.sum())  # one standard deviation
    slopes = [np.linalg.lstsq(np.sqrt(w)[:, None] * returns[:, None], np.sqrt(w) * apart[:, i], rcond=None)[0][0]
              for i in range(3)]  # fmt: skip
    assert found.factors == ("duration", "stocks")
    np.testing.assert_allclose(found.factor_loadings[1], slopes, rtol=1e-9)
    np.testing.assert_allclose(found.factor_loadings[0], [0.0, 0.0, -0.8 * found.volatility_base[2]])
    assert np.isnan(market(factors={"new": {"basket": {"AAA": 1.0, "ZZZ": 1.0}}}).factor_loadings).all()


def test_stresses_are_moves_of_the_held_contracts_notional() -> None:
    settings = {"crash": {"asset_classes": {"Equity": -0.2}, "instruments": {"BBB": -0.3}}}
    found = market(scenarios=settings)
    assert found.stress_names == ("crash",)
    np.testing.assert_allclose(
        found.stresses[0], [-0.2 * found.notional_base[1], -0.3 * found.notional_base[3], 0.0], rtol=1e-12
    )


def test_margins_are_given_or_so_many_volatilities() -> None:
    found = market(margins_local={"BBB": 8000.0}, margin_volatilities=5.0)
    np.testing.assert_allclose(
        found.margin_base, [5 * found.volatility_base[0], 8000 * 1.25, 5 * found.volatility_base[2]]
    )


@pytest.mark.parametrize(("contract", "held", "day", "expected"), [
    (20240900, 20240900.0, date(2024, 6, 14), HOLD),
    (20240900, 20240900.0, date(2024, 9, 2), ROLL_SOON),  # to be rolled on 10 September, a Tuesday
    (20240900, 20240900.0, date(2024, 8, 30), HOLD),  # 11 days before
    (20240900, 20240900.0, date(2024, 9, 16), ROLLED),  # expired on the 15th
    (20240600, 20240900.0, date(2024, 6, 3), ROLLED),
    (20241200, 20240900.0, date(2024, 9, 9), HOLD),  # not held: nothing to roll
    (20240900, math.nan, date(2024, 6, 14), HOLD),
])  # fmt: skip
def test_roll_states(contract: int, held: float, day: date, expected: int) -> None:
    assert model.roll_state(contract, held, ROLLS, day) == expected


def test_without_any_price_there_is_nothing() -> None:
    nothing = model.market_of(model.histories(rows().iloc[:0], no_gaps(), rates()), SESSION, known())
    assert (nothing.instruments, nothing.contracts, nothing.scenarios.shape) == ((), (), (0, 0))
    held = model.market_of(model.histories(rows().iloc[:0], no_gaps(), rates()), SESSION, known(), [("AAA", 20240600)])
    assert np.isnan(held.volatility_base).all()
    assert np.isnan(held.notional_base).all()


def test_facts_of_an_earlier_session_grow_old_and_then_are_missing() -> None:
    found = market()
    assert model.aged(found, SESSION, 3) is found
    monday = model.aged(found, date(2024, 6, 17), 3)
    assert monday.mark_age_sessions.tolist() == [1.0] * 6
    assert np.isfinite(monday.notional_base).all()
    assert monday.version != found.version
    thursday = model.aged(found, date(2024, 6, 20), 3)
    gone = ("notional_base", "volatility_base", "scenarios", "covariance_loadings", "covariance_rest", "margin_base")
    for name in gone:
        assert np.isnan(getattr(thursday, name)).all(), name


def test_of_facts_that_grow_old_the_older_instruments_are_missing_first() -> None:
    daily = rows()
    stopped = daily["session"].unique()[-3]
    found = market(daily[(daily["instrument"] != "AAA") | (daily["session"] <= stopped)])
    assert np.isfinite(found.volatility_base).all()
    later = model.aged(found, date(2024, 6, 18), 3)
    assert np.isnan(later.volatility_base).tolist() == [True, False, False]
    assert np.isnan(later.notional_base).tolist() == [True, True, False, False, False, False]
