"""Strict CSV reading: what is accepted, and every refusal with file, line, column and value."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest

from resources.csv_tables import read_table, stamps
from trading.errors import BadInput

TYPES = {"time": pa.string(), "price": pa.float64()}
GOOD = b"time,price,more\n2022-02-21,1.5,x\n2022-02-22,,y\n"


def written(folder: Path, content: bytes) -> Path:
    path = folder / "CORN.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [GOOD, GOOD.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + GOOD, GOOD.rstrip(b"\n")],
    ids=["plain", "crlf", "byte order mark", "no last line end"],
)
def test_harmless_differences_are_read_alike(tmp_path: Path, content: bytes) -> None:
    table = read_table(written(tmp_path, content), TYPES)
    assert table.to_pydict() == {"time": ["2022-02-21", "2022-02-22"], "price": [1.5, None]}


def test_a_quotation_mark_that_is_not_closed_is_named_and_swallows_nothing(tmp_path: Path) -> None:
    torn = GOOD.replace(b",x", b',"x') + b'2022-02-23,9.0,"z"\n'
    with pytest.raises(BadInput, match="line 2: a quotation mark is not closed") as refused:
        read_table(written(tmp_path, torn), TYPES)
    assert refused.value.exit_code == 2
    quoted = GOOD.replace(b",x", b',"x"')
    assert read_table(written(tmp_path, quoted), TYPES)["price"].to_pylist() == [1.5, None]


def test_not_finite_numbers_are_numbers(tmp_path: Path) -> None:
    prices = read_table(written(tmp_path, b"time,price\na,inf\nb,-inf\nc,NaN\nd,1e400\n"), TYPES)["price"].to_pylist()
    assert prices[:2] == [math.inf, -math.inf]
    assert prices[2] is None
    assert prices[3] == math.inf


def test_decimal_text_becomes_the_nearest_float(tmp_path: Path) -> None:
    """Python's float() is correctly rounded; these are cases that naive parsers miss by one ulp."""
    texts = ["0.11110010000000015", "8.41", "123456789.123456789", "1.7976931348623157e308", "5e-324", "0.1", "0.3"]
    content = "time,price\n" + "".join(f"t,{text}\n" for text in texts)
    assert read_table(written(tmp_path, content.encode()), TYPES)["price"].to_pylist() == [float(t) for t in texts]


@pytest.mark.parametrize(
    ("content", "row", "column", "value", "found"),
    [
        (b"", None, None, None, "empty"),
        (b"\n  \n", None, None, None, "empty"),
        (b"time,volume\n2022-02-21,1\n", 1, "price", None, "missing"),
        (b"time,price,price\n2022-02-21,1,2\n", 1, "price", None, "twice"),
        (GOOD + b"2022-02-2", 4, None, "2022-02-2", "1 fields"),
        (GOOD + b"2022-02-23,1,2,3\n", 4, None, "2022-02-23,1,2,3", "4 fields"),
        (GOOD + b"2022-02-23,1.5x,z\n", 4, "price", "1.5x", "number"),
        (GOOD + b'2022-02-23,"1,5",z\n', 4, "price", "1,5", "number"),
        (GOOD.replace(b"x", b"\xfc"), 2, None, b"\xfc", "latin-1"),
        (GOOD.decode().encode("utf-16"), 1, None, b"\xff", "UTF-16"),
        (GOOD.decode().encode("utf-16-le"), 1, None, None, "UTF-16"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, content: bytes, row: int | None, column: str | None, value: object, found: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(BadInput, match=found) as caught:
        read_table(path, TYPES)
    assert (caught.value.where, caught.value.row, caught.value.column) == (str(path), row, column)
    assert caught.value.value == value
    assert caught.value.cure
    assert caught.value.exit_code == 2


def test_a_missing_file_is_bad_input_and_a_folder_in_its_place_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="missing"):
        read_table(tmp_path / "NONE.csv", TYPES)
    (tmp_path / "DIR.csv").mkdir()
    with pytest.raises(OSError, match="directory"):
        read_table(tmp_path / "DIR.csv", TYPES)


def test_the_encoding_asked_for_is_the_one_read(tmp_path: Path) -> None:
    path = written(tmp_path, "time,price\nMärz,1\n".encode("latin-1"))
    assert read_table(path, TYPES, encoding="latin-1")["time"].to_pylist() == ["März"]
    with pytest.raises(BadInput, match="no such text encoding"):
        read_table(path, TYPES, encoding="utf-99")


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("2022-02-30", None),
        ("22.02.2022", None),
        ("", None),
        ("2022-02-21T10:00:00Z", None),
        ("31/02/2022", "%d/%m/%Y"),
    ],
)
def test_a_date_that_does_not_parse_is_named(tmp_path: Path, text: str, pattern: str | None) -> None:
    good = "21/02/2022" if pattern else "2022-02-21"
    path = written(tmp_path, f"time,price\n{good},1\n{text},2\n".encode())
    with pytest.raises(BadInput, match="date or time") as caught:
        stamps(read_table(path, TYPES), "time", path, pattern=pattern)
    assert (caught.value.row, caught.value.column, caught.value.value) == (3, "time", text)
