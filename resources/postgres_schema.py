"""What PostgreSQL stores of a ledger: its tables, constraints and indexes, declared once, and how older ones get here.

Belongs here: the schema as data, and the statements that create it or bring an older one here. Does not belong here:
executing any (`postgres_ledger.py`), or which projections and columns there are (`trading.book.journal`).

Everything lies in the schema `daybook` of a database. Names compare by code point (collation C), as Python's do. The
journal refuses every update and delete: an entry is written once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from trading.book import order_life
from trading.book.journal import PROJECTIONS, SCHEMA, Projection

NAME = "daybook"
PLAIN_TYPES: Mapping[str, str] = {"text": "text", "integer": "bigint", "real": "double precision"}
TYPES: Mapping[str, str] = {**PLAIN_TYPES, "text": 'text collate "C"'}
SHA256 = "~ '^[0-9a-f]{64}$'"

_STATES = ", ".join(f"'{state}'" for state in (*order_life.STATES, order_life.UNKNOWN))
# What must hold of rows, beside types and keys. A condition on nothing (null) holds.
CHECKS: Mapping[str, tuple[str, ...]] = {
    "orders": (f"status in ({_STATES})", "level in ('instrument', 'contract')", "open_children >= 0"),
    "fills": ("state in ('live', 'busted')", "version >= 0"),
    "positions": ("(quantity_contracts = 0) = (average_points is null)",),
    "overrides": ("state in ('set', 'cleared')",),
    "halts": (
        "state in ('set', 'cleared')",
        "scope in ('everything', 'strategy', 'instrument')",
        "mode in ('reduce_only', 'close_only', 'nothing')",
        "(scope = 'everything') = (item = '')",
    ),
    "signatures": ("version >= 1",),
    "breaks": ("state in ('open', 'closed')",),
}
_MUCH_UPDATED = ("orders", "positions", "process_state")  # room on each page for the next version of its rows


def statements() -> Iterator[str]:
    """Everything there is, as DDL, in an order in which it can be created."""
    yield f"create schema if not exists {NAME}"
    yield f"""create table {NAME}.meta (
        alone boolean primary key default true check (alone), schema integer not null, declaration text not null)"""
    yield f"""create table {NAME}.heads (
        stream text collate "C" primary key, number bigint not null default 0 check (number >= 0),
        link text not null default '' check (link {SHA256} or number = 0)) with (fillfactor = 50)"""
    yield f"""create table {NAME}.journal (
        stream text collate "C" not null check (stream <> ''), number bigint not null check (number >= 1),
        event_id text collate "C" not null unique, kind text not null, session date not null, at timestamptz not null,
        actor text not null, cause text, correlation text, link text check (link {SHA256}),
        payload json not null check (json_typeof(payload) = 'object'), words text[], primary key (stream, number))"""
    # Fills are most of a journal: what is looked for by kind or by words is not among them, and costs them nothing.
    yield f"create index journal_kinds on {NAME}.journal (stream, kind, number) where kind <> 'fill'"
    yield f"create index journal_words on {NAME}.journal using gin (words) where kind <> 'fill'"
    yield from _written_once()
    yield from projections()


def _written_once() -> Iterator[str]:
    yield f"""create function {NAME}.refuse() returns trigger language plpgsql as $$
        begin raise exception 'entries of the journal are never changed'; end $$"""
    yield f"""create trigger written_once before update or delete or truncate on {NAME}.journal
        for each statement execute function {NAME}.refuse()"""


def projections() -> Iterator[str]:
    """The tables that are folds of the journal."""
    for projection in PROJECTIONS.values():
        yield _table(projection)
        for number, columns in enumerate(projection.lookups):
            yield f"create index {projection.name}_{number} on {NAME}.{projection.name} ({', '.join(columns)})"


def _table(projection: Projection) -> str:
    parts = [
        f"{name} {TYPES[kind]}{' not null' if name in projection.key else ''}"
        for name, kind in projection.columns.items()
    ]
    parts += [f"check ({name} > '-infinity' and {name} < 'infinity')" for name in _of_type(projection, "real")]
    parts += [r"check (session ~ '^\d{4}-\d\d-\d\d$')"] if "session" in projection.columns else []
    parts += [f"check ({condition})" for condition in CHECKS.get(projection.name, ())]
    room = " with (fillfactor = 70)" if projection.name in _MUCH_UPDATED else ""
    return (
        f"create table {NAME}.{projection.name} ({', '.join(parts)}, primary key ({', '.join(projection.key)})){room}"
    )


def _of_type(projection: Projection, kind: str) -> list[str]:
    return [name for name, found in projection.columns.items() if found == kind]


def dropped_projections() -> Iterator[str]:
    """What makes room for tables of another declaration."""
    for name in PROJECTIONS:
        yield f"drop table if exists {NAME}.{name}"


def declaration() -> str:
    """The projections as one text: tables made for another one are folded anew by a migration."""
    return json.dumps([(p.name, p.key, dict(p.columns), p.lookups) for p in PROJECTIONS.values()])


# From a version of the stored schema to the next one, as DDL. PostgreSQL began with 2.
MIGRATIONS: Mapping[int, tuple[str, ...]] = {}
FIRST, NEWEST = 2, SCHEMA
