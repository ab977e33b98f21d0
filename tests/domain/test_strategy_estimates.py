"""What a strategy's settings ask to be estimated, on small markets made by rule."""

from __future__ import annotations

import numpy as np

from trading.backtest.panel import Panel
from trading.config.strategies import StrategySettings
from trading.strategies.estimates import forecast_multipliers, instrument_multipliers, risk_scalar, subsystem_pnl
from trading.strategies.optimal import Sizing
from trading.strategies.workbench import Workbench

NAN = float("nan")
SIZING = Sizing(100_000.0, 20.0)


def market(price: np.ndarray) -> Panel:
    """Sessions from Monday 2018-01-01 on; a point is worth 10 dollars, slippage is a tenth of a point."""
    rows, columns = price.shape
    sessions = np.busday_offset("2018-01-01", np.arange(rows)).astype("datetime64[D]")
    present = [np.flatnonzero(np.isfinite(price[:, column])) for column in range(columns)]
    first, last = np.array([own[0] for own in present]), np.array([own[-1] for own in present])
    nothing = np.zeros(columns)
    return Panel(
        sessions=sessions, instruments=tuple("ABCDEF"[:columns]), currencies=("USD",) * columns, base="USD",
        version="test", first=first, last=last, held_first=first, held_last=last, price=price, held=price.copy(),
        carry=np.full(price.shape, NAN), rolls=np.zeros(price.shape), rate=np.ones(price.shape),
        first_day=sessions[0], rate_midnight=np.ones((2 * rows, columns)), point_value=np.full(price.shape, 10.0),
        slippage=nothing + 0.1, per_contract=nothing, per_trade=nothing, fraction=nothing, rolls_a_year=nothing + 4,
        anchor=nothing,
    )  # fmt: skip


def strategy(**given: object) -> StrategySettings:
    rules = {name: {"rule": "ewmac", "weight": 0.5} for name in ("fast", "slow")}
    return StrategySettings.model_validate({"name": "test", "rules": rules} | given)


# --- subsystem P&L ----------------------------------------------------------------------------------------------------
def test_subsystem_pnl_is_of_whole_buffered_contracts_after_costs_from_the_first_held() -> None:
    """The price rises a point a session. Wished for: 2.4 contracts from the second session on, 2.6 in the fifth (within
    the zone of a quarter), 4 in the sixth. Bought in the third and seventh at a dollar a contract; a session held earns
    10 dollars a contract, from the one after the purchase on."""
    panel = market(np.arange(100.0, 109.0)[:, None])
    wished = np.array([NAN, 2.4, 2.4, 2.4, 2.6, 4.0, 4.0, 4.0, 4.0])[:, None]
    how = strategy(buffer={"method": "position", "fraction": 0.25})
    found = subsystem_pnl(Workbench(panel), how, SIZING, wished, wished * NAN)
    np.testing.assert_allclose(found[:, 0], [NAN, NAN, -2, 20, 20, 20, 20 - 2, 40, 40], rtol=1e-12)


def test_the_zone_of_the_forecast_method_is_a_share_of_the_average_position() -> None:
    """The average position is 8, a quarter of it 2. No contract is near enough to 2.4 (0.4 rounds to 0) but not to 2.6:
    3 are bought in the sixth session, and they are near enough to 4."""
    panel = market(np.arange(100.0, 109.0)[:, None])
    wished = np.array([NAN, 2.4, 2.4, 2.4, 2.6, 4.0, 4.0, 4.0, 4.0])[:, None]
    how = strategy(buffer={"method": "forecast", "fraction": 0.25})
    found = subsystem_pnl(Workbench(panel), how, SIZING, wished, np.full((9, 1), 8.0))
    np.testing.assert_allclose(found[:, 0], [NAN, NAN, NAN, NAN, NAN, -3, 30, 30, 30], rtol=1e-12)


# --- multipliers ------------------------------------------------------------------------------------------------------
def test_an_instrument_twice_has_nothing_to_diversify() -> None:
    """A and B are the same market and the reference's floor keeps C, its mirror, from helping: 1 / sqrt of the sum of
    the weights' products among A and B and C's own."""
    random = np.random.default_rng(7)
    steps = np.cumsum(random.normal(size=700))
    panel = market(np.column_stack([200 + steps, 200 + steps, 200 - steps]))
    one = np.full((700, 3), 5.0)
    weights = np.tile([0.25, 0.25, 0.5], (700, 1))
    settings = strategy(portfolio={"multiplier": "estimated", "estimate": {"smoothing_span": 1}})
    found = instrument_multipliers(Workbench(panel), settings, SIZING, one, one, weights)
    np.testing.assert_allclose(found[0], 1.0)
    np.testing.assert_allclose(found[-1], (0.5**2 + 0.5**2) ** -0.5, rtol=1e-3)


def test_only_instruments_with_the_same_rules_are_pooled() -> None:
    """A and B use both rules, C the first alone: it has nothing to combine, and its forecasts do not matter to A."""
    random = np.random.default_rng(8)
    panel = market(np.full((700, 3), 100.0))
    scaled = np.cumsum(random.normal(size=(2, 700, 3)), axis=1)
    weights = np.array([[0.5, 0.5, 1.0], [0.5, 0.5, 0.0]])
    settings = strategy(forecasts={"multiplier": "estimated", "weight_smoothing_span": 0})

    def multipliers(of: np.ndarray) -> np.ndarray:
        return forecast_multipliers(panel, settings, of, weights, panel.first, panel.last)

    found = multipliers(scaled)
    np.testing.assert_allclose(found[:, 2], 1.0, rtol=1e-12)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    assert 1.0 < found[-1, 0] < 2**0.5 + 1e-9
    for column, matters in ((1, True), (2, False)):
        other = scaled.copy()
        other[1, :, column] *= -1.0
        assert np.array_equal(multipliers(other)[:, 0], found[:, 0]) != matters


# --- the risk overlay -------------------------------------------------------------------------------------------------
def test_the_overlay_keeps_leverage_in_its_limit() -> None:
    """Ten contracts of 100 points at 10 dollars are a tenth of the capital; forty are limited to a fifth."""
    panel = market(np.full((4, 1), 100.0))
    notional = np.array([NAN, 10.0, 40.0, -80.0])[:, None]
    settings = strategy(risk_overlay={"leverage": 0.2})
    found = risk_scalar(Workbench(panel), settings, SIZING, notional)
    np.testing.assert_allclose(found, [1.0, 1.0, 0.5, 0.25], rtol=1e-12)
