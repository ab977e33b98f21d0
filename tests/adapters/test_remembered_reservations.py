"""What a log of reservations that was lost is put together from: decisions that were kept.

Does not belong here: the log, or following it (tests/contracts/test_desk_orders.py).
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest

from pipelines.risk_server.remembered import DAY_S, remembered
from resources.risk_memory import MemoryDecisionLog
from trading.risk.decision import Asked, Decision, Outcome, Versions
from trading.risk.kept import About, Action
from trading.risk.reservations import Reserved, is_of_desk

NOW = datetime(2024, 3, 15, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def decided(name: str, outcome: Outcome = "pass", granted: int = 3) -> Decision:
    asked = Asked("trend", "GOLD", 202406, 5, None, name)
    return Decision(asked, outcome, granted, Versions(1, "m", "c"), 1.0, lambda: ((), ()))


@pytest.fixture
def kept() -> MemoryDecisionLog:
    return MemoryDecisionLog()


def keep(
    kept: MemoryDecisionLog, decision: Decision, at: datetime = NOW, action: Action = "reserve", by: str = "carry",
    expires: datetime | None = NOW + MINUTE,
) -> None:  # fmt: skip
    kept.append([decision], About(at, date(2024, 3, 14), action, expires, by))


def held(kept: MemoryDecisionLog, *working: Asked) -> dict[str, Reserved]:
    """By order, of the last 90 seconds."""
    marks: Iterator[int] = count()
    found = list(remembered(kept, 90.0, NOW.timestamp(), lambda: f"{next(marks):032x}", working))
    return {order.order_id: unit for unit in found for order in unit.orders}


def test_what_was_granted_and_is_not_over_is_held_until_it_is(kept: MemoryDecisionLog) -> None:
    keep(kept, decided("granted"), NOW - MINUTE)
    keep(kept, decided("over"), NOW - MINUTE, expires=NOW)
    keep(kept, decided("long ago"), NOW - 2 * MINUTE)
    keep(kept, decided("asked"), action="check")
    keep(kept, decided("refused", "refuse", 0))
    found = held(kept)
    assert set(found) == {"granted"}
    assert found["granted"].expires == (NOW + MINUTE).timestamp()
    assert found["granted"].orders[0].quantity_contracts == 3  # of a list that was cut


def test_orders_of_a_close_are_the_desks_own_and_legs_of_rolls_none(kept: MemoryDecisionLog) -> None:
    keep(kept, decided("sent"), by="close", expires=None)
    keep(kept, decided("job"), by="orders", expires=None)
    keep(kept, decided("leg"), by="close", action="roll_in", expires=None)
    keep(kept, decided("theirs"))
    found = held(kept)
    assert {name: is_of_desk(unit.mark) for name, unit in found.items()} == {"sent": True, "job": True, "theirs": False}
    assert found["sent"].expires == NOW.timestamp() + DAY_S


def test_an_order_at_work_at_the_desk_is_held_once(kept: MemoryDecisionLog) -> None:
    keep(kept, decided("sent"), by="close", expires=None)
    found = held(kept, Asked("trend", "GOLD", 202406, 2, None, "sent"))
    assert {name: unit.orders[0].quantity_contracts for name, unit in found.items()} == {"sent": 2}
