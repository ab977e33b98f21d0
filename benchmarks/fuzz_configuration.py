"""Claim: whatever a configuration file holds, it is read or refused by a named error, in bounded time.

Changes real files at random (bytes, lines, values, pieces of other files) and makes settings out of nothing with
hypothesis, and reads them by the roads that commands take: desk files in TOML and YAML, strategy files, tables of
symbols, packed and Arrow forms, compiled snapshots. Only what `trading/errors.py` names may come out, in a text of
bounded length that a terminal does not obey. Prints how many cases each road had and which errors they ended in, and
ends with an error where anything else came out; the bytes are kept then. Run:
`python benchmarks/fuzz_configuration.py [--minutes 1] [--seed 1] [--keep FOLDER]`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import tomlkit  # noqa: E402
import yaml  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from pipelines.configuration_snapshot import compiled_settings  # noqa: E402
from pipelines.settings import place, read_settings, strategy_file  # noqa: E402
from pipelines.symbols import columns_of  # noqa: E402
from resources import config_forms, symbol_forms  # noqa: E402
from resources.config_documents import document  # noqa: E402
from trading.config.models import DeskSettings  # noqa: E402
from trading.config.snapshot import Snapshot  # noqa: E402
from trading.config.strategies import RuleSettings, StrategySettings  # noqa: E402
from trading.config.symbol_fields import FIELD  # noqa: E402
from trading.errors import DaybookError  # noqa: E402

LONGEST_SECONDS = 30.0
LONGEST_TEXT = 100_000
TOKENS = (
    b"[", b"]", b"[[", b"]]", b"{", b"}", b"=", b".", b",", b":", b"'", b'"', b'"""', b"'''", b"#", b"\n", b"\r\n",
    b"\t", b"\x00", b"\xff", b"\xef\xbb\xbf", "é".encode(), "\u202e".encode(), b"&a ", b"*a", b"!!python/object:os.x ",
    b"<<: ", b"---\n", b"- ", b"? ", b"nan", b"-inf", b"true", b"null", b"1e999", b"-1", b"0", b"99999999999999999999",
    b"0x" + b"f" * 40, b"2001-02-29", b"1979-05-27T07:32:00Z", b"'../x'", b"'/dev/zero'", b"'~'", b"{ env = 'A' }",
    b"schema = 1\n", b"schema = 3\n", b"[symbols]\ntable = 'a.csv'\n", b"environment = 'production'\n",
    b"inherits = 'a'\n", b"[capital]\n", b"strategies = ['x']\n", b"\x1b[2J", b"[" * 200, b"{a=" * 60, b"a." * 200,
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.dates() | st.times()
    | st.sampled_from(["..", "/dev/zero", "https://u:p@h", "\x1b[2J", "x" * 50_000, 2**63, -(2**70), "2000-01-31"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@dataclass
class Tally:
    """What came out, by road, and what should not have."""

    keep: Path
    ended: dict[str, Counter[str]] = field(default_factory=dict)
    slowest: tuple[float, str] = (0.0, "")
    wrong: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        """How many there were."""
        return sum(counter.total() for counter in self.ended.values())

    def note(self, road: str, outcome: str, seconds: float) -> None:
        """Counts a case."""
        self.ended.setdefault(road, Counter())[outcome] += 1
        self.slowest = max(self.slowest, (seconds, road))

    def refuse(self, road: str, data: bytes, why: str) -> None:
        """Keeps the bytes of a case that ended otherwise."""
        self.keep.mkdir(parents=True, exist_ok=True)
        file = self.keep / f"{road}-{len(self.wrong)}.bin"
        file.write_bytes(data)
        self.wrong.append(f"{road} ({file}): {why}")


# --- roads ------------------------------------------------------------------------------------------------------------
class Roads:
    """Every way that bytes become a configuration, by name, with real bytes to begin with."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.read: dict[str, Callable[[bytes], object]] = {
            "toml": lambda data: document("x.toml", data),
            "yaml": lambda data: document("x.yaml", data, yaml=True),
            "desk in TOML": lambda data: self.desk({"desk.toml": data}),
            "desk in YAML": lambda data: self.desk({"desk.yaml": data}),
            "strategy": self.strategy,
            "table": lambda data: self.desk({"desk.toml": b"[symbols]\ntable = 'symbols.csv'\n", "symbols.csv": data}),
            "msgpack": lambda data: config_forms.PackedConfiguration.open(data).desk(),
            "arrow": config_forms.from_arrow,
            "symbols in arrow": symbol_forms.from_arrow,
            "snapshot": self.snapshot,
        }
        self.real = self.real_files()

    def real_files(self) -> dict[str, list[bytes]]:
        """What each road is made for."""
        desks = [file.read_bytes() for file in (ROOT / "config").glob("*.toml")]
        desks += [file.read_bytes() for file in (ROOT / "tests").rglob("schemas/*/*.toml")]
        own = [file.read_bytes() for file in (ROOT / "config" / "strategies").glob("*.toml")]
        plain = [_as_yaml(document("x", data).values) for data in desks]
        shipped = read_settings(place(self.home, "local"))
        columns = columns_of(shipped, None, place(self.home, "local"))
        table = b"symbol,asset_class,max_position_contracts,max_spike,trading_mode\nCORN,,5,2.5,free\nUS10,,,9,none\n"
        return {
            "toml": desks + own, "yaml": plain, "desk in TOML": desks, "desk in YAML": plain, "strategy": own,
            "table": [table], "msgpack": [config_forms.packed(shipped)], "arrow": [config_forms.as_arrow(shipped)],
            "symbols in arrow": [symbol_forms.as_arrow(columns)],
            "snapshot": [compiled_settings(shipped, columns)],
        }  # fmt: skip

    def desk(self, files: dict[str, bytes]) -> object:
        """A desk with these files in its home: its settings, and what a symbol gets."""
        for name in ("desk.toml", "desk.yaml", "symbols.csv"):
            (self.home / name).unlink(missing_ok=True)
        for name, data in files.items():
            (self.home / name).write_bytes(data)
        return read_settings(place(self.home, "local")).symbol("CORN")

    def strategy(self, data: bytes) -> object:
        """A strategy file of the home."""
        (self.home / "own.toml").write_bytes(data)
        return strategy_file(str(self.home / "own.toml"), place(self.home, "local"))

    def snapshot(self, data: bytes) -> object:
        """A compiled configuration, and a symbol of it."""
        opened = Snapshot.open(data)
        known = [symbol for symbol in ("CORN", "US10") if symbol in opened]
        return [(opened.symbol(symbol), opened.order_limits(symbol)) for symbol in known]


def attempt(roads: Roads, road: str, data: bytes, tally: Tally) -> None:
    """Reads one case by one road."""
    begun, outcome = time.perf_counter(), "read"
    try:
        roads.read[road](data)
    except DaybookError as refused:
        outcome, text = type(refused).__name__, str(refused)
        if len(text) > LONGEST_TEXT or not text.replace("\n", "").isprintable():
            tally.refuse(road, data, f"a text of {len(text):,} characters: {text[:300]!r}")
    except Exception:  # whatever it is: that is the question
        outcome = "not named"
        tally.refuse(road, data, traceback.format_exc(limit=-6))
    seconds = time.perf_counter() - begun
    if seconds > LONGEST_SECONDS:
        tally.refuse(road, data, f"took {seconds:.1f} s")
    tally.note(road, outcome, seconds)


# --- real files, changed ----------------------------------------------------------------------------------------------
def mutated(real: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A file with one to six changes."""
    data = bytearray(real)
    for _ in range(chance.randint(1, 6)):
        change = chance.choice((_byte, _cut, _token, _repeat, _value, _swap, _splice))
        change(data, others, chance)
    return bytes(data[:200_000])


def _byte(data: bytearray, _: list[bytes], chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _cut(data: bytearray, _: list[bytes], chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    del data[start : start + chance.choice((1, 5, 50, len(data)))]


def _token(data: bytearray, _: list[bytes], chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = chance.choice(TOKENS)


def _repeat(data: bytearray, _: list[bytes], chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    data[start:start] = data[start : start + chance.choice((5, 50, 500))] * chance.choice((1, 2, 50))


def _value(data: bytearray, _: list[bytes], chance: random.Random) -> None:
    """One setting gets another value."""
    lines = bytes(data).split(b"\n")
    settings = [number for number, line in enumerate(lines) if b" = " in line or b": " in line]
    if settings:
        number = chance.choice(settings)
        mark = b" = " if b" = " in lines[number] else b": "
        lines[number] = lines[number].split(mark)[0] + mark + chance.choice(TOKENS)
        data[:] = b"\n".join(lines)


def _swap(data: bytearray, _: list[bytes], chance: random.Random) -> None:
    lines = bytes(data).split(b"\n")
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    data[:] = b"\n".join(lines)


def _splice(data: bytearray, others: list[bytes], chance: random.Random) -> None:
    other = chance.choice(others)
    start, at = chance.randint(0, len(other)), chance.randint(0, len(data))
    data[at:at] = other[start : start + chance.choice((20, 200, 2000))]


# --- settings out of nothing ------------------------------------------------------------------------------------------
def paths_of(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Where something may be set."""
    for name, found in model.model_fields.items():
        here = (*path, found.alias or name)
        yield here
        inner = found.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from paths_of(inner, here)


def nested(given: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """Values by path as tables inside tables; a value that stands in the way gives way."""
    made: dict[str, Any] = {}
    for path, value in given.items():
        at = made
        for part in path[:-1]:
            if not isinstance(at.get(part), dict):
                at[part] = {}
            at = at[part]
        at[path[-1]] = value
    return made


def as_files(values: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Values in every form that can say them, with its road."""
    try:
        text = tomlkit.dumps(values).encode(errors="surrogatepass")
    except Exception:  # of the library that writes: TOML cannot say everything
        text = b""
    yield from ((road, text) for road in ("toml", "desk in TOML", "strategy"))
    yield from ((road, _as_yaml(values)) for road in ("yaml", "desk in YAML"))


def _as_yaml(values: dict[str, Any]) -> bytes:
    try:
        return bytes(yaml.safe_dump(values).encode(errors="surrogatepass"))
    except yaml.YAMLError:  # it has no times
        return bytes(yaml.safe_dump(json.loads(json.dumps(values, default=str))).encode(errors="surrogatepass"))


def invented(roads: Roads, tally: Tally, examples: int, number: int) -> None:
    """Settings at real places with values nobody meant, and plain bytes."""
    named = [
        ("symbols", section, "a", name) for section in ("symbols", "asset_classes") for name in (*FIELD, "inherits")
    ]
    rules = [("rules", "r", name) for name in RuleSettings.model_fields]
    models = [*paths_of(DeskSettings), *paths_of(StrategySettings)]
    places = st.sampled_from([*models, *named, *rules]) | st.tuples(st.text(max_size=10))
    quick = settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip

    @seed(number)
    @quick
    @given(st.dictionaries(places, VALUES, max_size=6))
    def structures(given: dict[tuple[str, ...], Any]) -> None:
        for road, data in as_files(nested(given)):
            attempt(roads, road, data, tally)

    @seed(number)
    @quick
    @given(st.sampled_from(sorted(roads.read)), st.binary(max_size=300))
    def noise(road: str, data: bytes) -> None:
        attempt(roads, road, data, tally)

    structures()
    noise()


def fuzz(home: Path, keep: Path, seconds: float, first_seed: int = 1, examples: int = 100) -> Tally:
    """Cases until the time is over, at least a round: changed files by every road, and invented settings."""
    roads, tally = Roads(home), Tally(keep)
    end, number = time.monotonic() + seconds, first_seed
    while True:
        chance = random.Random(number)
        for road, real in roads.real.items():
            for _ in range(examples // 2):
                attempt(roads, road, mutated(chance.choice(real), real, chance), tally)
        invented(roads, tally, examples, number)
        number += 1
        if time.monotonic() > end or tally.wrong:
            return tally


def main() -> int:
    """Fuzzes, prints what came out, and fails on anything that is not named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzzed-configurations")
    asked = parser.parse_args()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = fuzz(Path(folder), asked.keep, asked.minutes * 60, asked.seed)
    for road, ended in tally.ended.items():
        said = ", ".join(f"{outcome} {count:,}" for outcome, count in ended.most_common())
        print(f"{road:18} {ended.total():9,} cases: {said}")
    seconds = time.monotonic() - begun
    print(f"{tally.cases:,} cases in {seconds:,.0f} s; the slowest took {tally.slowest[0]:.2f} s ({tally.slowest[1]})")
    print(f"not named: {len(tally.wrong)}")
    for why in tally.wrong[:5]:
        print(why)
    return 1 if tally.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
