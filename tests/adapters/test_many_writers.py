"""Many writers on one book of each database, beside a reader: nothing lost, nothing double, tables that are the fold.

`benchmarks/sixteen_writers.py` does the same for a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import sixteen_writers
from resources.mongo_ledger import MongoLedger
from resources.postgres_ledger import PostgresLedger
from resources.sqlite_ledger import SqliteLedger
from trading.ports import Ledger

SECONDS, WRITERS = 2.0, 16


@pytest.mark.parametrize("store", ["sqlite", "mongodb", "postgresql"])
def test_sixteen_writers_on_one_book(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made: list[Ledger] = []
    if store == "sqlite":
        kind: Callable[[], Ledger] = lambda: SqliteLedger(tmp_path / "ledger.sqlite")  # noqa: E731
    elif store == "mongodb":
        uri = request.getfixturevalue("mongo_database")
        kind = lambda: MongoLedger(uri)  # noqa: E731
    else:
        address = request.getfixturevalue("postgres_database")
        kind = lambda: PostgresLedger(address)  # noqa: E731

    def make() -> Ledger:
        made.append(kind())
        return made[-1]

    told, seen, wrong = sixteen_writers.run(make, SECONDS, WRITERS)
    for ledger in made:
        ledger.close()  # type: ignore[attr-defined]
    assert wrong == []
    assert told.batches >= WRITERS  # each of them came to its turn
    assert told.repeats > 0
    assert seen["compared"] > 0
