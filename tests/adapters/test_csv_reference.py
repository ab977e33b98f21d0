"""Reference data in CSV: what is in force when, layers, overrides, calendars and what is refused."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from resources.csv_reference import FILES, INSTRUMENT_COLUMNS, CsvReference
from trading.errors import BadInput, ReferenceDataError
from trading.ports import ReferenceStore

OLD = "KOSPI,KOSPI 200,KRX,KRW,500000,0.05,equity,large caps,KR,0.025,0,0,0.0004,1900-01-01"
NEW = "KOSPI,KOSPI 200,KRX,KRW,250000,0.05,equity,large caps,KR,0.025,0,0,0.0004,2017-03-27"
CORN = "CORN,Corn,WEEKDAYS,USD,50,0.25,agriculture,grains,US,0.1,2,0,0,1900-01-01"


@pytest.fixture
def project(root: Path) -> CsvReference:
    return CsvReference([root / "reference"])


def small(folder: Path, *instruments: str, **files: str) -> CsvReference:
    """A folder with the given instrument rows and, by file name, other contents in place of the usual ones."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "instruments": ",".join(INSTRUMENT_COLUMNS) + "\n" + "".join(f"{row}\n" for row in instruments),
        "roll_parameters": "instrument,hold_cycle,priced_cycle,roll_offset_days,expiry_offset_days,carry_offset,"
        "effective_from\nCORN,Z,HKNUZ,-60,13,-1,1900-01-01\n",
        "fx_pairs": "pair,base,quote\nEURUSD,EUR,USD\n",
        "exchange_groups": "name,calendar,timezone,close_local,description\n"
        "WEEKDAYS,weekdays,America/New_York,17:00,\nKRX,XKRX,Asia/Seoul,15:45,\n",
        "session_overrides": "exchange_group,date,kind,reason\n",
    }
    for name, text in (texts | files).items():
        (folder / f"{name}.csv").write_text(text)
    return CsvReference([folder])


def read_all(reference: CsvReference) -> None:
    reference.instruments(date(2022, 1, 3))
    reference.fx_pairs()
    reference.calendar("KRX", date(2022, 2, 21), date(2022, 2, 25))


def test_the_projects_own_files_are_read_and_agree(project: CsvReference) -> None:
    assert isinstance(project, ReferenceStore)
    instruments, rolls = project.instruments(date(2022, 2, 25)), project.roll_parameters(date(2022, 2, 25))
    assert set(instruments) == set(rolls)
    pairs = {pair.pair for pair in project.fx_pairs()}
    assert all(row.currency == "USD" or f"{row.currency}USD" in pairs for row in instruments.values())
    classes = {row.asset_class for row in instruments.values()}
    assert classes == {"equity", "bond", "stir", "fx", "metals", "energy", "agriculture", "volatility"}


def test_a_point_value_that_changed_is_two_rows(project: CsvReference) -> None:
    """The Korea Exchange halved the KOSPI 200 multiplier on 27 March 2017."""
    assert project.instruments(date(2017, 3, 24))["KOSPI"].point_value_local == 500_000
    assert project.instruments(date(2017, 3, 27))["KOSPI"].point_value_local == 250_000


def test_an_instrument_is_not_there_before_its_first_row(tmp_path: Path) -> None:
    later = CORN.replace("1900-01-01", "2000-01-03")
    reference = small(tmp_path, later)
    assert list(reference.instruments(date(2000, 1, 2))) == []
    assert list(reference.instruments(date(2000, 1, 3))) == ["CORN"]


def test_a_later_folder_replaces_all_rows_of_a_code_and_no_others(tmp_path: Path) -> None:
    small(tmp_path / "project", OLD, NEW, CORN)
    home = tmp_path / "home"
    home.mkdir()
    single = NEW.replace("250000", "123").replace("2017-03-27", "1900-01-01")
    (home / "instruments.csv").write_text(",".join(INSTRUMENT_COLUMNS) + f"\n{single}\n")
    reference = CsvReference([tmp_path / "project", home])
    for day in (date(2010, 1, 4), date(2020, 1, 6)):
        assert reference.instruments(day)["KOSPI"].point_value_local == 123
    assert reference.instruments(date(2010, 1, 4))["CORN"].point_value_local == 50
    assert reference.content_hash() != CsvReference([tmp_path / "project"]).content_hash()


def test_content_hash_follows_every_file_and_not_line_ends(tmp_path: Path) -> None:
    reference = small(tmp_path, CORN)
    before = reference.content_hash()
    path = tmp_path / "fx_pairs.csv"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert CsvReference([tmp_path]).content_hash() == before
    for name in FILES:
        content = (tmp_path / name).read_text()
        (tmp_path / name).write_text(content + "\n")
        assert CsvReference([tmp_path]).content_hash() != before
        (tmp_path / name).write_text(content)


