"""What every Ledger promises (trading.ports.Ledger), run against each adapter, with real servers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from resources.memory import MemoryLedger
from resources.mongo_ledger import MongoLedger
from resources.postgres_ledger import PostgresLedger
from resources.sqlite_ledger import SqliteLedger
from trading.book.booking import Entered
from trading.book.journal import PROJECTIONS, Event
from trading.book.orders import Fill, Order
from trading.errors import EventConflict, IllegalMove, LedgerError, UsageError
from trading.ports import Ledger, Recorded
from trading.risk.halts import Halt, halts_of, halts_told

THURSDAY, FRIDAY = date(2022, 2, 24), date(2022, 2, 25)
AT = datetime(2022, 2, 25, 22, 0, tzinfo=UTC)
ENTRY = Entered(FRIDAY, AT, "close", "run1")
JUN = 20220600
BOOK = "book/trend"


@pytest.fixture(params=["memory", "sqlite", "mongo", "postgres"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    """Makes empty ledgers of one kind."""
    if request.param == "memory":
        yield MemoryLedger
        return
    made: list[SqliteLedger | MongoLedger | PostgresLedger] = []
    on_server = {"mongo": MongoLedger, "postgres": PostgresLedger}.get(request.param)
    addresses = request.getfixturevalue(f"{request.param}_databases") if on_server else None

    def one() -> Ledger:
        folder = tmp_path / f"book{len(made)}"
        made.append(on_server(addresses()) if on_server else SqliteLedger(folder / "ledger.sqlite"))
        return made[-1]

    yield one
    for ledger in made:
        ledger.close()


@pytest.fixture
def ledger(make: Callable[[], Ledger]) -> Ledger:
    """An empty one."""
    return make()


def order(number: int, quantity: int = 2, strategy: str = "trend", parent: str | None = None) -> Order:
    return Order(f"o{number}", strategy, "US10", JUN, FRIDAY, quantity, "target", 127.5, parent, "2022-02-25")


def placed(number: int, quantity: int = 2, strategy: str = "trend") -> list[Event]:
    return list(ENTRY.placed(order(number, quantity, strategy)))


def fill(number: int, quantity: int = 2, price: float = 127.25, strategy: str = "trend", of: int | None = None) -> Fill:
    return Fill(f"f{number}", f"o{of or number}", strategy, "US10", JUN, FRIDAY, quantity, price, 2.5)


def filled(number: int, quantity: int = 2, price: float = 127.25, strategy: str = "trend") -> Event:
    return ENTRY.filled(fill(number, quantity, price, strategy))


def process(name: str, state: str = "done", session: date = FRIDAY, at: datetime = AT) -> Event:
    payload = {"process": "close", "session": session.isoformat(), "state": state, "run_id": name, "detail": ""}
    return Event(f"process:{name}:{state}", "process", session, at, "ann", payload)


def position(ledger: Ledger, strategy: str = "trend") -> tuple[object, ...]:
    (row,) = ledger.rows("positions", {"strategy": strategy})
    return row["quantity_contracts"], row["average_points"], row["realised_points"], row["commission_local"]


def statuses(ledger: Ledger) -> dict[object, object]:
    return {row["order_id"]: row["status"] for row in ledger.rows("orders")}


# --- the journal ------------------------------------------------------------------------------------------------------
def test_an_empty_ledger(ledger: Ledger) -> None:
    assert ledger.sequence() == 0
    assert ledger.heads() == {}
    assert list(ledger.entries()) == []
    assert ledger.rows("positions") == []
    assert ledger.content_hash() == hashlib.sha256(b"").hexdigest()
    assert ledger.record([]) == Recorded(0, 0, 0)
    assert ledger.health().well


def test_events_come_back_as_they_were_numbered_in_their_streams(ledger: Ledger) -> None:
    mine, other = [*placed(1), filled(1)], placed(2, strategy="carry")
    assert ledger.record([*mine, *other, process("r1")]) == Recorded(new=8, repeated=0, sequence=8)
    found = list(ledger.entries())
    assert [(entry.stream, entry.number) for entry in found] == [
        *(("book/carry", number) for number in (1, 2, 3)), *((BOOK, number) for number in (1, 2, 3, 4)),
        ("processes", 1),
    ]  # fmt: skip
    assert [entry.event for entry in found] == [*other, *mine, process("r1")]
    assert {name: head.number for name, head in ledger.heads().items()} == {"book/carry": 3, BOOK: 4, "processes": 1}


def test_every_kind_of_value_comes_back(ledger: Ledger) -> None:
    """Whole numbers stay whole, however they are stored, floats keep their last bit, and text is any text."""
    payload = {"process": "x", "session": "2022-02-25", "detail": 'é "quoted"\nline € 𝕏', "n": 3, "f": 3.0, "t": True,
               "tiny": 5e-324, "third": 1 / 3, "none": None, "large": 2**62}  # fmt: skip
    event = replace(process("v"), payload=payload, cause="c", correlation="k", actor="Ann Ö.")
    ledger.record([event])
    (found,) = ledger.entries()
    assert found.event == event
    assert [type(found.event.payload[name]) for name in payload] == [type(value) for value in payload.values()]
    assert found.event.record_text() == event.record_text()


def test_a_batch_has_one_link_in_each_stream_it_touches(ledger: Ledger) -> None:
    """Worked without the ledger: SHA-256 of the link before and the record texts, a line each."""
    first, second = [process("a"), process("b")], [process("c")]
    ledger.record(first)
    ledger.record(second)
    texts = [
        json.dumps({"id": e.event_id, "kind": "process", "payload": dict(e.payload), "session": "2022-02-25"},
                   sort_keys=True, separators=(",", ":"))
        + json.dumps(["2022-02-25T22:00:00+00:00", "ann", None, None], separators=(",", ":"))
        for e in [*first, *second]
    ]  # fmt: skip
    one = hashlib.sha256("\n".join(["", *texts[:2]]).encode()).hexdigest()
    two = hashlib.sha256(f"{one}\n{texts[2]}".encode()).hexdigest()
    assert [entry.link for entry in ledger.entries()] == [None, one, two]
    assert ledger.heads()["processes"].link == two


def test_recording_again_changes_nothing(ledger: Ledger) -> None:
    ledger.record([*placed(1), filled(1)])
    before = (ledger.content_hash(), ledger.heads())
    later = replace(filled(1), at=AT + timedelta(days=4), actor="rerun", correlation="run2")
    assert ledger.record([later, *placed(1)]) == Recorded(new=0, repeated=4, sequence=4)
    assert (ledger.content_hash(), ledger.heads()) == before
    assert ledger.record([*placed(2), *placed(2), later]) == Recorded(new=3, repeated=4, sequence=7)
    assert position(ledger)[0] == 2
    assert ledger.content_hash() != before[0]


def test_an_id_with_other_content_stops_the_whole_batch(ledger: Ledger) -> None:
    ledger.record([*placed(1), filled(1)])
    before = (ledger.heads(), ledger.content_hash(), ledger.rows("orders"))
    with pytest.raises(EventConflict, match=r"fill:f1 .*2022-02-25.* other content"):
        ledger.record([*placed(2), filled(1, quantity=3)])
    with pytest.raises(EventConflict, match="created:o3"):
        ledger.record([*placed(3), *placed(3, quantity=9)])
    with pytest.raises(EventConflict):
        ledger.record([process("new"), *placed(1, quantity=5), *placed(4, strategy="carry")])
    assert (ledger.heads(), ledger.content_hash(), ledger.rows("orders")) == before
    assert ledger.rows("process_state") == []


def test_what_cannot_be_recorded_stops_the_whole_batch(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="kind gossip"):
        ledger.record([*placed(1), Event("x", "gossip", FRIDAY, AT, "close")])
    with pytest.raises(LedgerError, match="not finite"):
        ledger.record([*placed(1), filled(1, price=math.inf)])
    assert (ledger.sequence(), ledger.rows("orders")) == (0, [])


def test_entries_after_of_kinds_through_of_streams_and_up_to(ledger: Ledger) -> None:
    ledger.record([process("a", session=THURSDAY), process("b"), *placed(1), filled(1)])

    def found(**wanted: object) -> list[tuple[str, int]]:
        return [(entry.stream, entry.number) for entry in ledger.entries(**wanted)]  # type: ignore[arg-type]

    assert found(after={BOOK: 3}) == [(BOOK, 4), ("processes", 1), ("processes", 2)]
    assert found(kinds=["fill", "order_sent"]) == [(BOOK, 3), (BOOK, 4)]
    assert found(through=THURSDAY) == [("processes", 1)]
    assert found(streams=["processes"], after={"processes": 1}) == [("processes", 2)]
    assert found(upto={BOOK: 2}) == [(BOOK, 1), (BOOK, 2)]
    assert found(upto={BOOK: 2, "processes": 1}, streams=["processes", "none"]) == [("processes", 1)]
    assert found(kinds=[]) == []


def test_long_streams_come_in_order_and_whole(ledger: Ledger) -> None:
    for start in range(0, 2_500, 500):
        ledger.record([process(f"p{number}") for number in range(start, start + 500)])
    assert [entry.number for entry in ledger.entries()] == list(range(1, 2_501))
    assert [entry.number for entry in ledger.entries(after={"processes": 1_500}, upto={"processes": 1_502})] == [
        1_501, 1_502,
    ]  # fmt: skip


def test_the_content_hash_is_over_all_contents(ledger: Ledger) -> None:
    """Worked without the ledger, and the same whatever the batches, times and names."""
    first = '{"id":"a","kind":"process","payload":{"process":"x"},"session":"2022-02-25"}'
    second = '{"id":"b","kind":"process","payload":{"process":"y"},"session":"2022-02-24"}'
    expected = hashlib.sha256(f"processes\n{first}\n{second}\n".encode()).hexdigest()
    ledger.record([Event("a", "process", FRIDAY, AT, "me", {"process": "x"})])
    ledger.record([Event("b", "process", THURSDAY, AT, "me", {"process": "y"})])
    assert ledger.content_hash() == expected


def test_replaying_the_entries_into_an_empty_ledger_restores_it(make: Callable[[], Ledger]) -> None:
    ledger = make()
    for number in range(1, 6):
        ledger.record(placed(number))
    ledger.record([filled(number, number) for number in range(1, 4)])
    ledger.record([ENTRY.busted(fill(2), "error trade"), ENTRY.corrected(fill(1, 1, 128.0), 1)])
    for restored in (make(), MemoryLedger()):
        restored.record([entry.event for entry in ledger.entries()])
        assert restored.content_hash() == ledger.content_hash()
        for projection in ("orders", "fills", "positions", "process_state"):
            assert restored.rows(projection) == ledger.rows(projection)


# --- orders -----------------------------------------------------------------------------------------------------------
def test_an_order_goes_from_state_to_state(ledger: Ledger) -> None:
    created, approved, sent = placed(1, 5)
    for event, status in ((created, "new"), (approved, "approved"), (sent, "sent")):
        ledger.record([event])
        assert statuses(ledger) == {"o1": status}
    ledger.record([ENTRY.filled(fill(1, 2))])
    assert statuses(ledger) == {"o1": "part_filled"}
    ledger.record([ENTRY.filled(fill(2, 3, of=1))])
    assert statuses(ledger) == {"o1": "filled"}
    assert ledger.rows("orders", {"order_id": "o1"})[0]["filled_contracts"] == 5


def test_an_illegal_move_stops_the_whole_batch(ledger: Ledger) -> None:
    ledger.record([*placed(1), filled(1)])
    heads = ledger.heads()
    with pytest.raises(IllegalMove, match=r"order o1 is filled, so order_cancelled cannot .*audit"):
        ledger.record([*placed(2), ENTRY.cancelled(order(1))])
    with pytest.raises(IllegalMove, match="order o9 is unknown"):
        ledger.record([ENTRY.cancelled(order(9))])
    assert ledger.heads() == heads
    assert statuses(ledger) == {"o1": "filled"}


def test_fills_are_passed_up_to_the_instrument_order(ledger: Ledger) -> None:
    whole = ENTRY.created(replace(order(0, 5), order_id="p"), "instrument")
    legs = [order(1, 2, parent="p"), order(2, 3, parent="p")]
    ledger.record([whole])
    assert statuses(ledger) == {"p": "new"}
    ledger.record([event for leg in legs for event in ENTRY.placed(leg)])
    assert statuses(ledger)["p"] == "sent"
    ledger.record([filled(1)])
    assert (statuses(ledger)["p"], ledger.rows("orders", {"order_id": "p"})[0]["filled_contracts"]) == (
        "part_filled",
        2,
    )
    ledger.record([filled(2, 3)])
    assert (statuses(ledger)["p"], ledger.rows("orders", {"order_id": "p"})[0]["filled_contracts"]) == ("filled", 5)


def test_a_fill_of_an_order_nobody_knows_counts_and_one_that_was_withdrawn_too(ledger: Ledger) -> None:
    ledger.record([*placed(1), ENTRY.cancelled(order(1)), filled(1), filled(7)])
    assert position(ledger)[0] == 4
    assert statuses(ledger) == {"o1": "filled", "o7": "unknown"}
    ledger.record(placed(7))
    assert statuses(ledger)["o7"] == "filled"


def test_a_fill_of_another_books_order_is_refused(ledger: Ledger) -> None:
    ledger.record(placed(1))
    with pytest.raises(IllegalMove, match="fill f1 of strategy carry names order o1, which is of strategy trend"):
        ledger.record([filled(2), filled(1, strategy="carry")])
    assert ledger.rows("fills") == []


def test_an_event_of_another_book_changes_no_row_of_this_one(ledger: Ledger) -> None:
    ledger.record([*placed(1), filled(1)])
    theirs = replace(ENTRY.cancelled(order(1)), payload={"order_id": "o1", "strategy": "carry"})
    parent = ENTRY.created(order(8, strategy="carry"), "instrument")
    for event in (theirs, ENTRY.busted(fill(1, strategy="carry"), "error trade"),
                  ENTRY.corrected(fill(1, strategy="carry"), 1)):  # fmt: skip
        with pytest.raises(IllegalMove, match="is of strategy trend"):
            ledger.record([event])
    with pytest.raises(IllegalMove, match="names parent o8, which is of strategy carry"):
        ledger.record([parent, ENTRY.created(order(9, parent="o8"))])
    assert (position(ledger)[0], statuses(ledger)) == (2, {"o1": "filled"})


def test_an_instrument_order_hears_of_fills_that_came_before_their_order(ledger: Ledger) -> None:
    ledger.record([ENTRY.created(order(8), "instrument"), filled(1)])
    ledger.record(ENTRY.placed(order(1, parent="o8")))
    assert (statuses(ledger)["o8"], ledger.rows("orders", {"order_id": "o8"})[0]["filled_contracts"]) == ("filled", 2)


def test_a_fill_that_is_corrected_to_be_of_another_order(ledger: Ledger) -> None:
    ledger.record([*placed(1), *placed(2), filled(1)])
    ledger.record([ENTRY.corrected(fill(1, of=2), 1)])
    assert (position(ledger)[0], statuses(ledger)) == (2, {"o1": "sent", "o2": "filled"})


# --- fills and positions ----------------------------------------------------------------------------------------------
def test_profit_is_realised_against_the_average_price(ledger: Ledger) -> None:
    """By hand: 2 at 100 and 2 at 110 average 105; 3 sold at 120 realise 45; 3 sold at 90 close 1 for -15 and open -2
    at 90; 2 bought at 95 realise -10."""
    for number, (quantity, price) in enumerate([(2, 100.0), (2, 110.0), (-3, 120.0), (-3, 90.0)]):
        ledger.record([filled(number, quantity, price)])
    assert position(ledger) == (-2, 90.0, 45.0 - 15.0, 10.0)
    ledger.record([filled(9, 2, 95.0)])
    assert position(ledger) == (0, None, 20.0, 12.5)


def test_fills_in_another_order_come_to_the_same(make: Callable[[], Ledger]) -> None:
    fills = [filled(n, q, p) for n, (q, p) in enumerate([(2, 100.1), (-5, 110.3), (4, 90.7), (-1, 95.9), (3, 99.3)])]
    one, other, single = make(), make(), make()
    one.record(fills)
    other.record([fills[3], fills[0]])
    other.record([fills[4], fills[2], fills[0]])
    other.record([fills[1], fills[3]])
    for event in reversed(fills):
        single.record([event])
    assert one.rows("positions") == other.rows("positions") == single.rows("positions")
    assert one.rows("fills") == other.rows("fills") == single.rows("fills")


def test_a_bust_and_a_correction_before_or_after_their_fill(make: Callable[[], Ledger]) -> None:
    events = [
        *placed(1), *placed(2), filled(1, 2, 100.0), filled(2, 2, 110.0),
        ENTRY.busted(fill(1), "error trade"), ENTRY.corrected(fill(2, 2, 112.0), 2),
        ENTRY.corrected(fill(2, 1, 111.0), 1),
    ]  # fmt: skip
    straight, reverse = make(), make()
    for event in events:
        straight.record([event])
    reverse.record([*events[:6], *reversed(events[6:])])
    assert position(straight) == position(reverse) == (2, 112.0, 0.0, 2.5)
    for ledger in (straight, reverse):
        assert statuses(ledger) == {"o1": "sent", "o2": "filled"}
        assert [(r["fill_id"], r["state"], r["version"]) for r in ledger.rows("fills")] == [
            ("f1", "busted", 0), ("f2", "live", 2),
        ]  # fmt: skip


def test_a_fill_that_is_corrected_to_no_contracts_still_cost_its_commission(make: Callable[[], Ledger]) -> None:
    events = [filled(1, 2, 100.0), filled(2, 1, 110.0), ENTRY.corrected(fill(1, 0, 100.0), 1)]
    for told in (events, [events[2], events[1], events[0]]):
        ledger = make()
        for event in told:
            ledger.record([event])
        assert position(ledger) == (1, 110.0, 0.0, 5.0)


def test_a_person_adjusts_a_position_and_says_why(ledger: Ledger) -> None:
    ledger.record([filled(1, 2, 100.0)])
    ledger.record([ENTRY.adjusted("a1", ("trend", "US10", JUN), -1, 104.0, "given up to the other account")])
    assert position(ledger) == (1, 100.0, 4.0, 2.5)


def test_a_batch_of_several_books_is_one_transaction(ledger: Ledger) -> None:
    ledger.record([filled(1, 2), filled(2, 3, strategy="carry")])
    with pytest.raises(IllegalMove):
        ledger.record([filled(3, 5), ENTRY.cancelled(order(8, strategy="carry"))])
    assert (position(ledger)[0], position(ledger, "carry")[0]) == (2, 3)


# --- other tables -----------------------------------------------------------------------------------------------------
def test_process_state_is_the_last_said_and_runs_are_kept(ledger: Ledger) -> None:
    ledger.record([process("r1", "started")])
    ledger.record([process("r1", "done", at=AT + timedelta(minutes=5)), process("r2", "started")])
    assert [(row["run_id"], row["state"]) for row in ledger.rows("process_state")] == [("r2", "started")]
    (first, second) = ledger.rows("process_runs")
    assert (first["state"], first["started"], first["ended"]) == (
        "done", "2022-02-25T22:00:00+00:00", "2022-02-25T22:05:00+00:00",
    )  # fmt: skip
    assert (second["state"], second["ended"]) == ("started", None)


def test_a_row_has_every_column_and_none_where_nothing_was_said(ledger: Ledger) -> None:
    ledger.record([filled(1)])
    (row,) = ledger.rows("orders", {"status": "unknown"})
    assert (row["order_id"], row["filled_contracts"], row["reason"], row["reference_points"]) == ("o1", 2, None, None)
    assert ledger.rows("orders", {"reason": None}) == [row]
    assert ledger.rows("orders", {"reason": "target"}) == []


def test_unknown_projections_and_columns_are_named(ledger: Ledger) -> None:
    with pytest.raises(UsageError, match="no projection trades"):
        ledger.rows("trades")
    with pytest.raises(UsageError, match="orders has no column colour"):
        ledger.rows("orders", {"colour": "red"})


def test_a_version_of_the_configuration_is_taken_once_and_is_of_no_table(ledger: Ledger) -> None:
    """Of two writers of one number the second is refused, whichever store decides it."""
    first = Event("configuration-1", "configuration_applied", FRIDAY, AT, "ann", {"number": 1, "configuration": "a"})
    ledger.record([first])
    with pytest.raises(EventConflict):
        ledger.record([replace(first, payload={**first.payload, "configuration": "b"})])
    assert [(entry.stream, entry.event) for entry in ledger.entries()] == [("configuration", first)]
    assert [name for name in PROJECTIONS if ledger.rows(name)] == []


def test_a_halt_is_set_and_cleared_once(ledger: Ledger) -> None:
    end = AT + timedelta(hours=3)
    halt = Halt("h1", "instrument", "US10", "reduce_only", "ann", "prices look wrong", AT, end)
    everything = Halt("h2", "everything", "", "nothing", "sensor", "loss of the day", AT)
    ledger.record([halt.set_event(FRIDAY), everything.set_event(FRIDAY)])
    assert halts_of(ledger.rows("halts")) == (halt, everything)
    cleared = halt.cleared_event("bob", "prices are right", FRIDAY, AT + timedelta(hours=1))
    assert ledger.record([cleared]).new == 1
    assert ledger.record([cleared]).repeated == 1
    (row,) = ledger.rows("halts", {"state": "cleared"})
    assert (row["halt_id"], row["cleared_by"], row["cleared_reason"]) == ("h1", "bob", "prices are right")
    assert {entry.stream for entry in ledger.entries()} == {"limits"}
    again = {"halt_id": "h1", "reason": "once more"}
    for payload, why in ((again, "h1 is cleared already"), ({**again, "halt_id": "h7"}, "h7 is unknown")):
        with pytest.raises(IllegalMove, match=why):
            ledger.record([Event(f"again {why}", "halt_cleared", FRIDAY, AT, "bob", payload)])
    assert halts_told(entry.event for entry in ledger.entries()) == halts_of(ledger.rows("halts"))


# --- search -----------------------------------------------------------------------------------------------------------
def test_orders_and_the_trail_are_found_by_words(ledger: Ledger) -> None:
    ledger.record([*placed(1), filled(1)])
    ledger.record(list(ENTRY.refused(order(2), "limit of US10: 500 contracts, Große Grenze")))
    late = {**process("r1").payload, "detail": "US10 vendor was LATE"}
    ledger.record([replace(process("r1"), payload=late, at=AT + timedelta(hours=1))])

    def found(text: str, limit: int = 50) -> list[str]:
        return [entry.event.event_id for entry in ledger.search(text, limit)]

    assert found("us10 late") == ["process:r1:done"]
    assert found("o1 order_sent") == found("SENT, o1!") == ["sent:o1"]
    assert found("große GRENZE") == ["refused:o2"]
    assert found("US10")[0] == "process:r1:done"  # the newest first
    assert set(found("us10")) == {"process:r1:done", "created:o1", "created:o2", "refused:o2"}
    assert len(found("us10", limit=2)) == 2
    assert found("fill f1") == found("lat") == found("") == found("' \" ( $ % * -") == []
