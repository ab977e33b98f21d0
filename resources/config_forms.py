"""A desk's settings for machines: msgpack, of which one section is read without the others, and an Arrow table.

Belongs here: both forms and the way back, bounded, refusing what is damaged, unknown or newer. Does not belong here:
files people write (`config_documents.py`), the columns of symbols (`symbol_forms.py`), or the compiled snapshot.

Both carry the schema, and the hash of the settings, which reading everything compares. Both may hold some sections
only, which are read as values, not as a desk.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from trading.config.documents import DocumentCeilings, Path, refuse, shown
from trading.config.migrations import SCHEMA
from trading.config.models import DeskSettings
from trading.config.refusals import refusal

KIND, FORM = "configuration", 1
CURE = "Write it again with this version of Daybook."
LIMITS = DocumentCeilings(max_bytes=16_000_000, max_nodes=2_000_000, max_depth=32)
_MAX_ROWS = 1_000_000
_SIZES = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_TEXTS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_LISTS = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}  # bytes of the count, values an entry


# --- msgpack ----------------------------------------------------------------------------------------------------------
def packed(desk: DeskSettings, only: Collection[str] = ()) -> bytes:
    """Settings as msgpack: facts, and every section, or `only` those named, packed by itself."""
    import msgpack  # type: ignore[import-untyped]

    sections = {name: msgpack.packb(value) for name, value in _values(desk, only).items()}
    return bytes(msgpack.packb({**_facts(desk), "form": FORM, "schema": SCHEMA, "sections": sections}))


@dataclass(frozen=True, slots=True)
class PackedConfiguration:
    """Packed settings, of which a section is unpacked when it is asked for."""

    name: str
    configuration: str
    packed_sections: Mapping[str, bytes] = field(repr=False)
    limits: DocumentCeilings = LIMITS

    @classmethod
    def open(cls, data: bytes, name: str = "packed settings", limits: DocumentCeilings = LIMITS) -> PackedConfiguration:
        """Settings from `packed`; no section is unpacked. Raises ConfigError naming `name`."""
        found = _unpacked(data, name, limits)
        sections = found.pop("sections", None) if isinstance(found, dict) else None
        if not isinstance(sections, dict) or not all(isinstance(part, bytes) for part in sections.values()):
            refuse(name, None, "holds no sections of settings", CURE)
        return cls(name, _checked(found, name), sections, limits)

    @property
    def sections(self) -> tuple[str, ...]:
        """Names of the sections."""
        return tuple(self.packed_sections)

    def section(self, name: str) -> Any:
        """The values of one section, as JSON has them: `DataSettings.model_validate_json(json.dumps(...))` makes the
        typed value. Raises ConfigError on an unknown or damaged one."""
        if name not in self.packed_sections:
            refuse(self.name, None, f"has no section {shown(name)}", f"It has {', '.join(self.sections)}.")
        return _unpacked(self.packed_sections[name], f"{self.name}, section {name}", self.limits)

    def desk(self, context: Mapping[str, Any] | None = None) -> DeskSettings:
        """All of it as typed settings. Raises ConfigError where it is wrong, or not what its hash says. `context`: what
        the environment allows, by the keys CEILINGS, ROOTS and TIMEZONES of the models; without it the usual ceilings
        hold, and paths and time zones are not looked at."""
        values = {name: self.section(name) for name in self.sections}
        return _desk(values, self.configuration, self.name, context)


def _unpacked(data: bytes, name: str, limits: DocumentCeilings) -> Any:
    import msgpack

    if len(data) > limits.max_bytes:
        refuse(name, None, f"has {len(data):,} bytes, more than {limits.max_bytes:,}", "Daybook did not write it.")
    try:
        _measure(data, name, limits)
        return msgpack.unpackb(data, raw=False, object_pairs_hook=_once)
    except (ValueError, TypeError, IndexError, OverflowError, msgpack.UnpackException) as cause:
        refuse(name, None, f"is no whole msgpack: {str(cause)[:200] or type(cause).__name__}", CURE, cause)


def _once(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs) or not all(isinstance(key, str) for key in found):
        raise ValueError("a key is given twice, or is no text")
    return found


def _measure(data: bytes, name: str, limits: DocumentCeilings) -> None:
    """Walks over what msgpack announces, before anything is made of it: room is kept for what is announced only."""
    at, nodes, waiting = 0, 0, [1]
    while waiting:
        at, inside = _step(data, at)
        nodes += 1 + inside
        waiting[-1] -= 1
        if inside:
            waiting.append(inside)
        while waiting and waiting[-1] == 0:
            waiting.pop()
        if nodes > limits.max_nodes or len(waiting) > limits.max_depth or at > len(data):
            refuse(name, None, "is larger or deeper than settings can be, or cut short", CURE)


def _step(data: bytes, at: int) -> tuple[int, int]:
    """Where the next value begins, and how many values this one announces inside itself."""
    kind = data[at]
    at += 1
    if kind <= 0x7F or kind >= 0xE0 or kind in (0xC0, 0xC2, 0xC3):
        return at, 0
    if kind <= 0x9F:
        return at, (kind & 15) * (2 if kind <= 0x8F else 1)
    if kind <= 0xBF:
        return at + (kind & 31), 0
    if kind in _SIZES:
        return at + _SIZES[kind], 0
    if kind in _TEXTS:
        size = _TEXTS[kind]
        return at + size + int.from_bytes(data[at : at + size]), 0
    if kind in _LISTS:
        size, values = _LISTS[kind]
        return at + size, int.from_bytes(data[at : at + size]) * values
    raise ValueError(f"a value of kind {kind:#04x}, which settings have none of")


# --- Arrow ------------------------------------------------------------------------------------------------------------
def as_arrow(desk: DeskSettings, only: Collection[str] = ()) -> bytes:
    """Settings as an Arrow stream with a row for each, or each of `only` these sections: `path` (list of names) and
    `value` (JSON)."""
    import pyarrow as pa

    from resources.arrow_messages import written

    rows = list(_flat(_values(desk, only)))
    columns = {"path": [list(path) for path, _ in rows], "value": [json.dumps(value) for _, value in rows]}
    facts = {**_facts(desk), "form": str(FORM), "schema": str(SCHEMA)}
    return written(pa.table(columns, schema=_columns()), facts)


def from_arrow(data: bytes, name: str = "settings in Arrow", context: Mapping[str, Any] | None = None) -> DeskSettings:
    """Settings from `as_arrow`; `context` as for `PackedConfiguration.desk`. Raises ConfigError naming `name`."""
    from resources.arrow_messages import read

    table, facts = read(data, _columns(), LIMITS.max_bytes, _MAX_ROWS, name)
    numbers = {key: int(facts[key]) if facts.get(key, "").isdecimal() else facts.get(key) for key in ("form", "schema")}
    configuration = _checked({**facts, **numbers}, name)
    values: dict[str, Any] = {}
    for path, text in zip(table["path"].to_pylist(), table["value"].to_pylist(), strict=True):
        _put(values, tuple(path or ()), text, name)
    return _desk(values, configuration, name, context)


def _columns() -> Any:
    import pyarrow as pa

    return pa.schema([pa.field("path", pa.list_(pa.string())), pa.field("value", pa.string())])


def _flat(values: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(values, dict) and values:
        for key, value in values.items():
            yield from _flat(value, (*path, key))
    else:
        yield path, values


def _put(values: dict[str, Any], path: tuple[str | None, ...], text: str | None, name: str) -> None:
    if not path or len(path) > LIMITS.max_depth or None in path or text is None:
        refuse(name, None, f"a row has the path {shown(path)}", CURE)
    *sections, last = path
    place: Any = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            refuse(name, None, f"{shown(path)} is given inside a single setting", CURE)
    if last in place:
        refuse(name, None, f"{shown(path)} is given twice", CURE)
    try:
        place[last] = json.loads(text)
    except (ValueError, RecursionError) as cause:
        refuse(name, None, f"{shown(path)} has the value {shown(text)}, which is no JSON", CURE, cause)


# --- both -------------------------------------------------------------------------------------------------------------
def _values(desk: DeskSettings, only: Collection[str]) -> dict[str, Any]:
    """Values of all sections, or of some."""
    values: dict[str, Any] = json.loads(desk.document())
    return {name: values[name] for name in only} if only else values


def _facts(desk: DeskSettings) -> dict[str, str]:
    return {"daybook": KIND, "configuration": desk.content_hash()}


def _checked(facts: Mapping[str, Any], name: str) -> str:
    """The hash that facts name. Raises ConfigError on anything but a configuration of this form and schema."""
    known = {"daybook", "form", "schema", "configuration"}
    unknown = sorted(map(str, set(facts) - known))
    if facts.get("daybook") != KIND or unknown:
        found = f"says {shown(unknown[0])}, which is unknown" if unknown else "is no configuration of Daybook"
        refuse(name, None, found, CURE)
    for key, ours in (("form", FORM), ("schema", SCHEMA)):
        given = facts.get(key)
        newer = isinstance(given, int) and given > ours
        if given != ours or isinstance(given, bool):
            age = "newer than" if newer else "not"
            cure = "Update Daybook." if newer else "Read the authored files: they migrate, this form does not."
            refuse(name, None, f"its {key} is {shown(given)}, {age} {ours}, which this version reads", cure)
    return str(facts.get("configuration"))


def _desk(values: Mapping[str, Any], configuration: str, name: str, context: Mapping[str, Any] | None) -> DeskSettings:
    try:
        desk = DeskSettings.model_validate_json(json.dumps(values), context=context and dict(context))
    except ValidationError as cause:
        refuse(name, None, refusal(cause, DeskSettings, "the settings are wrong").removesuffix("."), CURE, cause)
    except (ValueError, RecursionError) as cause:
        refuse(name, None, f"holds what no settings can: {str(cause)[:200]}", CURE, cause)
    if desk.content_hash() != configuration:
        left_out = {field.alias or key for key, field in DeskSettings.model_fields.items()} - set(values)
        if left_out:
            cure = "Read the sections one by one, or write all of them."
            refuse(name, None, f"holds {', '.join(values)} only, which is no whole desk", cure)
        refuse(
            name, None, f"holds {desk.content_hash()[:12]} but says {shown(configuration[:12])}: it was changed", CURE
        )
    return desk
