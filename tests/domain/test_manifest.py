"""What a snapshot says of itself, and which snapshots stay: read back, damaged, counted on a calendar by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trading.continuity.manifest import (
    DatasetState,
    Identity,
    LedgerState,
    Manifest,
    StoredFile,
    differences,
    snapshot_name,
)
from trading.continuity.progress import told
from trading.continuity.retention import Retention, retained
from trading.errors import BackupError

AT = datetime(2022, 2, 25, 22, 15, tzinfo=UTC)
ONE = Manifest(
    name="20220225T221500Z",
    created_at=AT,
    identity=Identity("c" * 64, "d" * 64, "1.0"),
    files=(
        StoredFile("desk.toml", "configuration", "a" * 64, 12, 3),
        StoredFile("x/y.csv", "reference", "b" * 64, 5, 4),
    ),
    datasets={"pnl": DatasetState(3, "e" * 64)},
    ledger=LedgerState(7, "f" * 64),
)


def taken(at: datetime) -> Manifest:
    """A snapshot of an empty home."""
    return Manifest(snapshot_name(at), at, ONE.identity, (), {})


def days_kept(policy: Retention, now: datetime, *ats: datetime) -> list[str]:
    """Snapshots that stay, as dates with hours."""
    return [f"{manifest.created_at:%m-%d %H}" for manifest in retained([taken(at) for at in ats], policy, now)]


# --- the text ---
@pytest.mark.parametrize("manifest", [ONE, replace(ONE, ledger=None), replace(ONE, files=(), datasets={})])
def test_a_manifest_reads_back_as_it_was(manifest: Manifest) -> None:
    assert Manifest.from_json(manifest.to_json(), "here") == manifest


def test_its_name_and_size() -> None:
    assert snapshot_name(AT) == "20220225T221500Z"
    assert ONE.size == 17


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"size": 12', '"size": 13', "was changed after it was written"),
        ('"name": "20220225T221500Z"', '"name": "20230225T221500Z"', "was changed after it was written"),
        ("{", "", "is damaged"),
        ('"manifest_hash"', '"manifest_hush"', "is damaged"),
        ('"schema_version": 1', '"schema_version": 2', "Restore it with the release that took it"),
    ],
)
def test_a_changed_manifest_is_refused_by_name(before: str, after: str, said: str) -> None:
    text = ONE.to_json()
    assert before in text
    with pytest.raises(BackupError, match=said) as refused:
        Manifest.from_json(text.replace(before, after, 1), "/backups/one.json")
    assert "/backups/one.json" in str(refused.value)


@pytest.mark.parametrize("path", ["../evil", "/etc/passwd", "a/../../b", ""])
def test_a_manifest_cannot_write_outside_the_home(path: str) -> None:
    wicked = replace(ONE, files=(replace(ONE.files[0], path=path),))
    with pytest.raises(BackupError, match="outside a home"):
        Manifest.from_json(wicked.to_json(), "here")


def test_a_manifest_that_is_no_object_is_damaged() -> None:
    with pytest.raises(BackupError, match="is damaged"):
        Manifest.from_json(json.dumps([1, 2]), "here")


# --- what differs ---
def test_an_equal_home_differs_in_nothing() -> None:
    assert differences(ONE, {"pnl": "e" * 64}, LedgerState(7, "f" * 64)) == []


def test_every_difference_is_named() -> None:
    found = differences(ONE, {"orders": "1" * 64}, LedgerState(8, "f" * 64))
    assert found == [
        "dataset orders has content 111111111111, the manifest says none",
        "dataset pnl has content none, the manifest says eeeeeeeeeeee",
        "the ledger is at sequence 8, content ffffffffffff, the manifest says sequence 7, content ffffffffffff",
    ]
    assert differences(ONE, {"pnl": "e" * 64}, None)[0].startswith("the ledger is at none")


# --- which stay ---
NONE = Retention(newest=1, days=0, weeks=0, months=0, recent=timedelta(0))
NOON = datetime(2022, 3, 2, 12, tzinfo=UTC)  # a Wednesday
HOURS = [datetime(2022, *day, tzinfo=UTC) for day in ((2, 28, 9), (2, 28, 18), (3, 1, 9), (3, 1, 18), (3, 2, 9))]


def test_the_newest_always_stays() -> None:
    assert days_kept(replace(NONE, newest=0), NOON, *HOURS) == ["03-02 09"]
    assert days_kept(NONE, NOON) == []


def test_the_last_of_each_day_stays() -> None:
    assert days_kept(replace(NONE, days=3), NOON, *reversed(HOURS)) == ["02-28 18", "03-01 18", "03-02 09"]
    assert days_kept(replace(NONE, days=2), NOON, *HOURS) == ["03-01 18", "03-02 09"]


def test_the_last_of_each_week_and_month_stays() -> None:
    sunday, friday = datetime(2022, 2, 27, 9, tzinfo=UTC), datetime(2022, 2, 18, 9, tzinfo=UTC)
    january = datetime(2022, 1, 31, 9, tzinfo=UTC)
    ats = (january, friday, sunday, *HOURS)
    assert days_kept(replace(NONE, weeks=2), NOON, *ats) == ["02-27 09", "03-02 09"]
    assert days_kept(replace(NONE, weeks=3), NOON, *ats) == ["02-18 09", "02-27 09", "03-02 09"]
    assert days_kept(replace(NONE, months=3), NOON, *ats) == ["01-31 09", "02-28 18", "03-02 09"]


def test_weeks_are_those_of_the_calendar_also_over_new_year() -> None:
    ats = [datetime(2020, 12, 31, tzinfo=UTC), datetime(2021, 1, 3, tzinfo=UTC), datetime(2021, 1, 4, tzinfo=UTC)]
    # 31 December 2020 and 3 January 2021 are of one week, the 53rd of 2020
    assert days_kept(replace(NONE, weeks=9), NOON, *ats) == ["01-03 00", "01-04 00"]


def test_days_without_a_snapshot_do_not_count() -> None:
    ats = [datetime(2021, 6, 1, tzinfo=UTC), datetime(2021, 9, 1, tzinfo=UTC), datetime(2022, 3, 1, tzinfo=UTC)]
    assert len(days_kept(replace(NONE, days=3), NOON, *ats)) == 3


def test_recent_ones_stay_whatever_the_counts() -> None:
    day = replace(NONE, recent=timedelta(hours=24))
    assert days_kept(day, NOON, *HOURS) == ["03-01 18", "03-02 09"]  # 1 March 9h is 27 hours old


# --- progress ---
def test_long_copies_say_how_far_they_are() -> None:
    lines: list[str] = []
    progress = told(lines.append)
    for done in range(250):
        progress(done, 250, "a file")
    progress(250, 250, "hashes")
    assert lines == [
        "100 of 250 files, now a file", "200 of 250 files, now a file", "250 of 250 files, now hashes",
    ]  # fmt: skip
