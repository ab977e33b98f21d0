"""Streams of fills with corrections and busts: told in any order, in any batches, twice, they come to one book.

The model here is written apart from the code: it keeps the newest version of each fill, sorts what is left, and works
positions out in fractions. `benchmarks/fill_streams.py` runs the same with 10,000 examples each.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from fractions import Fraction

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from resources.memory import MemoryLedger
from trading.book.account import account, valued
from trading.book.booking import Entered
from trading.book.fills import Blotter
from trading.book.fold import folded
from trading.book.journal import Event
from trading.book.marks import Mark
from trading.book.orders import Fill, Order
from trading.book.positions import fold

DAY = date(2022, 2, 25)
ENTRY = Entered(DAY, datetime(2022, 2, 25, 22, tzinfo=UTC), "broker")
TIMES = (None, "2022-02-25T15:00:00+00:00", "2022-02-25T16:30:00+00:00")
CONTRACTS = (("trend", "GOLD", 20220400), ("trend", "GOLD", 20220600), ("carry", "GOLD", 20220400))

EXAMPLES = int(os.environ.get("DAYBOOK_EXAMPLES", "40"))

quantities = st.integers(-9, 9).filter(bool)
prices = st.integers(-400, 40_000).map(lambda ticks: ticks * 0.1)  # 0.1 has no exact float: order would show


@st.composite
def tellings(draw: st.DrawFn, number: int) -> list[Event]:
    """Everything the broker says of one fill: the fill, some corrections, perhaps a bust."""
    key = draw(st.sampled_from(CONTRACTS))
    order = f"{key[0]}{draw(st.integers(0, 2))}"
    when = draw(st.sampled_from(TIMES))

    def told() -> Fill:
        return Fill(f"f{number}", order, *key, DAY, draw(quantities), draw(prices), draw(prices), when)

    first = told()
    events = [ENTRY.filled(first)]
    events += [ENTRY.corrected(told(), version) for version in range(1, 1 + draw(st.integers(0, 2)))]
    return [*events, ENTRY.busted(first, "error trade")] if draw(st.integers(0, 4)) == 0 else events


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """The tellings of up to eight fills, one after another."""
    return [event for number in range(draw(st.integers(1, 8))) for event in draw(tellings(number))]


def orders() -> list[Event]:
    """The orders that fills are of, some of which nobody placed."""
    wanted = [("trend0", "trend"), ("trend1", "trend"), ("carry0", "carry")]
    placed = [Order(name, strategy, "GOLD", 20220400, DAY, 5, "target", 10.0) for name, strategy in wanted]
    return [event for order in placed for event in ENTRY.placed(order)]


# --- the model --------------------------------------------------------------------------------------------------------
def live(events: list[Event]) -> list[dict]:
    """Contents that count: the newest version of each fill that was told and not busted, in order of time and id."""
    newest: dict[str, tuple[int, dict]] = {}
    busted = {event.payload["fill_id"] for event in events if event.kind == "fill_busted"}
    for event in events:
        if event.kind in ("fill", "fill_corrected"):
            content = dict(event.payload)
            version = content.pop("version", 0)
            if version >= newest.get(content["fill_id"], (-1,))[0]:
                newest[content["fill_id"]] = (version, content)
    left = [content for name, (_, content) in newest.items() if name not in busted]
    return sorted(left, key=lambda content: (content["executed_at"] or "", content["fill_id"]))


def positions(events: list[Event]) -> dict[tuple, tuple[int, Fraction, Fraction]]:
    """Contracts held, average price and realised profit, in points, by contract: worked in fractions."""
    held: dict[tuple, tuple[int, Fraction, Fraction]] = {}
    for content in live(events):
        key = (content["strategy"], content["instrument"], content["contract"])
        quantity, average, realised = held.get(key, (0, Fraction(0), Fraction(0)))
        traded, price = content["quantity_contracts"], Fraction(content["price_points"])
        closing = min(abs(quantity), abs(traded)) if quantity * traded < 0 else 0
        realised += closing * (price - average) * (1 if quantity > 0 else -1)
        opened = abs(traded) - closing
        if opened:
            base = quantity if quantity * traded > 0 else 0
            average = (abs(base) * average + opened * price) / (abs(base) + opened)
        held[key] = (quantity + traded, average, realised)
    return held


def assert_agrees(rows: list[dict], events: list[Event]) -> None:
    """Rows of positions are those of the model: contracts exactly, prices as near as floats come."""
    expected = positions(events)
    found = {(row["strategy"], row["instrument"], row["contract"]): row for row in rows}
    assert {key for key, row in found.items() if row["quantity_contracts"]} == {k for k, v in expected.items() if v[0]}
    for key, (quantity, average, realised) in expected.items():
        row = found[key]
        assert row["quantity_contracts"] == quantity
        assert abs(row["realised_points"] - float(realised)) <= 1e-9 * max(1.0, abs(float(realised)), 1e5)
        assert (row["average_points"] is None) == (quantity == 0)
        if quantity:
            assert abs(row["average_points"] - float(average)) <= 1e-9 * max(1.0, abs(float(average)))


# --- the properties ---------------------------------------------------------------------------------------------------
@settings(max_examples=EXAMPLES, deadline=None)
@given(streams(), st.randoms(use_true_random=False))
def test_a_shuffled_stream_gives_the_same_book(events: list[Event], random) -> None:
    shuffled = random.sample(events, len(events))
    one, other = folded([*orders(), *events]).tables, folded([*orders(), *shuffled]).tables
    assert one == other
    assert_agrees(list(one["positions"].values()), events)


@settings(max_examples=EXAMPLES, deadline=None)
@given(streams(), st.randoms(use_true_random=False))
def test_told_twice_in_batches_of_any_size_it_is_recorded_once(events: list[Event], random) -> None:
    ledger, told = MemoryLedger(), [*events, *events]
    random.shuffle(told)
    ledger.record(orders())
    while told:
        size = random.randint(1, 5)
        ledger.record(told[:size])
        told = told[size:]
    assert ledger.sequence() == len(orders()) + len(events)
    once = folded([*orders(), *events]).tables
    assert {row["fill_id"]: row for row in ledger.rows("fills")} == {
        key[0]: dict(row) for key, row in once["fills"].items()
    }
    assert_agrees(ledger.rows("positions"), events)


@settings(max_examples=EXAMPLES, deadline=None)
@given(streams(), st.randoms(use_true_random=False))
def test_movements_add_up_to_the_positions_and_the_money(events: list[Event], random) -> None:
    random.shuffle(events)
    movements = Blotter().movements([*events, *events])
    counted = live(events)
    held = {key: quantity for key, (quantity, _, _) in positions(events).items() if quantity}
    assert fold(movements) == held
    cash = sum((-Fraction(c["quantity_contracts"]) * Fraction(c["price_points"]) for c in counted), Fraction(0))
    paid = sum((Fraction(c["commission_local"]) for c in counted), Fraction(0))
    book = account(movements)
    at_zero = valued(book, {key: Mark(0.0, DAY) for key in book.contracts})
    assert Fraction(*at_zero.points.get("GOLD", 0).as_integer_ratio()) == cash
    assert Fraction(*at_zero.commission_local.get("GOLD", 0).as_integer_ratio()) == paid
    assert len({movement.fill_id for movement in movements}) == len(movements)


class Broker(RuleBasedStateMachine):
    """A broker that tells, tells again, corrects, busts, and announces corrections before their fill."""

    known = Bundle("known")
    later = Bundle("later")

    def __init__(self) -> None:
        super().__init__()
        self.ledger, self.events, self.number = MemoryLedger(), orders(), 0
        self.ledger.record(self.events)

    def tell(self, event: Event) -> Event:
        """Records it, and remembers that it was."""
        self.ledger.record([event])
        self.events += [] if event in self.events else [event]
        return event

    @rule(target=known, key=st.sampled_from(CONTRACTS), order=st.integers(0, 2), quantity=quantities, price=prices,
          when=st.sampled_from(TIMES))  # fmt: skip
    def trades(self, key: tuple, order: int, quantity: int, price: float, when: str | None) -> Event:
        self.number += 1
        name = f"f{self.number}"
        return self.tell(ENTRY.filled(Fill(name, f"{key[0]}{order}", *key, DAY, quantity, price, 1.5, when)))

    @rule(target=later, key=st.sampled_from(CONTRACTS), quantity=quantities, price=prices)
    def keeps_a_trade_back(self, key: tuple, quantity: int, price: float) -> Event:
        self.number += 1
        return ENTRY.filled(Fill(f"f{self.number}", f"{key[0]}0", *key, DAY, quantity, price, 1.5))

    @rule(target=known, event=known, version=st.integers(1, 3), quantity=quantities, price=prices)
    def corrects(self, event: Event, version: int, quantity: int, price: float):
        return self._corrected(event, version, quantity, price)

    @rule(target=known, event=later, version=st.integers(1, 3), quantity=quantities, price=prices)
    def corrects_beforehand(self, event: Event, version: int, quantity: int, price: float):
        return self._corrected(event, version, quantity, price)

    def _corrected(self, event: Event, version: int, quantity: int, price: float):
        payload = dict(event.payload) | {"quantity_contracts": quantity, "price_points": price, "version": version}
        event_id = f"fill:{payload['fill_id']}:{version}"
        if any(known.event_id == event_id for known in self.events):
            return multiple()  # another content under a version that was told is refused: see the contract
        return self.tell(Event(event_id, "fill_corrected", DAY, ENTRY.at, "broker", payload))

    @rule(event=known)
    def busts(self, event: Event) -> None:
        names = ("fill_id", "order_id", "strategy", "instrument", "contract")
        payload = {name: event.payload[name] for name in names} | {"reason": "error trade"}
        self.tell(Event(f"busted:{payload['fill_id']}", "fill_busted", DAY, ENTRY.at, "broker", payload))

    @rule(target=known, event=consumes(later))
    def tells_what_was_kept_back(self, event: Event) -> Event:
        return self.tell(event)

    @rule(event=known)
    def tells_again(self, event: Event) -> None:
        before = self.ledger.heads()
        self.tell(event)
        assert self.ledger.heads() == before

    @invariant()
    def the_book_is_the_model(self) -> None:
        assert_agrees(self.ledger.rows("positions"), self.events)

    def teardown(self) -> None:
        """However it came about, the book is the fold of the journal as it stands."""
        tables = folded(entry.event for entry in self.ledger.entries()).tables
        for name in ("positions", "fills", "orders"):
            assert [dict(row) for _, row in sorted(tables[name].items())] == self.ledger.rows(name)


test_a_broker_that_says_anything_in_any_order = Broker.TestCase
Broker.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=20, suppress_health_check=list(HealthCheck), deadline=None
)
