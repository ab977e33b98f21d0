"""nautilus_trader's side of `benchmarks/risk_checks.py`: runs in the peer's own environment, without Daybook.

Belongs here: its risk engine with a cash-settled margin account, one future and its limits set, and one order after
another. Reads how many orders to check, a line on standard input; answers each with a line of JSON: seconds, how many
were let through and how many were denied.
"""

import json
import sys
import time

import nautilus_trader
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import MessageBus, TestClock
from nautilus_trader.common.factories import OrderFactory
from nautilus_trader.config import RiskEngineConfig
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import StrategyId, TraderId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.portfolio.portfolio import Portfolio
from nautilus_trader.risk.engine import RiskEngine
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.test_kit.stubs.events import TestEventStubs

DIFFERENT = 1000  # orders that are checked in turn


class Desk:
    """Its engine, and what became of orders."""

    def __init__(self):
        trader, clock, cache = TraderId("BENCH-1"), TestClock(), Cache()
        bus = MessageBus(trader_id=trader, clock=clock)
        portfolio = Portfolio(msgbus=bus, cache=cache, clock=clock)
        future = TestInstrumentProvider.es_future(expiry_year=2024, expiry_month=3)
        limits = RiskEngineConfig(
            max_order_submit_rate="1000000000/00:00:01", max_notional_per_order={str(future.id): 1_000_000_000}
        )
        self.engine = RiskEngine(portfolio=portfolio, msgbus=bus, cache=cache, clock=clock, config=limits)
        self.passed = self.denied = 0
        bus.register("ExecEngine.execute", self.on_passed)
        bus.register("ExecEngine.process", self.on_denied)
        cache.add_instrument(future)
        state = TestEventStubs.margin_account_state()
        portfolio.update_account(state)
        factory = OrderFactory(trader_id=trader, strategy_id=StrategyId("S-1"), clock=clock)
        self.commands = [self.command(factory, cache, future, trader, number) for number in range(DIFFERENT)]

    @staticmethod
    def command(factory, cache, future, trader, number):
        """An order to buy or sell, at a price."""
        side = OrderSide.BUY if number % 2 else OrderSide.SELL
        order = factory.limit(future.id, side, Quantity.from_int(1 + number % 20), Price.from_str("4500.00"))
        cache.add_order(order, None)
        return SubmitOrder(
            trader_id=trader, strategy_id=StrategyId("S-1"), order=order, command_id=UUID4(), ts_init=0,
            position_id=None,
        )  # fmt: skip

    def on_passed(self, _):
        """An order that its execution engine would be given."""
        self.passed += 1

    def on_denied(self, _):
        """An order that it denies."""
        self.denied += 1

    def run(self, count):
        """Seconds for so many checks."""
        execute, commands = self.engine.execute, self.commands
        began = time.perf_counter()
        for number in range(count):
            execute(commands[number % DIFFERENT])
        return time.perf_counter() - began


def main():
    """Answers until its input ends."""
    desk = Desk()
    desk.run(DIFFERENT)
    print(json.dumps({"version": nautilus_trader.__version__}), flush=True)
    for line in sys.stdin:
        before = desk.passed, desk.denied
        seconds = desk.run(int(line))
        told = {"seconds": seconds, "passed": desk.passed - before[0], "denied": desk.denied - before[1]}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
