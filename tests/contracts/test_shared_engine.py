"""Engines that share a book through a log of reservations: the same answers as one engine, never past a limit, and what
happens when the log cannot be reached, is lost, or gets long."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from risk_desk import CODES, JUN, LIMITS, SESSION, asked, book, desk, engine, market  # noqa: E402

from resources.reservation_file import FileReservations  # noqa: E402
from resources.reservation_redis import RedisReservations  # noqa: E402
from resources.risk_memory import MemoryReservations  # noqa: E402
from trading.config.models import DeskSettings  # noqa: E402
from trading.errors import StoreUnavailable, UsageError  # noqa: E402
from trading.kernels.risk_checks import NOTHING  # noqa: E402
from trading.risk.book import Standing  # noqa: E402
from trading.risk.decision import Asked, Decision  # noqa: E402
from trading.risk.market import Market, group  # noqa: E402
from trading.risk.reservations import Answer, Base, Entry, Filled, Log, OnRecord, Place, Reserved  # noqa: E402
from trading.risk.shared import Following, SharedEngine  # noqa: E402


class Cut:
    """A log at the other end of a line that is cut: calls raise while `cut`, and `late` ones after they were done."""

    def __init__(self, log: Log) -> None:
        self.log, self.cut, self.late = log, False, False

    def mark(self) -> str:
        return self.log.mark()

    def append(self, entry: Entry, at: Place) -> Answer:
        self._cut()
        found = self.log.append(entry, at)
        if self.late:
            raise StoreUnavailable("the answer did not come")
        return found

    def since(self, at: Place | None) -> Answer:
        self._cut()
        return self.log.since(at)

    def begin(self, base: Base, instead: Place | None) -> Answer:
        self._cut()
        return self.log.begin(base, instead)

    def compact(self, base: Base, at: Place) -> bool:
        self._cut()
        return self.log.compact(base, at)

    def _cut(self) -> None:
        if self.cut:
            raise StoreUnavailable("the line is cut")


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def worker(log: Log, time: Time, grace_s: float = 0.0, compact_at: int = 20_000, **more: object) -> SharedEngine:
    """A worker on an empty book."""
    following = Following(grace_s, compact_at)
    return SharedEngine(desk(), market(), book(), log, time, "settings", time, following, **more)  # type: ignore[arg-type]


@pytest.fixture
def log() -> MemoryReservations:
    return MemoryReservations()


@pytest.fixture
def pair(log: MemoryReservations, time: Time) -> tuple[SharedEngine, SharedEngine]:
    return worker(log, time), worker(log, time)


def code(decision: Decision) -> str:
    return decision.reasons[0].code if decision.reasons else decision.outcome


def state(one: SharedEngine) -> dict[str, np.ndarray]:
    """Positions, sums and counts of a worker's engine, but for places of orders."""
    found = one._replica.engine._arrays.state
    return {name: getattr(found, name) for name in ("lines", "own", "holdings", "totals")}


def same(one: SharedEngine, other: SharedEngine) -> bool:
    """Whether two workers have the same book, once both have heard of everything."""
    for each in (one, other, one):
        each.expire(0.0)
    mine, theirs = state(one), state(other)
    for name, found in mine.items():
        np.testing.assert_allclose(found, theirs[name], rtol=1e-9, atol=1e-6, err_msg=name)
    assert one._replica.engine.session_orders == other._replica.engine.session_orders
    assert one.working().keys() == other.working().keys()
    assert (one.book, one.place) == (other.book, other.place)
    return True


# --- one book ---------------------------------------------------------------------------------------------------------
def test_headroom_that_one_worker_gave_is_gone_for_the_other(pair: tuple[SharedEngine, SharedEngine]) -> None:
    """Ten are the limit, and eight warn."""
    one, other = pair
    assert code(one.reserve(asked(6, order_id="a"))) == "pass"
    assert code(other.reserve(asked(6, order_id="b"))) == "contract_position"
    last = other.reserve(asked(4, order_id="c"))
    assert (last.outcome, last.granted_contracts) == ("warn", 4)
    assert one.check(asked(1)).passed  # what it knows is older
    assert one.reserve(asked(1, order_id="d")).outcome == "refuse"
    assert set(one.working()) == set(other.working()) == {"a", "c"}
    assert same(one, other)


def test_fills_releases_and_ends_are_of_all_workers(pair: tuple[SharedEngine, SharedEngine]) -> None:
    one, other = pair
    one.reserve(asked(6, order_id="a"), 1_000.0, 1_060.0)
    assert other.fill(asked(2, order_id="a"), 1_001.0) == 4
    other.reserve(asked(-8, order_id="b"), 1_001.0)
    assert one.release("b") == -8
    assert one.release("b") == 0
    assert other.expire(1_059.0) == []
    assert other.expire(1_060.0) == ["a"]
    assert one.expire(1_060.0) == []
    assert one.working() == other.working() == {}
    assert one.book.positions == other.book.positions == {("trend", "GOLD", JUN): 2}
    assert one.reserve(asked(8, order_id="c")).outcome == "warn"  # ten is not more than ten
    assert same(one, other)


