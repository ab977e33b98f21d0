"""Each documented fault of the simulated market, through the real job: which rule finds it, or which error names it.

Belongs here: one case a fault, and that there is one for each. Does not belong here: the rows a fault makes
(tests/adapters/test_simulated_vendor.py), or each rule alone (tests/domain/test_quality_rules.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipelines.deployments import frame_store
from pipelines.runs import Outcome, run
from pipelines.settings import place, write_desk
from resources.vendors.simulated import FAULTS
from trading.errors import DatasetNotFound
from trading.frames import CLEAN_BARS, DAILY_PRICES, MULTIPLE_PRICES, RAW_BARS, VIOLATIONS, Dataset

# The requested window ends four days after the last session, Tuesday 12 March: a fault of its last seven days touches
# Wednesday to Friday.
MONDAY, FRIDAY = date(2024, 3, 4), date(2024, 3, 8)
TOUCHED = {date(2024, 3, day) for day in (6, 7, 8)}
NEXT_FRIDAY = date(2024, 3, 15)  # two weeks, for what is found only when it lasts

# Fault: by which rules of which datasets it must be found, and whether one of them fails the run.
FOUND: dict[str, tuple[set[tuple[str, str]], bool]] = {
    "spike": ({("raw_bars", "spikes"), ("raw_bars", "jumps")}, False),
    "stale_price": ({("raw_bars", "repeated_bar"), ("raw_bars", "stuck")}, False),
    "negative_volume": ({("raw_bars", "volume"), ("daily_prices", "gaps")}, True),
    "high_below_low": ({("raw_bars", "ohlc"), ("daily_prices", "gaps")}, True),
    "nan_price": ({("raw_bars", "missing_price"), ("daily_prices", "gaps")}, False),
    "infinite_price": ({("raw_bars", "price_range"), ("raw_bars", "ohlc"), ("daily_prices", "gaps")}, True),
    "duplicate_rows": ({("raw_bars", "duplicates")}, False),
    "missing_day": ({("clean_bars", "gaps"), ("daily_prices", "gaps")}, False),
    "missing_fx": ({("raw_fx_rates", "fx_gaps")}, False),
    "bad_timestamp": ({("daily_prices", "gaps")}, False),
}
# Fault: exit code, and what the error says.
REFUSED = {
    "missing_instrument": (1, "failed on 1 series of raw_bars (BUND: the vendor timed out"),
    "unknown_instrument": (
        2,
        "UNLISTED is not in the reference data (reference/instruments.csv). Add a row",
    ),
    "vendor_down": (1, "the simulated vendor does not answer"),
}
HARMLESS = {"unsorted", "late_correction"}  # the desk puts them right: their own tests below
QUARANTINED = {"negative_volume", "high_below_low", "infinite_price"}


@pytest.fixture(scope="module")
def winter(tmp_path_factory: pytest.TempPathFactory, daybook: Callable[..., Any]) -> Path:
    """BUND and GOLD, loaded through Friday 1 March 2024 without a fault. Not to be changed: copy it."""
    home = tmp_path_factory.mktemp("winter") / "home"
    words = ("--instruments", "BUND,GOLD", "--since", "2023-12-01", "--until", "2024-03-01")
    ended = daybook("load", "--home", home, "--vendor", "simulated", *words)
    assert ended.code == 0, ended.err
    return home


def ran(home: Path, fault: str | None, last: date = FRIDAY) -> Outcome:
    """The job that takes in prices, over a span of sessions in one run, from a market with a fault."""
    where = place(home)
    if fault:
        write_desk(where, {"data": {"vendor": {"faults": [fault]}}})
    return run(where, "prices", span=(MONDAY, last))


def rows(home: Path, dataset: Dataset) -> list[dict[str, Any]]:
    """What the home holds of a dataset from that Monday on."""
    try:
        found = frame_store(place(home)).history(dataset, through=NEXT_FRIDAY, since=MONDAY)
    except DatasetNotFound:
        return []
    return found.to_pylist()


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory, winter: Path) -> Path:
    """The same week without a fault: what the others are compared with."""
    home = tmp_path_factory.mktemp("healthy") / "home"
    shutil.copytree(winter, home)
    outcome = ran(home, None)
    assert (outcome.exit_code, dict(outcome.failed_steps), rows(home, VIOLATIONS)) == (0, {}, [])
    return home


def test_every_fault_has_a_case() -> None:
    assert {*FOUND, *REFUSED, *HARMLESS} == set(FAULTS)


@pytest.mark.parametrize("fault", FOUND)
def test_a_fault_is_found_by_its_rule(fault: str, winter: Path, copied: Callable[[Path], Path]) -> None:
    wanted, fails = FOUND[fault]
    home = copied(winter)
    outcome = ran(home, fault, NEXT_FRIDAY if fault == "missing_fx" else FRIDAY)
    found = rows(home, VIOLATIONS)
    assert {(row["dataset"], row["rule"]) for row in found} == wanted
    assert outcome.exit_code == int(fails)
    errors = {f"{row['dataset']}/{row['rule']}" for row in found if row["severity"] == "error"}
    assert set(outcome.failed_checks) == errors
    assert bool(errors) == fails
    assert outcome.failed_steps == {}, "a bad row is set aside or kept and said, and stops nothing"


@pytest.mark.parametrize("fault", sorted(QUARANTINED))
def test_a_refused_row_reaches_no_later_layer(
    fault: str, winter: Path, healthy: Path, copied: Callable[[Path], Path]
) -> None:
    home = copied(winter)
    ran(home, fault)
    refused = {(row["series"], row["label"]) for row in rows(home, VIOLATIONS) if row["severity"] == "error"}
    assert len(refused) == len(TOUCHED)
    assert len(rows(healthy, CLEAN_BARS)) - len(rows(home, CLEAN_BARS)) == len(refused)
    gone = {(row["instrument"], row["session"]) for row in rows(healthy, DAILY_PRICES)} - {
        (row["instrument"], row["session"]) for row in rows(home, DAILY_PRICES)
    }
    assert {session for _, session in gone} == TOUCHED
    assert {code for code, _ in gone} == {series.split("/")[1] for series, _ in refused}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_fault_that_stops_the_run_is_named(fault: str, winter: Path, copied: Callable[[Path], Path]) -> None:
    home, (code, said) = copied(winter), REFUSED[fault]
    outcome = ran(home, fault)
    assert outcome.exit_code == code
    assert said in outcome.failed_steps["raw_bars"]
    assert rows(home, CLEAN_BARS) == rows(home, MULTIPLE_PRICES) == rows(home, DAILY_PRICES) == []
    kept = {row["instrument"] for row in rows(home, RAW_BARS)}
    assert kept == ({"GOLD"} if fault == "missing_instrument" else set())


def test_rows_in_any_order_are_the_same_rows(winter: Path, healthy: Path, copied: Callable[[Path], Path]) -> None:
    home = copied(winter)
    assert ran(home, "unsorted").exit_code == 0
    for dataset in (CLEAN_BARS, MULTIPLE_PRICES, DAILY_PRICES):
        assert rows(home, dataset) == rows(healthy, dataset)
    assert rows(home, VIOLATIONS) == []


def test_a_correction_that_came_later_is_the_price_in_force(
    winter: Path, healthy: Path, copied: Callable[[Path], Path]
) -> None:
    """One tenth of a percent higher, of one instrument, on the three sessions; the row it corrects stays in raw."""
    home = copied(winter)
    assert ran(home, "late_correction").exit_code == 0
    before, after = (
        {(row["instrument"], row["session"]): row["price"] for row in rows(place, DAILY_PRICES)}
        for place in (healthy, home)
    )
    changed = {key: after[key] / before[key] for key in before if after[key] != before[key]}
    assert {session for _, session in changed} == TOUCHED
    assert len({code for code, _ in changed}) == 1
    assert list(changed.values()) == pytest.approx([1.001] * 3)
    assert len(rows(home, RAW_BARS)) == len(rows(healthy, RAW_BARS)) + 3
