"""Parts of a snapshot made from other parts: with rows changed, or of one shard.

Belongs here: copying what changes and nothing else. Does not belong here: reading (`snapshot.py`), or bytes of a file
(`snapshot_layout.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trading.config.snapshot_facts import checked_facts
from trading.config.snapshot_layout import Contents, Part, native, view
from trading.config.symbol_fields import FIELDS, Value, checked
from trading.config.symbol_index import Shard
from trading.errors import ConfigError

FORMATS = {"whole": "i", "number": "d", "choice": "B"}
BITS = {field.name: 1 << place for place, field in enumerate(FIELDS)}
CHOICES = {field.name: field.choices for field in FIELDS if field.kind == "choice"}
SHAPE = [[field.name, field.kind, list(field.choices)] for field in FIELDS]
ROWS: Mapping[str, str] = {  # parts that have a value a row, and its format
    **{f"column.{field.name}": FORMATS[field.kind] for field in FIELDS},
    "own": "I",
    "asset_class": "H",
    "exchange_group": "H",
    "exposure_base": "d",
}
INDEX = ("names", "starts", "table")  # parts that say which row is whose
Rows = Mapping[int, float]  # new values of a column, by row


def check_shape(contents: Contents) -> None:
    """Raises ValueError where parts do not fit each other: whoever wrote them was not `compiled.py`."""
    parts = contents.parts
    rows = len(parts["starts"].view) - 1
    for name, form in ROWS.items():
        found = parts[name].view
        if len(found) != rows or (rows and found.format != form):
            raise ValueError(f"{name} has {len(found)} values of format {found.format}, not {rows} of {form}")
    _check_shards([Shard(*shard) for shard in contents.about["shards"]], rows, len(parts["table"].view))
    if (parts["starts"].view.format, parts["table"].view.format, parts["names"].view.format) != ("I", "I", "B"):
        raise ValueError("its index is none")
    if "sparse" not in parts:
        raise ValueError("what is sparse is not there")
    facts = contents.about["facts"]
    if checked_facts(facts) != facts or type(contents.about["edits"]) is not int:
        raise ValueError("its facts are not what was worked out")


def _check_shards(shards: Sequence[Shard], rows: int, places: int) -> None:
    """Shards lie one behind the other, and each has a table of a power of two of places."""
    first = place = 0
    for shard in shards:
        fits = (shard.first, shard.place) == (first, place) and min(shard.rows, shard.size - 1) >= 0
        if not fits or any(type(number) is not int for number in shard) or shard.size & (shard.size - 1):
            raise ValueError(f"shard {shard} does not fit")
        first, place = first + shard.rows, place + shard.size
    if (first, place) != (rows, places) or not shards:
        raise ValueError(f"its shards hold {first} rows of {rows}")


def same_rows(one: Contents, other: Contents) -> bool:
    """Whether every symbol of both has the same row in both, by the hashes of what says so."""
    digests = [(one.parts[name].digest, other.parts[name].digest) for name in INDEX]
    return one.about["shards"] == other.about["shards"] and all(a and a == b for a, b in digests)


def changed_rows(
    changes: Mapping[str, Mapping[str, object]], rows: Mapping[str, int], owners: memoryview
) -> tuple[dict[str, dict[int, float]], dict[int, int]]:
    """New values by field and row, and who owns what then by row. Raises UnknownSymbol, and ConfigError naming every
    wrong value."""
    new: dict[str, dict[int, float]] = {}
    own: dict[int, int] = {}
    for symbol, values in _all_checked(changes).items():
        row = rows[symbol]
        own[row] = owners[row]
        for field, value in values.items():
            new.setdefault(field, {})[row] = _stored(field, value)
            own[row] |= BITS[field]
    return new, own


def over(part: Part, rows: Rows) -> Part:
    """A column with some rows changed: one copy, of bytes that nobody can write."""
    form, size = part.view.format, part.view.itemsize
    return Part(view(b"".join(_pieces(part.view.cast("B"), rows, form, size)), form))


def exposures(fractions: Part, capital_base: float) -> Part:
    """The largest |notional| by row, base currency, from fractions of capital."""
    return Part(view(b"".join(native(each * capital_base, "d") for each in fractions.view), "d"))


def one_shard(contents: Contents, shard: Shard) -> Contents:
    """What lies in a file of one shard's symbols only."""
    first, end = shard.first, shard.first + shard.rows
    parts = {name: part for name, part in contents.parts.items() if name not in ROWS}
    parts |= {name: Part(contents.parts[name].view[first:end]) for name in ROWS}
    starts = parts["starts"].view[first : end + 1]
    parts["names"] = Part(parts["names"].view[starts[0] : starts[-1]])
    parts["starts"] = Part(view(b"".join(native(each - starts[0], "I") for each in starts), "I"))
    parts["table"] = Part(parts["table"].view[shard.place : shard.place + shard.size])
    about = {**contents.about, "shards": [[0, shard.rows, 0, shard.size]]}
    return Contents(about, {name: parts[name] for name in contents.parts})


def _pieces(flat: memoryview, rows: Rows, form: str, size: int) -> Iterator[bytes | memoryview]:
    at = 0
    for row in sorted(rows):
        yield flat[at : row * size]
        yield native(rows[row], form)
        at = (row + 1) * size
    yield flat[at:]


def _all_checked(changes: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, Value]]:
    found, wrong = {}, []
    for symbol, values in changes.items():
        try:
            found[symbol] = checked(values)
        except ConfigError as cause:
            wrong.append(f"{symbol}: {cause}")
    if wrong:
        raise ConfigError(" ".join(wrong))
    return found


def _stored(field: str, value: Value) -> float:
    return (
        CHOICES[field].index(str(value))
        if field in CHOICES
        else float(value)
        if isinstance(value, float)
        else int(value)
    )