def test_the_same_answers_as_of_one_engine(log: MemoryReservations, time: Time) -> None:
    """Random orders, lists, fills and releases, each at any of three workers, and all at a plain engine."""
    drawn = random.Random(7)
    workers, plain = [worker(log, time) for _ in range(3)], engine()
    for number in range(400):
        here, now = drawn.choice(workers), 1_000.0 + number
        orders = [
            asked(drawn.choice((-4, -2, -1, 1, 2, 3)), drawn.choice(CODES[:2]), drawn.choice(("carry", "trend")),
                  f"o{number}-{leg}")
            for leg in range(drawn.choice((1, 1, 1, 3)))
        ]  # fmt: skip
        mode, netted = drawn.choice(("all", "prefix", "scale")), drawn.random() < 0.5
        mine, theirs = (each.reserve_list(orders, mode, netted, now, now + 30.0) for each in (here, plain))
        assert [(d.outcome, d.granted_contracts, repr(d.rules)) for d in mine] == [
            (d.outcome, d.granted_contracts, repr(d.rules)) for d in theirs
        ]
        for name, order in list(plain.working().items()):
            chance = drawn.random()
            if chance < 0.15:
                done = order._replace(quantity_contracts=np.sign(order.quantity_contracts))
                assert drawn.choice(workers).fill(done, now) == plain.fill(done, now)
            elif chance < 0.2:
                assert drawn.choice(workers).release(name) == plain.release(name)
        assert drawn.choice(workers).expire(now) == plain.expire(now)
    assert len(plain.working()) > 3
    assert same(workers[0], workers[1])
    assert same(workers[1], workers[2])
    assert workers[0].working().keys() == plain.working().keys()


def test_an_id_is_one_order_whoever_gave_it(pair: tuple[SharedEngine, SharedEngine]) -> None:
    one, other = pair
    one.reserve(asked(1, order_id="a"))
    other.expire(0.0)
    assert code(other.reserve(asked(1, order_id="a"))) == "duplicate_order"
    found = other.reserve_list([asked(1, order_id="b"), asked(1, order_id="c"), asked(1, order_id="b")])
    assert [code(each) for each in found] == ["list", "list", "duplicate_order"]
    with pytest.raises(UsageError, match="order_id"):
        one.reserve(asked(1))
    one.release("a")
    assert other.reserve(asked(1, order_id="a")).passed


def test_no_more_orders_than_there_are_places(log: MemoryReservations, time: Time) -> None:
    few = {"limits": LIMITS, "service": {"max_reservations": 3}}
    settings = DeskSettings.model_validate({"risk": few})
    one, other = (SharedEngine(settings, market(), book(), log, time, following=Following(0.0)) for _ in range(2))
    assert all(each.passed for each in one.reserve_list([asked(1, order_id="a"), asked(-1, order_id="b")], netted=True))
    assert code(other.reserve_list([asked(1, order_id="c"), asked(1, order_id="d")])[0]) == "reservations_full"
    assert other.reserve(asked(1, order_id="c")).passed
    one.release("a")  # its place is free with that of b: they are one unit
    assert code(one.reserve(asked(1, order_id="d"))) == "reservations_full"
    one.release("b")
    assert all(each.passed for each in other.reserve_list([asked(1, order_id="d"), asked(1, order_id="e")]))


def test_a_fill_that_is_told_twice_counts_once(pair: tuple[SharedEngine, SharedEngine]) -> None:
    one, other = pair
    one.reserve(asked(6, order_id="a"))
    assert [each.fill(asked(2, order_id="a"), 1.0, "f1") for each in (one, other, one)] == [4, 4, 4]
    assert one.book.positions == {("trend", "GOLD", JUN): 2}
    with pytest.raises(UsageError, match="cannot be booked"):
        one.fill(asked(1, "SILVER"), 1.0)


def test_halts_and_limits_are_of_the_worker_they_are_told(pair: tuple[SharedEngine, SharedEngine]) -> None:
    one, other = pair
    one.stop(np.full((2, 3), float(NOTHING)))
    assert code(one.reserve(asked(1, order_id="a"))) == "halt"
    other.limit(desk([{"rule": "contract_position", "refuse": 2}]), "others")
    assert code(other.reserve(asked(3, order_id="b"))) == "contract_position"
    assert other.versions.configuration == "others"


