"""Whole days through the command line and the real stores: ordinary, of a roll, a holiday, half, below zero, corrected.

Belongs here: what a day leaves in the datasets and says to a person. Does not belong here: dying processes
(`test_kill_and_rerun.py`), bad input (`test_bad_input.py`), or the book alone (`test_book_days.py`).
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

Run = Callable[..., Any]
Fingerprint = Callable[[Path], dict[str, Any]]
SOURCE_WORDS = ("--vendor", "pysystemtrade", "--calendar", "weekdays", "--source")


@pytest.fixture
def rows(daybook: Run) -> Callable[[Path, str], pd.DataFrame]:
    """Rows of a query over a home."""

    def read(home: Path, query: str) -> pd.DataFrame:
        ended = daybook("sql", query, "--home", home, "--json")
        assert ended.code == 0, ended.err
        return pd.DataFrame(ended.document["rows"])

    return read


def money_again(home: Path, rows: Callable[[Path, str], pd.DataFrame], root: Path) -> pd.Series:
    """P&L by session from fills, delivered closes and delivered rates alone; no contract is rolled meanwhile."""
    with (root / "reference" / "instruments.csv").open() as file:
        listed = {line["code"]: line for line in csv.DictReader(file)}
    sessions = rows(home, "select distinct session from equity order by 1")["session"].tolist()
    fills = rows(home, "select * from fills order by session")
    daily = "select instrument, contract, session, close from raw_bars where frequency = 'daily'"
    euro = rows(home, "select session, rate from raw_fx_rates where pair = 'EURUSD'").set_index("session")["rate"]
    total = pd.Series(0.0, index=sessions)
    for (code, contract), own in fills.groupby(["instrument", "contract"]):
        closes = rows(home, f"{daily} and instrument = '{code}' and contract = {contract} order by session")
        marks = closes.set_index("session")["close"]
        value = float(listed[code]["point_value_local"])
        held, mark_before = 0, 0.0
        for session in sessions:
            rate = euro[session] if listed[code]["currency"] == "EUR" else 1.0
            mark = marks.get(session, mark_before)
            gained = held * (mark - mark_before) * value
            for fill in own[own["session"] == session].itertuples():
                gained += fill.quantity_contracts * (mark - fill.price_points) * value - fill.commission_local
                held += fill.quantity_contracts
            total[session] += gained * rate
            mark_before = mark
    return total


# --- ordinary days, and prices below zero -----------------------------------------------------------------------------
def test_the_money_of_every_session_worked_out_again(
    glut: Path, rows: Callable[[Path, str], pd.DataFrame], root: Path
) -> None:
    booked = rows(glut, "select session, sum(total_base) total from pnl group by 1").set_index("session")["total"]
    expected = money_again(glut, rows, root)
    assert len(expected) == 15  # every weekday: on Good Friday, when all are closed, nothing moves
    assert expected["2020-04-10"] == 0.0
    assert (expected.abs() > 1).sum() >= 12
    pd.testing.assert_series_equal(
        booked.reindex(expected.index, fill_value=0.0), expected, rtol=0, atol=1e-6, check_names=False
    )


def test_an_ordinary_day_is_quiet(glut: Path, daybook: Run) -> None:
    for command in ("breaks", "violations"):
        assert daybook(command, "--session", "2020-04-22", "--home", glut, "--json").document["rows"] == []
    positions = daybook("positions", "--session", "2020-04-22", "--home", glut, "--json").document["rows"]
    assert len(positions) >= 3
    assert (glut / "reports" / "2020-04-24.html").stat().st_size > 10_000


def test_prices_below_zero_are_prices(glut: Path, rows: Callable[[Path, str], pd.DataFrame]) -> None:
    oil = rows(glut, "select session, price_points, mixed_points from volatility where instrument = 'CRUDE_W'")
    assert oil.set_index("session").loc["2020-04-20", "price_points"] < -20
    assert (oil["mixed_points"] > 0).all()
    held = rows(glut, "select * from positions where instrument = 'CRUDE_W' and session = '2020-04-20'").iloc[0]
    assert held["mark_points"] < 0
    assert held["quantity_contracts"] != 0
    assert held["notional_base"] == held["quantity_contracts"] * held["mark_points"] * 1000  # dollars a point
    pnl = rows(glut, "select * from pnl where instrument = 'CRUDE_W' and session = '2020-04-20'").iloc[0]
    before = rows(glut, "select * from positions where instrument = 'CRUDE_W' and session = '2020-04-17'").iloc[0]
    moved = held["mark_points"] - before["mark_points"]
    assert pnl["held_base"] == pytest.approx(before["quantity_contracts"] * moved * 1000, rel=1e-12)


# --- holidays and half days -------------------------------------------------------------------------------------------
def test_a_closed_exchange_is_not_missing(glut: Path, rows: Callable[[Path, str], pd.DataFrame]) -> None:
    """Easter Monday: Frankfurt is closed, Chicago and New York are open."""
    day = "session = '2020-04-13'"
    assert rows(glut, f"select instrument from daily_prices where {day} order by 1")["instrument"].tolist() == [
        "CRUDE_W", "GOLD", "US10",
    ]  # fmt: skip
    assert rows(glut, f"select * from violations where {day}").empty
    assert rows(glut, f"select * from fills where {day} and instrument = 'BUND'").empty
    bund = rows(glut, "select * from positions where instrument = 'BUND' and session in ('2020-04-09', '2020-04-13')")
    assert bund["quantity_contracts"].nunique() == 1
    assert bund["marked_on"].tolist() == ["2020-04-09", "2020-04-09"]
    assert rows(glut, f"select total_base from pnl where {day} and instrument = 'BUND'")["total_base"].tolist() == [0.0]


@pytest.mark.parametrize(
    ("day", "reason", "before", "after"),
    [
        ("2020-04-10", "closed (EUREX, CME, NYMEX)", "2020-04-09", "2020-04-13"),  # Good Friday
        ("2020-04-11", "Saturday", "2020-04-09", "2020-04-13"),
        ("2020-12-25", "closed (EUREX, CME, NYMEX)", "2020-12-24", "2020-12-28"),
        ("2020-06-07", "Sunday", "2020-06-05", "2020-06-08"),
    ],
)
@pytest.mark.parametrize("command", ["close", "pnl"])
def test_no_session(
    command: str, day: str, reason: str, before: str, after: str, glut: Path, daybook: Run, fingerprint: Fingerprint
) -> None:
    untouched = fingerprint(glut)
    ended = daybook(command, "--session", day, "--home", glut, "--json")
    assert (ended.code, ended.document["error"]) == (2, "NotASession")
    said = ended.document["message"]
    assert f"{day} is not a session" in said
    assert all(word in said for word in reason.replace("(", "").replace(")", "").replace(",", "").split())
    assert f"before it is {before}" in said
    assert f"after it is {after}" in said
    assert fingerprint(glut) == untouched


def test_a_half_day_and_a_roll_in_it(
    spring: Path, copied: Callable[[Path], Path], daybook: Run, rows: Callable[[Path, str], pd.DataFrame]
) -> None:
    """Thanksgiving and the day after: America stops three hours early (13:00 in Chicago), Frankfurt does not."""
    home = copied(spring)
    ended = daybook("backfill", "--home", home, "--from", "2020-11-24", "--to", "2020-11-30", "--json")
    assert (ended.code, ended.document["sessions"], ended.document["breaks"]) == (0, 5, 0), ended.err
    stamps = rows(home, "select instrument, stamp from daily_prices where session = '2020-11-27' order by 1")
    assert stamps["stamp"].str[11:16].tolist() == ["22:00", "14:00", "14:00", "13:00"]
    assert rows(home, "select * from violations where session between '2020-11-24' and '2020-11-30'").empty
    # GOLD is rolled on 26 November, a half day: the whole position moves to the next contract.
    gold = "select contract, quantity_contracts q, session from positions where instrument = 'GOLD' order by session"
    held = rows(home, gold).set_index("session")
    assert held.loc["2020-11-25", "contract"] == 20201200
    assert held.loc["2020-11-26", "contract"] == 20210200
    fills = rows(home, "select contract, quantity_contracts q from fills where session = '2020-11-26' "
                       "and instrument = 'GOLD' and order_id like '%roll%' order by contract")  # fmt: skip
    assert fills["q"].tolist() == [-held.loc["2020-11-25", "q"], held.loc["2020-11-25", "q"]]


# --- corrections, gaps in deliveries, doing it again ------------------------------------------------------------------
CORN = "multiple_prices_csv/CORN.csv"
FROM_TO = ("--from", "2021-03-22", "--to", "2021-03-30")


@pytest.fixture
def own_source(tmp_path: Path, two_instruments: Path) -> Path:
    """A copy of the vendor's folder, to be changed."""
    source = tmp_path / "futures"
    shutil.copytree(two_instruments, source)
    return source


