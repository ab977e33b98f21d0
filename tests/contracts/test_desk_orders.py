"""The desk's orders in a log that workers of the risk service share: who announces first and judges then takes no last
of a limit twice, with a log in memory, in a file and in a real Redis. The limit is ten contracts of a line.

Does not belong here: the close and the order job, which do this (`tests/days/test_close_beside_service.py`).
"""

from __future__ import annotations

import random
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from risk_desk import CODES, JUN, SESSION, asked, book, desk, market  # noqa: E402

from resources.reservation_file import FileReservations  # noqa: E402
from resources.reservation_redis import RedisReservations  # noqa: E402
from resources.risk_memory import MemoryReservations  # noqa: E402
from trading.book.beside_others import Journal, judged_beside, with_held  # noqa: E402
from trading.book.orders import Order, order_id  # noqa: E402
from trading.errors import StoreBusy, StoreUnavailable  # noqa: E402
from trading.ports import ReservationLog  # noqa: E402
from trading.risk.announced import NOTHING_HELD, DeskOrders, Held  # noqa: E402
from trading.risk.book import Book  # noqa: E402
from trading.risk.decision import Asked  # noqa: E402
from trading.risk.pre_trade import Verdict, asked_of, judged  # noqa: E402
from trading.risk.reservations import (  # noqa: E402
    Answer,
    Base,
    Entry,
    Filled,
    Log,
    OnRecord,
    Place,
    Released,
    Reserved,
    is_of_desk,
)
from trading.risk.shared import Following, SharedEngine  # noqa: E402

LIMIT, NOTHING = 10, OnRecord()


class Time:
    """A clock that is set; waiting moves it."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Between:
    """A log where something happens before each entry is added, the first so many times; and where the line may be cut
    for good (`cut`), or just before an answer comes (`late`)."""

    def __init__(self, log: Log, act: Callable[[], object] = lambda: None, times: int = 0) -> None:
        self.log, self.act, self.times, self.cut, self.late = log, act, times, False, False

    def mark(self) -> str:
        return self.log.mark()

    def append(self, entry: Entry, at: Place) -> Answer:
        self._cut()
        if self.times:
            self.times -= 1
            self.act()
        found = self.log.append(entry, at)
        if self.late:
            self.late = False
            raise StoreUnavailable("the answer did not come.")
        return found

    def since(self, at: Place | None) -> Answer:
        self._cut()
        return self.log.since(at)

    def begin(self, base: Base, instead: Place | None) -> Answer:
        return self.log.begin(base, instead)

    def compact(self, base: Base, at: Place) -> bool:
        return self.log.compact(base, at)

    def _cut(self) -> None:
        if self.cut:
            raise StoreUnavailable("the line is cut.")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture(params=["memory", "file", "redis"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ReservationLog]:
    """Each adapter."""
    found: ReservationLog = MemoryReservations()
    if request.param == "file":
        found = FileReservations(tmp_path / "reservations.log")
    elif request.param == "redis":
        found = RedisReservations(request.getfixturevalue("own_redis").url, f"test-{uuid.uuid4()}", timeout_s=5)
    yield found
    found.close()


@pytest.fixture
def memory() -> MemoryReservations:
    return MemoryReservations()


def worker(
    log: Log, time: Callable[[], float], positions: dict[tuple[str, str, int], int] | None = None, **more: object
):
    """A worker that has begun a log, or taken over what there is."""
    made = SharedEngine(
        desk(), market(), book(positions), log, time, "settings", time, Following(0.0), **more  # type: ignore[arg-type]
    )  # fmt: skip
    made.expire(time())
    return made


def announcing(log: Log, time: Time, **service: object) -> DeskOrders:
    settings = desk().risk
    settings = settings.model_copy(update={"service": settings.service.model_copy(update=service)})
    return DeskOrders(lambda: log, settings, time, time.wait)


def order(quantity: int, code: str = "GOLD", strategy: str = "trend") -> Order:
    name = order_id(SESSION, strategy, code, JUN, "target")
    return Order(name, strategy, code, JUN, SESSION, quantity, "target")


def closed(
    shared: DeskOrders | None, *orders: Order, positions: dict[tuple[str, str, int], int] | None = None,
    record: OnRecord = NOTHING, meanwhile: Callable[[], object] = lambda: None,
) -> Verdict:  # fmt: skip
    """What a close says of orders; `meanwhile`: what happens while it judges."""

    def judge(held: Held, unknown: str) -> Verdict:
        meanwhile()
        whole = with_held(book(positions), held)
        return judged(orders, whole, market(), desk(), held=held, unknown=unknown)

    return judged_beside(orders, judge, shared, {}, lambda: Journal(record), CODES)


def codes(found: Verdict) -> dict[str, str]:
    """Codes of refusals by instrument."""
    return {each.instrument: breach.rule for each, breach in found.refused}


def announced(log: Log) -> dict[str, int]:
    """What the desk holds by announcement, by id of the order; the log is not shortened."""
    found: dict[str, int] = {}
    for one in log.since(None).missed:
        if isinstance(one, Reserved) and is_of_desk(one.mark):
            found |= {each.order_id: int(each.quantity_contracts) for each in one.orders}
        elif isinstance(one, Released):
            found = {name: count for name, count in found.items() if name not in one.names}
    return found


# --- the last of a limit ----------------------------------------------------------------------------------------------
def test_what_a_strategy_was_granted_is_not_there_for_the_desk(log: ReservationLog, time: Time) -> None:
    """Six of ten are a strategy's: five more are eleven, and four are ten."""
    strategies = worker(log, time)
    assert strategies.reserve(asked(6, order_id="s"), time(), time() + 60.0).passed
    shared = announcing(log, time)
    found = closed(shared, order(5))
    ((_, breach),) = found.refused
    assert (breach.rule, breach.value, breach.limit) == ("contract_position", 11.0, 10.0)
    assert not closed(shared, order(4)).refused