# --- a book of another day --------------------------------------------------------------------------------------------
def test_the_book_of_a_later_session_is_loaded_once_for_all(pair: tuple[SharedEngine, SharedEngine]) -> None:
    one, other = pair
    one.reserve(asked(2, order_id="a"))
    one.fill(asked(1, order_id="b"))
    later = replace(market("later"), session=SESSION + timedelta(days=3))
    held = book({("trend", "GOLD", JUN): 5})
    one.load(later, held)
    one.fill(asked(1, order_id="c"))
    other.load(later, held)  # each worker finds out for itself
    assert other.book.positions == {("trend", "GOLD", JUN): 6}
    assert set(other.working()) == {"a"}
    assert code(other.reserve(asked(3, order_id="d"))) == "contract_position"  # 6 + 2 + 3
    one.load(replace(later, version="same session"), book())
    assert one.versions.market == "same session"
    assert same(one, other)


def test_a_worker_that_begins_later_takes_the_book_that_is_shared(log: MemoryReservations, time: Time) -> None:
    one = worker(log, time)
    one.fill(asked(3))
    one.reserve(asked(2, order_id="a"))
    other = SharedEngine(desk(), market(), book({("carry", "CORN", JUN): 9}), log, time, following=Following(0.0))
    assert same(one, other)
    later = replace(market(), session=SESSION + timedelta(days=1))
    third = SharedEngine(desk(), later, book({("carry", "CORN", JUN): 9}), log, time, following=Following(0.0))
    third.expire(0.0)
    one.expire(0.0)
    assert one.book.positions == third.book.positions == {("carry", "CORN", JUN): 9}
    assert set(third.working()) == {"a"}


def test_a_worker_that_does_not_know_what_others_hold_grants_nothing(log: MemoryReservations, time: Time) -> None:
    one, fewer = worker(log, time), _without_gold()
    other = SharedEngine(desk(), fewer, book(), log, time, following=Following(0.0))
    assert other.reserve(asked(1, "CORN", order_id="x")).passed
    one.reserve(asked(1, order_id="a"))
    found = other.reserve(asked(1, "CORN", order_id="b"))
    assert code(found) == "reservation_truth_unreachable"
    assert "facts do not know what other workers hold" in found.reasons[0].message
    other.load(market(), book())
    assert other.reserve(asked(1, "CORN", order_id="b")).passed
    assert same(one, other)


def test_what_is_over_and_not_known_any_more_keeps_nobody_from_beginning(log: MemoryReservations, time: Time) -> None:
    """A contract that expired since: orders and fills of it are history, and its position is not in the later book."""
    one = worker(log, time)
    one.fill(asked(2, order_id="f"), 1_000.0, "f1")
    one.reserve(asked(1, order_id="a"), 1_000.0)
    one.release("a")
    one.reserve(asked(1, order_id="b"), 1_000.0, 1_060.0)
    one.reserve(asked(1, "CORN", order_id="c"), 1_000.0)
    later = replace(_without_gold(), session=SESSION + timedelta(days=1))
    other = SharedEngine(desk(), later, book({("carry", "CORN", JUN): 9}), log, time, "", time, Following(0.0))
    assert code(other.reserve(asked(1, "US10", order_id="d"))) == "reservation_truth_unreachable"  # b is at work
    time.now = 1_060.0
    assert other.reserve(asked(1, "US10", order_id="d")).passed
    assert (set(other.working()), other.book.positions) == ({"c", "d"}, {("carry", "CORN", JUN): 9})
    assert other.fill(asked(1, "CORN", order_id="c"), 1_060.0, "f1") == 1  # told before
    assert one.expire(1_060.0) == ["b"]
    assert one.book.positions == other.book.positions


def _without_gold() -> Market:
    full, keep = market(), [0, 2]
    cut = {
        name: getattr(full, name)[keep]
        for name in ("mark_points", "mark_age_sessions", "notional_base", "roll_state", "volatility_base",
                     "median_volume", "low_volume", "spread_fraction", "margin_base", "covariance_loadings",
                     "covariance_rest")
    }  # fmt: skip
    codes = tuple(CODES[number] for number in keep)
    wide = {name: getattr(full, name)[:, keep] for name in ("factor_loadings", "component_loadings", "stresses",
                                                            "scenarios")}  # fmt: skip
    groups = {name: group([found.names[found.codes[number]] for number in keep]) for name, found in full.groups.items()}
    return replace(full, instruments=codes, contracts=tuple((name, JUN) for name in codes),
                   contract_instrument=np.arange(2), groups=groups, **cut, **wide)  # fmt: skip


# --- what a ledger says beside its book -------------------------------------------------------------------------------
NEXT = SESSION + timedelta(days=3)
LEVELS = {"max_gross_exposure_fraction": 0.5, "max_daily_loss_fraction": 0.01}


def at_close(hour: float = 0.0, **said: object) -> OnRecord:
    """What is on record: the broker was asked at 1,000 seconds of the clock."""
    return OnRecord(as_of=1_000.0, at=1_000.0 + hour, **said)  # type: ignore[arg-type]