def test_a_late_correction(
    own_source: Path, loaded_two: Path, copied: Callable[[Path], Path], daybook: Run,
    rows: Callable[[Path, str], pd.DataFrame],
) -> None:  # fmt: skip
    home = copied(loaded_two)
    assert daybook("backfill", "--home", home, *FROM_TO).code == 0
    pnl = "select session, total_base from pnl where instrument = 'CORN' order by 1"
    first = rows(home, pnl).set_index("session")["total_base"]
    held = rows(home, "select session, quantity_contracts q from positions where instrument = 'CORN'")
    held = held.set_index("session")["q"]
    datasets = daybook("status", "--home", home, "--json").document["datasets"]
    written = next(found["written"] for found in datasets if found["dataset"] == "clean_multiple_prices")

    text = (own_source / CORN).read_text()
    line = next(line for line in text.splitlines() if line.startswith("2021-03-24"))
    price = float(line.split(",")[3])
    (own_source / CORN).write_text(text.replace(line, line.replace(f",{price},", f",{price + 2.0},")))
    ended = daybook("load", "--home", home, *SOURCE_WORDS, own_source)
    assert ended.code == 0, ended.err
    assert "126 rows delivered, 1 new" in ended.err
    again = daybook("backfill", "--home", home, *FROM_TO, "--json")
    assert again.code == 1  # the last session was signed, and is something else now
    assert set(again.document["failed_checks"]) == {"signature/still_as_signed"}

    both = (
        "select price from raw_multiple_prices where instrument = 'CORN' and session = '2021-03-24' order by known_at"
    )
    assert rows(home, both)["price"].tolist() == [price, price + 2.0]
    clean = "select price from clean_multiple_prices where instrument = 'CORN' and session = '2021-03-24'"
    assert rows(home, clean)["price"].tolist() == [price + 2.0]
    when = (pd.Timestamp(written) + pd.Timedelta(seconds=1)).isoformat()  # `written` is in whole seconds
    old = daybook("sql", clean, "--as-of", when, "--home", home, "--json")
    assert old.code == 0, old.err
    assert [row["price"] for row in old.document["rows"]] == [price]

    change = rows(home, pnl).set_index("session")["total_base"] - first
    expected = dict.fromkeys(first.index, 0.0)
    expected["2021-03-24"] = 2.0 * 50 * held["2021-03-24"]  # dollars a point
    expected["2021-03-25"] = -2.0 * 50 * held["2021-03-24"]
    assert held["2021-03-24"] != 0
    assert change.to_dict() == pytest.approx(expected, abs=1e-6)


