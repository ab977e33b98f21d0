"""Claim: a configuration of 10,000 symbols with nine settings each goes from the files that people write to a validated
snapshot in less than 100 ms, warm and with cold files; what was compiled is opened in 2 ms (5 ms at 50,000), has fewer
than 160 bytes a symbol, and lets a process grow by less than 50 MB at 50,000; a limit is read in 200 ns, and one symbol
is changed, checked and swapped in 0.1 ms.

Each beside pydantic alone (a list of models), msgspec (structs) and a plain dict of dicts, with the same values, in the
same interleaved rounds; medians are printed and judged. Files are cold where the kernel was asked to forget their pages
(`desks/page_cache.py`, which says whether it did); Python and its libraries are in memory. Memory is that of fresh
processes which did the same with ten symbols before, so that imports do not count.

Run: `python benchmarks/configuration_sizes.py [--rounds 9]`. Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.desks import page_cache, symbol_desk
from benchmarks.desks.bars import Bars, beside, interleaved, machine
from benchmarks.peers import plain_configurations as peers
from pipelines.place import Place, place
from resources.compiled_files import CompiledFiles
from trading.config.in_force import InForce, Version
from trading.config.snapshot import Snapshot
from trading.config.symbol_fields import FIELDS, fault

SIZES = (10_000, 50_000)
LOAD_MS, OPEN_MS, SYMBOL_BYTES, GROWTH_MB = 100.0, {10_000: 2.0, 50_000: 5.0}, 160.0, 50.0
FIELD_RATE, SYMBOL_RATE, READ_NS, UPDATE_MS = 5e6, 10_000.0, 200.0, 0.1
MOST_KEPT = 0.05  # of the pages of cold files, those that other processes were reading
TRADED = 1_000  # symbols that a process asks for again and again
UPDATES, VALIDATIONS = 200, 20_000
FEW = 10
SOURCES: Mapping[str, tuple[Callable[[Path], Any], str]] = {
    "pydantic alone, the same CSV": (peers.models_of_csv, symbol_desk.TABLE),
    "pydantic alone, JSON": (peers.models_of_json, "rows.json"),
    "msgspec, JSON": (peers.structs_of_json, "rows.json"),
    "dict of dicts, the same CSV, bounds unchecked": (peers.dicts_of_csv, symbol_desk.TABLE),
}
KEPT: Mapping[str, tuple[Callable[[Path], Any], str]] = {
    "pydantic alone, JSON again": (peers.models_of_json, "rows.json"),
    "msgspec, msgpack": (peers.structs_of_msgpack, "rows.msgpack"),
    "dict of dicts, pickle": (peers.dicts_of_pickle, "rows.pickle"),
}


def prepared(home: Path, count: int) -> tuple[Place, CompiledFiles, str]:
    """A desk, the same rows for its peers, and its snapshot compiled into the home."""
    rows = symbol_desk.rows(count)
    where = symbol_desk.made(home, rows)
    peers.written(home, rows)
    files = CompiledFiles(home / "config")
    return where, files, files.put(symbol_desk.loaded(where))


# --- loading and opening ----------------------------------------------------------------------------------------------
def loading(where: Place, bars: Bars, count: int, rounds: int) -> None:
    """From files to something validated, warm and cold."""
    files = symbol_desk.files_of(where)
    calls: dict[str, tuple[Callable[[], object], Sequence[Path]]] = {
        "Daybook: desk.toml and CSV to a snapshot": (lambda: symbol_desk.loaded(where), files)
    }
    calls |= {name: (_of(read, where.home / file), [where.home / file]) for name, (read, file) in SOURCES.items()}
    warm = interleaved({name: call for name, (call, _) in calls.items()}, rounds)
    beside(f"{count:,} symbols from files to validated, files in memory, ms", warm, 1000, "ms")
    cold, kept = _cold(calls, rounds)
    beside(f"the same, files cold (pages kept all the same: {kept:.2%})", cold, 1000, "ms")
    if count == min(SIZES):
        for name, found in (("in memory", warm), ("cold", cold)):
            median = statistics.median(next(iter(found.values())))
            bars.below(f"{count:,} symbols: files ({name}) to snapshot", median * 1000, LOAD_MS, "ms")
        bars.true("pages of cold files were dropped", f"{1 - kept:.1%}", kept < MOST_KEPT)


def opening(where: Place, files: CompiledFiles, name: str, bars: Bars, count: int, rounds: int) -> None:
    """What was validated before, read again."""
    home, symbol = where.home, symbol_desk.symbols(count)[count // 2]
    mapped = home / "config" / "snapshots" / f"{name}.snapshot"
    calls: dict[str, tuple[Callable[[], object], Sequence[Path]]] = {
        "Daybook: snapshot opened": (lambda: files.open(name), [mapped]),
        "Daybook: snapshot opened, and a limit read": (lambda: files.open(name).position_limit(symbol), [mapped]),
    }
    calls |= {label: (_of(read, home / file), [home / file]) for label, (read, file) in KEPT.items()}
    warm = interleaved({label: call for label, (call, _) in calls.items()}, rounds)
    beside(f"{count:,} symbols opened once validated, files in memory, ms", warm, 1000, "ms")
    cold, kept = _cold(calls, rounds)
    beside(f"the same, files cold (pages kept all the same: {kept:.2%})", cold, 1000, "ms")
    for label, found in (("in memory", warm), ("cold", cold)):
        median = statistics.median(next(iter(found.values())))
        bars.below(f"{count:,} symbols: opening a snapshot ({label})", median * 1000, OPEN_MS[count], "ms")
    bars.below(f"{count:,} symbols: bytes a symbol on disk", mapped.stat().st_size / count, SYMBOL_BYTES, "bytes")


def _of(read: Callable[[Path], Any], file: Path) -> Callable[[], object]:
    return lambda: read(file)


def _cold(
    calls: Mapping[str, tuple[Callable[[], object], Sequence[Path]]], rounds: int
) -> tuple[dict[str, list[float]], float]:
    """Seconds of every call, its files forgotten before; and the largest part of them that was not."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    kept = 0.0
    for _ in range(rounds):
        for name, (call, files) in calls.items():
            gc.collect()
            kept = max(kept, page_cache.dropped(files))
            began = time.perf_counter()
            held = call()
            taken[name].append(time.perf_counter() - began)
            del held
    return taken, kept


