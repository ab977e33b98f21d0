"""Sessions that were never taken in, and a vendor that stopped long ago: neither is closed over in silence.

Belongs here: what a close does after days without one. Does not belong here: holidays (`test_market_days.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.runs import run
from pipelines.settings import place

Run = Callable[..., Any]


@pytest.fixture
def until_easter(tmp_path: Path, daybook: Run) -> Path:
    """Gold and crude oil of the simulated market until Maundy Thursday of 2020, closed on that day."""
    home = tmp_path / "home"
    words = ("--vendor", "simulated", "--instruments", "GOLD,CRUDE_W", "--since", "2019-06-03", "--until", "2020-04-09")
    assert daybook("load", "--home", home, *words).code == 0
    assert daybook("close", "--home", home, "--session", "2020-04-09").code == 0
    return home


def test_a_close_after_skipped_sessions_is_refused_and_a_backfill_is_not(
    until_easter: Path, daybook: Run, fingerprint: Callable[[Path], Any]
) -> None:
    before = fingerprint(until_easter)
    refused = daybook("close", "--home", until_easter, "--session", "2020-04-15")
    assert refused.code == 2
    assert "from 2020-04-13 to 2020-04-14" in refused.err  # Good Friday is no session
    assert "daybook backfill --from 2020-04-13 --to 2020-04-15" in refused.err
    assert fingerprint(until_easter) == before
    late = daybook("backfill", "--home", until_easter, "--from", "2020-04-14", "--to", "2020-04-15")
    assert late.code == 2
    assert daybook("backfill", "--home", until_easter, "--from", "2020-04-13", "--to", "2020-04-15").code == 0
    assert daybook("close", "--home", until_easter, "--session", "2020-04-14").code == 0


def test_a_holiday_of_all_exchanges_is_no_gap(until_easter: Path, daybook: Run) -> None:
    assert daybook("close", "--home", until_easter, "--session", "2020-04-13").code == 0


def test_a_run_of_the_ui_stops_before_the_book_where_sessions_were_skipped(until_easter: Path, daybook: Run) -> None:
    day = date(2020, 4, 15)
    ended = run(place(until_easter), "close", span=(day, day))
    assert ended.exit_code == 1
    assert "daybook backfill --from 2020-04-13 --to 2020-04-15" in ended.failed_checks["daily_prices/skipped_sessions"]
    assert "orders" not in ended.materialized
    assert not ended.failed_steps  # the check is named, and not again the step that it stopped
    assert "*" not in "".join(ended.failed_checks.values())


def test_a_feed_that_stopped_months_ago_blocks(loaded_two: Path, copied: Callable[[Path], Path], daybook: Run) -> None:
    home = copied(loaded_two)  # ends on 31 March 2021
    day = date(2021, 7, 1)
    ended = run(place(home), "close", span=(day, day))
    assert ended.exit_code == 1
    assert "no instrument has a price on 2021-07-01" in ended.failed_checks["raw_multiple_prices/session_delivered"]
    assert "daily_report" not in ended.materialized
    assert daybook("close", "--home", home, "--session", day).code == 2
