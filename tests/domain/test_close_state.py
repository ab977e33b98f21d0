"""The close as a state machine: the table of moves, what a run records of them, gates and overrides.

Belongs here: the rules alone. Does not belong here: a close that runs (`tests/days/test_close_moves.py`).
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.book.close_state import (
    GATES,
    MOVES,
    STATES,
    Standing,
    gate_of,
    move,
    next_move,
    overridden,
    refusals,
)
from trading.errors import IllegalMove
from trading.frames import DATASETS

ORDER = ["collecting", "validated", "marked", "explained", "reconciled", "signed", "published"]  # as the issue says
DAY = date(2022, 2, 25)
anywhere = st.sampled_from([None, *ORDER])


# --- the table --------------------------------------------------------------------------------------------------------
def test_the_states_are_those_of_the_close_in_order() -> None:
    assert list(STATES) == ORDER


@given(anywhere, st.sampled_from(ORDER))
def test_a_move_goes_one_step_on_or_back_to_the_start(before: str | None, after: str) -> None:
    place = -1 if before is None else ORDER.index(before)
    if place < 6 and after == ORDER[place + 1]:
        assert move(before, after) == ("begun" if before is None else after)
    elif after == "collecting" and before is not None:
        assert move(before, after) == ("restated" if before in ("signed", "published") else "reopened")
    else:
        with pytest.raises(IllegalMove, match="cannot go to " + after):
            move(before, after)


def test_nothing_else_is_in_the_table() -> None:
    assert len(MOVES) == 7 + 7


def test_a_refused_move_says_what_may_come() -> None:
    with pytest.raises(IllegalMove, match=r"stands at validated cannot go to signed\..*: marked, collecting\."):
        move("validated", "signed")
    with pytest.raises(IllegalMove, match=r"was not begun cannot go to signed.*: collecting\."):
        move(None, "signed")


# --- what a run records -----------------------------------------------------------------------------------------------
class Session:
    """A session's close as runs leave it: the moves, in order, and where it stands."""

    def __init__(self) -> None:
        self.stands: Standing | None = None
        self.moves: list[tuple[str, str]] = []

    def run(self, name: str, through: int, *, crashed: bool = False, restating: bool = False) -> None:
        """A run that makes the first steps up to `through` (0: collecting) and then ends, or dies."""
        for to in ORDER[: through + 1]:
            made = next_move(self.stands, to, name, restating=restating)
            if made is not None:
                self.stands = Standing(to, name)
                self.moves.append((to, name))
        if self.stands is not None and self.stands.run_id == name:
            self.stands = Standing(self.stands.state, name, crashed)


def test_a_close_makes_every_move_once() -> None:
    session = Session()
    session.run("a", 6)
    assert session.moves == [(state, "a") for state in ORDER]


@given(st.integers(0, 5))
def test_a_close_that_died_goes_on_and_doubles_nothing(died_at: int) -> None:
    session = Session()
    session.run("a", died_at, crashed=True)
    session.run("b", 6)
    assert [state for state, _ in session.moves] == ORDER
    assert [run for _, run in session.moves] == ["a"] * (died_at + 1) + ["b"] * (6 - died_at)


@given(st.integers(0, 4))
def test_one_that_failed_is_opened_again(failed_at: int) -> None:
    session = Session()
    session.run("a", failed_at)
    session.run("b", 6)
    assert session.moves == [(s, "a") for s in ORDER[: failed_at + 1]] + [(s, "b") for s in ORDER]


@pytest.mark.parametrize("reached", [5, 6])
def test_a_signed_session_is_left_signed_but_for_a_restatement(reached: int) -> None:
    session = Session()
    session.run("a", reached)
    session.run("b", 6)
    assert [state for state, _ in session.moves] == ORDER, "only what was missing of it"
    session.run("c", 6, restating=True)
    assert session.moves[-7:] == [(state, "c") for state in ORDER]


def test_a_step_that_dagster_runs_again_is_made_already() -> None:
    assert next_move(Standing("collecting", "a"), "collecting", "a") is None
    assert next_move(Standing("marked", "a"), "marked", "a") is None


def test_a_step_alone_cannot_pass_what_comes_before_it() -> None:
    with pytest.raises(IllegalMove):
        next_move(Standing("validated", "a"), "reconciled", "b")
    with pytest.raises(IllegalMove):
        next_move(None, "validated", "b")


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.booleans()), max_size=12))
def test_whatever_runs_do_the_moves_are_legal(runs: list[tuple[int, bool, bool]]) -> None:
    """And a signed session is left by a restatement only."""
    session = Session()
    restated = 0
    for number, (through, crashed, restating) in enumerate(runs):
        restated += restating and session.stands is not None and session.stands.state in ("signed", "published")
        session.run(str(number), through, crashed=crashed, restating=restating)
    states = [None, *(state for state, _ in session.moves)]
    names = [move(before, after) for before, after in pairwise(states)]
    assert names.count("restated") == restated


# --- gates and overrides ----------------------------------------------------------------------------------------------
def test_every_dataset_that_is_judged_gates_one_move() -> None:
    gated = [name for names in GATES.values() for name in names]
    assert sorted(gated) == sorted(set(gated))
    assert set(DATASETS) - set(gated) == {"quarantine", "violations", "backtest_results", "sweep_results"}
    assert [gate_of(n) for n in ("clean_bars", "targets", "equity", "attribution", "breaks", "violations")] == [
        "validated", "marked", "marked", "explained", "reconciled", None,
    ]  # fmt: skip


def row(scope: str, item: str, session: date | None = DAY, state: str = "set") -> dict[str, object]:
    return {
        "override_id": "x", "scope": scope, "item": item, "session": session and session.isoformat(), "state": state,
        "actor": "ann", "reason": "vendor confirmed it", "cleared_reason": None,
    }  # fmt: skip


CHECK = ("check", "clean_bars/spikes", DAY)


@pytest.mark.parametrize("held", [
    row("check", "clean_bars/spikes"), row("check", "clean_bars/spikes", None), row("step", "validated"),
])  # fmt: skip
def test_an_override_says_by_whom_and_why(held: dict[str, object]) -> None:
    assert overridden([row("check", "other/rule"), held], *CHECK) == "overridden by ann: vendor confirmed it"


@pytest.mark.parametrize("held", [
    row("check", "clean_bars/ohlc"), row("check", "clean_bars/spikes", date(2022, 2, 24)),
    row("check", "clean_bars/spikes", state="cleared"), row("step", "reconciled"),
    row("instrument", "clean_bars/spikes"),
])  # fmt: skip
def test_an_override_of_something_else_does_not_hold(held: dict[str, object]) -> None:
    assert overridden([held], *CHECK) is None


def test_an_instrument_is_overridden_by_its_code() -> None:
    assert overridden([row("instrument", "CORN")], "instrument", "CORN", DAY)
    assert overridden([row("instrument", "CORN")], "instrument", "US10", DAY) is None


def test_a_refusal_names_the_gate_what_failed_and_the_way_past_it() -> None:
    said = refusals(DAY, {"clean_bars/spikes": "1 found. First: CORN 2022-02-25: jumps.", "data_quality/input": "bad"})
    assert said == [
        "the close of 2022-02-25 is not validated: clean_bars/spikes failed (1 found. First: CORN 2022-02-25: jumps). "
        "Put it right and close again, or let it pass under your name: daybook override --check clean_bars/spikes "
        '--session 2022-02-25 --reason "..."'
    ]