def test_holidays_and_half_days_of_an_exchange(project: CsvReference) -> None:
    """Thanksgiving week 2021 in Chicago: a short Thursday and Friday; New Year's Day and Good Friday closed."""
    week = project.calendar("CME", date(2021, 11, 22), date(2021, 11, 26))
    assert len(week.sessions) == 5
    assert week.early_closes == {date(2021, 11, 25), date(2021, 11, 26)}
    assert project.calendar("CME", date(2021, 1, 1), date(2021, 1, 1)).sessions == ()
    assert not project.calendar("EUREX", date(2021, 4, 1), date(2021, 4, 6)).is_open(date(2021, 4, 5))
    assert not project.calendar("OSE", date(2021, 7, 19), date(2021, 7, 26)).is_open(date(2021, 7, 22))


def test_our_overrides_are_laid_over_the_calendar(project: CsvReference) -> None:
    """5 December 2018: only equity index futures and options stopped for the day of mourning."""
    day = date(2018, 12, 5)
    assert project.calendar("NYMEX", day, day).sessions == (day,)
    assert project.calendar("CME", day, day).early_closes == {day}
    assert project.calendar("CFE", day, day).sessions == ()


def test_an_override_closes_opens_and_shortens(tmp_path: Path) -> None:
    rows = "WEEKDAYS,2022-02-22,closed,x\nWEEKDAYS,2022-02-26,open,x\nWEEKDAYS,2022-02-24,early_close,x\n"
    reference = small(tmp_path, session_overrides=f"exchange_group,date,kind,reason\n{rows}")
    week = reference.calendar("WEEKDAYS", date(2022, 2, 21), date(2022, 2, 27))
    assert [day.day for day in week.sessions] == [21, 23, 24, 25, 26]
    assert week.early_closes == {date(2022, 2, 24)}


@pytest.mark.parametrize("group", ["WEEKDAYS", "CME", "OSE", "SGX"])
def test_calendars_reach_from_1970_to_2030_on_weekdays_only(project: CsvReference, group: str) -> None:
    whole = project.calendar(group, date(1970, 1, 1), date(2030, 12, 31))
    by_year = {year: sum(day.year == year for day in whole.sessions) for year in (1970, 2000, 2030)}
    assert all(240 <= count <= 262 for count in by_year.values())
    assert all(day.weekday() < 5 for day in whole.sessions)


@pytest.mark.parametrize(
    ("name", "text", "row", "column"),
    [
        ("instruments", ",".join(INSTRUMENT_COLUMNS) + "\n" + CORN.replace(",50,", ",fifty,"), 2, "point_value_local"),
        ("instruments", ",".join(INSTRUMENT_COLUMNS) + "\n" + CORN.replace(",50,", ",0,"), 2, "point_value_local"),
        ("instruments", ",".join(INSTRUMENT_COLUMNS) + "\n" + CORN.replace("WEEKDAYS", "MARS"), 2, "exchange_group"),
        ("instruments", ",".join(INSTRUMENT_COLUMNS) + f"\n{CORN}\n{CORN}\n", 3, "code"),
        ("instruments", ",".join(INSTRUMENT_COLUMNS) + "\n" + CORN[:30], 2, None),
        ("instruments", "code,description\nCORN,Corn\n", 1, "exchange_group"),
        ("instruments", "", None, None),
        ("fx_pairs", "pair,base,quote\nEURUSD,EUR,GBP\n", 2, "pair"),
        ("exchange_groups", "name,calendar,timezone,close_local,description\nX,weekdays,Moon,17:00,\n", 2, "timezone"),
        ("session_overrides", "exchange_group,date,kind,reason\nKRX,2022-02-30,closed,x\n", 2, "date"),
        ("session_overrides", "exchange_group,date,kind,reason\nKRX,2022-02-21,ajar,x\n", 2, "kind"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, row: int | None, column: str | None) -> None:
    reference = small(tmp_path, **{name: text})
    with pytest.raises(BadInput) as caught:
        read_all(reference)
    assert (caught.value.row, caught.value.column) == (row, column)
    assert f"{name}.csv" in caught.value.where
    assert caught.value.cure


def test_an_unknown_group_or_calendar_says_which_there_are(tmp_path: Path) -> None:
    groups = "name,calendar,timezone,close_local,description\nMOON,XMOON,UTC,17:00,\n"
    reference = small(tmp_path, exchange_groups=groups)
    with pytest.raises(ReferenceDataError, match="XMOON"):
        reference.calendar("MOON", date(2022, 1, 3), date(2022, 1, 7))
    with pytest.raises(ReferenceDataError, match="known groups are MOON"):
        reference.calendar("SUN", date(2022, 1, 3), date(2022, 1, 7))
