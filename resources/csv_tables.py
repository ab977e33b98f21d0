"""Strict reading of CSV files: what is wrong is named by file, line, column and value, and nothing is returned.

Belongs here: bytes to typed columns, for every adapter that reads CSV. Does not belong here: what the columns mean.

A byte order mark and CRLF line ends are read right. An empty number is missing; NaN and inf are numbers (rules judge
them later). Fields are converted by Arrow, which rounds decimal text to the nearest float64 correctly.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from trading.config.secrets import HIDDEN, looks_secret
from trading.errors import BadInput

STAMP = pa.timestamp("us")  # as in trading.frames, which takes longer to import than most files to read
BOM = b"\xef\xbb\xbf"
MISSING = ["", "NA", "N/A", "NaN", "nan", "null", "None"]

MAPPING = "data.vendor.columns"  # where a file's columns are named, unless a caller says another place


@dataclass(frozen=True, slots=True)
class Row:
    """One data row of a small file: its line (header = 1) and its fields by column, stripped."""

    path: Path
    line: int
    fields: Mapping[str, str]

    def wrong(self, column: str, found: str, cure: str) -> BadInput:
        """The error that names this row's column and value."""
        return BadInput(
            found, where=str(self.path), row=self.line, column=column, value=self.fields.get(column), cure=cure
        )


def read_bytes(path: Path, encoding: str = "utf-8", mapping: str = MAPPING) -> bytes:
    """The file as UTF-8 without byte order mark. `mapping` is the section of settings that says how it is read.

    Raises BadInput where it is missing, empty or not in `encoding`; other I/O errors pass as OSError.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as cause:
        raise BadInput("the file is missing", where=str(path), cure="Put it there, or correct the folder.") from cause
    if not content.strip():
        raise BadInput("the file is empty", where=str(path), cure="Deliver it again; a header and rows belong in it.")
    return _as_utf8(content.removeprefix(BOM), path, encoding, mapping)


def _as_utf8(content: bytes, path: Path, encoding: str, mapping: str) -> bytes:
    cure = f"Save the file as {encoding}, or set {mapping}.encoding."
    try:
        text = content.decode(encoding)
    except LookupError as cause:
        raise BadInput(
            "no such text encoding", where=str(path), value=encoding, cure="Try utf-8 or latin-1."
        ) from cause
    except UnicodeDecodeError as cause:
        line = content[: cause.start].count(b"\n") + 1
        likely = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "another encoding, perhaps latin-1"
        found = f"the text is not {encoding} (it looks like {likely})"
        raise BadInput(found, where=str(path), row=line, value=content[cause.start : cause.end], cure=cure) from cause
    if "\0" in text:
        raise BadInput(f"the text is not {encoding} (it looks like UTF-16)", where=str(path), row=1, cure=cure)
    return content if encoding.lower().replace("-", "") == "utf8" else text.encode()


def read_rows(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """All rows of a small file that has `columns` (and perhaps `optional`; others are refused).

    Raises BadInput on a missing or unknown column, a row with too few or too many fields, and as `read_bytes`.
    """
    lines = csv.reader(io.StringIO(read_bytes(path).decode()))
    header = [name.strip() for name in next(lines)]
    _check_header(path, header, columns)
    unknown = [name for name in header if name not in columns and name not in optional]
    if unknown:
        raise BadInput("unknown column", where=str(path), row=1, column=unknown[0], cure="Remove it, or correct it.")
    return list(_rows(path, lines, header))


def mapped_rows(path: Path, columns: Sequence[str], *, delimiter: str, encoding: str, mapping: str) -> list[Row]:
    """All rows of a small file that has `columns`, and perhaps others, as a section of settings maps them.

    Raises BadInput on a missing column, a row with too few or too many fields, and as `read_bytes`.
    """
    content = read_bytes(path, encoding, mapping)
    _check_quotes(path, content)
    lines = csv.reader(io.StringIO(content.decode()), delimiter=delimiter)
    header = [name.strip() for name in next(lines)]
    _check_header(path, header, columns, mapping)
    return list(_rows(path, lines, header))


def _rows(path: Path, lines: Any, header: Sequence[str]) -> Iterator[Row]:
    """What is left of a csv.reader after its header."""
    for fields in lines:
        if fields:
            _check_count(path, lines.line_num, header, fields)
            yield Row(path, lines.line_num, dict(zip(header, map(str.strip, fields), strict=True)))


def read_table(
    path: Path, types: Mapping[str, pa.DataType], *, delimiter: str = ",", encoding: str = "utf-8"
) -> pa.Table:
    """The named columns of a large file, in the order of `types`; further columns are left out.

    Raises BadInput on a missing column, a field count that differs from the header's (a truncated line), and a value
    that does not convert, naming the first; and as `read_bytes`.
    """
    return parsed_table(read_bytes(path, encoding), path, types, delimiter=delimiter)


def parsed_table(content: bytes, path: Path, types: Mapping[str, pa.DataType], *, delimiter: str = ",") -> pa.Table:
    """As `read_table`, of bytes that were read of the file already (as `read_bytes` gives them)."""
    header = next(csv.reader(io.StringIO(content[: content.find(b"\n")].decode()), delimiter=delimiter), [])
    _check_header(path, header, list(types))
    _check_quotes(path, content)
    options = pacsv.ConvertOptions(
        column_types=dict(types), include_columns=list(types), null_values=MISSING, strings_can_be_null=False
    )
    try:
        return pacsv.read_csv(
            pa.BufferReader(content), parse_options=pacsv.ParseOptions(delimiter=delimiter), convert_options=options,
            memory_pool=pa.system_memory_pool(),  # the default one keeps what it frees: 70 MB after a dozen files
        ).combine_chunks(memory_pool=pa.system_memory_pool())  # fmt: skip
    except pa.ArrowInvalid as cause:
        raise _first_fault(path, content, header, types, delimiter, cause) from cause


def _check_quotes(path: Path, content: bytes) -> None:
    """Raises BadInput on a quotation mark that is not closed on its line: all rows up to the next one would be lost."""
    if b'"' not in content:
        return
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.count(b'"') % 2:
            cure = "Remove it, or close it on the same line."
            raise BadInput("a quotation mark is not closed", where=str(path), row=number, cure=cure)


def stamps(table: pa.Table, column: str, path: Path, *, pattern: str | None = None) -> pa.Array:
    """A text column as times without zone: ISO 8601, or by a strftime `pattern`. Raises BadInput on the first that
    does not parse (line numbers count no empty lines)."""
    texts = table[column].combine_chunks()
    try:
        return texts.cast(STAMP) if pattern is None else _by_pattern(texts, pattern)
    except (pa.ArrowInvalid, ValueError) as cause:
        for line, text in enumerate(texts.to_pylist(), start=2):
            if not _is_time(text, pattern):
                wanted = f"as {pattern}" if pattern else "as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS"
                cure = f"Write the time {wanted}, without a zone."
                raise BadInput(
                    "not a date or time", where=str(path), row=line, column=column, value=text, cure=cure
                ) from cause
        raise BadInput(f"times do not parse: {cause}", where=str(path), column=column, cure="Correct them.") from cause


def _by_pattern(texts: pa.Array, pattern: str) -> pa.Array:
    """Times by pandas: Arrow's own strptime takes 31 February for 3 March."""
    import pandas as pd

    times = pd.to_datetime(texts.to_pandas(), format=pattern, exact=True)
    return pa.array(times.to_numpy(dtype="datetime64[us]"))


