"""Where a symbol's row is: an open-addressing table that is read where it lies, and the names beside it.

Belongs here: finding a row by symbol, and building the table. Does not belong here: what a row holds (`snapshot.py`).

The hash is CRC-32 of the name in UTF-8, the same in every process. Its upper 12 bits choose the shard, its lower bits
the place in the shard's table, whose size is a power of two, twice the shard's symbols or more. An entry is 0 (nobody),
or 1 + the row within the shard; who finds his place taken goes to the next one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from trading.errors import ConfigError, SnapshotRefused, UnknownSymbol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_SHARDS = 256
MEMORISED = 65_536  # rows a process remembers by symbol: about 90 bytes each
_SHARD_BITS = 20
_LONGEST_GUESSED = 16
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


class Shard(NamedTuple):
    """One shard: its rows begin at `first`, there are `rows`, and its table has `size` places from `place` on."""

    first: int
    rows: int
    place: int
    size: int


class _Table(NamedTuple):
    """A shard's places; what leaves of a hash a place among them; and the row before the shard's first."""

    places: memoryview
    mask: int
    before: int


class SymbolIndex:
    """Names, their rows, and a table over their hashes; immutable. Rows of a shard are sorted by symbol."""

    __slots__ = ("_names", "_starts", "_tables", "shards")

    def __init__(self, names: memoryview, starts: memoryview, table: memoryview, shards: Iterable[Shard]) -> None:
        self._names, self._starts = names, starts
        self.shards = tuple(shards)
        self._tables = tuple(
            _Table(table[shard.place : shard.place + shard.size], shard.size - 1, shard.first - 1)
            for shard in self.shards
        )

    def __len__(self) -> int:
        return len(self._starts) - 1

    def find(self, symbol: str) -> int:
        """The row of a symbol, or -1. Raises SnapshotRefused where a damaged table leads to no row."""
        name = symbol.encode("utf-8", "surrogatepass")
        code, tables, starts = zlib.crc32(name), self._tables, self._starts
        table = tables[(code >> _SHARD_BITS) % len(tables)]
        places, mask, before = table
        entry = places[code & mask]
        if not entry:
            return -1
        row = before + entry
        try:
            if self._names[starts[row] : starts[row + 1]] == name:
                return row
            return self._further(name, code, table)
        except IndexError as cause:  # `open` looks at no entry: a process would start more slowly
            raise SnapshotRefused(
                "its index of symbols is damaged. Compile the configuration again: daybook config apply --reason."
            ) from cause

    def _further(self, name: bytes, code: int, table: _Table) -> int:
        """The row of a name that is not where it was looked for first, as one in six is not."""
        names, starts, (places, mask, before) = self._names, self._starts, table
        for slot in range(code + 1, code + len(places)):  # a damaged table ends too
            entry = places[slot & mask]
            if not entry:
                break
            row = before + entry
            if names[starts[row] : starts[row + 1]] == name:
                return row
        return -1

    def symbol(self, row: int) -> str:
        """The symbol of a row."""
        return str(self._names[self._starts[row] : self._starts[row + 1]], "utf-8", "replace")

    def __iter__(self) -> Iterator[str]:
        """Symbols in the order of their rows."""
        return map(self.symbol, range(len(self)))

    def near(self, symbol: str) -> str | None:
        """A known symbol that differs by case or by one letter, or None: found by looking up each, however many symbols
        there are."""
        cased = (symbol.upper(), symbol.lower())
        guesses = _one_off(symbol.upper()) if len(symbol) <= _LONGEST_GUESSED else ()
        return next((guess for guess in (*cased, *guesses) if guess != symbol and self.find(guess) >= 0), None)


class RowMemo(dict[str, int]):
    """The rows a process asked for, so that a symbol is hashed once; it forgets all when it holds MEMORISED.

    Reading needs no lock: what is missing is found again, and every thread finds the same.
    """

    __slots__ = ("index",)

    def __init__(self, index: SymbolIndex) -> None:
        super().__init__()
        self.index = index

    def __missing__(self, symbol: str) -> int:
        row = self.index.find(symbol) if isinstance(symbol, str) else -1
        if row < 0:
            raise UnknownSymbol(symbol, self.index.near(symbol) if isinstance(symbol, str) else None, len(self.index))
        if len(self) >= MEMORISED:
            self.clear()
        self[symbol] = row
        return row


class BuiltIndex(NamedTuple):
    """An index to be written, and the order of its rows: `order[row]` is the place of that row's symbol in what was
    given."""

    names: bytes
    starts: npt.NDArray[np.uint32]
    table: npt.NDArray[np.uint32]
    shards: tuple[Shard, ...]
    order: npt.NDArray[np.int64]


def built(symbols: Sequence[str], shards: int = 1) -> BuiltIndex:
    """The index of symbols that are sorted, each once. Raises ConfigError on a number of shards that there cannot be,
    and on a symbol twice."""
    import numpy as np

    if not 1 <= shards <= MOST_SHARDS:
        raise ConfigError(f"{shards} shards were asked for. Ask for 1 to {MOST_SHARDS}.")
    if any(left >= right for left, right in pairwise(symbols)):
        raise ConfigError("symbols are not sorted, or one is there twice. Sort them, and give each once.")
    names = [symbol.encode() for symbol in symbols]
    codes = np.fromiter(map(zlib.crc32, names), np.uint32, len(names))
    of_shard = (codes >> np.uint32(_SHARD_BITS)) % np.uint32(shards)
    order = np.argsort(of_shard, kind="stable")
    counts = np.bincount(of_shard, minlength=shards).tolist()
    tables = _tables(codes[order], counts)
    lengths = np.fromiter(map(len, names), np.int64, len(names))[order]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.uint32)
    blob = b"".join(map(names.__getitem__, order.tolist()))
    return BuiltIndex(blob, starts, np.concatenate(tables), tuple(_placed(counts, tables)), order)


def _placed(counts: Sequence[int], tables: Sequence[Any]) -> Iterator[Shard]:
    first = place = 0
    for rows, table in zip(counts, tables, strict=True):
        yield Shard(first, rows, place, len(table))
        first, place = first + rows, place + len(table)


def _tables(codes: npt.NDArray[np.uint32], counts: Sequence[int]) -> list[npt.NDArray[np.uint32]]:
    ends = [sum(counts[: number + 1]) for number in range(len(counts))]
    return [_table(codes[end - rows : end]) for end, rows in zip(ends, counts, strict=True)]


def _table(codes: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """All who wait try their place at once; whoever did not get it tries the next one. So every place between a
    symbol's first and the one it got is taken, which is what `find` needs."""
    import numpy as np

    size = 1 << max(1, (2 * len(codes) - 1).bit_length())
    table = np.zeros(size, np.uint32)
    waiting, slots = np.arange(1, len(codes) + 1, dtype=np.uint32), codes & np.uint32(size - 1)
    while len(waiting):
        free = table[slots] == 0
        table[slots[free]] = waiting[free]
        left = table[slots] != waiting
        waiting, slots = waiting[left], (slots[left] + np.uint32(1)) & np.uint32(size - 1)
    return table


def _one_off(symbol: str) -> Iterator[str]:
    """Every text that is one letter more, less, changed or exchanged with its neighbour."""
    for place in range(len(symbol) + 1):
        before, after = symbol[:place], symbol[place:]
        if after:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        for letter in _UPPER:
            yield before + letter + after[1:]
            yield before + letter + after
