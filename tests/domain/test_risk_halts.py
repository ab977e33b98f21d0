"""Halts: what is one, what is in force when, and the mode of each holding."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from trading.book.fold import folded
from trading.errors import IllegalMove, UsageError
from trading.kernels.risk_checks import CLOSE_ONLY, FREE_MODE, NOTHING, REDUCE_ONLY
from trading.risk.halts import Halt, halts_of, halts_told, in_force, modes, new_halt, next_end

AT = datetime(2024, 2, 23, 20, 0, tzinfo=UTC)
FRIDAY = date(2024, 2, 23)
HOUR = timedelta(hours=1)


def halt(name: str, scope: str, item: str, mode: str, until: datetime | None = None, since: datetime = AT) -> Halt:
    return Halt(name, scope, item, mode, "ann", "a reason", since, until)  # type: ignore[arg-type]


def test_a_halt_holds_from_its_beginning_up_to_its_end() -> None:
    one = halt("h", "everything", "", "nothing", until=AT + HOUR)
    held = [one.in_force(at) for at in (AT - HOUR, AT, AT + HOUR - timedelta(microseconds=1), AT + HOUR)]
    assert held == [False, True, True, False]
    assert halt("h", "everything", "", "nothing").in_force(AT + 1000 * HOUR)


def test_the_journal_tells_halts_at_any_instant_and_the_table_those_of_now() -> None:
    first = halt("h1", "strategy", "trend", "close_only")
    second = halt("h2", "instrument", "US10", "reduce_only", until=AT + 3 * HOUR, since=AT + HOUR)
    events = [first.set_event(FRIDAY), second.set_event(FRIDAY)]
    events.append(first.cleared_event(" bob ", " it is over ", FRIDAY, AT + 2 * HOUR))
    told = halts_told(events)
    assert [[one.halt_id for one in in_force(told, AT + hours * HOUR)] for hours in range(4)] == [
        ["h1"], ["h1", "h2"], ["h2"], [],
    ]  # fmt: skip
    assert (told[0].cleared_by, told[0].cleared_why) == ("bob", "it is over")
    assert halts_of(folded(events).tables["halts"].values()) == told
    assert next_end(told, AT + HOUR) == AT + 3 * HOUR
    assert next_end(told, AT) is None


def test_the_strictest_mode_wins() -> None:
    halts = [
        halt("a", "instrument", "US10", "close_only"), halt("b", "strategy", "carry", "reduce_only"),
        halt("c", "instrument", "US10", "reduce_only"), halt("d", "instrument", "GOLD", "nothing", until=AT + HOUR),
        halt("e", "instrument", "elsewhere", "nothing"),
    ]  # fmt: skip
    names = (["carry", "trend"], ["CORN", "GOLD", "US10"])
    expected = [[REDUCE_ONLY, NOTHING, CLOSE_ONLY], [FREE_MODE, NOTHING, CLOSE_ONLY]]
    np.testing.assert_array_equal(modes(halts, *names, AT), expected)
    later = [[REDUCE_ONLY, REDUCE_ONLY, CLOSE_ONLY], [FREE_MODE, FREE_MODE, CLOSE_ONLY]]
    np.testing.assert_array_equal(modes(halts, *names, AT + HOUR), later)
    every = [*halts, halt("f", "everything", "", "nothing")]
    np.testing.assert_array_equal(modes(every, *names, AT), np.full((2, 3), NOTHING))
    np.testing.assert_array_equal(modes([], *names, AT), np.full((2, 3), FREE_MODE))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"who": " "}, "set under a name"),
        ({"why": ""}, "set with a reason"),
        ({"scope": "sector"}, "not of 'sector'"),
        ({"mode": "all"}, "not 'all'"),
        ({"item": ""}, "which instrument is to be halted"),
        ({"scope": "everything"}, "names nothing more"),
        ({"since": AT.replace(tzinfo=None)}, "not an instant in UTC"),
        ({"until": AT}, "before it begins"),
    ],
)
def test_what_is_no_halt_is_refused(changed: dict[str, object], why: str) -> None:
    said = {"scope": "instrument", "item": "US10", "mode": "nothing", "who": "ann", "why": "x", "since": AT}
    assert new_halt(**said).item == "US10"  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=why):
        new_halt(**said | changed)  # type: ignore[arg-type]


def test_resuming_needs_a_name_and_a_reason_and_something_to_resume_from() -> None:
    one = halt("h", "everything", "", "nothing", until=AT + HOUR)
    for who, why, at, said in (
        ("", "over", AT, "resumed under a name"), ("bob", "  ", AT, "resumed with a reason"),
        ("bob", "over", AT + HOUR, "not in force"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            one.cleared_event(who, why, FRIDAY, at)
    with pytest.raises(IllegalMove, match="halt h is unknown"):
        folded([one.cleared_event("bob", "over", FRIDAY, AT)])
