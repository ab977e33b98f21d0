"""Panels from small folders made by hand: which row counts for which day, and what is said of bad input."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from resources.csv_panels import CsvPanels, csv_panel, csv_version
from resources.source_hash import readers_version
from trading.backtest.panel import Panel
from trading.errors import BadInput, DaybookError, MissingFxPair, UnknownInstrument, UsageError

NAN = float("nan")
CONFIG = "Instrument,Pointsize,Percentage,PerBlock,PerTrade,AssetClass,Currency,Description,Slippage"
ROLLS = "Instrument,HoldRollCycle,RollOffsetDays,CarryOffset,PricedRollCycle,ExpiryOffset"
MULTIPLE = "DATETIME,CARRY,CARRY_CONTRACT,PRICE,PRICE_CONTRACT,FORWARD,FORWARD_CONTRACT"
# 2022-02-23 is a Wednesday
CORN = [
    "2022-02-23 15:00:00,600",
    "2022-02-23 23:00:00,601",
    "2022-02-25 23:00:00,",  # a row of Friday without a price, and one with
    "2022-02-25 20:00:00,603",  # not in time order
    "2022-02-27 23:30:00,604",  # Sunday evening
    "2022-02-28 12:00:00,605",
    "2022-02-28 12:00:00,606",  # the same time twice: the later row
    "2022-02-28 12:00:00,",  # and a third without a price
]
HELD = [
    # PRICE - CARRY = -10 and -20, carry contract half a year later: annual rolls of -20 and -40, mean -30
    "2022-02-22 23:00:00,610,20220900,600,20220300,605,20220500",
    "2022-02-23 15:00:00,610,20220900,600,20220300,605,20220500",
    "2022-02-23 23:00:00,621,20220900,601,20220300,605,20220500",
    # equal prices: a roll of zero is missing
    "2022-02-25 23:00:00,603,20220900,603,20220300,607,20220500",
    # a new contract; the carry contract is nearer by two months: (604 - 607) / (-1/6) = 18
    "2022-02-27 23:30:00,607,20220300,604,20220500,,",
    "2022-02-28 12:00:00,,20220300,606,20220500,,",
]


def write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One instrument in dollars and one in euros that begins earlier and ends later, in rows."""
    write(tmp_path / "adjusted_prices_csv/CORN.csv", "DATETIME,price", CORN)
    write(tmp_path / "multiple_prices_csv/CORN.csv", MULTIPLE, HELD)
    write(tmp_path / "adjusted_prices_csv/BUND.csv", "DATETIME,price", ["2022-02-21,150", "2022-03-01,151"])
    held = ["2022-02-21 23:00:00,149,20220600,150,20220300,,", "2022-03-02 23:00:00,,,151,20220300,,"]
    write(tmp_path / "multiple_prices_csv/BUND.csv", MULTIPLE, held)
    rates = ["2022-02-22 00:00:00,1.1", "2022-02-24 23:00:00,1.2", "2022-02-26 10:00:00,1.25"]
    write(tmp_path / "fx_prices_csv/EURUSD.csv", "DATETIME,PRICE", rates)
    write(tmp_path / "fx_prices_csv/GBPUSD.csv", "DATETIME,PRICE", ["2022-02-23 00:00:00,1.5"])
    config = ["CORN,50,0,2.9,,Ags,USD,Corn,0.125", "BUND,1000,0.0001,2,1,Bond,EUR,Bund,"]
    write(tmp_path / "csvconfig/instrumentconfig.csv", CONFIG, config)
    write(tmp_path / "csvconfig/rollconfig.csv", ROLLS, ["CORN,Z,-1,-1,HKNUZ,0", "BUND,HMUZ,-5,1,HMUZ,0"])
    return tmp_path


def column(panel: Panel, name: str, code: str) -> list[float]:
    return list(getattr(panel, name)[:, panel.instruments.index(code)])


def same(found: list[float], wanted: list[float]) -> None:
    np.testing.assert_array_equal(found, wanted)


def test_sunday_belongs_to_monday_or_to_the_friday_before(folder: Path) -> None:
    sound, reference = (csv_panel(folder, ["CORN"], "USD", rows) for rows in ("session", "friday"))
    assert [str(day) for day in sound.sessions] == [f"2022-02-{day}" for day in (22, 23, 24, 25, 28)]
    same(column(sound, "price", "CORN"), [NAN, 601, NAN, 603, 606])
    same(column(reference, "price", "CORN"), [NAN, 601, NAN, 604, 606])
    same(column(sound, "held", "CORN"), [600, 601, NAN, 603, 606])
    same(column(reference, "held", "CORN"), [600, 601, NAN, 604, 606])