def test_a_fill_of_another_line_than_its_orders_is_not_booked(pair: tuple[SharedEngine, SharedEngine]) -> None:
    """Ten are the limit of GOLD, and all ten are at work."""
    one, other = pair
    one.reserve(asked(10, order_id="live"))
    other.expire(0.0)
    for each in pair:
        for wrong in (asked(10, "CORN", order_id="live"), asked(10, "GOLD", "carry", "live")):
            with pytest.raises(UsageError, match="cannot be of order live, which is of trend's GOLD/20240600"):
                each.fill(wrong, 1.0, "f1")
    assert [each.reserve(asked(1, "US10", order_id=name)).outcome for each, name in zip(pair, "xy", strict=True)] == [
        "pass", "pass"
    ]  # fmt: skip
    assert code(other.reserve(asked(1, order_id="second"))) == "contract_position"
    assert one.book.positions == {}
    assert one.fill(asked(4, order_id="live"), 1.0, "f1") == 6  # its id is free
    assert same(one, other)


def test_a_fill_of_another_line_that_is_in_the_log_changes_nothing(log: MemoryReservations, time: Time) -> None:
    """As workers added them once."""
    one, other = worker(log, time), worker(log, time)
    one.reserve(asked(10, order_id="live"))
    assert log.append(Filled(log.mark(), asked(10, "CORN", order_id="live"), 1.0, "f1"), one.place).added
    for each, name in ((one, "x"), (other, "y"), (worker(log, time), "z")):
        assert each.reserve(asked(1, "US10", order_id=name)).passed
        assert (each.book.positions, each.working()["live"].quantity_contracts) == ({}, 10)
        assert code(each.reserve(asked(1, order_id="second"))) == "contract_position"
    assert same(one, other)


def test_fills_that_the_ledger_has_not_yet_stay_when_its_next_book_is_loaded(
    pair: tuple[SharedEngine, SharedEngine],
) -> None:
    """Told before and after the broker was asked at 1,000, under ids and without."""
    one, other = pair
    one.fill(asked(1), 999.0)  # in the book: the broker was asked later
    one.fill(asked(1), 1_001.0)
    one.fill(asked(1, "CORN"), 998.0, "in the ledger")
    one.fill(asked(2, "CORN"), 998.0, "not in the ledger")
    one.fill(asked(4, "CORN"), 1_000.0 - 86_400.0, "never in a ledger")
    other.expire(0.0)
    held = book({("trend", "GOLD", JUN): 5, ("trend", "CORN", JUN): 1})
    record = at_close(fill_ids=("in the ledger", "told late"))
    for each in pair:
        each.load(replace(market("later"), session=NEXT), held, record)
        assert each.book.positions == {("trend", "GOLD", JUN): 6, ("trend", "CORN", JUN): 3}
        assert each.book.traded_contracts == {"GOLD": 1, "CORN": 2}
    assert other.fill(asked(1, "CORN"), 1_002.0, "told late") == 0
    assert code(one.reserve(asked(5, order_id="b"))) == "contract_position"
    assert one.reserve(asked(4, order_id="b")).outcome == "warn"
    assert same(one, other)
    later = at_close(1.0, fill_ids=("in the ledger", "not in the ledger"))._replace(as_of=1_002.0)
    other.load(replace(market("later"), session=NEXT), held, later)  # the same session, of a ledger that changed
    assert other.book.positions == {("trend", "GOLD", JUN): 5, ("trend", "CORN", JUN): 1}
    assert same(one, other)


def test_fills_that_the_ledger_has_not_yet_are_known_to_who_begins_after_the_log_was_shortened(
    log: MemoryReservations, time: Time
) -> None:
    one = worker(log, time, compact_at=5)
    for number in range(60):
        one.fill(asked(1 if number % 2 else -1), 1_001.0)
    one.fill(asked(3), 1_001.0, "f")
    one.expire(1_001.0)
    assert log.since(None).length == 0
    fresh = worker(log, time)
    fresh.load(replace(market("later"), session=NEXT), book({("trend", "GOLD", JUN): 4}), at_close())
    assert fresh.book.positions == {("trend", "GOLD", JUN): 7}
    assert same(one, fresh)


