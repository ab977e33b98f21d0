"""Frames in a file that is only appended to: length, checksum, content. What a killed writer left half is seen.

Belongs here: bytes of frames, and finding whole ones. Does not belong here: what is in them, or opening files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

_HEAD = struct.Struct("<II")
HEAD_BYTES = _HEAD.size
LARGEST = 1 << 28  # bytes of a frame; a larger length is no length


def framed(contents: Iterable[bytes]) -> bytes:
    """Frames of these contents, one after another."""
    parts = []
    for content in contents:
        parts += [_HEAD.pack(len(content), zlib.crc32(content)), content]
    return b"".join(parts)


def places(data: bytes | memoryview, start: int = 0) -> tuple[list[tuple[int, int]], int]:
    """Where the contents of whole frames begin and end, from `start` on, and where they stop: the end of the data,
    unless what is there is no whole frame."""
    found, at, size = [], start, len(data)
    view = memoryview(data)
    while at + HEAD_BYTES <= size:
        length, checksum = _HEAD.unpack_from(view, at)
        first, last = at + HEAD_BYTES, at + HEAD_BYTES + length
        if length > LARGEST or last > size or zlib.crc32(view[first:last]) != checksum:
            break
        found.append((first, last))
        at = last
    return found, at
