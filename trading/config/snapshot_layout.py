"""How a compiled snapshot lies in a file: a header, a directory, and parts that are read where they lie.

Belongs here: bytes, their places and their hashes. Does not belong here: what a part means (`snapshot.py`), or files
(`resources/compiled_files.py`).

    0   8  DAYBOOKC
    8   4  0x01020304 in the byte order of the machine that wrote it
    12  4  layout version
    16  8  length of the whole file
    24  8  length of the directory
    32 32  content hash: SHA-256 of the directory, which holds the SHA-256 of every part
    64  4  CRC-32 of the 64 bytes before and of the directory
    68  4  nothing
    72     directory: JSON, {"about": ..., "parts": [[name, format, offset, length, SHA-256], ...]}
    then   the parts, each from a multiple of 8; offsets count from the first

Opening reads the header and the directory, whatever the number of symbols; a part is a view of the buffer. The content
hash is thus a tree: who changes one part hashes that part and the directory again.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from trading.errors import SnapshotRefused

LAYOUT = 1
FORMATS = {"B": 1, "H": 2, "I": 4, "i": 4, "d": 8}  # as memoryview has them, and bytes of one value
_MAGIC, _ORDER = b"DAYBOOKC", 0x01020304
_SUMMED, _HEADER = 64, 72
_CURE = "Compile the configuration again: daybook config apply --reason."


class Part(NamedTuple):
    """One part: values of one format, and the SHA-256 of their bytes in hexadecimal digits; empty: not known yet."""

    view: memoryview[Any]
    digest: str = ""


class Contents(NamedTuple):
    """What a file holds. `content_hash` is empty where nobody has computed it yet."""

    about: Mapping[str, Any]
    parts: Mapping[str, Part]
    content_hash: str = ""


def opened(buffer: bytes | bytearray | memoryview) -> Contents:
    """What lies in a buffer, nothing copied; a buffer that others may write is copied first. The header and the
    directory are checked, and that every part lies inside. Raises SnapshotRefused."""
    whole = memoryview(buffer)
    view = (whole if whole.readonly else memoryview(bytes(whole))).cast("B")
    directory = _directory(view)
    try:
        listed = json.loads(bytes(directory))
        start = _aligned(_HEADER + len(directory))
        parts = {name: Part(_part(view[start:], *place), digest) for name, *place, digest in listed["parts"]}
        if len(parts) != len(listed["parts"]) or not all(isinstance(name, str) for name in parts):
            raise ValueError("a part is there twice, or has no name")
        return Contents(listed["about"], parts, bytes(view[32:64]).hex())
    except (ValueError, KeyError, TypeError, RecursionError) as cause:
        raise SnapshotRefused(f"its directory cannot be read ({str(cause)[:200]}). {_CURE}") from cause


def verified(buffer: bytes | bytearray | memoryview) -> Contents:
    """What lies in a buffer, every byte that means something checked against the content hash. Raises SnapshotRefused
    naming the part."""
    contents = opened(buffer)
    if hashlib.sha256(_directory(memoryview(buffer).cast("B"))).hexdigest() != contents.content_hash:
        raise SnapshotRefused(f"its directory is not what its content hash says. {_CURE}")
    for name, part in contents.parts.items():
        if not part.digest:
            raise SnapshotRefused(f"its part {name} has no hash. {_CURE}")
        check(name, part)
    return contents


def check(name: str, part: Part) -> None:
    """Raises SnapshotRefused where a part's bytes are not those that were hashed; a part of this process's own making
    was not hashed yet."""
    if part.digest and digest(part.view) != part.digest:
        raise SnapshotRefused(f"its part {name} is not what was written. {_CURE}")


def hashed(contents: Contents) -> Contents:
    """The same with every hash computed."""
    if contents.content_hash:
        return contents
    parts = {name: Part(part.view, part.digest or digest(part.view)) for name, part in contents.parts.items()}
    directory = _written(contents.about, parts)
    return Contents(contents.about, parts, hashlib.sha256(directory).hexdigest())


def packed(contents: Contents) -> bytes:
    """The bytes of a file: equal contents give equal bytes."""
    whole = hashed(contents)
    directory = _written(whole.about, whole.parts)
    body = [piece for part in whole.parts.values() for piece in _padded(part.view)]
    start = _aligned(_HEADER + len(directory))
    total = start + sum(map(len, body))
    numbers = (native(_ORDER, "I"), native(LAYOUT, "I"), native(total, "Q"), native(len(directory), "Q"))
    header = _MAGIC + b"".join(numbers) + bytes.fromhex(whole.content_hash)
    checksum = native(zlib.crc32(directory, zlib.crc32(header)), "I")
    return b"".join((header, checksum, bytes(4), directory, bytes(start - _HEADER - len(directory)), *body))


def view(content: bytes | memoryview, form: str = "B") -> memoryview:
    """Values of a format in bytes, read-only."""
    plain = memoryview(content)
    plain = plain if plain.readonly else memoryview(bytes(plain))
    flat = plain if plain.format == "B" and plain.ndim == 1 else plain.cast("B")
    # Python casts no empty view.
    return flat.cast(form) if form != "B" and len(flat) else flat  # type: ignore[call-overload]


def digest(part: memoryview) -> str:
    """SHA-256 of a part's bytes, hexadecimal."""
    return hashlib.sha256(part).hexdigest()