def test_the_roll_is_the_mean_of_the_day_and_zero_is_missing(folder: Path) -> None:
    sound, reference = (csv_panel(folder, ["CORN"], "USD", rows) for rows in ("session", "friday"))
    np.testing.assert_allclose(column(sound, "carry", "CORN"), [-20, -30, NAN, NAN, 18], rtol=1e-12)
    np.testing.assert_allclose(column(reference, "carry", "CORN"), [-20, -30, NAN, 18, NAN], rtol=1e-12)
    same(column(sound, "rolls", "CORN"), [0, 0, 0, 0, 1])
    same(column(reference, "rolls", "CORN"), [0, 0, 0, 1, 0])


def test_contracts_less_than_a_day_apart_count_as_a_day_one_way_only(folder: Path) -> None:
    rows = [
        "2022-02-22 23:00:00,610,20220302,600,20220301,,",  # 1/1200 of a year later: raised to 1/365.25
        "2022-02-23 23:00:00,610,20220301,600,20220302,,",  # earlier: left as it is
        "2022-02-24 23:00:00,610,20220301,600,20220301,,",  # the same contract
    ]
    write(folder / "multiple_prices_csv/CORN.csv", MULTIPLE, rows)
    found = csv_panel(folder, ["CORN"], "USD").carry[:3, 0]
    np.testing.assert_allclose(found[:2], [-10 * 365.25, 10 * 1200], rtol=1e-9)
    assert found[2] == -np.inf


def test_rows_begin_and_end_where_each_file_does(folder: Path) -> None:
    found = csv_panel(folder, ["CORN", "BUND", "CORN"], "USD")
    assert found.instruments == ("BUND", "CORN")
    assert [str(day) for day in found.sessions[[0, -1]]] == ["2022-02-21", "2022-03-02"]
    assert list(found.first) == [0, 2]
    assert list(found.last) == [6, 5]
    assert list(found.held_first) == [0, 1]
    assert list(found.held_last) == [7, 5]
    same(column(found, "price", "BUND"), [150, NAN, NAN, NAN, NAN, NAN, 151, NAN])
    same(column(found, "held", "BUND"), [150, NAN, NAN, NAN, NAN, NAN, NAN, 151])


def test_terms_and_what_is_left_blank_costs_nothing(folder: Path) -> None:
    found = csv_panel(folder, ["BUND", "CORN"], "USD")
    assert found.currencies == ("EUR", "USD")
    assert list(found.point_value[0]) == [1000, 50]
    assert found.point_value.shape == found.price.shape
    assert list(found.slippage) == [0, 0.125]
    assert list(found.per_contract) == [2, 2.9]
    assert list(found.per_trade) == [1, 0]
    assert list(found.fraction) == [0.0001, 0]
    assert list(found.rolls_a_year) == [4, 1]
    assert list(found.anchor) == [0, 0]


def test_a_rate_is_the_sessions_last_and_at_midnight_what_was_known_then(folder: Path) -> None:
    sound, reference = (csv_panel(folder, ["BUND"], "USD", rows) for rows in ("session", "friday"))
    # Monday 21 to Wednesday 2 March; the quote of Saturday 26 is Monday's, or Friday's
    same(column(sound, "rate", "BUND"), [NAN, 1.1, 1.1, 1.2, 1.2, 1.25, 1.25, 1.25])
    same(column(reference, "rate", "BUND"), [NAN, 1.1, 1.1, 1.2, 1.25, 1.25, 1.25, 1.25])
    assert str(sound.first_day) == "2022-01-01"
    assert len(sound.rate_midnight) == 365
    # 21 to 28 February: stamped 00:00 it is known that day, stamped 23:00 the next, a Saturday's on Sunday
    same(list(sound.rate_midnight[51:59, 0]), [NAN, 1.1, 1.1, 1.1, 1.2, 1.2, 1.25, 1.25])
    assert sound.rate_midnight[-1, 0] == 1.25


def test_a_row_without_a_rate_hides_the_one_before_at_midnight_only(folder: Path) -> None:
    rows = ["2022-02-21 00:00:00,1.1", "2022-02-22 00:00:00,", "2022-02-24 00:00:00,1.2"]
    write(folder / "fx_prices_csv/EURUSD.csv", "DATETIME,PRICE", rows)
    found = csv_panel(folder, ["BUND"], "USD")
    same(list(found.rate_midnight[51:55, 0]), [1.1, NAN, NAN, 1.2])
    same(column(found, "rate", "BUND")[:4], [1.1, 1.1, 1.1, 1.2])


