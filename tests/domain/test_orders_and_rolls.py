"""Proposing orders, rolling the book, and entering orders once. Does not belong here: limits, brokers, stores."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

from trading.book.booking import Entered, fill_of, order_of
from trading.book.entries import entered, known_orders, order_rows
from trading.book.orders import Fill, Order, Target, order_id, propose
from trading.book.rolls import Pair, Roll, roll_orders

FRI = date(2022, 2, 25)
MAR, JUN, SEP = 20220300, 20220600, 20220900
ENTRY = Entered(FRI, datetime(2022, 2, 25, 22, tzinfo=UTC), "test")


def wanting(quantity: int, contract: int = JUN, code: str = "US10") -> Target:
    return Target("trend", code, contract, quantity, 127.5)


def order(quantity: int = 3, contract: int = JUN, session: date = FRI) -> Order:
    name = order_id(session, "trend", "US10", contract, "target")
    return Order(name, "trend", "US10", contract, session, quantity, "target", 127.5)


def test_an_order_brings_what_is_held_and_working_to_the_target() -> None:
    held = {("trend", "US10", JUN): 2}
    working = [order(3, session=date(2022, 2, 24))]
    found = propose(FRI, [wanting(9)], held, working)
    parent = "2022-02-25:trend:US10:target"
    assert found == [
        Order("2022-02-25:trend:US10:20220600:target", "trend", "US10", JUN, FRI, 4, "target", 127.5, parent)
    ]
    assert propose(FRI, [wanting(5)], held, working) == []


def test_other_contract_months_are_closed_and_other_instruments_left_alone() -> None:
    held = {("trend", "US10", MAR): 2, ("trend", "GOLD", JUN): 7, ("other", "US10", MAR): 1}
    found = propose(FRI, [wanting(5)], held)
    assert [(o.contract, o.quantity_contracts, o.strategy) for o in found] == [(MAR, -2, "trend"), (JUN, 5, "trend")]
    assert found[0].reference_points is None  # no price of a month nobody wants


def whole(pairs: Sequence[Pair], held: object) -> list[Order]:
    """Every leg leaves."""
    return [leg for pair in pairs for leg in pair]


def test_a_roll_has_two_legs_at_the_last_common_prices() -> None:
    rolled = roll_orders(FRI, [Roll("US10", MAR, JUN, 127.0, 126.25)], {("trend", "US10", MAR): -4}, [], whole)
    legs = [(o.contract, o.quantity_contracts, o.reference_points, o.reason) for o in rolled.legs]
    assert legs == [(MAR, 4, 127.0, "roll"), (JUN, -4, 126.25, "roll")]
    assert rolled.cancelled == ()


def test_two_rolls_at_once_chain_and_strategies_roll_apart() -> None:
    rolls = [Roll("US10", MAR, JUN, 127.0, 126.0), Roll("US10", JUN, SEP, 126.5, 125.0)]
    rolled = roll_orders(
        FRI, rolls, {("trend", "US10", MAR): 2, ("other", "US10", MAR): -1, ("trend", "GOLD", MAR): 5}, [], whole
    )
    net: dict = {}
    for leg in rolled.legs:
        net[leg.strategy, leg.contract] = net.get((leg.strategy, leg.contract), 0) + leg.quantity_contracts
    assert net == {
        ("trend", MAR): -2, ("trend", JUN): 0, ("trend", SEP): 2,
        ("other", MAR): 1, ("other", JUN): 0, ("other", SEP): -1,
    }  # fmt: skip


def test_an_order_at_work_moves_to_the_new_contract() -> None:
    old = order(3, MAR, date(2022, 2, 24))
    rolled = roll_orders(FRI, [Roll("US10", MAR, JUN, 127.0, 126.25)], {}, [old], whole)
    assert rolled.cancelled == (old,)
    assert [(o.order_id, o.session, o.contract, o.quantity_contracts) for o in rolled.moved] == [
        ("2022-02-24:trend:US10:20220600:target", date(2022, 2, 24), JUN, 3)
    ]


def test_entering_the_same_orders_again_makes_the_same_events() -> None:
    first = entered([order()], [], [], {}, ENTRY)
    again = entered([order()], [], [], known_orders(first.events), ENTRY)
    assert [event.content() for event in again.events] == [event.content() for event in first.events]
    assert order_of(first.events[0]) == order()


def test_other_content_gets_a_number_until_it_is_filled() -> None:
    journal = list(entered([order(3)], [], [], {}, ENTRY).events)
    second = entered([order(5)], [], [], known_orders(journal), ENTRY)
    assert second.cancel == (order().order_id,)
    assert [(o.order_id, o.quantity_contracts) for o in second.place] == [(f"{order().order_id}:2", 5)]
    journal += second.events
    third = entered([order(3)], [], [], known_orders(journal), ENTRY)  # as at first, which is withdrawn by now
    assert [o.order_id for o in third.place] == [f"{order().order_id}:3"]
    statuses = {row["order_id"]: row["status"] for row in order_rows([*journal, *third.events])}
    assert list(statuses.values()) == ["cancelled", "cancelled", "sent"]


def test_a_filled_order_stands() -> None:
    done = Fill("f", order().order_id, "trend", "US10", JUN, FRI, 3, 127.0, 1.0)
    journal = [*entered([order(3)], [], [], {}, ENTRY).events, ENTRY.filled(done)]
    step = entered([order(5)], [], [], known_orders(journal), ENTRY)
    assert step.cancel == ()
    assert [o.quantity_contracts for o in step.place] == [3]
    assert order_rows(journal)[0]["status"] == "filled"
    assert fill_of(journal[-1]) == done


def test_what_is_left_of_a_part_filled_order_is_withdrawn_where_nobody_wants_it() -> None:
    part = Fill("f", order().order_id, "trend", "US10", JUN, FRI, 2, 127.0, 1.0)
    journal = [*entered([order(3)], [], [], {}, ENTRY).events, ENTRY.filled(part)]
    assert order_rows(journal)[0]["status"] == "part_filled"
    assert entered([], [], [], known_orders(journal), ENTRY).cancel == (order().order_id,)
    again = entered([order(5)], [], [], known_orders(journal), ENTRY)
    assert (again.cancel, [o.quantity_contracts for o in again.place]) == ((), [3])


def test_an_order_no_longer_wanted_is_withdrawn_and_one_refused_later_too() -> None:
    journal = entered([order(3)], [], [], {}, ENTRY).events
    assert entered([], [], [], known_orders(journal), ENTRY).cancel == (order().order_id,)
    refused = entered([], [(order(3), "too large")], [], known_orders(journal), ENTRY)
    assert refused.place == ()
    assert [event.kind for event in refused.events] == ["order_cancelled", "order_created", "order_refused"]
    assert refused.events[2].payload["order_id"] == f"{order().order_id}:2"


def test_an_unfilled_refusal_repeats_itself() -> None:
    journal = entered([], [(order(3), "too large")], [], {}, ENTRY).events
    again = entered([], [(order(3), "too large")], [], known_orders(journal), ENTRY)
    assert [event.content() for event in again.events] == [event.content() for event in journal]
    assert order_rows(journal)[0] == {
        **{name: getattr(order(3), name) for name in Order.__slots__}, "status": "refused", "refusal": "too large",
    }  # fmt: skip
