"""vectorbt's side of `benchmarks/vectorbt_peer.py`: runs in the peer's own environment, without Daybook.

Belongs here: one function a task, timed. Reads a file of inputs (its first argument), then a task's name a line on
standard input; answers each with a line of JSON: seconds, and where the values are that it found.
"""

import json
import sys
import time

import numpy as np
import pandas as pd
import vectorbt as vbt
from vectorbt.generic import nb as generic
from vectorbt.indicators import nb as indicators
from vectorbt.portfolio import nb as portfolio

FEES, CASH = 0.001, 100.0


def pairs_object(given):
    """Moving averages of all pairs, signals, portfolio and total values through the object API."""
    price = pd.Series(given["price"])
    fast, slow = vbt.MA.run_combs(price, window=given["windows"], r=2, short_names=["fast", "slow"])
    entries, exits = fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)
    made = vbt.Portfolio.from_signals(price, entries, exits, fees=FEES, init_cash=CASH, freq="1D")
    return made.final_value().to_numpy()


def pairs_kernel(given):
    """The same through its compiled functions; orders only, no values."""
    price, first, second = given["price"][:, None], given["first"], given["second"]
    averages = [indicators.ma_nb(price, int(window), False)[:, 0] for window in given["windows"]]
    table = np.column_stack(averages)
    fast, slow = table[:, first], table[:, second]
    entries, exits = generic.crossed_above_nb(fast, slow, 0), generic.crossed_above_nb(slow, fast, 0)
    shape = entries.shape
    orders, _ = portfolio.simulate_from_signals_nb(
        shape, np.ones(shape[1], np.int64), np.full(shape[1], CASH), calls(shape), entries, exits,
        fees=np.asarray(FEES), close=price, val_price=np.asarray(np.inf),
    )  # fmt: skip
    return np.array([float(len(orders))])


def orders_object(given):
    """A thousand columns of a thousand orders each, and their final values, through the object API."""
    made = vbt.Portfolio.from_orders(given["prices"], given["sizes"], fees=FEES, init_cash=1e9, freq="1D")
    return made.final_value().to_numpy()


def orders_kernel(given):
    """The same through its compiled function; orders only, no values."""
    prices, sizes = given["prices"], given["sizes"]
    shape = prices.shape
    orders, _ = portfolio.simulate_from_orders_nb(
        shape, np.ones(shape[1], np.int64), np.full(shape[1], 1e9), calls(shape), sizes, fees=np.asarray(FEES),
        close=prices,
    )  # fmt: skip
    return np.array([float(len(orders))])


def calls(shape):
    """Every column a group of its own."""
    return np.zeros(shape, np.int64)


TASKS = {task.__name__: task for task in (pairs_object, pairs_kernel, orders_object, orders_kernel)}


def main():
    """Answers until its input ends."""
    vbt.settings.caching["enabled"] = False
    given = dict(np.load(sys.argv[1]))
    print(json.dumps({"version": vbt.__version__}), flush=True)
    for line in sys.stdin:
        name = line.strip()
        began = time.perf_counter()
        found = TASKS[name](given)
        seconds = time.perf_counter() - began
        place = f"{sys.argv[1]}.{name}.npy"
        np.save(place, found)
        print(json.dumps({"seconds": seconds, "values": place}), flush=True)


if __name__ == "__main__":
    main()
