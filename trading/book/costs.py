"""What a trade costs: slippage and commission from an instrument's reference data.

Belongs here: the cost of one fill. Does not belong here: which trades there are (`trading/backtest/engine.py`
asks it as the broker does).
"""

from __future__ import annotations

from trading.market.instruments import Instrument


def filled_price(instrument: Instrument, quantity: int, quoted_points: float) -> float:
    """Price paid or received in points: the quoted one, worse by the instrument's slippage."""
    return quoted_points + (instrument.slippage_points if quantity > 0 else -instrument.slippage_points)


def commission_local(instrument: Instrument, quantity: int, price_points: float) -> float:
    """Commission of one fill in the instrument's currency, never negative: for each contract, for the trade, and as a
    fraction of the value traded."""
    contracts = abs(quantity)
    value = contracts * abs(price_points) * instrument.point_value_local
    return (
        contracts * instrument.commission_per_contract_local
        + instrument.commission_per_trade_local
        + instrument.commission_fraction * value
    )
