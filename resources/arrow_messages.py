"""Arrow's streams of messages, read without trusting them: the expected columns, uncompressed, of a bounded size.

Belongs here: writing one table of text and numbers as a stream, and checking a stream before its rows are read. Does
not belong here: what the columns mean (`config_forms.py`, `symbol_forms.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from trading.config.documents import refuse, shown

CURE = "Write it again with this version of Daybook."
_COMPRESSION = 3  # its place among the fields of a RecordBatch, in the format's own description
_HEADER = 2  # of a Message


def written(table: pa.Table, facts: Mapping[str, str]) -> bytes:
    """A table as an Arrow stream; `facts` stand in the metadata of its schema."""
    named = table.replace_schema_metadata({key.encode(): value.encode() for key, value in facts.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, named.schema) as stream:
        stream.write_table(named)
    return bytes(sink.getvalue())


def read(data: bytes, schema: pa.Schema, max_bytes: int, max_rows: int, name: str) -> tuple[pa.Table, dict[str, str]]:
    """The table of a stream whose columns are exactly `schema`'s, and the facts in its metadata.

    Raises ConfigError naming `name`: too large, other columns, compressed, damaged."""
    if len(data) > max_bytes:
        refuse(name, None, f"has {len(data):,} bytes, more than {max_bytes:,}", "It was not written by Daybook.")
    try:
        facts = _facts(data, schema, name)
        with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
            table = pa.Table.from_batches(_bounded(stream, max_rows, name), stream.schema)
        table.validate(full=True)
        return table, facts
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError, OverflowError, MemoryError) as cause:
        refuse(name, None, f"is no whole Arrow stream: {str(cause)[:200]}", CURE, cause)


def _facts(data: bytes, schema: pa.Schema, name: str) -> dict[str, str]:
    with pa.ipc.open_stream(pa.py_buffer(data)) as stream:
        found = stream.schema
    if not found.equals(schema, check_metadata=False):
        given = shown(", ".join(f"{field.name} {field.type}" for field in found))
        wanted = ", ".join(f"{field.name} {field.type}" for field in schema)
        refuse(name, None, f"its columns are {given}, not {wanted}", CURE)
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(data)):
        if message.type == "record batch" and _is_compressed(message.metadata.to_pybytes()):
            refuse(name, None, "its rows are compressed, so that nobody knows how large they are", CURE)
    return {key.decode(): value.decode() for key, value in (found.metadata or {}).items()}


def _bounded(stream: Any, max_rows: int, name: str) -> Iterator[pa.RecordBatch]:
    rows = 0
    for batch in stream:
        rows += batch.num_rows
        if rows > max_rows:
            refuse(name, None, f"has more than {max_rows:,} rows", "It was not written by Daybook.")
        yield batch


def _is_compressed(message: bytes) -> bool:
    """Whether the RecordBatch of a message names a compression (as FlatBuffers lay it out)."""
    table = struct.unpack_from("<I", message, 0)[0]
    place = _field(message, table, _HEADER)
    if place == 0:
        return False
    header = place + struct.unpack_from("<I", message, place)[0]
    return _field(message, header, _COMPRESSION) != 0


def _field(message: bytes, table: int, number: int) -> int:
    """Where a field of a table lies; 0: it is not given."""
    offsets = table - struct.unpack_from("<i", message, table)[0]
    size, at = struct.unpack_from("<H", message, offsets)[0], 4 + 2 * number
    offset = struct.unpack_from("<H", message, offsets + at)[0] if at < size else 0
    return table + offset if offset else 0
