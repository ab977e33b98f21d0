"""Tables of symbols as CSV files: bounded, fast, and with the line of everything that is wrong.

Belongs here: bytes to rows of text, and which line each row is. Does not belong here: reading the bytes, which is
bounded in one place for all files of a configuration (`config_documents.py`), or what the columns are and what may
stand in them (`trading/config/symbol_table.py`).

Lines are counted before they are taken apart. A byte order mark, any line ends, quotation marks and blanks around
values are read right; empty lines are passed over.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from trading.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from trading.config.symbol_table import Faults, SymbolTable

MOST_SYMBOLS = 100_000
LONGEST_HEADER = 10_000  # bytes
MOST_COLUMNS = 64  # more than there are, so that each that is not one is told
JUDGED = 400  # characters of a wrong line that are looked at; far fewer are repeated, and none of a secret
BOM = b"\xef\xbb\xbf"


def parsed_table(content: bytes, where: str, *, most_symbols: int = MOST_SYMBOLS) -> SymbolTable:
    """A table of symbols from the bytes of a CSV file, which messages call `where`.

    Raises ConfigError with every fault in it by line (the first 50 in words), where it is no UTF-8 text, has no header,
    or has more rows than `most_symbols`.
    """
    from trading.config.symbol_table import Faults, refuse_many, symbol_table

    text = _plain_text(content, where)
    _refuse_empty_lines(text, 2 * most_symbols + 1000, where)
    numbered = _lines(text)
    refuse_many(len(numbered), most_symbols, where)
    header = _header(text, where)
    faults = Faults()
    _note_open_quotes(text, faults)
    faults.refuse(where)
    rows, lines = _rows(text, header, numbered, faults)
    return symbol_table(rows, where, lines, faults, most_symbols)


def _plain_text(content: bytes, where: str) -> bytes:
    """UTF-8 without byte order mark, lines ended by \\n, the last one too."""
    text = content.removeprefix(BOM)
    if not text.isascii():
        _check_utf8(text, where)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\0" in text:
        line = text[: text.index(b"\0")].count(b"\n") + 1
        raise ConfigError(f"{where}, line {line}: a zero byte: this is no text. Save the table as CSV in UTF-8.")
    return text if text.endswith(b"\n") else text + b"\n"


def _check_utf8(text: bytes, where: str) -> None:
    try:
        text.decode()
    except UnicodeDecodeError as cause:
        line = text[: cause.start].count(b"\n") + 1
        found = text[cause.start : cause.end]
        raise ConfigError(f"{where}, line {line}: {found!r} is not UTF-8. Save the table as CSV in UTF-8.") from cause


def _refuse_empty_lines(text: bytes, most: int, where: str) -> None:
    """Raises ConfigError where there are so many lines that counting those that are not empty takes much memory."""
    count = text.count(b"\n")
    if count > most:
        raise ConfigError(
            f"{where}: {count:,} lines, but a table of symbols may have {most:,}, empty ones among them. Check that it "
            "is the right file; if it is, raise the ceiling with DAYBOOK_MAX_SYMBOLS."
        )


def _header(text: bytes, where: str) -> list[str]:
    """Names of the columns, from the first line."""
    from trading.config.symbol_fields import shown

    end = text.index(b"\n")
    if end > LONGEST_HEADER:
        raise ConfigError(
            f"{where}, line 1: the header has {end:,} bytes, but may have {LONGEST_HEADER:,}. Columns are named on the "
            "first line, separated by commas: check that this is the right file."
        )
    names = next(csv.reader(io.StringIO(text[:end].decode())), [])
    if not any(name.strip() for name in names):
        raise ConfigError(f"{where}, line 1: no header. Name the columns there: symbol, and what is set.")
    if len(names) == 1 and re.search(r"[;\t|]", names[0]):
        raise ConfigError(f"{where}, line 1: columns are separated by commas, not as in {shown(names[0])}. Save it so.")
    if len(names) > MOST_COLUMNS:
        raise ConfigError(
            f"{where}, line 1: the header has {len(names):,} columns, but a table of symbols has at most "
            f"{MOST_COLUMNS}. Check that this is the right file."
        )
    return [name.strip() for name in names]


def _note_open_quotes(text: bytes, faults: Faults) -> None:
    """Notes lines on which a quotation mark is not closed: all up to the next one would be one cell."""
    from trading.config.symbol_table import Fault

    if b'"' not in text:
        return
    numbered = enumerate(text.split(b"\n"), start=1)
    wrong = [(number, line[:JUDGED].decode(errors="replace")) for number, line in numbered if line.count(b'"') % 2]
    cure = "Remove it, or close it on the same line."
    faults.add((Fault(n, "", line, "a quotation mark is not closed", cure) for n, line in wrong), len(wrong))


def _rows(
    text: bytes, header: list[str], numbered: npt.NDArray[np.int64], faults: Faults
) -> tuple[pa.Table, npt.NDArray[np.int64]]:
    """Rows of text, and their lines; rows with too few or too many fields are noted as faults and left out."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv as pacsv

    left_out: list[Any] = []

    def leave_out(row: Any) -> str:
        left_out.append((row.number, row.actual_columns, row.text[:JUDGED]))
        return "skip"

    places = [f"{place}" for place in range(len(header))]  # names may be there twice: that is told with the rest
    table = pacsv.read_csv(
        pa.BufferReader(text[text.index(b"\n") :]),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=places),
        parse_options=pacsv.ParseOptions(invalid_row_handler=leave_out),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()), null_values=[""], strings_can_be_null=True
        ),
        memory_pool=pa.system_memory_pool(),  # the default one keeps what it frees
    )
    _note_left_out(left_out, numbered, len(header), faults)
    kept = np.delete(numbered, [number - 1 for number, _, _ in left_out])
    return _trimmed(table, text).rename_columns(header), kept


def _lines(text: bytes) -> npt.NDArray[np.int64]:
    """Numbers of the lines after the first that are not empty."""
    import numpy as np

    ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
    return np.flatnonzero(np.diff(ends) > 1) + 2


def _note_left_out(left_out: list[Any], numbered: npt.NDArray[np.int64], count: int, faults: Faults) -> None:
    """Notes rows that have not as many fields as the header; a line of blanks is none."""
    from trading.config.symbol_table import Fault

    wrong = [row for row in left_out if row[2].strip()]
    cure = "The file may be cut off: make it again, or correct the line."
    found = (
        Fault(int(numbered[number - 1]), "", text, f"the header has {count} fields, the line {fields}", cure)
        for number, fields, text in wrong
    )
    faults.add(found, len(wrong))


def _trimmed(table: pa.Table, text: bytes) -> pa.Table:
    """Cells without blanks around them, where the text has blanks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if b" " not in text and b"\t" not in text and text.isascii():
        return table
    return pa.table({name: pc.utf8_trim_whitespace(table[name]) for name in table.column_names})
