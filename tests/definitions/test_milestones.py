"""What milestones record: moves of a range in one batch, none twice, limits in force, and who let what pass.

Belongs here: milestones on a ledger in memory. Does not belong here: a close that runs (`tests/days/`).
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from assets.milestones import Run, changed_limits, moves, refuse_to_sign, standings, step_begun
from resources.memory import MemoryLedger
from trading.book.close_state import STATES
from trading.book.journal import Event
from trading.config.models import DeskSettings
from trading.config.symbols import SymbolDefaults, SymbolsSettings
from trading.errors import CloseRefused, IllegalMove

DAY = date(2022, 2, 25)
AT = datetime(2022, 2, 25, 22, tzinfo=UTC)
A, B = Run("a", "close", "ann", AT), Run("b", "close", "bob", AT)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def close(ledger: MemoryLedger, run: Run, through: str, sessions: list[date] | None = None) -> None:
    """A run's steps up to a state."""
    for to in STATES[: STATES.index(through) + 1]:
        if to == "signed":
            signed(ledger)
        ledger.record([*moves(sessions or [DAY], to, ledger, run), step_begun(to, DAY, run)])


def signed(ledger: MemoryLedger) -> None:
    payload = {
        "session": str(DAY), "version": 1, "hash": "h", "document": "d", "key": "k", "signature": "s", "previous": "",
    }  # fmt: skip
    ledger.record([Event("close_signed:1", "close_signed", DAY, AT, "ann", payload)])


def died(ledger: MemoryLedger, run: Run) -> None:
    payload = {"process": run.job, "session": str(DAY), "state": "crashed", "run_id": run.run_id, "detail": None}
    ledger.record([Event(f"process:{run.run_id}:crashed", "process", DAY, AT, "ann", payload)])


def told(ledger: MemoryLedger, *names: str) -> list[tuple[Any, ...]]:
    """Columns of the moves recorded, in order."""
    found = [entry.event for entry in ledger.entries(kinds=["close_moved"])]
    return [tuple(event.payload[name] for name in names) for event in found]


def test_a_close_leaves_its_moves_in_order_with_run_and_actor(ledger: MemoryLedger) -> None:
    close(ledger, A, "published")
    assert told(ledger, "from_state", "to_state") == list(zip([None, *STATES], STATES, strict=False))
    events = [entry.event for entry in ledger.entries(kinds=["close_moved"])]
    assert {(event.actor, event.correlation, event.cause) for event in events} == {("ann", "a", "process:a:started")}
    assert ledger.rows("closes")[0]["state"] == "published"


def test_a_step_that_runs_twice_records_once(ledger: MemoryLedger) -> None:
    close(ledger, A, "marked")
    before = ledger.sequence()
    close(ledger, A, "marked")
    assert ledger.sequence() == before


def test_a_crashed_close_goes_on_and_a_failed_one_begins_again(ledger: MemoryLedger) -> None:
    close(ledger, A, "marked")
    died(ledger, A)
    close(ledger, B, "published")
    assert told(ledger, "to_state", "run_id") == [(s, "a") for s in STATES[:3]] + [(s, "b") for s in STATES[3:]]
    assert told(ledger, "detail")[0] == ("begun",)
    ended = MemoryLedger()
    close(ended, A, "marked")
    close(ended, B, "published")
    assert told(ended, "from_state", "to_state", "detail")[3] == ("marked", "collecting", "reopened")


def test_a_signed_session_is_restated_with_a_reason_or_left(ledger: MemoryLedger) -> None:
    close(ledger, A, "published")
    close(ledger, B, "published")
    assert len(told(ledger)) == 7
    close(ledger, replace(B, restating="late price of CORN"), "published")
    assert told(ledger, "from_state", "to_state", "detail")[7] == (
        "published", "collecting", "restated: late price of CORN",
    )  # fmt: skip


