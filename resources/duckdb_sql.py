"""SQL over everything the desk knows: read-only, typed, at any version.

Belongs here: handing datasets and projections to DuckDB, and keeping it from doing anything but read them. Does not
belong here: a query, or another way to store.

Only what a query names is read. DuckDB itself runs without a file, without access to disk or network, and with its
settings locked, so a query can reach nothing but the tables it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from trading.book.journal import PROJECTIONS, Projection
from trading.errors import DatasetNotFound, UsageError
from trading.frames import DATASETS, Dataset, empty
from trading.ports import AsOf, FrameStore, Ledger

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_KINDS = {"text": pa.string(), "integer": pa.int64(), "real": pa.float64()}
JOURNAL = pa.schema(
    [
        pa.field("stream", pa.string()),
        pa.field("number", pa.int64()),
        pa.field("event_id", pa.string()),
        pa.field("kind", pa.string()),
        pa.field("session", pa.date32()),
        pa.field("recorded_at", pa.timestamp("us", tz="UTC")),
        pa.field("actor", pa.string()),
        pa.field("cause", pa.string()),
        pa.field("correlation", pa.string()),
        pa.field("payload", pa.string()),
    ]
)


class SqlReader:
    """Answers SELECTs over the datasets of `frames` by their names, the projections of `ledger` as
    `ledger_<projection>`, and its entries as `journal`."""

    def __init__(
        self,
        frames: FrameStore,
        ledger: Ledger,
        datasets: Mapping[str, Dataset] = DATASETS,
        before: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        """`before`: what to do before a dataset of that name is read, such as adding what is not listed yet."""
        self._frames, self._ledger, self._datasets, self._before = frames, ledger, datasets, before or {}

    def tables(self) -> list[str]:
        """Names a query may use, sorted."""
        return sorted([*self._datasets, *(f"ledger_{name}" for name in PROJECTIONS), "journal"])

    def query(self, sql: str, as_of: AsOf = None) -> pa.Table:
        """The answer to one SELECT. `as_of` is given to every dataset it names; the ledger is read as it is now.

        A dataset that was never written is empty. Raises UsageError, with DuckDB's reason, on anything but one query.
        """
        import duckdb

        with duckdb.connect(":memory:") as database:
            _lock_down(database)
            try:
                for name in _named(database, sql, set(self.tables())):
                    database.register(name, self._table(name, as_of))
                answer: pa.Table = database.sql(sql).to_arrow_table()
            except duckdb.Error as cause:
                raise UsageError(
                    f"the query cannot be answered: {cause}. Tables: {', '.join(self.tables())}."
                ) from cause
        return answer

    def _table(self, name: str, as_of: AsOf) -> pa.Table:
        if name in self._datasets:
            return self._rows(self._datasets[name], as_of)
        if name == "journal":
            return pa.Table.from_pylist(list(_entries(self._ledger)), schema=JOURNAL)
        projection = PROJECTIONS.get(name.removeprefix("ledger_"))
        if projection is None or not name.startswith("ledger_"):
            raise UsageError(f"there is no table {name}. Tables: {', '.join(self.tables())}.")
        return pa.Table.from_pylist(self._ledger.rows(projection.name), schema=_schema(projection))

    def _rows(self, dataset: Dataset, as_of: AsOf) -> pa.Table:
        if dataset.name in self._before and as_of is None:
            self._before[dataset.name]()
        try:
            return self._frames.history(dataset, through=date.max, as_of=as_of)
        except DatasetNotFound:
            return empty(dataset)


def _lock_down(database: DuckDBPyConnection) -> None:
    """No files, no network, no extensions, no Python variables taken for tables; and no way back."""
    for setting in (
        "enable_external_access = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "python_enable_replacements = false",
        "TimeZone = 'UTC'",
        "lock_configuration = true",
    ):
        database.execute(f"set {setting}")


def _require_one_query(database: DuckDBPyConnection, sql: str) -> None:
    """Raises UsageError unless `sql` is one statement that only reads."""
    import duckdb

    statements = database.extract_statements(sql)
    kinds = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}
    if len(statements) != 1 or statements[0].type not in kinds:
        found = ", ".join(str(statement.type).rsplit(".", 1)[-1] for statement in statements) or "nothing"
        raise UsageError(f"only one SELECT is answered here, and this is {found}. Nothing was changed.")


def _named(database: DuckDBPyConnection, sql: str, known: set[str]) -> list[str]:
    """Tables a query names, sorted: from the syntax tree, which DuckDB shows of plain SELECTs, else from its own list
    (which it cannot give where a join has USING). A WITH part named like a table counts as the table."""
    _require_one_query(database, sql)
    tree = json.loads(database.execute("select json_serialize_sql(?::varchar)", [sql]).fetchall()[0][0])
    if tree["error"]:
        return sorted({name.lower() for name in database.get_table_names(sql)})
    own = {name.lower() for name in _common_tables(tree)} - known
    return sorted(set(_base_tables(tree)) - own)


def _base_tables(tree: object) -> Iterator[str]:
    if isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE":
            yield str(tree.get("table_name", "")).lower()
        for branch in tree.values():
            yield from _base_tables(branch)
    elif isinstance(tree, list):
        for branch in tree:
            yield from _base_tables(branch)


def _common_tables(tree: object) -> Iterator[str]:
    """Names a query gives to its own WITH parts."""
    if isinstance(tree, dict):
        for part in (tree.get("cte_map") or {}).get("map", ()):
            yield str(part["key"])
        for branch in tree.values():
            yield from _common_tables(branch)
    elif isinstance(tree, list):
        for branch in tree:
            yield from _common_tables(branch)


def _schema(projection: Projection) -> pa.Schema:
    return pa.schema([pa.field(name, _KINDS[kind]) for name, kind in projection.columns.items()])


def _entries(ledger: Ledger) -> Iterator[dict[str, object]]:
    for entry in ledger.entries():
        event = entry.event
        yield {
            "stream": entry.stream,
            "number": entry.number,
            "event_id": event.event_id,
            "kind": event.kind,
            "session": event.session,
            "recorded_at": event.at,
            "actor": event.actor,
            "cause": event.cause,
            "correlation": event.correlation,
            "payload": json.dumps(dict(event.payload), sort_keys=True),
        }
