"""SqlReader: what a query sees, and that it can do nothing but read."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from resources.duckdb_sql import SqlReader
from resources.memory import MemoryFrames, MemoryLedger
from trading.book.journal import Event
from trading.errors import UsageError
from trading.frames import FORECASTS, RAW_FX_RATES, Dataset
from trading.ports import AsOf, Span, Sql

FRIDAY = date(2022, 2, 25)


class CountingFrames(MemoryFrames):
    """Remembers which datasets were read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def history(self, dataset: Dataset, *, through: date, as_of: AsOf = None, **_: object) -> pa.Table:  # type: ignore[override]
        self.read.append(dataset.name)
        return super().history(dataset, through=through, as_of=as_of)


@pytest.fixture
def frames() -> CountingFrames:
    store = CountingFrames()
    for value in (1.0, 2.5):
        rows = {"strategy": ["a"], "instrument": ["US10"], "rule": ["r"], "session": [FRIDAY], "forecast": [value]}
        store.replace(FORECASTS, pa.table(rows, schema=FORECASTS.schema), Span.session(FRIDAY))
    return store


@pytest.fixture
def sql(frames: CountingFrames) -> SqlReader:
    ledger = MemoryLedger()
    payload = {
        "fill_id": "f1", "order_id": "o1", "strategy": "a", "instrument": "US10", "contract": 20220600,
        "session": "2022-02-25", "quantity_contracts": 3, "price_points": 127.5, "commission_local": 2.0,
    }  # fmt: skip
    ledger.record([Event("fill/f1", "fill", FRIDAY, datetime(2022, 2, 25, 22, tzinfo=UTC), "broker", payload)])
    return SqlReader(frames, ledger)


def test_it_is_the_port(sql: SqlReader) -> None:
    assert isinstance(sql, Sql)
    assert set(sql.tables()) >= {"forecasts", "violations", "ledger_positions", "journal"}


def test_datasets_and_projections_join_with_their_types(sql: SqlReader) -> None:
    answer = sql.query(
        "select f.session, p.quantity_contracts * f.forecast as product "
        "from forecasts f join ledger_positions p using (instrument)"
    )
    assert answer.to_pylist() == [{"session": FRIDAY, "product": 7.5}]
    assert answer.schema.types == [pa.date32(), pa.float64()]


def test_the_journal_is_a_table(sql: SqlReader) -> None:
    answer = sql.query("select stream, number, kind, session, recorded_at, payload from journal").to_pylist()[0]
    assert (answer["stream"], answer["number"], answer["kind"], answer["session"]) == ("book/a", 1, "fill", FRIDAY)
    assert answer["recorded_at"] == datetime(2022, 2, 25, 22, tzinfo=UTC)
    assert '"fill_id": "f1"' in answer["payload"]


def test_as_of_reads_an_older_version(sql: SqlReader) -> None:
    assert sql.query("select forecast from forecasts", as_of=0)["forecast"].to_pylist() == [1.0]
    assert sql.query("select forecast from forecasts")["forecast"].to_pylist() == [2.5]


def test_only_what_is_named_is_read(sql: SqlReader, frames: CountingFrames) -> None:
    frames.read.clear()
    sql.query("with x as (select * from FORECASTS) select (select count(*) from raw_fx_rates), * from x")
    assert sorted(frames.read) == ["forecasts", "raw_fx_rates"]


def test_a_part_named_like_a_dataset_reads_the_dataset(sql: SqlReader) -> None:
    answer = sql.query(
        "with forecasts as (select forecast * 2 as twice from main.forecasts) select twice from forecasts"
    )
    assert answer["twice"].to_pylist() == [5.0]


@pytest.mark.parametrize("query", ["describe forecasts", "summarize forecasts", "explain select * from forecasts"])
def test_a_dataset_can_be_described(sql: SqlReader, query: str) -> None:
    assert sql.query(query).num_rows > 0


def test_a_dataset_never_written_is_empty_with_its_columns(sql: SqlReader) -> None:
    assert sql.query("select * from raw_fx_rates").schema.names == RAW_FX_RATES.schema.names


@pytest.mark.parametrize(
    "query",
    [
        "insert into forecasts values (1)",
        "update forecasts set forecast = 0",
        "delete from forecasts",
        "drop table forecasts",
        "create table x as select 1",
        "copy (select 1) to 'stolen.csv'",
        "export database 'stolen'",
        "attach 'other.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "pragma database_list",
        "call pragma_version()",
        "select 1; drop table forecasts",
        "explain analyze insert into forecasts select * from forecasts",
        "",
    ],
)
def test_anything_but_one_query_is_refused(
    sql: SqlReader, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        sql.query(query)
    assert list(tmp_path.iterdir()) == []
    assert sql.query("select forecast from forecasts")["forecast"].to_pylist() == [2.5]


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('{file}')",
        "select * from read_text('{file}')",
        "select * from '{file}'",
        "select * from glob('{file}*')",
        "select * from read_parquet('https://localhost/x.parquet')",
    ],
)
def test_no_file_and_no_network_is_reached(sql: SqlReader, query: str, tmp_path: Path) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a\n1\n")
    with pytest.raises(UsageError):
        sql.query(query.format(file=file))


def test_python_variables_are_not_tables(sql: SqlReader) -> None:
    secret = pa.table({"a": [1]})
    with pytest.raises(UsageError, match="there is no table secret"):
        sql.query("select * from secret")
    assert secret.num_rows == 1


def test_a_wrong_query_says_where_and_which_tables_there_are(sql: SqlReader) -> None:
    with pytest.raises(UsageError, match=r"(?s)selec.*Tables: .*forecasts.*journal, ledger_backtests, .*ledger_fills"):
        sql.query("selec 1")
    with pytest.raises(UsageError, match="there is no table prices"):
        sql.query("select * from prices")
    with pytest.raises(UsageError, match="colour"):
        sql.query("select colour from forecasts")