# --- memory -----------------------------------------------------------------------------------------------------------
def holding(kind: str, home: Path) -> Any:
    """What a process holds that needs the configuration."""
    if kind == "files":
        return symbol_desk.loaded(place(home, "local"))
    if kind == "snapshot":
        return _all_read(CompiledFiles(home / "config"))
    read, file = {"models": SOURCES["pydantic alone, JSON"], "structs": SOURCES["msgspec, JSON"],
                  "dicts": KEPT["dict of dicts, pickle"]}[kind]  # fmt: skip
    return read(home / file)


def _all_read(files: CompiledFiles) -> Snapshot:
    """A mapped snapshot of which every setting of every symbol was read."""
    snapshot = files.verify(files.hashes()[0])
    for symbol in snapshot:
        snapshot.symbol(symbol)
    return snapshot


def child(kind: str, few: Path, many: Path) -> None:
    """A fresh process: prints its memory in MB before and after it held many symbols, and at most."""
    del sys.argv[1:]
    held = holding(kind, few)
    del held
    gc.collect()
    before, peak_before = _memory_mb(), _peak_mb()
    held = holding(kind, many)
    print(json.dumps({"before": before, "after": _memory_mb(), "peak": _peak_mb() - peak_before}))
    del held


def _memory_mb() -> dict[str, float]:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    found = {line.split(":")[0]: float(line.split()[1]) / 1000 for line in lines if line.endswith("kB")}
    return {"rss": found["Rss"], "pss": found["Pss"]}


def _peak_mb() -> float:
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    return float(line.split()[1]) / 1000