# --- the header -------------------------------------------------------------------------------------------------------
def _directory(view: memoryview) -> memoryview:
    """The directory's bytes, its checksum checked."""
    if len(view) < _HEADER or bytes(view[:8]) != _MAGIC:
        raise SnapshotRefused(f"it is no compiled configuration ({len(view):,} bytes). {_CURE}")
    order, layout = view[8:16].cast("I")
    if order != _ORDER:
        raise SnapshotRefused(f"it was compiled by a machine of the other byte order. {_CURE}")
    if layout != LAYOUT:
        raise SnapshotRefused(f"its layout is version {layout}; this Daybook reads version {LAYOUT}. {_CURE}")
    total, length = view[16:32].cast("Q")
    if total != len(view):
        raise SnapshotRefused(f"it has {len(view):,} bytes of the {total:,} that were written. {_CURE}")
    directory = view[_HEADER : _HEADER + length]
    if zlib.crc32(directory, zlib.crc32(view[:_SUMMED])) != view[_SUMMED : _SUMMED + 4].cast("I")[0]:
        raise SnapshotRefused(f"its header is damaged: the checksum does not fit. {_CURE}")
    return directory


def _part(body: memoryview, form: str, offset: int, length: int) -> memoryview:
    if form not in FORMATS or offset < 0 or length < 0 or offset + length > len(body) or length % FORMATS[form]:
        raise ValueError(f"a part of {length} bytes at {offset} does not fit")
    return view(body[offset : offset + length], form)


# --- writing ----------------------------------------------------------------------------------------------------------
def _written(about: Mapping[str, Any], parts: Mapping[str, Part]) -> bytes:
    listed, offset = [], 0
    for name, part in parts.items():
        listed.append([name, part.view.format, offset, part.view.nbytes, part.digest])
        offset = _aligned(offset + part.view.nbytes)
    text = json.dumps({"about": about, "parts": listed}, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.encode()


def _padded(part: memoryview) -> Iterable[bytes | memoryview]:
    return part.cast("B") if part.nbytes else b"", bytes(_aligned(part.nbytes) - part.nbytes)


def _aligned(place: int) -> int:
    return -(-place // 8) * 8


def native(value: float, form: str) -> bytes:
    """One value in the byte order of this machine, as a part's values are."""
    place = bytearray(8)
    memoryview(place).cast(form)[0] = value  # type: ignore[call-overload]
    return bytes(place[: FORMATS.get(form, 8)])
