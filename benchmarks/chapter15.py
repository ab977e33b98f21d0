"""Claim: the reference's chapter 15 takes Daybook a small part of a second where the reference takes 10.3 s without its
risk overlay, and 150 s as shipped; 40 instruments likewise against 68 s and 279 s; and a sweep milliseconds a variant.

Cold rows are `daybook backtest` in a process of its own: files read anew; from a store that was loaded; both with
results computed. Warm rows are in this process, nothing shared between rounds but the panel, a parameter changed every
round: panel to curves, costs and all statistics. The reference's seconds and megabytes were measured once, on a quiet
machine of two cores; both of its times are shown, never only the larger. Its 40 instruments are not ours: here the
18 of ../shared are taken again under other names, so the sizes are alike and the numbers are not.

Needs ../shared. Run: `python benchmarks/chapter15.py [--rounds 5] [--variants 1000]`.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "futures"
Round = Callable[[int], tuple[float, float]]
REFERENCE = {6: (10.3, 150.0, 182.0), 40: (68.0, 279.0, 484.0)}  # seconds without the overlay, as shipped, megabytes
OVERLAY = {f"risk_overlay.{name}": 99999.0 for name in ("normal_fraction", "shocked_fraction", "sum_absolute_fraction",
                                                        "leverage")}  # fmt: skip
SWEPT = (
    "rules.*.weight=total:1", "rules.ewmac16_64.parameters.fast=4..32", "rules.ewmac16_64.parameters.slow=40..160",
    "buffer.fraction=0.0..0.3", "volatility_target_percent=10.0..30.5",
)  # fmt: skip


# --- cold -------------------------------------------------------------------------------------------------------------
# A process inherits the peak memory of the one that starts it, so a small one starts the command.
STARTER = """
import os, sys, time
began = time.perf_counter()
away = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
pid = os.posix_spawn(sys.executable, [sys.executable, "-W", "ignore", "-m", "pipelines.cli", *sys.argv[1:]],
                     os.environ, file_actions=away)