def memory(few: Path, many: Path, bars: Bars, count: int) -> None:
    """Growth of fresh processes."""
    kinds = {
        "snapshot": "Daybook: mapped snapshot, every setting read",
        "files": "Daybook: files to a snapshot in this process",
        "models": "pydantic alone, JSON",
        "structs": "msgspec, JSON",
        "dicts": "dict of dicts, pickle",
    }
    print(f"  growth of a process by {count:,} symbols, MB (resident, its share, at most)")
    for kind, label in kinds.items():
        command = [sys.executable, __file__, "--hold", kind, str(few), str(many)]
        found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        grown = {name: found["after"][name] - found["before"][name] for name in ("rss", "pss")}
        print(
            f"    {label:56} {grown['rss']:9.1f} {grown['pss']:9.1f} {found['peak']:9.1f}   from "
            f"{found['before']['rss']:.1f}"
        )
        if label.startswith("Daybook"):
            bars.below(f"{count:,} symbols: growth, {label.removeprefix('Daybook: ')}", grown["rss"], GROWTH_MB, "MB")


# --- validating -------------------------------------------------------------------------------------------------------
def validating(bars: Bars, count: int, rounds: int) -> None:
    """Cells of a table judged in a second, text to numbers included where they are text; then symbols one by one."""
    import msgspec
    import pyarrow as pa

    from trading.config.symbol_table import symbol_table
    from trading.config.symbols import SymbolOverrides

    rows = symbol_desk.rows(count)
    texts = pa.table({name: pa.array([str(row[name]) for row in rows]) for name in rows[0]})
    taken = interleaved(
        {
            "Daybook: a table of text": lambda: symbol_table(texts, "table"),
            "pydantic alone": lambda: peers.MODELS.validate_python(rows),
            "msgspec": lambda: msgspec.convert(rows, list[peers.Struct]),
            "dict of dicts, checked in a loop": lambda: _looped(rows),
        },
        rounds,
    )
    print(f"  {count:,} symbols: validations of a field, millions a second")
    for name, seconds in taken.items():
        print(f"    {name:56} {count * len(FIELDS) / statistics.median(seconds) / 1e6:9.2f}")
    ours = statistics.median(next(iter(taken.values())))
    bars.above(f"{count:,} symbols: fields validated, vectorised", count * len(FIELDS) / ours, FIELD_RATE, "/s")
    if count == min(SIZES):
        own = [{field.name: row[field.name] for field in FIELDS} for row in rows]
        chosen = (own * (VALIDATIONS // len(own) + 1))[:VALIDATIONS]
        found = interleaved({"one by one": lambda: [SymbolOverrides.model_validate(each) for each in chosen]}, rounds)
        rate = VALIDATIONS / statistics.median(found["one by one"])
        bars.above("single symbols validated by pydantic, nine settings", rate, SYMBOL_RATE, "/s")


def _looped(rows: Iterable[Mapping[str, object]]) -> None:
    for row in rows:
        if any(fault(field, row[field.name]) for field in FIELDS):
            raise ValueError(row["symbol"])


# --- reading ----------------------------------------------------------------------------------------------------------
def reading(where: Place, snapshot: Snapshot, bars: Bars, count: int, rounds: int) -> None:
    """A limit of a symbol, symbol by symbol: of those that are traded, and of all in any order."""
    in_force = InForce(Version(1, snapshot))
    models, structs, dicts = (read(where.home / file) for read, file in KEPT.values())
    names = symbol_desk.symbols(count)
    random.Random(2).shuffle(names)

    def ours(asked: Sequence[str]) -> None:
        for symbol in asked:
            in_force.now.snapshot.position_limit(symbol)

    def of_attributes(asked: Sequence[str], held: Mapping[str, Any]) -> None:
        for symbol in asked:
            held[symbol].max_position_contracts  # noqa: B018

    def of_dicts(asked: Sequence[str]) -> None:
        for symbol in asked:
            dicts[symbol]["max_position_contracts"]

    for label, asked in (("that are traded", names[:TRADED]), ("in any order", names)):
        repeats = max(1, count // len(asked))
        taken = interleaved(
            {
                "Daybook: the version in force, its limit": lambda a=asked, r=repeats: [ours(a) for _ in range(r)],
                "pydantic alone": lambda a=asked, r=repeats: [of_attributes(a, models) for _ in range(r)],
                "msgspec": lambda a=asked, r=repeats: [of_attributes(a, structs) for _ in range(r)],
                "dict of dicts": lambda a=asked, r=repeats: [of_dicts(a) for _ in range(r)],
            },
            rounds,
        )
        scale = 1e9 / (repeats * len(asked))
        beside(
            f"a limit read, {len(asked):,} of {count:,} symbols {label}, ns with the loop around it", taken, scale, "ns"
        )
        if len(asked) == TRADED:
            median = statistics.median(next(iter(taken.values()))) * scale
            bars.below(f"{count:,} symbols: a limit read from Python", median, READ_NS, "ns")


DEAREST = {"max_exposure_fraction": 0.5}


def peers_updating(home: Path, asked: Sequence[str]) -> dict[str, Callable[[], object]]:
    """The same change by what a desk would write itself: a checked copy of one symbol, and the mapping copied."""
    import msgspec

    models, structs, dicts = (read(home / file) for read, file in KEPT.values())

    def of_models() -> None:
        held = models
        for symbol in asked:
            held = {**held, symbol: peers.Model.model_validate({**held[symbol].model_dump(), **DEAREST})}

    def of_structs() -> None:
        held = structs
        for symbol in asked:
            held = {**held, symbol: msgspec.convert({**msgspec.structs.asdict(held[symbol]), **DEAREST}, peers.Struct)}

    def of_dicts() -> None:
        held = dicts
        for symbol in asked:
            held = {**held, symbol: {**held[symbol], **DEAREST}}

    return {
        "pydantic alone, the mapping copied": of_models,
        "msgspec, the mapping copied": of_structs,
        "dict of dicts, copied, unchecked": of_dicts,
    }


def updating(where: Place, snapshot: Snapshot, bars: Bars, count: int, rounds: int) -> None:
    """One symbol changed, checked and swapped, so that a reader sees the old configuration or the new one."""
    in_force = InForce(Version(1, snapshot))
    asked = random.Random(3).sample(symbol_desk.symbols(count), UPDATES)

    def ours(changes: Mapping[str, object]) -> None:
        for symbol in asked:
            now = in_force.now
            in_force.swap(now.number, now.snapshot.with_symbol(symbol, changes))

    calls: dict[str, Callable[[], object]] = {
        "Daybook: max_exposure_fraction, two columns": lambda: ours(DEAREST),
        "Daybook: max_position_contracts": lambda: ours({"max_position_contracts": 7}),
    }
    taken = interleaved({**calls, **peers_updating(where.home, asked)}, rounds)
    beside(f"{count:,} symbols: one symbol changed, checked and swapped, ms", taken, 1000 / UPDATES, "ms")
    for name in calls:
        median = statistics.median(taken[name]) * 1000 / UPDATES
        bars.below(f"{count:,} symbols: one changed ({name.split()[1].strip(',')})", median, UPDATE_MS, "ms")


def main() -> int:
    """Prints figures and bars; 1 where a bar is missed."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=9)
    asked.add_argument("--hold", nargs=3, metavar=("KIND", "FEW", "MANY"), help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.hold:
        child(given.hold[0], Path(given.hold[1]), Path(given.hold[2]))
        return 0
    bars = Bars()
    print(f"{len(FIELDS)} settings a symbol, medians of {given.rounds} rounds; {machine()}")
    with tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few"
        prepared(few, FEW)
        for count in SIZES:
            where, files, name = prepared(Path(folder) / f"{count}", count)
            loading(where, bars, count, given.rounds)
            opening(where, files, name, bars, count, given.rounds)
            validating(bars, count, given.rounds)
            reading(where, files.open(name), bars, count, given.rounds)
            updating(where, files.open(name), bars, count, given.rounds)
        memory(few, Path(folder) / f"{max(SIZES)}", bars, max(SIZES))
    print(f"{bars.short} bars missed; {machine()}")
    return int(bars.short > 0)


if __name__ == "__main__":
    sys.exit(main())