def test_the_inverse_and_the_cross(folder: Path) -> None:
    euro = csv_panel(folder, ["CORN", "BUND"], "EUR")
    np.testing.assert_allclose(column(euro, "rate", "CORN")[1:4], [1 / 1.1, 1 / 1.1, 1 / 1.2], rtol=1e-15)
    assert column(euro, "rate", "BUND") == [1.0] * 8
    pound = csv_panel(folder, ["BUND"], "GBP")
    wanted = [NAN, NAN, 1.1 / 1.5, 1.2 / 1.5, 1.2 / 1.5, 1.25 / 1.5, 1.25 / 1.5, 1.25 / 1.5]
    np.testing.assert_allclose(column(pound, "rate", "BUND"), wanted, rtol=1e-15)


def test_the_base_itself_is_one_from_1970_on(folder: Path) -> None:
    write(folder / "adjusted_prices_csv/CORN.csv", "DATETIME,price", ["1969-12-30,600", "1970-01-02,601"])
    found = csv_panel(folder, ["CORN"], "USD")
    assert str(found.first_day) == "1969-01-01"
    assert np.isnan(found.rate_midnight[:365]).all()
    assert (found.rate_midnight[365:] == 1.0).all()


def test_through_a_session_nothing_later_is_there(folder: Path) -> None:
    whole, cut = (csv_panel(folder, ["BUND", "CORN"], "USD", through=day) for day in (None, date(2022, 2, 25)))
    assert str(cut.sessions[-1]) == "2022-02-25"
    for name in ("price", "held", "carry", "rolls", "rate"):
        assert getattr(whole, name)[:5].tobytes() == getattr(cut, name).tobytes(), name
    assert cut.rate_midnight[-1, 0] == 1.2
    assert list(cut.last) == [0, 4]
    assert whole.version != cut.version
    peeking = csv_panel(folder, ["BUND", "CORN"], "USD", "friday")
    honest = csv_panel(folder, ["BUND", "CORN"], "USD", "friday", through=date(2022, 2, 25))
    # through Friday, what Saturday and Sunday did to Friday's values was not known
    assert (peeking.price[4, 1], honest.price[4, 1]) == (604, 603)
    assert (peeking.rate[4, 0], honest.rate[4, 0]) == (1.25, 1.2)
    sunday = csv_panel(folder, ["BUND", "CORN"], "USD", through=date(2022, 2, 27))
    assert (str(sunday.sessions[-1]), sunday.price[4, 1]) == ("2022-02-25", 603)
    early = csv_panel(folder, ["BUND", "CORN"], "USD", through=date(2022, 2, 21))
    assert (list(early.first), list(early.last)) == ([0, 0], [0, -1])
    assert np.isnan(column(early, "price", "CORN")).all()