def _is_time(text: str, pattern: str | None) -> bool:
    try:
        if pattern is None:
            pa.array([text]).cast(STAMP)
        else:
            datetime.strptime(text, pattern)  # noqa: DTZ007
    except (pa.ArrowInvalid, ValueError):
        return False
    return True


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str], mapping: str = MAPPING) -> None:
    for name in columns:
        if name not in header:
            found = f"the column is missing; the file has {', '.join(map(_told, header))}"
            cure = f"Add it, or map it in {mapping} if the file names it differently."
            raise BadInput(found, where=str(path), row=1, column=name, cure=cure)
    for place, name in enumerate(header):
        if name in header[:place]:
            raise BadInput(
                "the column is there twice", where=str(path), row=1, column=_told(name), cure="Remove one of them."
            )


def _told(name: str) -> str:
    """A column's name in a sentence; one that looks like a secret is not repeated."""
    return HIDDEN if looks_secret(name) else name


def _check_count(path: Path, line: int, header: Sequence[str], fields: Sequence[str]) -> None:
    if len(fields) != len(header):
        found = f"the line has {len(fields)} fields, the header {len(header)}"
        cure = "The file may be cut off: deliver it again, or correct the line."
        raise BadInput(found, where=str(path), row=line, value=",".join(fields)[:80], cure=cure)


def _first_fault(
    path: Path, content: bytes, header: list[str], types: Mapping[str, pa.DataType], delimiter: str, cause: Exception
) -> BadInput:
    """Reads again, slowly, to name the line and column that Arrow stumbled over."""
    lines = csv.reader(io.StringIO(content.decode()), delimiter=delimiter)
    next(lines)
    for fields in lines:
        if not fields:
            continue
        _check_count(path, lines.line_num, header, fields)
        for name, kind in types.items():
            value = fields[header.index(name)]
            if not _converts(value, kind):
                found, cure = _complaint(kind)
                return BadInput(found, where=str(path), row=lines.line_num, column=name, value=value, cure=cure)
    return BadInput(f"the file does not parse: {cause}", where=str(path), cure="Deliver it again.")


def _complaint(kind: pa.DataType) -> tuple[str, str]:
    """What is wrong with a value that is not of a kind, and what to do."""
    if pa.types.is_timestamp(kind):
        return "not a date or time", "Write the time as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, without a zone."
    found = "not a number" if not pa.types.is_string(kind) else "not text"
    return found, "Correct the value, or leave the field empty where it is missing."


def _converts(value: str, kind: pa.DataType) -> bool:
    if pa.types.is_string(kind) or value in MISSING:
        return True
    try:
        pa.array([value.strip()]).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
