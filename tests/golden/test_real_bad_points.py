"""The rules on real prices: the listed bad points are found, and what is listed as no error is not called one.

Expected points: ../shared/golden/data_quality.csv and DATA_QUALITY.md, found there by other means than ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from trading.frames import DATASETS
from trading.market.instruments import Instrument
from trading.quality.examination import Examination, examine
from trading.quality.rule import RuleContext

pytestmark = pytest.mark.golden

Points = set[tuple[str, str]]


def delivered(folder: Path, series: str, names: list[str] | None = None) -> pd.DataFrame:
    """Every CSV file of a folder as raw rows, weekend rows counted to Friday."""
    parts = []
    for path in sorted(folder.glob("*.csv")):
        part = pd.read_csv(path, dtype={"DATETIME": str})
        parts.append(part.set_axis(names or part.columns.str.lower(), axis=1).assign(**{series: path.stem}))
    rows = pd.concat(parts, ignore_index=True).rename(columns={"datetime": "label"})
    stamp = pd.to_datetime(rows["label"])
    friday = pd.to_timedelta((stamp.dt.day_of_week - 4).clip(lower=0), unit="D")
    seen = stamp.dt.tz_localize("UTC")
    arrival = {"event_at": seen, "known_at": seen, "loaded_at": seen, "session": stamp.dt.normalize() - friday}
    occurrence = rows.groupby([series, "label"]).cumcount()
    return rows.assign(vendor="v", stamp=stamp, occurrence=occurrence, **arrival)


def examined(dataset: str, rows: pd.DataFrame) -> Examination:
    codes = rows.get("instrument", pd.Series(dtype=str)).unique()
    known = {code: Instrument(code, code, "X", "USD", 1.0, 0.01, "Other", "Other", "US") for code in codes}
    ends = rows["session"].min().date(), rows["session"].max().date()
    context = RuleContext(DATASETS[dataset], *ends, datetime(2022, 3, 2, tzinfo=UTC), known)
    return examine(DATASETS[dataset], rows, context)


@pytest.fixture(scope="module")
def multiple(shared: Path) -> Examination:
    return examined("raw_multiple_prices", delivered(shared / "data/futures/multiple_prices_csv", "instrument"))


@pytest.fixture(scope="module")
def adjusted(shared: Path) -> Examination:
    return examined("raw_adjusted_prices", delivered(shared / "data/futures/adjusted_prices_csv", "instrument"))


@pytest.fixture(scope="module")
def fx(shared: Path) -> Examination:
    return examined("raw_fx_rates", delivered(shared / "data/futures/fx_prices_csv", "pair", ["datetime", "rate"]))


def points(found: Examination, rule: str) -> Points:
    rows = found.violations().query("rule == @rule")
    return set(zip(rows["series"].str.removeprefix("v/"), rows["label"], strict=True))


def listed(shared: Path, kind: str) -> Points:
    rows = pd.read_csv(shared / "golden/data_quality.csv").query("kind == @kind")
    return set(zip(rows["instrument"], rows["when"], strict=True))


def counts(found: Examination, rule: str) -> dict[str, int]:
    return pd.Series([series for series, _ in points(found, rule)]).value_counts().to_dict()


@pytest.mark.parametrize("vendor_file", ["multiple", "adjusted"])
def test_every_reversing_spike_is_found(shared: Path, vendor_file: str, request: pytest.FixtureRequest) -> None:
    expected = listed(shared, "reversing spike")
    assert len(expected) == 32
    assert expected <= points(request.getfixturevalue(vendor_file), "spikes")


def test_few_rows_are_called_spikes(multiple: Examination) -> None:
    assert len(points(multiple, "spikes")) < multiple.rows / 1000


def test_stuck_kospi_is_found_row_by_row_and_nothing_else_is(multiple: Examination) -> None:
    stuck = sorted(points(multiple, "stuck"))
    assert len(stuck) == 78
    assert {series for series, _ in stuck} == {"KOSPI"}
    assert (stuck[0][1][:10], stuck[-1][1][:10]) == ("2015-01-16", "2015-02-06")
    assert not any(label.endswith("23:00:00") for _, label in stuck)


def test_gas_without_carry_is_found_to_the_row(multiple: Examination) -> None:
    held = sorted(points(multiple, "carry_contract"))
    assert counts(multiple, "carry_contract") == {"GAS_US": 2169}
    assert (held[0][1][:10], held[-1][1][:10]) == ("2020-04-23", "2020-05-26")


def test_settlement_rows_one_session_old_are_found(multiple: Examination) -> None:
    stale = points(multiple, "stale")
    assert {
        ("US10", "2019-07-11 23:00:00"),
        ("GOLD", "2018-10-11 23:00:00"),
        ("COPPER", "2019-05-01 23:00:00"),
    } <= stale
    # Listed, by a measure of their own: EDOLLAR 76, CORN 102, US10 72, MXP 70. Ours is of that order.
    found = counts(multiple, "stale")
    assert all(found[code] >= 70 for code in ("EDOLLAR", "CORN", "US10", "MXP"))


def test_weekend_rows_reach_the_listed_fridays(adjusted: Examination) -> None:
    found = counts(adjusted, "weekend_rows")
    assert all(found[code] >= fridays for code, fridays in {"EDOLLAR": 113, "US10": 89, "CORN": 85, "MXP": 74}.items())


def test_every_gap_in_exchange_rates_is_found_and_no_other(shared: Path, fx: Examination) -> None:
    assert points(fx, "fx_gaps") == listed(shared, "fx gap over 7 days")


def test_the_missing_rate_is_found(fx: Examination) -> None:
    found = next(result for result in fx.results if result.rule.name == "missing_price").violations
    assert [(row.series, row.session.date(), row.value) for row in found.itertuples()] == [
        ("v/KRWUSD", date(2014, 1, 20), "1")
    ]


def unmistaken(found: Examination) -> Iterator[str]:
    return (result.rule.name for result in found.results if result.rule.severity == "error" and result.findings)


def test_nothing_in_the_real_data_is_an_error_or_quarantined(
    multiple: Examination, adjusted: Examination, fx: Examination
) -> None:
    """Adjusted prices below zero, missing carry and forward, pegs that end: all real."""
    for found in (multiple, adjusted, fx):
        assert list(unmistaken(found)) == []
        assert not found.refused
        assert not any(each.rule.blocking for each in found.results if each.outcome == "failed")


def test_the_end_of_a_peg_survives(shared: Path, fx: Examination) -> None:
    assert ("CHFUSD", "2015-01-19 00:00:00") in listed(shared, "fx jump over 6%")
    assert ("CHFUSD", "2015-01-19 00:00:00") not in points(fx, "spikes")