@pytest.mark.parametrize("how", ["released", "expired", "sold"])
def test_what_a_strategy_gave_back_is_there_again(memory: MemoryReservations, time: Time, how: str) -> None:
    strategies = worker(memory, time)
    assert strategies.reserve(asked(6, order_id="s"), time(), time() + 60.0).passed
    if how == "released":
        strategies.release("s")
    elif how == "expired":
        time.now += 61.0  # nobody has said so in the log yet
    else:
        strategies.fill(asked(6, order_id="s"), time(), "f1")
        strategies.fill(asked(-6), time(), "f2")
    assert not closed(announcing(memory, time), order(10)).refused


def test_what_the_desk_announced_is_not_there_for_strategies_while_it_judges_and_after(
    log: ReservationLog, time: Time
) -> None:
    strategies, said = worker(log, time), []
    ask = lambda: said.append(strategies.reserve(asked(5, order_id=f"s{len(said)}"), time(), time() + 60.0))  # noqa: E731
    assert not closed(announcing(log, time), order(6), meanwhile=ask).refused
    ask()
    assert [each.reasons[0].code for each in said] == ["contract_position"] * 2
    assert strategies.reserve(asked(4, order_id="rest"), time(), time() + 60.0).passed
    assert announced(log) == {order(6).order_id: 6}


def test_what_the_desk_refused_is_there_for_strategies(log: ReservationLog, time: Time) -> None:
    strategies = worker(log, time)
    found = closed(announcing(log, time), order(11), order(10, "CORN"))
    assert codes(found) == {"GOLD": "contract_position"}
    assert strategies.reserve(asked(10, order_id="s"), time()).passed
    assert not strategies.reserve(asked(1, "CORN", order_id="t"), time()).passed


def test_a_reservation_that_comes_between_looking_and_adding_is_seen(memory: MemoryReservations, time: Time) -> None:
    """Six are reserved just when the desk's entry is to be added: it is not, and is tried again."""
    strategies = worker(memory, time)
    between = Between(memory, lambda: strategies.reserve(asked(6, order_id="s"), time(), time() + 60.0), times=1)
    assert codes(closed(announcing(between, time), order(5))) == {"GOLD": "contract_position"}
    assert set(strategies.working()) == {"s"}


