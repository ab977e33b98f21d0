"""The circuit breaker of configuration changes, by hand-made clocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.config.breaker import Breaker, BreakerLimits

LIMITS = BreakerLimits(max_changes=3, max_refusals=2, pause_seconds=30.0)


def after(*steps: tuple[str, float]) -> Breaker:
    """A breaker that saw changes and refusals at seconds of its clock."""
    breaker = Breaker(LIMITS)
    for what, now in steps:
        breaker = getattr(breaker, what)(now)
    return breaker


def test_as_many_changes_as_are_allowed_go_through() -> None:
    breaker = after(("changed", 0), ("changed", 1))
    assert breaker.asked(2).state == "closed"
    assert breaker.changed(2).changes == (0, 1, 2)


def test_the_attempt_after_that_opens_it_and_it_says_why() -> None:
    breaker = after(("changed", 0), ("changed", 1), ("changed", 2), ("asked", 3))
    assert (breaker.state, breaker.opened_at, breaker.cause) == ("open", 3, "changes")
    assert breaker.reason == "3 changes within 60 s (at most 3 are taken)"


def test_bad_ones_open_it_too() -> None:
    breaker = after(("refused", 10), ("refused", 11), ("asked", 12))
    assert (breaker.state, breaker.cause) == ("open", "refusals")
    assert breaker.reason == "2 refused configurations within 60 s (at most 2 are taken)"


def test_what_is_older_than_the_window_is_forgotten() -> None:
    assert after(("changed", 0), ("changed", 1), ("changed", 2), ("asked", 60)).state == "closed"
    assert after(("changed", 0), ("changed", 1), ("changed", 2), ("asked", 59.9)).state == "open"
    assert after(("refused", 0), ("refused", 1), ("changed", 61.5)).refusals == ()


@pytest.mark.parametrize(("now", "state", "wait"), [(3, "open", 30), (20, "open", 13), (33, "half_open", 0)])
def test_nothing_is_tried_for_the_pause_and_then_one_attempt_is(now: float, state: str, wait: float) -> None:
    opened = after(("refused", 1), ("refused", 2), ("asked", 3))
    assert opened.wait_seconds(now) == wait
    assert opened.asked(now).state == state


def test_a_good_attempt_closes_it_and_starts_counting_anew() -> None:
    half_open = after(("refused", 1), ("refused", 2), ("asked", 3), ("asked", 33))
    closed = half_open.changed(34)
    assert (closed.state, closed.changes, closed.refusals, closed.reason) == ("closed", (34,), (), "")
    assert half_open.unchanged(34) == Breaker(LIMITS)


def test_a_bad_attempt_opens_it_for_another_pause() -> None:
    again = after(("refused", 1), ("refused", 2), ("asked", 3), ("asked", 33), ("refused", 34))
    assert (again.state, again.wait_seconds(34)) == ("open", 30)
    assert again.reason == "the attempt after the pause was refused too"
    assert again.asked(63.9).state == "open"
    assert again.asked(64).state == "half_open"


def test_a_change_that_was_let_through_although_it_is_open_leaves_it_open() -> None:
    opened = after(("refused", 1), ("refused", 2), ("asked", 3))
    assert opened.changed(4) == opened


def test_asking_twice_while_half_open_does_not_open_it() -> None:
    half_open = after(("refused", 1), ("refused", 2), ("asked", 3), ("asked", 33))
    assert half_open.asked(33).state == "half_open"


@given(st.lists(st.tuples(st.floats(0.01, 20), st.booleans()), max_size=80))
def test_no_minute_ever_sees_more_than_the_limits(attempts: list[tuple[float, bool]]) -> None:
    """Whatever comes, whenever: as many as allowed and the one attempt after a pause, within as long as a pause."""
    breaker, now = Breaker(LIMITS), 0.0
    done: dict[bool, list[float]] = {True: [], False: []}
    for gap, good in attempts:
        now += gap
        breaker = breaker.asked(now)
        if breaker.state == "open":
            continue
        breaker = breaker.changed(now) if good else breaker.refused(now)
        done[good].append(now)
    trial = 1
    for good, most in ((True, LIMITS.max_changes), (False, LIMITS.max_refusals)):
        for at in done[good]:
            within = [other for other in done[good] if at <= other < at + LIMITS.pause_seconds]
            assert len(within) <= most + trial