def test_the_desks_own_orders_hold_headroom_here_as_long_as_the_ledger_has_them(
    pair: tuple[SharedEngine, SharedEngine],
) -> None:
    """Ten are the limit: of GOLD the close sent seven, then three more, and then they are over."""
    one, other = pair
    one.reserve(asked(2, "CORN", order_id="mine"))
    facts = replace(market("later"), session=NEXT)
    seven, three = asked(7, order_id="close-1"), asked(3, order_id="close-2")
    one.load(facts, book(), at_close(working=(seven,), orders=5))
    assert code(other.reserve(asked(4, order_id="a"))) == "contract_position"
    other.load(facts, book(), at_close(working=(seven,), orders=5))
    assert other._replica.engine.session_orders == 5
    assert set(other.working()) == {"mine", "close-1"}
    assert one.fill(asked(5, order_id="close-1"), 1_001.0, "f") == 2
    other.load(facts, book(), at_close(1.0, working=(seven, three), orders=6))
    assert {name: order.quantity_contracts for name, order in one.working().items()} == {"mine": 2, "close-1": 7}
    one.expire(1e12)
    assert one._replica.left("close-1") == 2  # of which five were filled, and the ledger has not heard of it
    assert (one.book.positions, one._replica.engine.session_orders) == ({("trend", "GOLD", JUN): 5}, 6)
    assert code(other.reserve(asked(1, order_id="a"))) == "contract_position"
    assert same(one, other)
    over = at_close(2.0, fill_ids=("f",), orders=6)
    one.load(facts, book({("trend", "GOLD", JUN): 5}), over)
    assert other.reserve(asked(5, order_id="a")).outcome == "warn"
    assert same(one, other)
    assert set(one.working()) == {"mine", "a"}


def test_a_log_begins_with_the_desks_own_orders(log: MemoryReservations, time: Time) -> None:
    record = at_close(working=(asked(7, order_id="close-1"),))
    one, other = (worker(log, time, record=record) for _ in range(2))
    assert code(one.check(asked(4))) == "contract_position"  # nobody else was heard of yet
    for each in (one, other):
        assert code(each.reserve(asked(4, order_id="a"))) == "contract_position"
    one.load(market("corrected"), book(), at_close(1.0))
    assert other.reserve(asked(4, order_id="a")).passed
    assert same(one, other)


# --- what each worker knows by itself ---------------------------------------------------------------------------------
def test_money_losses_and_disputes_are_as_each_worker_read_them_last(pair: tuple[SharedEngine, SharedEngine]) -> None:
    """Positions are the log's, whatever the book of the same session says of them."""
    one, other = pair
    one.limit(DeskSettings.model_validate({"risk": LEVELS}), "others")
    one.fill(asked(3, "CORN"), 1.0)
    assert one.check(asked(4)).passed  # 30,000 and 80,000 of 500,000
    poor = replace(book(), capital_base=1e5, equity_base=5e4, volatility_target_fraction=0.1)
    one.load(market(), poor)
    assert code(one.check(asked(4))) == "gross_exposure"
    one.load(market(), replace(book(), locks={"GOLD": "a break"}))
    assert [code(one.check(asked(1, name))) for name in ("GOLD", "CORN")] == ["instrument_lock", "pass"]
    assert (one.book.locks, one.book.positions) == ({"GOLD": "a break"}, {("trend", "CORN", JUN): 3})
    lost = {name: Standing(2e4, 2e4, 0.02) for name in ("", "carry", "trend")}
    one.load(market(), replace(book(), standing=lost))
    assert code(one.check(asked(1))) == "daily_loss"
    assert other.reserve(asked(1, order_id="a")).passed  # which read nothing new
    assert one.working().keys() == set()
    one.expire(0.0)
    assert (one.book.standing, other.book.locks) == (lost, {})


def test_a_worker_with_facts_of_an_earlier_session_has_the_money_of_the_later_book(
    pair: tuple[SharedEngine, SharedEngine],
) -> None:
    one, other = pair
    one.expire(0.0)
    other.load(replace(market("later"), session=NEXT), replace(book(), capital_base=2e6))
    one.expire(0.0)
    assert one.book.capital_base == 2e6


def test_other_capital_counts_with_the_limits_it_comes_with(pair: tuple[SharedEngine, SharedEngine]) -> None:
    """A contract of CORN is 10,000: half of a million, and half of 100,000."""
    one, _ = pair
    one.limit(DeskSettings.model_validate({"risk": LEVELS}), "one")
    assert one.check(asked(6, "CORN")).passed
    fewer = {"risk": LEVELS, "trading": {"capital": {"capital_base": 1e5}}}
    one.limit(DeskSettings.model_validate(fewer), "two")
    assert code(one.check(asked(6, "CORN"))) == "gross_exposure"
    assert one.check(asked(5, "CORN")).passed
    assert (one.book.capital_base, one.book.equity_base) == (1e5, 1e6)


