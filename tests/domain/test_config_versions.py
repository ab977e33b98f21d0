"""Versions of a configuration as events of the journal, and histories that are not whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from resources.memory import MemoryLedger
from trading.book.journal import KINDS, Event
from trading.config.diffs import ABSENT, Change
from trading.config.versions import (
    KIND,
    STREAM,
    VersionRecord,
    applied_event,
    history_of,
    of_number,
    refuse_unsigned,
    version_of,
)
from trading.errors import ConfigError, EventConflict, UsageError

AT = datetime(2022, 2, 25, 21, 30, tzinfo=UTC)
A, B, C, SNAPSHOT = ("a" * 64, "b" * 64, "c" * 64, "5" * 64)
FIRST = VersionRecord(1, A, None, SNAPSHOT, "ann", "first", "paper", AT)
CHANGES = (Change("risk.max_daily_loss_fraction", 0.05, 0.02), Change("data.vendor.seed", ABSENT, 1))
SECOND = VersionRecord(
    2, B, A, SNAPSHOT, "bob", "less risk", "paper", AT + timedelta(hours=1), CHANGES, 2, "7" * 64, restores=None
)


def test_the_event_says_all_flatly_under_the_id_of_its_number() -> None:
    """What `daybook audit` and other programs read."""
    event = applied_event(SECOND, "who-told")
    assert (event.event_id, event.kind, event.stream) == ("configuration-2", KIND, STREAM) == (
        "configuration-2", "configuration_applied", "configuration",
    )  # fmt: skip
    assert (event.actor, event.at, event.session, event.correlation) == (
        "bob", AT + timedelta(hours=1), date(2022, 2, 25), "who-told",
    )  # fmt: skip
    assert event.payload == {
        "number": 2, "configuration": B, "parent": A, "snapshot": SNAPSHOT, "author": "bob", "reason": "less risk",
        "environment": "paper", "changed": 2, "table": "7" * 64, "restores": None,
        "changes": '[{"path":"risk.max_daily_loss_fraction","before":0.05,"after":0.02},'
                   '{"path":"data.vendor.seed","after":1}]',
    }  # fmt: skip


@pytest.mark.parametrize("version", [FIRST, SECOND, SECOND._replace(restores=1)])
def test_a_version_comes_back_from_its_event(version: VersionRecord) -> None:
    """Every field of it."""
    assert version_of(applied_event(version, "x")) == version


def test_a_history_is_in_order_of_number() -> None:
    """Whatever order events come in."""
    events = [applied_event(SECOND, "x"), applied_event(FIRST, "x")]
    assert history_of(events) == [FIRST, SECOND]
    assert history_of([]) == []


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ([SECOND], "version 1 is missing before version 2"),
        ([FIRST, SECOND._replace(number=3)], "version 2 is missing before version 3"),
        ([FIRST, SECOND._replace(parent=C)], "version 2 does not follow from version 1"),
        ([FIRST, SECOND._replace(parent=None)], "version 2 does not follow from version 1"),
        ([FIRST._replace(parent=C)], "version 1 does not follow from version 0"),
    ],
)
def test_a_history_that_is_not_whole_is_refused(versions: list[VersionRecord], found: str) -> None:
    """A gap, or a parent that was never in force."""
    with pytest.raises(ConfigError, match=f"^the journal's history of configurations is not whole: {found}"):
        history_of(applied_event(version, "x") for version in versions)


def test_a_number_that_is_not_there_is_named() -> None:
    """With those there are."""
    assert of_number([FIRST, SECOND], 2) == SECOND
    with pytest.raises(UsageError, match=r"there is no version 3 of the configuration\. There are versions 1 to 2\."):
        of_number([FIRST, SECOND], 3)
    with pytest.raises(UsageError, match="Nothing was applied yet: daybook config apply"):
        of_number([], 1)


@pytest.mark.parametrize(
    ("author", "reason", "said"),
    [
        ("ann", "  ", "with a reason, which is kept"),
        ("", "why", "by somebody, who is kept"),
        ("ann", "x" * 1001, "the reason has 1,001 characters"),
        ("a" * 101, "why", "the author 101"),
    ],
)
def test_nobody_applies_without_name_and_reason(author: str, reason: str, said: str) -> None:
    """And neither is a book."""
    with pytest.raises(UsageError, match=said):
        refuse_unsigned(author, reason)
    assert refuse_unsigned(" ann ", " why\n") == ("ann", "why")


def test_the_journal_takes_a_number_once() -> None:
    """Two writers of one number: the second is refused and leaves nothing."""
    ledger = MemoryLedger()
    ledger.record([applied_event(FIRST, "one")])
    with pytest.raises(EventConflict):
        ledger.record([applied_event(FIRST._replace(configuration=B), "two")])
    assert [entry.event for entry in ledger.entries(streams=[STREAM])] == [applied_event(FIRST, "one")]
    again = ledger.record([replace(applied_event(FIRST, "three"), at=AT + timedelta(days=1))])
    assert (again.new, again.repeated) == (0, 1)


def test_a_version_changes_no_table_of_the_book() -> None:
    """It has a stream of its own, and no row anywhere."""
    ledger = MemoryLedger()
    ledger.record([applied_event(FIRST, "one")])
    assert KIND in KINDS
    assert set(ledger.heads()) == {"configuration"}
    assert all(not ledger.rows(table) for table in ("positions", "orders", "limits", "process_state"))


def test_a_version_is_found_by_its_words() -> None:
    """`daybook audit --search "less risk"`."""
    ledger = MemoryLedger()
    events: list[Event] = [applied_event(FIRST, "one"), applied_event(SECOND, "two")]
    ledger.record(events)
    assert [entry.event.event_id for entry in ledger.search("less risk")] == ["configuration-2"]
