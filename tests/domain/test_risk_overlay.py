"""The risk overlay by hand, and what later data may change."""

from __future__ import annotations

import numpy as np
import pytest

from trading.config.strategies import RiskOverlaySettings
from trading.risk.overlay import RiskMeasures, annual_volatility, risk_measures, risk_scalar, shocked_volatility

NAN = float("nan")
SOUND = RiskOverlaySettings()
REFERENCE = RiskOverlaySettings(refits="from_end", backfill=True, missing_correlations="no_risk")


def weekdays(count: int) -> np.ndarray:
    return np.busday_offset(np.datetime64("2010-01-04"), np.arange(count)).astype("datetime64[D]")


# --- volatility -------------------------------------------------------------------------------------------------------
def test_annual_volatility_is_sixteen_days_of_the_held_price() -> None:
    held = np.array([[NAN], [50.0], [NAN], [0.0]])
    found = annual_volatility(np.array([[1.0], [1.0], [2.0], [1.0]]), held)
    np.testing.assert_array_equal(found[:, 0], [NAN, 16 / 50, 32 / 50, NAN])


def test_shocked_volatility_needs_three_values_unless_backfilled() -> None:
    annual = np.array([[NAN], [0.1], [0.3], [0.2], [NAN]])
    largest = 0.2 + 0.98 * 0.1  # 99 % of the way from rank 0 to rank 2
    np.testing.assert_allclose(shocked_volatility(annual, False)[:, 0], [NAN, NAN, NAN, largest, largest], rtol=1e-15)
    np.testing.assert_allclose(shocked_volatility(annual, True)[:, 0], [largest] * 5, rtol=1e-15)


# --- measures ---------------------------------------------------------------------------------------------------------
def flat(values: tuple[float, ...], rows: int = 4) -> np.ndarray:
    return np.tile(values, (rows, 1))


def measures(settings: RiskOverlaySettings, position: np.ndarray, value: np.ndarray, **other: np.ndarray):
    """Four sessions of two instruments at a price of 100, one point of volatility a day: 16 % a year each. No
    correlation is known in the first week: 0.99."""
    given = {"price": flat((100.0, 100.0)), "held": flat((100.0, 100.0)), "volatility": flat((1.0, 1.0))} | other
    return risk_measures(
        weekdays(4), given["price"], given["held"], given["volatility"], position, value, 1000.0, settings
    )


def test_four_measures_by_hand() -> None:
    """Long 3 contracts worth 100 and short 2 worth 200, of capital 1000: weights 0.3 and -0.4."""
    found = measures(SOUND, flat((3.0, -2.0)), flat((100.0, 200.0)))
    np.testing.assert_allclose(found.leverage, 0.7, rtol=1e-15)
    np.testing.assert_allclose(found.sum_absolute, 0.16 * 0.7, rtol=1e-15)
    deviation = 0.16 * (0.3**2 + 0.4**2 - 2 * 0.99 * 0.3 * 0.4) ** 0.5
    np.testing.assert_allclose(found.normal, deviation, rtol=1e-12)
    np.testing.assert_allclose(found.shocked, [0.0, 0.0, deviation, deviation], rtol=1e-12)
    backfilled = measures(REFERENCE, flat((3.0, -2.0)), flat((100.0, 200.0)))
    np.testing.assert_allclose(backfilled.shocked, deviation, rtol=1e-12)


def test_without_a_price_the_exposure_is_the_last_known() -> None:
    """The new position of the second session has no price to be worth; the third has one again."""
    position = np.array([[NAN, 1.0], [5.0, 1.0], [6.0, 1.0], [7.0, 1.0]])
    value = np.array([[100.0, 100.0], [100.0, 100.0], [NAN, 100.0], [100.0, NAN]])
    found = measures(SOUND, position, value)
    np.testing.assert_allclose(found.leverage, [0.1, 0.5 + 0.1, 0.5 + 0.1, 0.7 + 0.1], rtol=1e-15)


def test_an_instrument_without_volatility_has_leverage_but_no_risk() -> None:
    volatility = np.array([[1.0, NAN]] * 4)
    found = measures(SOUND, flat((3.0, 2.0)), flat((100.0, 100.0)), volatility=volatility)
    np.testing.assert_allclose(found.leverage, 0.5, rtol=1e-15)
    np.testing.assert_allclose(found.sum_absolute, 0.16 * 0.3, rtol=1e-15)
    np.testing.assert_allclose(found.normal, 0.16 * 0.3, rtol=1e-12)
    alone = measures(REFERENCE, flat((3.0, 2.0)), flat((100.0, 100.0)), volatility=volatility)
    np.testing.assert_array_equal(alone.normal, 0.0)
    np.testing.assert_allclose(alone.sum_absolute, 0.16 * 0.3, rtol=1e-15)