def test_halts_are_kept_by_name_when_there_are_other_instruments(log: MemoryReservations, time: Time) -> None:
    """Trading of GOLD is stopped, and all of carry: when GOLD comes, and in what comes later."""
    full, fewer = market(), _without_gold()
    one = worker(log, time)
    modes = np.zeros((2, 3))
    modes[0], modes[:, 1] = NOTHING, NOTHING  # carry; GOLD
    one.stop(modes)
    one.load(fewer, book())
    assert [code(one.check(asked(1, "CORN", name))) for name in ("carry", "trend")] == ["halt", "pass"]
    one.load(full, book())
    found = [code(one.check(asked(1, "GOLD", name))) for name in ("carry", "trend")]
    assert found[0] == "halt"  # all of it is
    one.stop(modes)
    one.load(full, replace(book(), strategies=("carry", "new", "trend")))
    assert [code(one.check(asked(1, code_, "new"))) for code_ in ("GOLD", "CORN")] == ["halt", "pass"]
    again = worker(log, time)
    again.stop(np.full((2, 3), float(NOTHING)))
    again.expire(0.0)  # which makes another engine
    assert code(again.check(asked(1))) == "halt"
    again.load(full, replace(book(), strategies=("carry", "new", "trend")))
    assert code(again.check(asked(1, "CORN", "new"))) == "halt"


# --- a log that cannot be reached -------------------------------------------------------------------------------------
def test_without_the_log_nothing_is_granted_and_questions_are_answered(log: MemoryReservations, time: Time) -> None:
    line = Cut(log)
    one, other = worker(line, time), worker(log, time)
    assert one.age == np.inf
    one.reserve(asked(6, order_id="a"))
    line.cut = True
    time.now += 5.0
    found = one.reserve(asked(1, order_id="b"))
    assert (found.outcome, code(found), found.granted_contracts) == ("refuse", "reservation_truth_unreachable", 0)
    assert "the line is cut" in found.reasons[0].message
    assert one.check(asked(2)).outcome == "pass"
    assert one.age == 5.0
    for act in (lambda: one.fill(asked(1, order_id="a")), lambda: one.release("a"), lambda: one.expire(0.0)):
        with pytest.raises(StoreUnavailable):
            act()
    other.release("a")
    line.cut = False
    assert one.reserve(asked(8, order_id="b")).passed
    assert one.age == 0.0
    assert same(one, other)


def test_a_worker_that_never_heard_of_the_log_grants_nothing(log: MemoryReservations, time: Time) -> None:
    line = Cut(log)
    line.cut = True
    one = worker(line, time)
    assert code(one.reserve(asked(1, order_id="a"))) == "reservation_truth_unreachable"
    line.cut = False
    assert one.reserve(asked(1, order_id="a")).passed


def test_headroom_of_an_order_whose_answer_was_lost_is_given_back(log: MemoryReservations, time: Time) -> None:
    """It was refused, and is in the log nevertheless; asked for again, it is granted once."""
    line = Cut(log)
    one, other = worker(line, time), worker(log, time)
    one.reserve(asked(1, order_id="z"))
    line.late = True
    legs = [asked(3, order_id="a"), asked(3, order_id="b")]
    assert {code(each) for each in one.reserve_list(legs)} == {"reservation_truth_unreachable"}
    other.expire(0.0)
    assert set(other.working()) == {"a", "b", "z"}
    line.late = False
    assert one.reserve(asked(9, order_id="a"), expires=2_000.0).granted_contracts == 9
    assert same(one, other)
    assert set(other.working()) == {"a", "z"}


def test_reservations_that_were_refused_are_forgotten_when_their_time_is_over(
    log: MemoryReservations, time: Time
) -> None:
    line = Cut(log)
    one = worker(line, time)
    one.expire(0.0)
    line.late = True
    for number in range(100):
        assert not one.reserve(asked(1, order_id=f"o{number}"), time.now, 1_010.0 + number).passed
    line.late = False
    one.expire(1_059.5)
    assert one.working() == {}
    assert len(one._abandoned) == 50
    one.expire(1_200.0)
    assert one._abandoned == {}


def test_a_fill_whose_answer_was_lost_is_told_again(log: MemoryReservations, time: Time) -> None:
    line = Cut(log)
    one = worker(line, time)
    one.reserve(asked(6, order_id="a"))
    line.late = True
    with pytest.raises(StoreUnavailable):
        one.fill(asked(2, order_id="a"), 1.0, "f1")
    line.late = False
    assert one.fill(asked(2, order_id="a"), 1.0, "f1") == 4
    assert one.book.positions == {("trend", "GOLD", JUN): 2}


# --- a log that was lost ----------------------------------------------------------------------------------------------
def test_a_log_that_was_lost_is_begun_anew_with_all_that_anybody_knew(log: MemoryReservations, time: Time) -> None:
    line = Cut(log)
    one, other = worker(line, time, grace_s=2.0), worker(line, time, grace_s=2.0)
    one.expire(0.0)
    time.now += 2.0
    one.reserve(asked(3, order_id="a"), time(), 1_100.0)
    one.fill(asked(1, order_id="a"))
    other.expire(0.0)
    other.reserve(asked(3, order_id="b"), time(), 1_100.0)  # that and what follows nobody else heard of
    other.fill(asked(2, "CORN", "carry"), time(), "f1")
    line.log = MemoryReservations()
    found = one.reserve(asked(4, order_id="c"), time())
    assert code(found) == "reservation_truth_unreachable"
    assert "begun anew" in found.reasons[0].message
    other.expire(0.0)
    one.expire(0.0)
    assert set(one.working()) == {"a", "b"}
    assert one.book.positions == {("trend", "GOLD", JUN): 1, ("carry", "CORN", JUN): 2}
    assert code(other.reserve(asked(4, order_id="c"), time())) == "reservation_truth_unreachable"
    time.now += 2.0
    assert code(other.reserve(asked(5, order_id="c"), time())) == "contract_position"  # 1 + 2 + 3 + 5
    assert same(one, other)
    assert one.expire(1_100.0) == ["a", "b"]