def test_a_step_that_comes_too_early_is_refused_with_the_cure(ledger: MemoryLedger) -> None:
    close(ledger, A, "collecting")
    with pytest.raises(CloseRefused, match=r"2022-02-25 is not marked: .* daybook close --session 2022-02-25"):
        list(moves([DAY], "marked", ledger, A))


def test_nothing_is_signed_without_a_signature(ledger: MemoryLedger) -> None:
    close(ledger, A, "reconciled")
    with pytest.raises(CloseRefused, match=r"it has no signature\..* daybook sign --session 2022-02-25"):
        list(moves([DAY], "signed", ledger, A))


def test_a_close_that_did_not_come_so_far_is_not_signed_by_hand(ledger: MemoryLedger) -> None:
    with pytest.raises(CloseRefused, match="was not begun cannot go to signed"):
        refuse_to_sign(DAY, ledger)
    close(ledger, A, "explained")
    with pytest.raises(CloseRefused, match="stands at explained cannot go to signed"):
        refuse_to_sign(DAY, ledger)
    close(ledger, A, "published")
    refuse_to_sign(DAY, ledger)


def test_ten_years_are_one_batch_a_step_and_fast(ledger: MemoryLedger) -> None:
    sessions = [DAY - timedelta(days=n) for n in range(2600)][::-1]
    began = time.process_time()
    close(ledger, A, "reconciled", sessions)
    assert time.process_time() - began < 10
    links = [entry.link for entry in ledger.entries(kinds=["close_moved"]) if entry.link]
    assert (ledger.heads()["close"].number, len(links)) == (5 * 2600, 5)
    assert {standing.state for standing in standings(ledger).values()} == {"reconciled"}


def test_a_move_says_which_overridden_check_let_it_on(ledger: MemoryLedger) -> None:
    close(ledger, A, "collecting")
    for item, session in (("clean_bars/spikes", "2022-02-25"), ("clean_bars/ohlc", "2022-02-24")):
        payload = {"override_id": item, "scope": "check", "item": item, "session": session, "reason": "vendor says so"}
        ledger.record([Event(item, "override_set", DAY, AT, "eve", payload)])
    (move,) = moves([DAY], "validated", ledger, A, ["clean_bars/spikes", "clean_bars/ohlc"])
    assert move.payload["overridden"] == "clean_bars/spikes overridden by eve: vendor says so"
    (unused,) = moves([DAY], "validated", ledger, A)
    assert unused.payload["overridden"] is None, "an override that was not needed let nothing pass"


def test_limits_are_recorded_where_they_changed(ledger: MemoryLedger) -> None:
    first = DeskSettings()
    ledger.record(list(changed_limits(first, ledger, DAY, A)))
    assert {row["name"]: row["value"] for row in ledger.rows("limits")} == {
        "max_position_contracts": "500", "max_gross_exposure_fraction": "20.0", "max_daily_loss_fraction": "0.05",
        "max_orders": "10000", "max_order_contracts": "1000000", "max_exposure_fraction": "1000.0",
        "trading_mode": "free",
    }  # fmt: skip
    assert list(changed_limits(first, ledger, DAY, B)) == []
    second = DeskSettings(symbols=SymbolsSettings(defaults=SymbolDefaults(max_position_contracts=30)))
    (changed,) = changed_limits(second, ledger, DAY, B)
    assert (changed.payload["name"], changed.payload["value"], changed.actor) == ("max_position_contracts", "30", "bob")
    assert changed.payload["reason"] == f"500 -> 30 by configuration {second.content_hash()[:12]}"


def test_the_ledger_refuses_a_move_that_the_table_does_not_have(ledger: MemoryLedger) -> None:
    close(ledger, A, "collecting")
    payload = {"session": str(DAY), "from_state": "collecting", "to_state": "signed", "run_id": "x"}
    before = ledger.sequence()
    with pytest.raises(IllegalMove, match="stands at collecting cannot go to signed"):
        ledger.record([Event("forged", "close_moved", DAY, AT, "eve", payload)])
    assert ledger.sequence() == before
