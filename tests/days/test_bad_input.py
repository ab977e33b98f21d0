"""Bad input through the real command line: what is said, the exit code, and that nothing is half-written."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CORN = "multiple_prices_csv/CORN.csv"
EURUSD = "fx_prices_csv/EURUSD.csv"


def edited(name: str, change: Callable[[str], str], encoding: str = "utf-8") -> Callable[[Path], None]:
    """Changes the text of a vendor's file."""

    def edit(source: Path) -> None:
        file = source / name
        file.write_bytes(change(file.read_text()).encode(encoding))

    return edit


def line(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    """Changes one line of a text, counted as an editor does."""

    def edit(text: str) -> str:
        lines = text.splitlines()
        lines[number - 1] = change(lines[number - 1])
        return "\n".join(lines) + "\n"

    return edit


def removed(name: str) -> Callable[[Path], None]:
    def remove(source: Path) -> None:
        file = source / name
        shutil.rmtree(file) if file.is_dir() else file.unlink()

    return remove


def renamed(name: str, to: str) -> Callable[[Path], None]:
    def rename(source: Path) -> None:
        (source / name).rename(source / to)

    return rename


# What is done to the vendor's folder, and words that the one sentence must have.
REFUSED = {
    "missing folder": (removed("fx_prices_csv"), ["fx_prices_csv", "the folder is missing"]),
    "missing configuration": (removed("csvconfig/instrumentconfig.csv"), ["instrumentconfig.csv", "is missing"]),
    "missing column": (
        edited(CORN, lambda text: text.replace("FORWARD_CONTRACT", "NEXT")),
        ["CORN.csv", "line 1", "column FORWARD_CONTRACT", "the column is missing"],
    ),
    "empty file": (edited(CORN, lambda text: ""), ["CORN.csv", "the file is empty"]),
    "truncated file": (
        edited(CORN, lambda text: text[: text.index("2021-03-10") + 30]),
        ["CORN.csv", "line 49", "fields", "cut off"],
    ),
    "UTF-16": (edited(CORN, lambda text: text, "utf-16"), ["CORN.csv", "not utf-8", "UTF-16", "Save the file as"]),
    "latin-1": (
        edited("csvconfig/instrumentconfig.csv", lambda text: text.replace("Corn", "Maïs"), "latin-1"),
        ["instrumentconfig.csv", "line 2", "not utf-8"],
    ),
    "a word for a number": (
        edited(CORN, line(12, lambda row: row.replace(row.split(",")[3], "abc"))),
        ["CORN.csv", "line 12", "column PRICE", "not a number", "'abc'"],
    ),
    "no date": (
        edited(CORN, line(9, lambda row: row.replace(row.split(",")[0], "2021-02-30 23:00:00"))),
        ["CORN.csv", "line 9", "column DATETIME", "not a date", "2021-02-30"],
    ),
    "no contract": (
        edited(CORN, line(7, lambda row: row.replace("20221200", "DEC22"))),
        ["CORN.csv", "line 7", "column PRICE_CONTRACT", "'DEC22'"],
    ),
    "unknown instrument": (
        renamed(CORN, "multiple_prices_csv/MAIZE.csv"),
        ["instrument MAIZE", "reference data", "--instruments"],
    ),
    "missing FX pair": (
        renamed(EURUSD, "fx_prices_csv/GBPUSD.csv"),
        ["EUR", "USD", "EURUSD", "Add the pair"],
    ),
    "a pair that is none": (renamed(EURUSD, "fx_prices_csv/rates.csv"), ["rates.csv", "not a currency pair"]),
    "a word in the configuration": (
        edited("csvconfig/instrumentconfig.csv", lambda text: text.replace("CORN,50", "CORN,fifty")),
        ["instrumentconfig.csv", "line 2", "column Pointsize", "'fifty'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("start", ["fresh", "loaded"])
def test_is_refused_in_a_sentence_and_changes_nothing(
    case: str,
    start: str,
    tmp_path: Path,
    two_instruments: Path,
    loaded_two: Path,
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    damage, words = REFUSED[case]
    home, source = tmp_path / "home", tmp_path / "futures"
    shutil.copytree(two_instruments, source)
    if start == "loaded":
        if case == "missing FX pair":
            pytest.skip("a desk that has rates of the pair goes on with them")
        shutil.copytree(loaded_two, home)
    damage(source)
    before = fingerprint(home)
    ended = daybook("load", "--home", home, "--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays")
    assert ended.code == 2
    assert all(word in ended.err for word in words), ended.err
    assert fingerprint(home) == before


def load(daybook: Callable[..., Any], home: Path, source: Path, *more: object) -> Any:
    words = ("--vendor", "pysystemtrade", "--source", source, "--calendar", "weekdays")
    return daybook("load", "--home", home, *words, *more)


def datasets(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if not name.startswith("file ")}


ACCEPTED = {
    "CRLF": edited(CORN, lambda text: text.replace("\n", "\r\n")),
    "byte order mark": edited(CORN, lambda text: "\ufeff" + text),
    "both": edited(CORN, lambda text: "\ufeff" + text.replace("\n", "\r\n")),
    "no newline at the end": edited(CORN, lambda text: text.rstrip("\n")),
    "unsorted": edited(CORN, lambda text: "\n".join([text.split("\n")[0], *reversed(text.split("\n")[1:])])),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_is_read_as_if_nothing_were_odd(
    case: str,
    tmp_path: Path,
    two_instruments: Path,
    loaded_two: Path,
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    source, home = tmp_path / "futures", tmp_path / "home"
    shutil.copytree(two_instruments, source)
    ACCEPTED[case](source)
    ended = load(daybook, home, source)
    assert ended.code == 0, ended.err
    assert datasets(fingerprint(home)) == datasets(fingerprint(loaded_two))


def test_of_duplicated_times_the_last_row_counts_and_the_finding_is_kept(
    tmp_path: Path, two_instruments: Path, daybook: Callable[..., Any]
) -> None:
    source, home = tmp_path / "futures", tmp_path / "home"
    shutil.copytree(two_instruments, source)
    edited(CORN, line(12, lambda row: row + "\n" + row.replace(row.split(",")[3], "512.25")))(source)
    ended = load(daybook, home, source)
    stamp = (source / CORN).read_text().splitlines()[11].split(",")[0]
    query = f"select count(*) n, max(price) price from %s where instrument = 'CORN' and stamp = '{stamp}'"
    raw = daybook("sql", query % "raw_multiple_prices", "--home", home, "--json").document["rows"]
    clean = daybook("sql", query % "multiple_prices", "--home", home, "--json").document["rows"]
    assert ended.code == 0, ended.err
    assert raw[0]["n"] == 2
    assert clean == [{"n": 1, "price": 512.25}]
    found = daybook("violations", "--home", home, "--json").document["rows"]
    assert [(row["rule"], row["severity"]) for row in found] == [("duplicates", "warning")], found
    assert daybook("violations", "--session", stamp[:10], "--home", home, "--json").document["count"] == 1
    assert daybook("violations", "--session", "2021-03-30", "--home", home, "--json").document["count"] == 0


def test_an_infinite_price_is_quarantined_and_the_rest_loaded(
    tmp_path: Path, two_instruments: Path, daybook: Callable[..., Any]
) -> None:
    source, home = tmp_path / "futures", tmp_path / "home"
    shutil.copytree(two_instruments, source)
    edited(CORN, line(12, lambda row: row.replace(row.split(",")[3], "inf")))(source)
    ended = load(daybook, home, source, "--json")
    assert ended.code == 1
    assert ended.document["failed_checks"].keys() == {"history/nothing_quarantined"}
    rows = daybook("sql", "select series, rule, label from quarantine", "--home", home, "--json").document["rows"]
    assert [(row["series"], row["rule"]) for row in rows] == [("pysystemtrade/CORN", "price_range")]
    count = "select count(*) n from multiple_prices where instrument = 'CORN'"
    assert daybook("sql", count, "--home", home, "--json").document["rows"] == [{"n": 62}]


def test_a_missing_price_is_missing_not_zero(
    tmp_path: Path, two_instruments: Path, daybook: Callable[..., Any]
) -> None:
    source, home = tmp_path / "futures", tmp_path / "home"
    shutil.copytree(two_instruments, source)
    edited(CORN, line(12, lambda row: row.replace(row.split(",")[3], "NaN")))(source)
    assert load(daybook, home, source).code == 0
    gone = "select price, forward is not null as there from multiple_prices where instrument = 'CORN' order by stamp"
    rows = daybook("sql", gone, "--home", home, "--json").document["rows"]
    assert rows[10] == {"price": None, "there": True}


BARS = "Time,Open,High,Low,Close,Volume\n"


def test_a_negative_volume_is_quarantined(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    source, home = tmp_path / "bars", tmp_path / "home"
    source.mkdir()
    rows = [f"2021-01-{day:02},500,510,495,{500 + day},1000" for day in (4, 5, 6, 7, 8)]
    rows[2] = rows[2].replace("1000", "-1000")
    (source / "CORN_20211200.csv").write_text(BARS + "\n".join(rows) + "\n")
    ended = daybook("load", "--home", home, "--vendor", "csv_folder", "--source", source, "--json")
    assert ended.code == 1, ended.err
    found = daybook("sql", "select rule, label from quarantine", "--home", home, "--json").document["rows"]
    assert found == [{"rule": "volume", "label": "2021-01-06"}]
    assert daybook("sql", "select count(*) n from clean_bars", "--home", home, "--json").document["rows"] == [{"n": 4}]


def test_an_instrument_asked_for_by_name_that_the_vendor_has_not(
    two_instruments: Path, tmp_path: Path, daybook: Callable[..., Any]
) -> None:
    ended = load(daybook, tmp_path / "home", two_instruments, "--instruments", "CORN,GOLD")
    assert ended.code == 2
    assert all(word in ended.err for word in ("GOLD", "BUND, CORN", "--instruments")), ended.err


def test_a_file_that_is_gone_is_named_and_what_was_loaded_stays(
    tmp_path: Path,
    two_instruments: Path,
    copied: Callable[[Path], Path],
    loaded_two: Path,
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    source, home = tmp_path / "futures", copied(loaded_two)
    shutil.copytree(two_instruments, source)
    removed(CORN)(source)
    before = datasets(fingerprint(home))
    ended = load(daybook, home, source)
    assert ended.code == 0
    assert "CORN" in ended.err
    assert "no data" in ended.err
    assert datasets(fingerprint(home)) == before


# --- the command line and the settings --------------------------------------------------------------------------------
def test_dates_the_wrong_way_round(tmp_path: Path, two_instruments: Path, daybook: Callable[..., Any]) -> None:
    ended = load(daybook, tmp_path / "home", two_instruments, "--since", "2021-03-01", "--until", "2021-02-01")
    assert (ended.code, "--since 2021-03-01 is after --until 2021-02-01" in ended.err) == (2, True)
    ended = daybook("backfill", "--home", tmp_path / "home", "--from", "2021-03-01", "--to", "2021-02-01")
    assert (ended.code, "--from 2021-03-01 is after --to 2021-02-01" in ended.err) == (2, True)


def test_a_span_without_data(tmp_path: Path, two_instruments: Path, daybook: Callable[..., Any]) -> None:
    home = tmp_path / "home"
    ended = load(daybook, home, two_instruments, "--since", "2030-01-01")
    assert ended.code == 2
    assert "no data from 2030-01-01" in ended.err
    assert not (home / "desk.toml").exists()


@pytest.mark.parametrize("vendor", ["pysystemtrade", "csv_folder"])
def test_an_unknown_vendor_folder(vendor: str, tmp_path: Path, daybook: Callable[..., Any]) -> None:
    home = tmp_path / "home"
    ended = daybook("load", "--home", home, "--vendor", vendor, "--source", tmp_path / "nowhere")
    assert ended.code == 2
    assert f"--source {tmp_path / 'nowhere'} is not a folder" in ended.err
    ended = daybook("load", "--home", home, "--vendor", vendor)
    assert (ended.code, "--source DIR" in ended.err) == (2, True)
    (tmp_path / "empty").mkdir()
    ended = daybook("load", "--home", home, "--vendor", vendor, "--source", tmp_path / "empty")
    assert ended.code == 2, ended.err
    assert not (home / "desk.toml").exists()


def test_a_home_of_another_vendor(
    copied: Callable[[Path], Path],
    loaded_two: Path,
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    home = copied(loaded_two)
    before = fingerprint(home)
    ended = daybook("load", "--home", home, "--vendor", "simulated")
    assert ended.code == 2
    assert "holds prices of vendor pysystemtrade" in ended.err
    assert "--home" in ended.err
    assert fingerprint(home) == before


SETTINGS = {
    "[capital]\ncapital_base = -5\n": ["capital.capital_base", "must be more than 0", "-5", "desk.toml:2"],
    "[capital]\ncapital = 5\n": ["capital.capital", "desk.toml"],
    '[market]\ncalendar = "lunar"\n': ["desk.toml:2", "data.prices.calendar", "'lunar'"],
    '[vendor]\nname = "simulated"\nfaults = ["gremlins"]\n': ["gremlins", "spike"],
    "[capital\ncapital_base = 5\n": ["desk.toml:1", "not valid TOML"],
    "\xff\xfe": ["desk.toml:1", "not UTF-8"],
}


@pytest.mark.parametrize("text", SETTINGS)
@pytest.mark.parametrize("command", ["status", "close", "load"])
def test_wrong_settings(text: str, command: str, tmp_path: Path, daybook: Callable[..., Any]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "desk.toml").write_bytes(text.encode("latin-1"))
    more = ["--vendor", "simulated", "--since", "2021-01-04", "--until", "2021-01-08"] if command == "load" else []
    ended = daybook(command, "--home", home, *more)
    assert ended.code == 2, ended.err
    assert all(word in ended.err for word in SETTINGS[text]), ended.err
    assert (home / "desk.toml").read_bytes() == text.encode("latin-1")


def test_an_unknown_strategy(loaded_two: Path, daybook: Callable[..., Any]) -> None:
    ended = daybook("backtest", "astrology", "--home", loaded_two)
    assert ended.code == 2
    assert "strategy astrology is unknown. Strategies are: chapter15, trend" in ended.err


@pytest.mark.parametrize(
    "query", ["select nonsense from daily_prices", "selec 1", "select * from nowhere", "", "select 1; select 2"]
)
def test_bad_sql(query: str, loaded_two: Path, daybook: Callable[..., Any]) -> None:
    ended = daybook("sql", query, "--home", loaded_two)
    assert ended.code == 2, ended
    assert ended.err.startswith("daybook: ")


@pytest.mark.parametrize(
    "query",
    [
        "delete from daily_prices",
        "create table x as select 1",
        "copy (select 1) to '{tmp}/x.csv'",
        "attach '{tmp}/x.db'",
        "install httpfs",
        "set memory_limit = '1GB'",
        "select * from read_csv('/etc/passwd')",
    ],
)
def test_sql_that_writes_or_reaches_out(
    query: str,
    tmp_path: Path,
    loaded_two: Path,
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    before = fingerprint(loaded_two)
    ended = daybook("sql", query.format(tmp=tmp_path), "--home", loaded_two)
    assert ended.code == 2, ended
    assert ended.err.startswith("daybook: ")
    assert not list(tmp_path.iterdir())
    assert fingerprint(loaded_two) == before


# --- the machine ------------------------------------------------------------------------------------------------------
@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MB; skips where this user may not mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=24m", "daybook-test", str(place)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root, or a machine that allows it")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def filled(disk: Path, leaving_bytes: int) -> Path:
    """Fills a disk but for some bytes."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(max(shutil.disk_usage(disk).free - leaving_bytes, 0)))
    return ballast


@pytest.mark.parametrize(
    ("command", "leaving_bytes"), [("load", 0), ("load", 400_000), ("close", 0), ("close", 700_000)]
)
def test_a_full_disk(
    command: str,
    leaving_bytes: int,
    small_disk: Path,
    two_instruments: Path,
    loaded_two: Path,
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
) -> None:
    home, source = small_disk / "home", tmp_path / "futures"
    shutil.copytree(loaded_two, home)
    shutil.copytree(two_instruments, source)
    edited(CORN, line(30, lambda row: row.replace(row.split(",")[3], "514.75")))(source)
    before = fingerprint(home)
    ballast = filled(small_disk, leaving_bytes)
    words = ("--session", "2021-03-30") if command == "close" else ()

    def run() -> Any:
        return load(daybook, home, source) if command == "load" else daybook("close", "--home", home, *words)

    ended = run()
    assert ended.code == 1
    assert "is full" in ended.err + ended.out, ended.err
    ballast.unlink()
    after = fingerprint(home)  # every dataset can be read, to the last row
    assert after
    if leaving_bytes == 0:
        assert after == before
    assert run().code == 0
    control = tmp_path / "control"
    shutil.copytree(loaded_two, control)
    again = load(daybook, control, source) if command == "load" else daybook("close", "--home", control, *words)
    assert again.code == 0
    assert but_for_the_hour(fingerprint(home)) == but_for_the_hour(fingerprint(control))


def but_for_the_hour(found: dict[str, Any]) -> dict[str, Any]:
    """Without the raw rows of prices: a correction is known from the instant it came."""
    return {name: value for name, value in datasets(found).items() if name != "raw_multiple_prices"}


def test_a_home_that_may_not_be_written(
    small_disk: Path,
    loaded_two: Path,
    two_instruments: Path,
    daybook: Callable[..., Any],
    fingerprint: Callable[[Path], dict[str, Any]],
) -> None:
    home = small_disk / "home"
    shutil.copytree(loaded_two, home)
    before = fingerprint(loaded_two)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for ended in (load(daybook, home, two_instruments), daybook("close", "--home", home, "--session", "2021-03-30")):
        assert ended.code == 1
        assert "may not be written" in ended.err
    assert daybook("prices", "CORN", "--home", home).code == 0
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert fingerprint(home) == before