def test_a_file_that_did_not_come(
    tmp_path: Path, own_source: Path, loaded_two: Path, daybook: Run, rows: Callable[[Path, str], pd.DataFrame]
) -> None:
    """CORN is held, and its file is gone on the 29th: the day is closed, CORN at its last price, and that is said."""
    home = tmp_path / "home"
    (home / "strategies").mkdir(parents=True)
    shutil.copy(loaded_two / "strategies" / "trend.toml", home / "strategies")
    assert daybook("load", "--home", home, *SOURCE_WORDS, own_source, "--until", "2021-03-26").code == 0
    assert daybook("backfill", "--home", home, "--from", "2021-03-22", "--to", "2021-03-26").code == 0
    (own_source / CORN).unlink()
    ended = daybook("close", "--home", home, "--session", "2021-03-29", "--json")
    held = rows(home, "select instrument, marked_on from positions where session = '2021-03-29' order by 1")
    assert held.to_dict("records") == [
        {"instrument": "BUND", "marked_on": "2021-03-29"}, {"instrument": "CORN", "marked_on": "2021-03-26"},
    ]  # fmt: skip
    found = rows(home, "select distinct rule, severity from violations where series like '%CORN%' "
                       "and session = '2021-03-29'")  # fmt: skip
    assert not found.empty
    assert ended.code == (1 if (found["severity"] == "error").any() else 0), ended.err