def test_capital_may_differ_by_session() -> None:
    price = flat((100.0,))
    capital = np.array([1000.0, 2000.0, 500.0, 1000.0])
    found = risk_measures(weekdays(4), price, price, price * 0 + 1, price / 10, price, capital, SOUND)
    np.testing.assert_allclose(found.leverage, [1.0, 0.5, 2.0, 1.0], rtol=1e-15)


def test_sessions_outside_all_prices_have_no_risk() -> None:
    price = np.array([[NAN], [100.0], [100.0], [NAN]])
    found = risk_measures(weekdays(4), price, price, price * 0 + 1, price / 10, price, 1000.0, SOUND)
    np.testing.assert_array_equal(found.leverage, [0.0, 1.0, 1.0, 0.0])
    nothing = np.full((4, 1), NAN)
    empty = risk_measures(weekdays(4), nothing, nothing, nothing, nothing, nothing, 1000.0, SOUND)
    np.testing.assert_array_equal(empty.normal, np.zeros(4))


def test_a_missing_correlation_is_nothing_or_no_risk() -> None:
    """Ten weeks of one series alone, then a second one that has just begun: no mean to fill their pair with."""
    random, rows = np.random.default_rng(1), 80
    price = 100 + np.cumsum(random.normal(size=(rows, 2)), axis=0)
    price[:67, 1] = NAN
    ones = np.ones((rows, 2))
    found = {
        settings.missing_correlations: risk_measures(
            weekdays(rows), price, price, ones, ones, ones * 100, 1000.0, settings
        )
        for settings in (SOUND, REFERENCE)
    }
    volatility = 16.0 / price[-1]
    np.testing.assert_allclose(found["zero"].normal[-1], 0.1 * np.hypot(*volatility), rtol=1e-12)
    assert found["no_risk"].normal[-1] == 0.0


# --- the scalar -------------------------------------------------------------------------------------------------------
def test_the_scalar_is_the_tightest_limit() -> None:
    found = RiskMeasures(
        normal=np.array([0.1, 0.5, 0.1, 0.1, 0.5]),
        shocked=np.array([0.1, 0.1, 1.2, 0.1, 1.2]),
        sum_absolute=np.array([0.1, 0.1, 0.1, 0.1, 0.1]),
        leverage=np.array([1.0, 1.0, 1.0, 8.0, 8.0]),
    )
    settings = RiskOverlaySettings(normal_fraction=1.25, shocked_fraction=3.0, sum_absolute_fraction=4.0, leverage=6.0)
    scalar = risk_scalar(found, settings, volatility_target_percent=20.0)
    np.testing.assert_allclose(scalar, [1.0, 0.25 / 0.5, 0.6 / 1.2, 6 / 8, 0.5], rtol=1e-15)
    np.testing.assert_array_equal(risk_scalar(found, SOUND, 20.0), np.ones(5))


# --- the future -------------------------------------------------------------------------------------------------------
RANDOM = np.random.default_rng(9)
ROWS = 500
PRICE = 100 + np.cumsum(RANDOM.normal(size=(ROWS, 4)), axis=0)
PRICE[RANDOM.random(PRICE.shape) < 0.03] = NAN
PRICE[:200, 3] = NAN
VOLATILITY = np.abs(RANDOM.normal(size=PRICE.shape)) + 0.5
VOLATILITY[:210, 3] = NAN
POSITION = RANDOM.normal(size=PRICE.shape)
NAMES = ("normal", "shocked", "sum_absolute", "leverage")


def through(cut: int, settings: RiskOverlaySettings) -> np.ndarray:
    price = PRICE[:cut]
    found = risk_measures(
        weekdays(cut), price, price, VOLATILITY[:cut], POSITION[:cut], price * 50, 100_000.0, settings
    )
    return np.stack([getattr(found, name) for name in NAMES])


def test_the_sound_risk_of_a_session_needs_no_later_one() -> None:
    whole = through(ROWS, SOUND)
    for cut in range(5, ROWS, 7):
        np.testing.assert_array_equal(through(cut, SOUND), whole[:, :cut], err_msg=f"cut after {cut} sessions")


@pytest.mark.parametrize(
    ("option", "measure", "cut"),
    [
        ({"refits": "from_end"}, "normal", 303),
        ({"refits": "from_end"}, "shocked", 303),
        ({"backfill": True}, "shocked", 2),
    ],
)
def test_reference_options_change_the_past(option: dict[str, object], measure: str, cut: int) -> None:
    settings = SOUND.model_copy(update=option)
    row = NAMES.index(measure)
    assert not np.array_equal(through(cut, settings)[row], through(ROWS, settings)[row, :cut])