def test_the_version_follows_bytes_and_what_is_asked(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    first = csv_version(folder, ["CORN", "BUND"], "USD")
    assert first == csv_panel(folder, ["BUND", "CORN"], "USD").version
    asked = [(["CORN"], "USD", "session"), (["CORN", "BUND"], "EUR", "session"), (["CORN", "BUND"], "USD", "friday")]
    assert len({first, *(csv_version(folder, *one) for one in asked)}) == 4
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    folder.rename(elsewhere)
    assert csv_version(elsewhere, ["CORN", "BUND"], "USD") == first
    prices = elsewhere / "adjusted_prices_csv/CORN.csv"
    prices.write_text(prices.read_text().replace("601", "602"))
    assert csv_version(elsewhere, ["CORN", "BUND"], "USD") != first
    assert csv_version(elsewhere, ["BUND"], "USD") == csv_panel(elsewhere, ["BUND"], "USD").version


def test_the_version_is_another_when_the_code_that_reads_is_another(folder: Path) -> None:
    asked = (["CORN", "BUND"], "USD", "session")
    now, old = CsvPanels(folder), CsvPanels(folder, code="as it was yesterday")
    assert now.version(*asked) == CsvPanels(folder, code=readers_version()).version(*asked)
    assert now.version(*asked) != old.version(*asked)
    assert old.panel(*asked).version == old.version(*asked), "kept panels of old code are not found"


def test_instruments_have_both_files_and_a_row(folder: Path) -> None:
    write(folder / "adjusted_prices_csv/GOLD.csv", "DATETIME,price", ["2022-02-21,1"])
    assert CsvPanels(folder).instruments() == ["BUND", "CORN"]


HELD_LINE = "2022-02-22 23:00:00,610,20220900,600,20220300,605,20220500"
BAD = {
    "word": ("adjusted_prices_csv/CORN.csv", "DATETIME,price", ["2022-02-22,1", "2022-02-23,x"],
             ["line 3", "column price", "'x'", "not a number"]),
    "infinite": ("adjusted_prices_csv/CORN.csv", "DATETIME,price", ["2022-02-22,inf"], ["line 2", "finite"]),
    "date": ("adjusted_prices_csv/CORN.csv", "DATETIME,price", ["2022-02-31,1"],
             ["line 2", "column DATETIME", "'2022-02-31'", "not a date or time"]),
    "no date": ("adjusted_prices_csv/CORN.csv", "DATETIME,price", ["2022-02-21,1", ",1"],
                ["line 3", "time is missing"]),
    "cut off": ("multiple_prices_csv/CORN.csv", MULTIPLE, [HELD_LINE, "2022-02-23 23:0"], ["line 3", "1 fields"]),
    "column": ("multiple_prices_csv/CORN.csv", MULTIPLE.replace("CARRY_CONTRACT", "CC"), [HELD_LINE],
               ["line 1", "CARRY_CONTRACT", "missing"]),
    "contract": ("multiple_prices_csv/CORN.csv", MULTIPLE, [HELD_LINE.replace("20220300", "202203")],
                 ["line 2", "column PRICE_CONTRACT", "202203", "not a contract id"]),
    "month": ("multiple_prices_csv/CORN.csv", MULTIPLE, [HELD_LINE.replace("20220900", "20221300")],
              ["line 2", "column CARRY_CONTRACT", "20221300", "not a contract id"]),
    "rate": ("fx_prices_csv/EURUSD.csv", "DATETIME,PRICE", ["2022-02-22,one"], ["line 2", "column PRICE", "'one'"]),
    "empty": ("fx_prices_csv/EURUSD.csv", "", [], ["the file is empty"]),
    "point size": ("csvconfig/instrumentconfig.csv", CONFIG,
                   ["CORN,,0,2,0,Ags,USD,Corn,0", "BUND,1,0,2,0,Bond,EUR,B,0"],
                   ["line 2", "column Pointsize", "not a number"]),
    "currency": ("csvconfig/instrumentconfig.csv", CONFIG, ["CORN,1,0,2,0,Ags,US,Corn,0", "BUND,1,0,2,0,Bond,EUR,B,0"],
                 ["line 2", "column Currency", "'US'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_by_file_line_and_column(folder: Path, name: str) -> None:
    place, header, rows, said = BAD[name]
    write(folder / place, header, rows)
    with pytest.raises(BadInput) as caught:
        csv_panel(folder, ["CORN", "BUND"], "USD")
    for words in [*said, place]:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("gone", "instruments", "base", "kind", "said"),
    [
        (
            "adjusted_prices_csv/CORN.csv",
            ["CORN"],
            "USD",
            BadInput,
            "adjusted_prices_csv/CORN.csv: the file is missing",
        ),
        (
            "multiple_prices_csv/CORN.csv",
            ["CORN"],
            "USD",
            BadInput,
            "multiple_prices_csv/CORN.csv: the file is missing",
        ),
        ("csvconfig/rollconfig.csv", ["CORN"], "USD", BadInput, "rollconfig.csv: the file is missing"),
        ("", ["CORN", "WHEAT"], "USD", UnknownInstrument, "instrument WHEAT is not in the reference data"),
        ("fx_prices_csv/EURUSD.csv", ["BUND"], "USD", MissingFxPair, "no exchange rate from EUR to USD"),
        ("fx_prices_csv/GBPUSD.csv", ["BUND"], "GBP", MissingFxPair, "no exchange rate from EUR to GBP"),
        ("", [], "USD", UsageError, "no prices of no instruments"),
    ],
)
def test_what_is_not_there_is_said(
    folder: Path, gone: str, instruments: list[str], base: str, kind: type[DaybookError], said: str
) -> None:
    if gone:
        (folder / gone).unlink()
    with pytest.raises(kind) as caught:
        csv_panel(folder, instruments, base)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_wrong_folder_a_wrong_weekend_and_too_early_an_end(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="missing"):
        csv_panel(tmp_path / "nowhere", ["CORN"], "USD")
    with pytest.raises(UsageError, match="weekend_rows is 'monday'"):
        csv_panel(folder, ["CORN"], "USD", "monday")
    with pytest.raises(UsageError, match="no prices of CORN"):
        csv_panel(folder, ["CORN"], "USD", through=date(2020, 1, 1))


@pytest.mark.parametrize("part", ["adjusted_prices_csv", "multiple_prices_csv"])
def test_a_file_without_any_value_is_refused(folder: Path, part: str) -> None:
    path = folder / part / "CORN.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    with pytest.raises(BadInput, match=f"{part}/CORN.csv.*there is no value in any row") as caught:
        csv_panel(folder, ["CORN"], "USD")
    assert caught.value.exit_code == 2