def test_closing_twice_is_closing_once(
    glut: Path, copied: Callable[[Path], Path], daybook: Run, fingerprint: Fingerprint
) -> None:
    home = copied(glut)
    assert daybook("close", "--home", home, "--session", "2020-04-24").code == 0
    assert fingerprint(home) == fingerprint(glut)


def test_a_range_at_once_is_session_by_session(
    tmp_path: Path, loaded_two: Path, daybook: Run, fingerprint: Fingerprint
) -> None:
    at_once, one_by_one = tmp_path / "at_once", tmp_path / "one_by_one"
    for home in (at_once, one_by_one):
        shutil.copytree(loaded_two, home)
    assert daybook("backfill", "--home", at_once, "--from", "2021-03-24", "--to", "2021-03-26").code == 0
    for day in ("2021-03-24", "2021-03-25", "2021-03-26"):
        assert daybook("close", "--home", one_by_one, "--session", day).code == 0
    found = fingerprint(at_once)
    assert len(found["orders and fills"][1]) >= 2
    assert fingerprint(one_by_one) == found


def test_a_book_does_not_begin_earlier_than_it_did(
    loaded_two: Path, copied: Callable[[Path], Path], daybook: Run, fingerprint: Fingerprint
) -> None:
    home = copied(loaded_two)
    assert daybook("close", "--home", home, "--session", "2021-03-24").code == 0
    before = fingerprint(home)
    ended = daybook("backfill", "--home", home, "--from", "2021-03-22", "--to", "2021-03-26")
    assert ended.code == 2
    assert "the book of this desk begins on 2021-03-24" in ended.err
    assert "another --home" in ended.err
    assert fingerprint(home) == before
    assert daybook("close", "--home", home, "--session", "2021-03-26").code == 0
    skipped = daybook("close", "--home", home, "--session", "2021-03-25", "--json")
    assert skipped.code == 0
    assert "2021-03-25 on are valued, not traded: the book had gone on to 2021-03-26" in skipped.document["note"]


def test_backup_and_restore(
    glut: Path, copied: Callable[[Path], Path], tmp_path: Path, daybook: Run, fingerprint: Fingerprint
) -> None:
    home = copied(glut)
    before, status = fingerprint(home), daybook("status", "--home", home, "--json").document
    taken = daybook("backup", "--home", home, "--json")
    assert taken.code == 0, taken.err
    shutil.rmtree(home)
    assert "there is no desk in" in daybook("status", "--home", home, "--json").err
    restored = daybook("restore", "latest", "--into", home, "--home", home, "--json")
    assert restored.code == 0, restored.err
    assert fingerprint(home) == before
    after = daybook("status", "--home", home, "--json").document
    assert after["configuration"] == status["configuration"]
    assert after["datasets"] == status["datasets"]
    assert daybook("close", "--home", home, "--session", "2020-04-24").code == 0
    assert fingerprint(home) == before
