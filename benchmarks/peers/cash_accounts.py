"""The peer's two tasks as kernels over arrays: what `benchmarks/vectorbt_peer.py` times on our side.

Belongs here: accounts that hold all their cash or nothing, and accounts of given orders. Daybook's own engine sizes by
volatility and holds whole contracts, so it has no such account; these kernels are written as its kernels are: one loop,
no array of signals or orders in between.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


@compiled
def moving_averages(price: Floats, windows: Places) -> Floats:
    """Simple averages, shape (n_windows, n_bars), NaN before a window is full; one running sum each."""
    found = np.full((len(windows), len(price)), np.nan)
    for column in range(len(windows)):
        window, total = windows[column], 0.0
        for row in range(len(price)):
            total += price[row]
            if row >= window:
                total -= price[row - window]
            if row >= window - 1:
                found[column, row] = total / window
    return found


@compiled
def crossing_values(price: Floats, averages: Floats, first: Places, second: Places, fees: float, cash: float) -> Floats:
    """Final value of an account for each pair of averages: all in when the first crosses above the second, out when it
    crosses below; `fees` are a share of each trade's value."""
    found = np.empty(len(first))
    for pair in range(len(first)):
        fast, slow = averages[first[pair]], averages[second[pair]]
        money, shares, below, above = cash, 0.0, False, False
        for row in range(len(price)):
            one, other = fast[row], slow[row]
            if one > other:
                if below and shares == 0.0:
                    shares, money = money / (price[row] * (1.0 + fees)), 0.0
                below, above = False, True
            elif one < other:
                if above and shares > 0.0:
                    money, shares = shares * price[row] * (1.0 - fees), 0.0
                below, above = True, False
        found[pair] = money + shares * price[-1]
    return found


@compiled
def order_values(prices: Floats, sizes: Floats, fees: float, cash: float) -> Floats:
    """Final value of an account for each column of orders, bought positive, shape (n_bars, n_columns)."""
    money, shares = np.full(prices.shape[1], cash), np.zeros(prices.shape[1])
    for row in range(prices.shape[0]):
        for column in range(prices.shape[1]):
            value = prices[row, column] * sizes[row, column]
            money[column] -= value + abs(value) * fees
            shares[column] += sizes[row, column]
    return money + shares * prices[-1]


ORDER = np.dtype([("row", "i8"), ("column", "i8"), ("size", "f8"), ("price", "f8"), ("fees", "f8"), ("side", "i8")])


@compiled
def recorded_orders(prices: Floats, sizes: Floats, fees: float, cash: float) -> tuple[npt.NDArray[np.void], Floats]:
    """As `order_values`, with each order cut to the cash there is, and a record of it, column by column."""
    bars, columns = prices.shape
    records, count = np.empty(bars * columns, ORDER), 0
    found = np.empty(columns)
    for column in range(columns):
        money, shares = cash, 0.0
        for row in range(bars):
            price, size = prices[row, column], sizes[row, column]
            if size > 0 and size * price * (1.0 + fees) > money:
                size = money / (price * (1.0 + fees))
            cost = abs(size) * price * fees
            money -= size * price + cost
            shares += size
            if size != 0.0:
                one = records[count]
                one["row"], one["column"], one["size"] = row, column, abs(size)
                one["price"], one["fees"], one["side"] = price, cost, 0 if size > 0 else 1
                count += 1
        found[column] = money + shares * prices[-1, column]
    return records[:count], found