def test_busy_workers_do_not_keep_the_desk_out(memory: MemoryReservations, time: Time) -> None:
    strategies, numbers = worker(memory, time), iter(range(10_000))
    faster = lambda: strategies.fill(asked(0.0 + 1, "CORN", order_id=""), time(), f"f{next(numbers)}")  # noqa: E731
    strategies.fill(asked(-300, "CORN"), time(), "before")
    between = Between(memory, faster, times=300)
    assert not closed(announcing(between, time), order(5)).refused
    assert between.times == 0
    between.times = 10_000
    assert codes(closed(announcing(between, time), order(5, strategy="carry"))) == {
        "GOLD": "reservation_truth_unreachable"
    }


class OnlyLooks(DeskOrders):
    """Who looks at what others hold, and says nothing itself."""

    def _announcement(self, replica, orders):
        return None


def test_who_only_looked_would_take_the_last_of_a_limit_twice(memory: MemoryReservations, time: Time) -> None:
    """That the tests here can fail: without the announcement the strategy is granted what the desk was."""
    strategies, said = worker(memory, time), []
    shared = OnlyLooks(lambda: memory, desk().risk, time, time.wait)
    ask = lambda: said.append(strategies.reserve(asked(6, order_id="s"), time()))  # noqa: E731
    assert not closed(shared, order(6), meanwhile=ask).refused
    assert said[0].passed, "twelve of ten"


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_strategies_and_the_desk_together_never_pass_a_limit(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Thirty times, four workers that reserve what they can of one line and a close that wants up to eight of it:
    together never more than ten. All begin at the same moment, or (every other time) the workers while the close
    judges, when it gets all it wants."""
    url = request.getfixturevalue("own_redis").url if kind == "redis" else ""
    drawn, granted = random.Random(7), {"desk": 0, "strategies": 0}
    for number in range(30):
        here = (tmp_path / f"{number}.log", f"test-{uuid.uuid4()}")
        wanted, begins = drawn.randint(1, 8), bool(number % 2)
        found = one_round(lambda here=here: opened(url, *here), wanted, begins)  # type: ignore[misc]
        assert found["desk"] + found["strategies"] <= LIMIT, found
        assert not begins or found == {"desk": wanted, "strategies": LIMIT - wanted}
        granted = {name: count + found[name] for name, count in granted.items()}
    assert min(granted.values()) > 0


def opened(url: str, file: Path, prefix: str) -> ReservationLog:
    return RedisReservations(url, prefix, timeout_s=5) if url else FileReservations(file)


def one_round(make: Callable[[], ReservationLog], wanted: int, begins: bool) -> dict[str, int]:
    """What the desk and the strategies were granted of one line; `begins`: workers begin while the desk judges."""
    clock, logs = (lambda: 1_000.0), [make() for _ in range(5)]
    workers = [worker(log, clock) for log in logs[:4]]
    granted, lock, ready = {"desk": 0, "strategies": 0}, threading.Lock(), threading.Barrier(5, timeout=60)

    def reserve(number: int) -> None:
        ready.wait()
        for turn in range(6):
            decision = workers[number].reserve(asked(1, order_id=f"{number}-{turn}"), 1_000.0, 2_000.0)
            with lock:
                granted["strategies"] += decision.granted_contracts

    def close() -> None:
        if not begins:
            ready.wait()
        meanwhile = ready.wait if begins else lambda: 0
        shared = DeskOrders(lambda: logs[4], desk().risk, clock, threading.Event().wait)
        found = closed(shared, order(wanted), meanwhile=meanwhile)
        granted["desk"] = sum(each.quantity_contracts for each in found.approved)

    threads = [threading.Thread(target=reserve, args=(number,)) for number in range(4)]
    threads.append(threading.Thread(target=close))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for log in logs:
        log.close()
    return granted


# --- what the journal says --------------------------------------------------------------------------------------------
def at(seconds: float, **said: object) -> OnRecord:
    """A journal that changed so many seconds after 1,000, when a close had asked the broker."""
    return OnRecord(as_of=1_000.0 + seconds, at=1_000.0 + seconds, **said)  # type: ignore[arg-type]


def test_a_journal_that_has_the_order_takes_it_over_once(log: ReservationLog, time: Time) -> None:
    """Six are the desk's, announced and then in the journal: four are left, before and after it is read."""
    strategies = worker(log, time, record=at(-60.0))
    time.now = 1_001.0
    sent = order(6)
    assert not closed(announcing(log, time), sent).refused
    for turn in range(2):
        assert strategies.check(asked(1), time()) is not None
        assert not strategies.reserve(asked(5, order_id=f"more {turn}"), time()).passed
        assert strategies.reserve(asked(4, order_id=f"rest {turn}"), time()).passed
        strategies.release(f"rest {turn}")
        strategies.load(market(), book(), at(0.0, working=(asked_of(sent),)))
    assert strategies.working().keys() == {sent.order_id}
    time.now += 3_600.0
    assert strategies.expire(time()) == [], "it is the journal's now, which says when it ends"


def test_what_a_later_close_knows_of_an_announced_order_counts_once(memory: MemoryReservations, time: Time) -> None:
    """Announced at 1,001, filled in the journal of the close of 1,100: six are held, and no longer at work."""
    strategies = worker(memory, time, record=at(-60.0))
    time.now = 1_001.0
    assert not closed(announcing(memory, time), order(6)).refused
    time.now = 1_101.0
    strategies.load(market(), book({("trend", "GOLD", JUN): 6}), at(100.0))
    assert strategies.working() == {}
    assert strategies.reserve(asked(4, order_id="s"), time()).passed


def test_a_journal_that_was_read_before_the_order_was_in_it_lets_it_be(memory: MemoryReservations, time: Time) -> None:
    """The close asked the broker at 1,000 and announced at 1,001; somebody reads its fills and not yet its orders."""
    strategies = worker(memory, time, record=at(-60.0))
    time.now = 1_001.0
    assert not closed(announcing(memory, time), order(6)).refused
    strategies.load(market(), book(), at(0.0))
    assert not strategies.reserve(asked(5, order_id="s"), time()).passed


def test_fills_that_the_journal_has_not_count(memory: MemoryReservations, time: Time) -> None:
    """Six were bought and told to the service: as the broker's f1, which the journal has or has not."""
    strategies = worker(memory, time, record=at(-60.0))
    strategies.reserve(asked(6, order_id="s"), time(), time() + 60.0)
    strategies.fill(asked(6, order_id="s"), time(), "f1")
    shared = announcing(memory, time)
    assert codes(closed(shared, order(5), record=at(60.0))) == {"GOLD": "contract_position"}
    assert not closed(shared, order(4), record=at(60.0)).refused
    named = at(60.0, fill_ids=("f1",))
    bought = {("trend", "GOLD", JUN): 6}
    assert not closed(shared, order(4, strategy="carry"), record=named, positions=bought).refused


def test_a_fill_of_an_order_at_work_counts_with_the_order(memory: MemoryReservations, time: Time) -> None:
    """Ten are at work and count as bought; that four of them are is told, and makes no fourteen."""
    sent = asked(10, order_id="before")
    strategies = worker(memory, time, record=at(-60.0, working=(sent,)))
    strategies.fill(asked(4, order_id="before"), time(), "f1")
    found = announcing(memory, time).announce([], at(0.0, working=(sent,)))
    assert found == NOTHING_HELD


def test_announcing_again_holds_nothing_twice(log: ReservationLog, time: Time) -> None:
    """A close is run again: the journal has its order, and the log has it already. Nothing is added."""
    worker(log, time)
    sent = order(6)
    assert not closed(announcing(log, time), sent).refused
    before = log.since(None).length
    again = closed(announcing(log, time), sent, record=at(1.0, working=(asked_of(sent),)))
    assert not again.refused
    assert log.since(None).length == before
    assert announced(log) == {sent.order_id: 6}


def test_what_a_run_that_died_announced_is_taken_away_by_the_next(log: ReservationLog, time: Time) -> None:
    """The run announced eight of gold and eight of corn and recorded nothing; the next wants nine gold alone."""
    strategies = worker(log, time)
    announcing(log, time).announce([asked_of(order(8)), asked_of(order(8, "CORN"))], at(0.0))
    assert not closed(announcing(log, time), order(9)).refused
    assert announced(log).keys() == {order(9).order_id}
    assert strategies.reserve(asked(10, "CORN", order_id="s"), time()).passed
    assert not strategies.reserve(asked(2, order_id="t"), time()).passed


def test_an_order_that_was_filled_is_held_until_workers_have_read_that(memory: MemoryReservations, time: Time) -> None:
    strategies, shared = worker(memory, time), announcing(memory, time)
    shared.announce([asked(6, order_id="sold out"), asked(6, "CORN", order_id="never sent")], at(0.0))
    shared.announce([], at(0.0), filled={"sold out"})
    assert announced(memory) == {"sold out": 6}
    assert not strategies.reserve(asked(5, order_id="s"), time()).passed


def test_what_is_announced_ends_when_workers_must_have_read_the_journal(memory: MemoryReservations, time: Time) -> None:
    """Facts are read every 900 s, about: it is held for 1,800 s, not for the 60 s of a strategy's."""
    strategies = worker(memory, time)
    announcing(memory, time).announce([asked(6, order_id="desk's")], at(0.0))
    time.now += 1_799.0
    assert strategies.expire(time()) == []
    time.now += 2.0
    assert strategies.expire(time()) == ["desk's"]


# --- a log that is away -----------------------------------------------------------------------------------------------
def test_without_the_log_only_what_reduces_goes_out(memory: MemoryReservations, time: Time) -> None:
    worker(memory, time)
    line = Between(memory)
    line.cut = True
    found = closed(announcing(line, time), order(1), order(-3, "CORN"), positions={("trend", "CORN", JUN): 5})
    assert [each.instrument for each in found.approved] == ["CORN"]
    ((refused, breach),) = found.refused
    assert (refused.instrument, breach.rule) == ("GOLD", "reservation_truth_unreachable")
    assert "the line is cut. When that is mended, close 2024-02-23 again" in breach.message
    kept = {each.asked.instrument: (each.outcome, each.granted_contracts) for each in found.decisions}
    assert kept == {"CORN": ("pass", -3), "GOLD": ("refuse", 0)}


def test_an_announcement_whose_answer_was_lost_is_given_back(memory: MemoryReservations, time: Time) -> None:
    strategies, line = worker(memory, time), Between(memory)
    line.late = True
    assert codes(closed(announcing(line, time), order(6))) == {"GOLD": "reservation_truth_unreachable"}
    assert strategies.reserve(asked(10, order_id="s"), time()).passed


def test_a_close_that_fails_while_it_judges_gives_back(memory: MemoryReservations, time: Time) -> None:
    worker(memory, time)

    def fail() -> None:
        raise ValueError("no such market")

    with pytest.raises(ValueError, match="no such market"):
        closed(announcing(memory, time), order(6), meanwhile=fail)
    assert announced(memory) == {}


def test_without_a_log_nobody_was_granted_anything(memory: MemoryReservations, time: Time) -> None:
    shared = announcing(memory, time)
    assert not closed(shared, order(10)).refused
    assert time.now == 1_002.0 - 0.25, "who knows a log that was lost has begun it by then"
    assert not closed(shared, order(10)).refused
    assert time.now == 1_001.75, "that is waited for once"
    assert not closed(None, order(10)).refused


def test_a_log_that_was_lost_is_waited_for(memory: MemoryReservations, time: Time) -> None:
    """A worker that knew it begins it anew while the desk looks, and another adds three seconds later what only it
    knew: both count."""
    base = Base(memory.mark(), SESSION, book(), (unit("a", 3),), lost=Place("x", 1, "y"), ready=1_003.5)

    def wait(seconds: float) -> None:
        time.wait(seconds)
        if time.now == 1_000.5:
            memory.begin(base, None)
        elif time.now == 1_003.5:
            memory.append(unit("b", 4), memory.since(None).end)

    shared = DeskOrders(lambda: memory, desk().risk, time, wait)
    assert codes(closed(shared, order(4))) == {"GOLD": "contract_position"}  # eleven
    assert not closed(shared, order(3)).refused


def unit(name: str, quantity: int) -> Reserved:
    return Reserved(MemoryReservations().mark(), (asked(quantity, order_id=name),), False, 990.0, 5_000.0)


def test_a_log_that_is_put_together_for_long_is_as_one_that_is_away(memory: MemoryReservations, time: Time) -> None:
    memory.begin(Base(memory.mark(), SESSION, book(), ready=1_100.0), None)
    found = closed(announcing(memory, time), order(1))
    assert codes(found) == {"GOLD": "reservation_truth_unreachable"}
    assert time.now == 1_000.0
    assert announced(memory) == {}


def test_what_may_be_given_back_already_lets_nothing_past_a_limit(memory: MemoryReservations, time: Time) -> None:
    """Fifteen may be bought, of ten: twelve sold make that no worse, and would be twelve short if they are not. Only
    what reduces goes out until that is known."""
    units = (unit("a", 15),)
    memory.begin(Base(memory.mark(), SESSION, book(), units, unsure=1_100.0), None)
    found = closed(announcing(memory, time), order(-12))
    assert codes(found) == {"GOLD": "reservation_truth_unreachable"}
    time.now = 1_101.0
    assert not closed(announcing(memory, time), order(-12)).refused


def test_the_desk_announces_no_more_than_there_is_room_for(memory: MemoryReservations, time: Time) -> None:
    strategies = worker(memory, time)
    strategies.reserve(asked(1, order_id="s"), time(), time() + 60.0)
    shared = announcing(memory, time, max_reservations=2)
    with pytest.raises(StoreBusy, match=r"as many orders are at work as there may be \(2\)"):
        shared.announce([asked(1, order_id="a"), asked(1, order_id="b")], at(0.0))
    shared.announce([asked(1, order_id="a")], at(0.0))
    assert announced(memory) == {"a": 1}


def test_what_others_hold_is_no_order_of_the_session_and_of_no_minute(memory: MemoryReservations, time: Time) -> None:
    worker(memory, time).reserve(asked(1, order_id="s"), time(), time() + 60.0)
    found = closed(announcing(memory, time), order(2))
    values = {(row.rule, row.axis): row.value for row in found.decisions[0].rules}
    assert values["session_orders", "portfolio"] == values["order_rate", "portfolio"] == 1.0
    assert values["contract_position", "contract"] == 3.0


def test_what_the_desk_announced_is_of_no_minute_of_the_strategies(memory: MemoryReservations, time: Time) -> None:
    """Nobody can say how close to each other a close's orders go out."""
    strategies = worker(memory, time)
    assert not closed(announcing(memory, time), order(2), order(2, "CORN")).refused
    strategies.expire(time())
    found = strategies.check(asked(1, order_id="s"), time())
    values = {(row.rule, row.axis): row.value for row in found.rules}
    assert values["order_rate", "portfolio"] == 1.0
    assert values["session_orders", "portfolio"] == 3.0
    assert values["contract_position", "contract"] == 3.0


def test_a_netted_list_is_one_unit_to_the_desk_too(memory: MemoryReservations, time: Time) -> None:
    """Eight bought and sold of one line, netted, may only be filled together: ten more pass. One by one they do not."""
    legs = (asked(8, order_id="buy"), asked(-8, order_id="sell", strategy="carry"))
    worker(memory, time)
    place = memory.since(None).end
    end = memory.append(Reserved(memory.mark(), legs, True, 1_000.0, 1_060.0), place).end
    assert not closed(announcing(memory, time), order(10)).refused
    place = memory.append(Released(memory.mark(), ("buy", "sell", order(10).order_id)), memory.since(end).end).end
    again = tuple(leg._replace(order_id=f"{leg.order_id} alone") for leg in legs)
    memory.append(Reserved(memory.mark(), again, False, 1_000.0, 1_060.0), place)
    assert codes(closed(announcing(memory, time), order(10))) == {"GOLD": "contract_position"}


def test_what_is_held_of_unknown_instruments_is_left_out() -> None:
    """Of a strategy that the desk does not know it counts; of an instrument without reference data nothing can."""
    other = Asked("new", "COCOA", JUN, 5, None, "c")
    held = Held((Reserved("m", (asked(5, strategy="new", order_id="g"), other), False, 0.0, 1.0),),
                (Filled("n", other, 0.0, "f"),))  # fmt: skip
    found = held.of({"GOLD"})
    assert (found.lines(), found.strategies(), found.fills) == ({("GOLD", JUN)}, {"new"}, ())
    assert with_held(replace(book()), found).strategies == ("carry", "new", "trend")


def test_books_without_others_are_as_they_are() -> None:
    own: Book = book()
    assert with_held(own, NOTHING_HELD) is own
