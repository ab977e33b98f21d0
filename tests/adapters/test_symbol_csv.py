"""Tables of symbols as CSV: lines are those of the file, and what is too large or no table is refused at once."""

from __future__ import annotations

import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.symbol_csv import parsed_table
from trading.config.symbol_fields import FIELDS
from trading.errors import ConfigError


def refused(content: bytes, **ceilings: int) -> str:
    """Why the bytes of a file are refused."""
    with pytest.raises(ConfigError) as cause:
        parsed_table(content, "t.csv", **ceilings)
    return str(cause.value)


def told(content: bytes) -> list[str]:
    """Faults of the bytes of a file, up to what is wrong."""
    return [line.strip().split(". ")[0] for line in refused(content).splitlines()[1:]]


WAYS = {
    "plain": b"symbol,max_spike,trading_mode\nA,3,none\nB-1,,free\n",
    "no last line end": b"symbol,max_spike,trading_mode\nA,3,none\nB-1,,free",
    "windows": b"symbol,max_spike,trading_mode\r\nA,3,none\r\nB-1,,free\r\n",
    "old macintosh": b"symbol,max_spike,trading_mode\rA,3,none\rB-1,,free\r",
    "byte order mark": b"\xef\xbb\xbfsymbol,max_spike,trading_mode\nA,3,none\nB-1,,free\n",
    "quoted": b'"symbol","max_spike","trading_mode"\n"A","3","none"\n"B-1","","free"\n',
    "blanks": b"symbol , max_spike,\ttrading_mode\n A, 3 ,none\t\nB-1, ,  free\n",
    "no-break space": "symbol,max_spike,trading_mode\nA,3\u00a0,none\nB-1,,free\n".encode(),
    "empty lines": b"symbol,max_spike,trading_mode\n\n\nA,3,none\n   \nB-1,,free\n\n",
}


@pytest.mark.parametrize("way", WAYS)
def test_a_table_is_read_however_it_is_written(way: str) -> None:
    table = parsed_table(WAYS[way], "t.csv")
    assert table.symbols == ("A", "B-1")
    assert table.columns["max_spike"][0] == 3.0
    assert table.given["max_spike"].tolist() == [True, False]
    assert [("free", "reduce_only", "none")[code] for code in table.columns["trading_mode"]] == ["none", "free"]


def test_a_row_has_the_line_it_is_on() -> None:
    assert parsed_table(WAYS["empty lines"], "t.csv").lines.tolist() == [4, 6]
    assert parsed_table(WAYS["windows"], "t.csv").lines.tolist() == [2, 3]


def test_faults_have_the_lines_they_are_on_between_empty_and_broken_ones() -> None:
    assert told(b"symbol,max_spike\n\nA,3\n\nB,4,5\n  \nA,abc\nC\n,2\n") == [
        "line 5 is 'B,4,5': the header has 2 fields, the line 3",
        "line 7, symbol is 'A': it is on line 3 already",
        "line 7, max_spike is 'abc': not a number",
        "line 8 is 'C': the header has 2 fields, the line 1",
        "line 9, symbol: the row has no symbol",
    ]


def test_a_header_without_rows_is_an_empty_table() -> None:
    for content in (b"symbol", b"symbol\n", b"symbol,max_spike\n\n\n"):
        assert parsed_table(content, "t.csv").symbols == ()


def test_a_quotation_mark_that_is_not_closed_is_told_and_swallows_nothing() -> None:
    assert told(b'symbol,max_spike\nA,3\n"B,4\nC,5\nD",6\n') == [
        "line 3 is '\"B,4': a quotation mark is not closed",
        "line 5 is 'D\",6': a quotation mark is not closed",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "t.csv, line 1: no header"),
        (b"\n\nA,1\n", "t.csv, line 1: no header"),
        (b",,\nA,1,2\n", "t.csv, line 1: no header"),
        (b"symbol;max_spike\nA;3\n", "t.csv, line 1: columns are separated by commas"),
        (b"symbol,max_spike\nA,3\nB\xff,3\n", r"t.csv, line 3: b'\xff' is not UTF-8. Save the table"),
        ("symbol\nA\n".encode("utf-16"), "is not UTF-8"),
        ("symbol\nA\n".encode("utf-16-le"), "t.csv, line 1: a zero byte: this is no text"),
        (b"symbol\rA\rB\0\r", "t.csv, line 3: a zero byte"),
        (b"a," * 100 + b"\n", "the header has 101 columns, but a table of symbols has at most 64"),
        (b"x" * 1_000_000, "the header has 1,000,000 bytes, but may have 10,000"),
        (b"symbol,symbol\nA,B\n", "the column is there twice"),
        (b"max_spike\n3\n", "symbol: the column is missing"),
    ],
)
def test_what_is_no_table_is_refused(content: bytes, why: str) -> None:
    assert why in refused(content)


