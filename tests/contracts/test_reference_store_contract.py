"""What every ReferenceStore promises (trading.ports.ReferenceStore), run against each adapter with the same desk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, time
from pathlib import Path

import pytest

from resources.csv_reference import INSTRUMENT_COLUMNS, CsvReference
from resources.memory import MemoryReference
from trading.market.instruments import ExchangeGroup, FxPair, Instrument, RollParameters
from trading.ports import ReferenceStore

ALWAYS = date(1900, 1, 1)
CORN = Instrument("CORN", "Corn", "WEEKDAYS", "USD", 50.0, 0.25, "agriculture", "grains", "US", 0.1, 2.0)
KOSPI = Instrument("KOSPI", "KOSPI 200", "WEEKDAYS", "KRW", 500_000.0, 0.05, "equity", "large caps", "KR")
HALVED = replace(KOSPI, point_value_local=250_000.0, effective_from=date(2017, 3, 27))
LATER = replace(CORN, code="LATER", effective_from=date(2000, 1, 3))
ROLLS = RollParameters("CORN", "Z", "HKNUZ", -60, 13, -1)
EARLIER_ROLLS = replace(ROLLS, roll_offset_days=-45, effective_from=date(2018, 1, 1))
PAIRS = (FxPair("EURUSD", "EUR", "USD"), FxPair("KRWUSD", "KRW", "USD"))
GROUP = ExchangeGroup("WEEKDAYS", "weekdays", "America/New_York", time(17, 0), "weekdays")
INSTRUMENTS = (CORN, KOSPI, HALVED, LATER)
Make = Callable[..., ReferenceStore]


def in_memory(_: Path, instruments: tuple[Instrument, ...] = INSTRUMENTS) -> ReferenceStore:
    return MemoryReference(instruments, (ROLLS, EARLIER_ROLLS), PAIRS, (GROUP,))


def in_csv(folder: Path, instruments: tuple[Instrument, ...] = INSTRUMENTS) -> ReferenceStore:
    folder.mkdir(parents=True, exist_ok=True)
    rolls = ("instrument", "hold_cycle", "priced_cycle", "roll_offset_days", "expiry_offset_days", "carry_offset")
    write(folder / "instruments.csv", INSTRUMENT_COLUMNS, instruments)
    write(folder / "roll_parameters.csv", (*rolls, "effective_from"), (ROLLS, EARLIER_ROLLS))
    write(folder / "fx_pairs.csv", ("pair", "base", "quote"), PAIRS)
    (folder / "exchange_groups.csv").write_text(
        "name,calendar,timezone,close_local,description\nWEEKDAYS,weekdays,America/New_York,17:00,weekdays\n"
    )
    (folder / "session_overrides.csv").write_text("exchange_group,date,kind,reason\n")
    return CsvReference([folder])


def write(file: Path, columns: tuple[str, ...], rows: tuple[object, ...]) -> None:
    """Rows as CSV, one attribute a column."""
    lines = [",".join(columns), *(",".join(str(getattr(row, name)) for name in columns) for row in rows)]
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture(params=[in_memory, in_csv], ids=["memory", "csv"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def reference(make: Make, tmp_path: Path) -> ReferenceStore:
    return make(tmp_path / "reference")


def test_it_is_the_port(reference: ReferenceStore) -> None:
    assert isinstance(reference, ReferenceStore)


def test_instruments_are_as_given(reference: ReferenceStore) -> None:
    assert dict(reference.instruments(date(2016, 1, 4))) == {"CORN": CORN, "KOSPI": KOSPI, "LATER": LATER}


@pytest.mark.parametrize(("on", "points"), [(date(2017, 3, 26), 500_000.0), (date(2017, 3, 27), 250_000.0)])
def test_what_changed_is_in_force_from_its_date(reference: ReferenceStore, on: date, points: float) -> None:
    assert reference.instruments(on)["KOSPI"].point_value_local == points


def test_before_its_first_row_an_instrument_is_not_there(reference: ReferenceStore) -> None:
    assert "LATER" not in reference.instruments(date(2000, 1, 2))
    assert "LATER" in reference.instruments(date(2000, 1, 3))


def test_roll_parameters_are_effective_dated_too(reference: ReferenceStore) -> None:
    assert reference.roll_parameters(date(2017, 12, 31))["CORN"] == ROLLS
    assert reference.roll_parameters(date(2018, 1, 1))["CORN"] == EARLIER_ROLLS


def test_pairs_and_groups(reference: ReferenceStore) -> None:
    assert sorted(reference.fx_pairs(), key=lambda pair: pair.pair) == list(PAIRS)
    assert dict(reference.exchange_groups()) == {"WEEKDAYS": GROUP}


def test_a_calendar_of_weekdays(reference: ReferenceStore) -> None:
    """Friday 25 February to Tuesday 1 March 2022; both ends count."""
    found = reference.calendar("WEEKDAYS", date(2022, 2, 25), date(2022, 3, 1))
    assert found.sessions == (date(2022, 2, 25), date(2022, 2, 28), date(2022, 3, 1))
    assert found.early_closes == frozenset()
    assert (found.is_open(date(2022, 2, 26)), found.is_open(date(2022, 2, 28))) == (False, True)


def test_equal_content_has_an_equal_hash_and_other_content_another(make: Make, tmp_path: Path) -> None:
    one, same = make(tmp_path / "one"), make(tmp_path / "same")
    other = make(tmp_path / "other", (replace(CORN, point_value_local=51.0), KOSPI, HALVED, LATER))
    assert one.content_hash() == same.content_hash()
    assert one.content_hash() != other.content_hash()
    assert len(one.content_hash()) == 64