_, status, used = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), time.perf_counter() - began, used.ru_maxrss / 1024)
"""


def daybook(home: Path, *words: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a `daybook` command in a process of its own."""
    command = [sys.executable, "-S", "-E", "-c", STARTER, "--home", str(home), *words, "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT).stdout
    code, seconds, megabytes = told.split()
    if code != "0":
        sys.exit(f"daybook {' '.join(words)} ended with {code}")
    return float(seconds), float(megabytes)


def forty(folder: Path) -> tuple[Path, Path]:
    """A folder of 40 instruments in the same layout, and chapter 15's strategy on all of them."""
    own = sorted(file.stem for file in (SOURCE / "adjusted_prices_csv").glob("*.csv"))
    names = {f"{own[place % len(own)]}_{place}": own[place % len(own)] for place in range(40)}
    (folder / "fx_prices_csv").symlink_to(SOURCE / "fx_prices_csv")
    for kind in ("adjusted_prices_csv", "multiple_prices_csv"):
        (folder / kind).mkdir()
        for name, code in names.items():
            (folder / kind / f"{name}.csv").symlink_to(SOURCE / kind / f"{code}.csv")
    (folder / "csvconfig").mkdir()
    for file in ("instrumentconfig.csv", "rollconfig.csv"):
        _renamed(SOURCE / "csvconfig" / file, folder / "csvconfig" / file, names)
    strategy = folder / "forty.toml"
    strategy.write_text(_strategy(names))
    return folder, strategy


def _renamed(source: Path, target: Path, names: dict[str, str]) -> None:
    with source.open(newline="") as read, target.open("w", newline="") as written:
        rows = {row["Instrument"]: row for row in csv.DictReader(read)}
        writer = csv.DictWriter(written, list(next(iter(rows.values()))))
        writer.writeheader()
        writer.writerows(rows[code] | {"Instrument": name} for name, code in names.items())


def _strategy(names: dict[str, str]) -> str:
    import tomlkit

    text = tomlkit.parse((ROOT / "config" / "strategies" / "chapter15.toml").read_text())
    text["name"], text["instruments"] = "forty", sorted(names)
    text["portfolio"]["weights"] = dict.fromkeys(sorted(names), 1.0 / len(names))  # type: ignore[index]
    return tomlkit.dumps(text)


# --- warm -------------------------------------------------------------------------------------------------------------
def warm_rounds(home: Path, source: Path, strategy: str, overlay: bool) -> Iterator[float]:
    """Seconds of one evaluation after another, each with another span and buffer."""
    from pipelines.backtest_request import Words, asked
    from pipelines.settings import place
    from resources.csv_panels import csv_panel
    from trading.backtest.engine import bench_of, evaluate, result, sizing_of
    from trading.backtest.specification import overridden

    backtest = asked(place(home), Words(strategy, "pysystemtrade", source)).backtest
    panel = csv_panel(source, backtest.universe(), "USD", backtest.strategy.weekend_rows)
    number = 0
    while True:
        number += 1
        changes: dict[str, Any] = {"rules.ewmac16_64.parameters.fast": 10 + number % 20, "buffer.fraction": 0.1}
        changed = overridden(backtest.strategy, {**changes, **(OVERLAY if overlay else {})})
        began = time.perf_counter()
        result(evaluate(bench_of(panel, changed), changed, sizing_of(changed, 250_000.0)))
        yield time.perf_counter() - began


def swept(home: Path, number: int) -> Any:
    """What a random sweep over all axes found."""
    from pipelines.backtest_request import Words
    from pipelines.settings import place
    from pipelines.sweep_request import SweepWords, run

    words = SweepWords(axes=SWEPT, random=number, seed=15)
    return run(place(home), Words("chapter15", "pysystemtrade", SOURCE), words, lambda text: None)


# --- the table --------------------------------------------------------------------------------------------------------
def show(what: str, instruments: int, seconds: float, megabytes: float | None = None) -> None:
    """A row: seconds, both ratios, and memory as a multiple of the reference's: more than 1 is a loss."""
    without, shipped, theirs = REFERENCE[instruments]
    ratios = f"without its overlay {without / seconds:>8,.0f}x   as shipped {shipped / seconds:>8,.0f}x"
    memory = (
        "" if megabytes is None else f"   {megabytes:4.0f} MB, {megabytes / theirs:.2f}x the reference's {theirs:.0f}"
    )
    print(f"{what:<46}{seconds:>9.4f} s   {ratios}{memory}", flush=True)


def colds(
    home: Path, store: Path, wide: tuple[Path, Path]
) -> list[tuple[str, int, Callable[[int], tuple[float, float]]]]:
    """The cold rows: name, instruments, and what runs one round."""
    folder, strategy = wide
    files = ("--vendor", "pysystemtrade", "--source", str(SOURCE))
    many = (str(strategy), "--vendor", "pysystemtrade", "--source", str(folder), "--fresh")

    def changed(number: int) -> tuple[str, str]:
        return "--set", f"buffer.fraction=0.1{number}{os.getpid() % 100}"

    return [
        ("cold, CSV to curve", 6, lambda _: daybook(home, "backtest", "chapter15", *files, "--fresh")),
        ("cold, from a loaded store", 6, lambda number: daybook(store, "backtest", "chapter15", *changed(number))),
        (
            "cold, CSV to curve, 40 instruments",
            40,
            lambda _: daybook(home, "backtest", *many),
        ),
    ]


def prepared(folder: Path) -> tuple[Path, Path, tuple[Path, Path]]:
    """A home, a store that was loaded, and 40 instruments; kernels are compiled and panels kept."""
    home, store, wide = folder / "home", folder / "store", folder / "forty"
    wide.mkdir()
    daybook(store, "load", "--vendor", "pysystemtrade", "--source", str(SOURCE), "--calendar", "weekdays")
    daybook(store, "backtest", "chapter15")
    subprocess.run([sys.executable, "-m", "pipelines.cli", "backtest", "--prewarm"], check=True, capture_output=True)
    return home, store, forty(wide)


def shown(rows: list[tuple[str, int, Round]], warm: Any, found: dict[Any, list[Any]]) -> None:
    """The table of medians."""
    for name, count, _ in rows:
        measured = found[name, count]
        show(name, count, statistics.median(s for s, _ in measured), statistics.median(m for _, m in measured))
    for count, overlay in warm:
        what = f"warm, {count} instruments" + (", overlay of every day" if overlay else "")
        show(what, count, statistics.median(found[count, overlay]))


def main() -> None:
    """Runs all and prints the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--variants", type=int, default=1000)
    given = words.parse_args()
    sys.path.insert(0, str(ROOT))
    if not SOURCE.is_dir():
        print("skipped: no ../shared beside the project")
        return
    with tempfile.TemporaryDirectory() as folder:
        home, store, wide = prepared(Path(folder))
        rows = colds(home, store, wide)
        cases = [("chapter15", SOURCE, 6), (str(wide[1]), wide[0], 40)]
        warm = {
            (count, overlay): warm_rounds(home, source, strategy, overlay)
            for strategy, source, count in cases
            for overlay in (False, True)
        }
        found: dict[Any, list[Any]] = {}
        for rounds in (next(case) for case in warm.values()):
            assert rounds > 0  # the first of each loads kernels
        for number in range(given.rounds):
            for name, count, once in rows:
                found.setdefault((name, count), []).append(once(number))
            for key, case in warm.items():
                found.setdefault(key, []).extend(next(case) for _ in range(5))
        shown(rows, warm, found)
        sweep = swept(home, given.variants)
        each = 1000 * sweep["seconds"] / given.variants
        print(f"sweep of {given.variants:,} variants, {sweep['seconds']:.1f} s, {each:.1f} ms each", end="")
        print(f"; so 10,000 take {each * 10:.0f} s")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
