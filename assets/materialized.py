"""What every stored dataset says of itself in Dagster: the definition's facts and the metadata of one write.

Belongs here: turning `trading.frames.Dataset` and the rows of a write into Dagster's words. Does not belong here: any
reading, calculating or storing.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from assets.partitions import SESSIONS, session_range
from trading.frames import Dataset
from trading.ports import Version

OWNERS = ["team:desk"]


def described(dataset: Dataset, deps: Sequence[str] = (), kinds: Sequence[str] = ("delta",)) -> dict[str, Any]:
    """Arguments of `dg.asset` or `dg.AssetSpec` that say what a dataset is, but not how it is partitioned."""
    return {
        "key": dg.AssetKey(dataset.name),
        "description": dataset.description,
        "group_name": dataset.layer,
        "owners": OWNERS,
        "kinds": {"python", *kinds},
        "tags": {"daybook/layer": dataset.layer},
        "deps": [dg.AssetKey(name) for name in deps],
        "metadata": {"dagster/column_schema": column_schema(dataset), "daybook/key": ", ".join(dataset.key)},
    }


def by_session() -> dict[str, Any]:
    """Arguments of `dg.asset` for an asset by session, of which a backfill of any length is one run."""
    return {"partitions_def": SESSIONS, "backfill_policy": dg.BackfillPolicy.single_run()}


def column_schema(dataset: Dataset) -> dg.TableSchema:
    """The dataset's columns with types and meanings, as Dagster shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=(field.metadata or {}).get(b"description", b"").decode(),
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in dataset.schema
        ]
    )


def session_result(
    context: dg.AssetExecutionContext, metadata: Mapping[str, Any], asset_key: str | None = None
) -> dg.MaterializeResult:
    """The result of a session asset. Dagster writes a result's metadata once for every session of a range: there the
    tables and pictures are observed once, on the last session, and only short values stay with each."""
    first, last = session_range(context)
    if first == last:
        return dg.MaterializeResult(asset_key=asset_key, metadata=metadata)
    shown = {**metadata, "run covers": f"{first} to {last}"}
    key = dg.AssetKey(asset_key) if asset_key else context.asset_key
    context.log_event(dg.AssetObservation(asset_key=key, partition=last.isoformat(), metadata=shown))
    brief = {name: value for name, value in shown.items() if _is_brief(name, value)}
    return dg.MaterializeResult(asset_key=asset_key, metadata=brief)


def _is_brief(name: str, value: Any) -> bool:
    """Short, and as true of one session of a range as of all of it."""
    return not isinstance(value, dg.TableMetadataValue | dg.MarkdownMetadataValue) and name != "dagster/row_count"


def facts(rows: pa.Table, version: Version | None, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Metadata of one write: row count, sessions covered, version, series, the last rows as a table, and `more`."""
    found: dict[str, Any] = {"dagster/row_count": rows.num_rows, **(more or {})}
    if version is not None:
        found["version"] = version.number
    if rows.num_rows:
        span = pc.min_max(rows["session"]).as_py()
        found["sessions"] = f"{span['min']} to {span['max']}" if span["min"] != span["max"] else str(span["min"])
        found["last rows"] = table(rows.slice(max(0, rows.num_rows - 8)))
    return found


def table(rows: pa.Table) -> dg.TableMetadataValue:
    """A few rows as Dagster's table."""
    plain = [{key: _plain(value) for key, value in row.items()} for row in rows.to_pylist()]
    schema = dg.TableSchema(columns=[dg.TableColumn(name=name, type="string") for name in rows.column_names])
    return dg.TableMetadataValue(records=[dg.TableRecord(row) for row in plain], schema=schema)


def _plain(value: object) -> str | int | float | bool:
    if value is None:
        return ""
    return value if isinstance(value, bool | int | float | str) else str(value)


def in_span(rows: pa.Table, first: date, last: date) -> pa.Table:
    """Rows of sessions `first` to `last`, both included."""
    session = rows["session"]
    return rows.filter(pc.and_(pc.greater_equal(session, pa.scalar(first)), pc.less_equal(session, pa.scalar(last))))