def test_a_log_that_lost_its_end_is_begun_anew(log: MemoryReservations, time: Time) -> None:
    one = worker(log, time)
    one.reserve(asked(6, order_id="a"))
    log._entries.pop()
    assert code(one.reserve(asked(6, order_id="b"))) == "contract_position"
    other = worker(log, time)
    other.expire(0.0)
    assert set(other.working()) == {"a"}


def test_what_was_written_down_elsewhere_is_held_when_a_log_begins(log: MemoryReservations, time: Time) -> None:
    written = [Reserved("m1", (asked(6, order_id="a"),), False, 990.0, 1_050.0)]
    one = worker(log, time, remembered=lambda now: written if now == 1_000.0 else [])
    assert code(one.reserve(asked(6, order_id="b"), 1_000.0)) == "contract_position"
    assert one.expire(1_050.0) == ["a"]


def test_what_may_be_given_back_already_lets_nothing_past_a_limit(log: MemoryReservations, time: Time) -> None:
    """Of 12 contracts bought that were written down, of a limit of 10, some were given back and nobody knows. Orders
    that sell up to 12 make that no worse, and would be two past the limit by themselves."""
    orders = [asked(6, order_id="a"), asked(6, order_id="b"), asked(8, "CORN", order_id="c")]
    written = [Reserved(f"m{each.order_id}", (each,), False, 990.0, 1_050.0) for each in orders]
    held = book({("trend", "CORN", JUN): 3})
    one, other = (
        SharedEngine(desk(), market(), held, log, time, "", time, Following(0.0), lambda now: written)
        for _ in range(2)
    )  # fmt: skip
    for each in (one, other):
        assert code(each.reserve(asked(-6, order_id="sold"), time.now)) == "reservation_truth_unreachable"
    assert one.reserve(asked(-1, "CORN", order_id="reduced"), time.now).passed
    assert other.reserve(asked(1, "US10", order_id="elsewhere"), time.now).passed
    time.now = 1_050.0
    other.expire(time.now)
    assert other.reserve(asked(-6, order_id="sold"), time.now).passed
    assert code(one.reserve(asked(-6, order_id="more"), time.now)) == "contract_position"


# --- a log that gets long ---------------------------------------------------------------------------------------------
def test_a_long_log_is_made_shorter_a_minute_later(log: MemoryReservations, time: Time) -> None:
    one, other, behind = (worker(log, time, compact_at=20) for _ in range(3))
    behind.expire(0.0)
    for number in range(30):
        one.reserve(asked(1 if number % 2 else -1, order_id=f"o{number}"), 1_000.0)
        other.fill(asked(1 if number % 2 else -1, order_id=f"o{number}"), 1_000.0, f"f{number}")
    one.reserve(asked(3, order_id="left"), 1_000.0)
    one.reserve_list([asked(2, order_id="x"), asked(-1, "CORN", order_id="y")], netted=True, now=1_000.0)
    one.fill(asked(1, order_id="x"), 1_000.0)
    one.expire(1_000.0)
    other.reserve(asked(1, order_id="later"), 1_030.0)
    one.expire(1_061.0)
    assert log.since(None).length == 64
    one.expire(1_061.5)
    assert log.since(None).length == 1
    fresh = worker(log, time)
    assert same(one, behind)
    assert same(one, other)
    assert same(one, fresh)
    assert set(fresh.working()) == {"left", "x", "y", "later"}
    assert fresh.fill(asked(1, order_id="o7"), 1.0, "f7") == 0  # it was told before
    assert fresh.release("x") == 1
    assert same(behind, fresh)


def test_a_log_that_grows_too_fast_is_made_shorter_at_once(log: MemoryReservations, time: Time) -> None:
    one = worker(log, time, compact_at=5)
    for number in range(60):
        one.fill(asked(1 if number % 2 else -1), 1_000.0)
    one.expire(1_000.0)
    assert log.since(None).length == 0
    assert same(one, worker(log, time))