def test_rows_are_counted_before_they_are_taken_apart() -> None:
    content = b"symbol,max_spike\n" + b"not,a,row,at,all\n" * 1000
    assert refused(content, most_symbols=999).startswith("t.csv: 1,000 rows, but a table of symbols may have 999.")


def test_lines_are_counted_before_they_are_looked_at() -> None:
    content = b"symbol\n" + b"\n" * 3_000_000
    tracemalloc.start()
    said = refused(content, most_symbols=1000)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said.startswith("t.csv: 3,000,001 lines, but a table of symbols may have 3,000, empty ones among them.")
    assert most < 1_000_000


ROWS = st.lists(st.tuples(st.sampled_from(["", " ", "\t"]), st.sampled_from(["", "2", "1e3", "4.5"])), max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    ends=st.sampled_from(["\n", "\r\n", "\r"]),
    form=st.sampled_from(["{}", '"{}"', " {}", "{}\t"]),
    empty=st.sets(st.integers(0, 12)),
    last=st.booleans(),
)
def test_rows_and_lines_are_those_that_were_written(rows, ends, form, empty, last) -> None:
    written, expected = ["symbol,max_spike"], []
    for number, (blanks, value) in enumerate(rows):
        written += [blanks] * (number in empty)
        written.append(f"{form.format(f'S{number}')},{form.format(value)}")
        expected.append((len(written), f"S{number}", float(value) if value else None))
    table = parsed_table((ends.join(written) + (ends if last else "")).encode(), "t.csv")
    found = zip(table.lines.tolist(), table.symbols, table.columns["max_spike"].tolist(), strict=True)
    given_values = table.given["max_spike"].tolist()
    assert [
        (line, symbol, value if is_given else None)
        for (line, symbol, value), is_given in zip(found, given_values, strict=True)
    ] == expected


PIECES = st.sampled_from(
    [b",", b"\n", b"\r", b'"', b" ", b"\t", b"1", b"nan", b"A", b"free", b"\xc3\xa9", b"\xff", b"\0", b"\x1c", b";",
     b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\\", b"'", b"1" * 400, b"symbol", b"max_spike", b"order_type"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from([b"", b"symbol", b"symbol,max_spike", b"asset_class,symbol,order_type"]),
    pieces=st.lists(PIECES, max_size=40),
)
def test_whatever_the_bytes_are_they_are_a_table_or_refused(head: bytes, pieces: list[bytes]) -> None:
    try:
        table = parsed_table(head + b"".join(pieces), "t.csv")
    except ConfigError as cause:
        told = str(cause)
    else:
        assert len(set(table.symbols)) == len(table.symbols) == len(table.lines)
        return
    assert told.startswith("t.csv")


def test_reading_a_table_loads_no_pandas(root: Path) -> None:
    code = (
        "import sys\nfrom resources.symbol_csv import parsed_table\nfrom trading.errors import ConfigError\n"
        "head = b'symbol,asset_class,max_spike,max_order_contracts,trading_mode\\n'\n"
        "print(len(parsed_table(head + b'A,equity,3, 5,none\\nB,,, ,\\n', 't.csv')))\n"
        "try:\n    parsed_table(head + b'A A,x y,b,1.5,no\\nA A,,,,\\n', 't.csv')\n"
        "except ConfigError as cause:\n    print(str(cause).splitlines()[0])\n"
        "print('pandas' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert run.stdout == "2\nt.csv: 7 faults; nothing of the table is used.\nFalse\n"


def test_fifty_thousand_symbols_are_read_and_a_table_of_faults_is_refused_in_bounded_time() -> None:
    names = ",".join(field.name for field in FIELDS)
    right = ",".join(str(field.default) for field in FIELDS)
    wrong = ",".join("?" for _ in FIELDS)
    head = f"symbol,{names}\n"
    table = parsed_table((head + "".join(f"S{i},{right}\n" for i in range(50_000))).encode(), "t.csv")
    assert len(table) == 50_000
    assert all(table.given[field.name].all() for field in FIELDS)
    start = time.perf_counter()
    said = refused((head + "".join(f"S {i},{wrong}\n" for i in range(50_000))).encode())
    assert time.perf_counter() - start < 10  # a tenth of it here
    assert said.splitlines()[0] == "t.csv: 500,000 faults; nothing of the table is used."
    assert len(said) < 20_000