# --- many processes ---------------------------------------------------------------------------------------------------
def trading(address: str, seconds: float, name: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(HERE / "risk_desk.py"), "trade", address, str(seconds), name, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def told(children: list[subprocess.Popen[str]]) -> list[dict[str, dict[str, int]]]:
    found = []
    for child in children:
        said, _ = child.communicate(timeout=120)
        assert child.returncode == 0
        found.append(json.loads(said.splitlines()[-1]))
    return found


def held_everywhere(found: list[dict[str, dict[str, int]]]) -> dict[str, int]:
    """Contracts that were filled, of all processes."""
    return {name: sum(each["filled"].get(name, 0) for each in found) for name in CODES}


def worst_of(log: Log) -> int:
    """By hand, out of the entries: the largest position of a contract that could ever have come about."""
    positions: dict[str, int] = {}
    left: dict[str, Asked] = {}
    worst = 0
    answer = log.since(None)
    assert answer.base is not None
    for (_, instrument, _), count in answer.base.book.positions.items():
        positions[instrument] = positions.get(instrument, 0) + count
    for entry in (*answer.base.units, *answer.missed):
        if isinstance(entry, Reserved):
            left.update({order.order_id: order for order in entry.orders})
        elif hasattr(entry, "names"):
            for name in entry.names:
                left.pop(name, None)
        elif hasattr(entry, "fill_id"):
            done = entry.asked
            positions[done.instrument] = positions.get(done.instrument, 0) + int(done.quantity_contracts)
            order = left.pop(done.order_id)
            rest = order.quantity_contracts - done.quantity_contracts
            if rest:
                left[done.order_id] = order._replace(quantity_contracts=rest)
        for code in CODES:
            of_it = [order.quantity_contracts for order in left.values() if order.instrument == code]
            buys, sells = sum(q for q in of_it if q > 0), sum(q for q in of_it if q < 0)
            worst = max(worst, int(positions.get(code, 0) + buys), int(-positions.get(code, 0) - sells))
    return worst


@pytest.fixture(params=["file", "redis"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield str(tmp_path / "reservations.log")
    else:
        yield request.getfixturevalue("own_redis").url


def log_at(address: str) -> FileReservations | RedisReservations:
    return RedisReservations(address, timeout_s=5) if "://" in address else FileReservations(Path(address))


def test_four_processes_of_four_threads_never_pass_a_limit(address: str) -> None:
    found = told([trading(address, 4.0, f"p{number}") for number in range(4)])
    log = log_at(address)
    fresh = SharedEngine(desk(), market(), book(), log, lambda: 1e12, following=Following(0.0))
    fresh.expire(0.0)
    positions = dict.fromkeys(CODES, 0)
    for (_, instrument, _), count in fresh.book.positions.items():
        positions[instrument] += count
    assert positions == held_everywhere(found)
    assert all(abs(count) <= 10 for count in positions.values())
    assert worst_of(log) == 10  # the last of the headroom was used, and no more
    assert sum(each["counts"]["granted"] for each in found) > 100
    assert min(each["counts"]["granted"] for each in found) > 5
    assert sum(each["counts"]["refused"] for each in found) > 20
    log.close()


def test_a_redis_that_is_stopped_and_started_loses_nothing(own_redis) -> None:
    """Its memory is gone when it is back: the log is begun anew by who was there."""
    import threading

    children = [trading(own_redis.url, 6.0, f"p{number}", "lost") for number in range(4)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "trading\n"
    pause = threading.Event()
    pause.wait(2.0)
    own_redis.stop()
    pause.wait(1.5)
    own_redis.start()
    found = told(children)
    log = log_at(own_redis.url)
    fresh = SharedEngine(desk(), market(), book(), log, lambda: 1e12, following=Following(0.0))
    fresh.expire(0.0)
    positions = dict.fromkeys(CODES, 0)
    for (_, instrument, _), count in fresh.book.positions.items():
        positions[instrument] += count
    assert positions == held_everywhere(found)
    assert worst_of(log) <= 10
    assert all(each["counts"]["unreachable"] > 0 and each["counts"]["after"] > 0 for each in found)
    log.close()


def test_kill_9_of_a_worker_leaves_what_it_was_granted(address: str) -> None:
    """It says what it was granted; all of it is in the log, or was given back there."""
    import os
    import signal

    command = [sys.executable, str(HERE / "risk_desk.py"), "hold", address]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    granted = [child.stdout.readline() for _ in range(100)]
    os.kill(child.pid, signal.SIGKILL)
    granted += child.stdout.readlines()
    child.communicate()
    log = log_at(address)
    entries = log.since(None).missed
    reserved = {order.order_id for entry in entries if isinstance(entry, Reserved) for order in entry.orders}
    assert {line.strip() for line in granted} <= reserved
    assert (
        SharedEngine(desk(), market(), book(), log, lambda: 1e12, following=Following(0.0))
        .reserve(asked(1, "CORN", order_id="mine"))
        .passed
    )
    log.close()
