"""What MongoDB stores of a ledger: collections, validators and indexes, declared once, and which version they are.

Belongs here: the schema as data, its creation at start, and the refusal of another version. Does not belong here:
reading or writing events (`mongo_ledger.py`), or which tables and columns there are (`trading.book.journal`).

A document is an event (`journal`, its id is `_id`), the head of a stream (`heads`), or a row of a table (in a
collection of its name). A column that holds nothing is left out of its document.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resources.journal_batch import refuse_schema
from trading.book import order_life
from trading.book.journal import KINDS, PROJECTIONS, SCHEMA, Projection
from trading.errors import LedgerSchemaError

if TYPE_CHECKING:
    from pymongo.database import Database

    Documents = Database[dict[str, Any]]

JOURNAL, HEADS, META = "journal", "heads", "meta"
MIGRATING = "migrating"  # in place of the declaration, while tables are folded anew
_SCHEMA_ID = "schema"
# What was added to a schema that stayed as it was, the latest last: kinds, and the tables that only they change.
ADDITIONS: Sequence[tuple[Sequence[str], Sequence[str]]] = (
    (("configuration_applied",), ()),
    (("halt_set", "halt_cleared"), ("halts",)),
)
_DAY = {"bsonType": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
_TEXT = {"bsonType": "string"}
_WHOLE = {"bsonType": ["int", "long"]}
_LINK = {"bsonType": "string", "minLength": 64, "maxLength": 64}
_TYPES: Mapping[str, Mapping[str, Any]] = {"text": _TEXT, "integer": _WHOLE, "real": {"bsonType": "double"}}
# What rows may say, beside types: columns with few words.
_WORDS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "orders": {"status": (*order_life.STATES, order_life.UNKNOWN), "level": ("instrument", "contract")},
    "fills": {"state": ("live", "busted")},
    "overrides": {"state": ("set", "cleared")},
    "halts": {
        "state": ("set", "cleared"),
        "scope": ("everything", "strategy", "instrument"),
        "mode": ("reduce_only", "close_only", "nothing"),
    },
    "breaks": {"state": ("open", "closed")},
}


# --- validators -------------------------------------------------------------------------------------------------------
def validators(kinds: Sequence[str] = KINDS, tables: Sequence[str] = tuple(PROJECTIONS)) -> dict[str, dict[str, Any]]:
    """What documents of each collection must be, as $jsonSchema; the server refuses all others."""
    journal = {
        "_id": _TEXT, "stream": _TEXT, "number": {**_WHOLE, "minimum": 1}, "kind": {"enum": list(kinds)},
        "session": _DAY, "at": _TEXT, "actor": _TEXT, "cause": _TEXT, "correlation": _TEXT,
        "payload": {"bsonType": "object"}, "link": _LINK, "words": {"bsonType": "array"}, "instant": _WHOLE,
        "schema": {"enum": [SCHEMA]},
    }  # fmt: skip
    heads = {"_id": _TEXT, "number": {**_WHOLE, "minimum": 0}, "link": _TEXT, "turn": {"bsonType": "objectId"}}
    needed = ("stream", "number", "kind", "session", "at", "actor", "payload", "schema")
    return {
        JOURNAL: _exactly(journal, needed),
        HEADS: _exactly(heads, ("number", "link")),
        **{name: _rows(PROJECTIONS[name]) for name in tables},
    }


def _rows(projection: Projection) -> dict[str, Any]:
    """Columns of their types; those of the key are there. A key of one column is the `_id` alone."""
    words = _WORDS.get(projection.name, {})
    columns = {
        name: {"enum": list(words[name])} if name in words else _TYPES[kind]
        for name, kind in projection.columns.items()
        if projection.key != (name,)
    }
    needed = projection.key if len(projection.key) > 1 else ()
    return _exactly({"_id": _TEXT, **columns}, needed)


def _exactly(properties: Mapping[str, Any], needed: Sequence[str]) -> dict[str, Any]:
    found = {"bsonType": "object", "properties": dict(properties), "required": ["_id", *needed]}
    return {"$jsonSchema": {**found, "additionalProperties": False}}


# --- indexes ----------------------------------------------------------------------------------------------------------
def indexes(tables: Sequence[str] = tuple(PROJECTIONS)) -> dict[str, list[dict[str, Any]]]:
    """Indexes beside `_id`, by collection, as `createIndexes` takes them.

    `told` and `words` hold no fills, which have no words: what people look for is found without them, and they cost a
    fill nothing. `words` is the text search: every word of an event leads to it, newest first. It is an index of words
    rather than of MongoDB's kind `text`, which joins words by or, and takes the accents away that tell them apart.
    """
    told = {"partialFilterExpression": {"words": {"$exists": True}}}
    journal: list[dict[str, Any]] = [
        {"name": "place", "key": {"stream": 1, "number": 1}, "unique": True},
        {"name": "told", "key": {"kind": 1, "stream": 1, "number": 1}, **told},
        {"name": "words", "key": {"words": 1, "instant": -1, "stream": 1, "number": 1}, **told},
    ]
    lookups = {
        name: [{"name": "_".join(columns), "key": dict.fromkeys(columns, 1)} for columns in PROJECTIONS[name].lookups]
        for name in tables
    }
    return {JOURNAL: journal, **{name: found for name, found in lookups.items() if found}}


def declaration(kinds: Sequence[str] = KINDS, tables: Sequence[str] = tuple(PROJECTIONS)) -> str:
    """A hash of all that is declared here."""
    declared = {"validators": validators(kinds, tables), "indexes": indexes(tables)}
    return hashlib.sha256(json.dumps(declared, sort_keys=True).encode()).hexdigest()


def before(number: int) -> tuple[list[str], list[str]]:
    """Kinds and tables there were before an addition and those after it."""
    kinds = {kind for added, _ in ADDITIONS[number:] for kind in added}
    tables = {table for _, added in ADDITIONS[number:] for table in added}
    return [kind for kind in KINDS if kind not in kinds], [name for name in PROJECTIONS if name not in tables]


def lacks_additions(declared: str) -> bool:
    """Whether a declaration is today's but for what was added since: no event of it is there, and nothing to fold."""
    return declared in (declaration(*before(number)) for number in range(len(ADDITIONS)))


# --- at start ---------------------------------------------------------------------------------------------------------
def prepare(database: Documents) -> None:
    """Makes what is declared in an empty database; elsewhere looks whether it is this version. What was added to it
    since is made at once.

    Raises LedgerSchemaError where the database holds a ledger of another version.
    """
    found = database[META].find_one({"_id": _SCHEMA_ID})
    if found is not None and lacks_additions(str(found["declaration"])):
        create(database)
        mark(database)
    elif found is not None:
        _refuse_others(database.name, int(found["schema"]), str(found["declaration"]))
    elif database[JOURNAL].find_one({"schema": {"$exists": False}}) is not None:
        _refuse_others(database.name, 1, "")
    else:
        create(database)
        mark(database)


def _refuse_others(name: str, schema: int, declared: str) -> None:
    refuse_schema(schema, f"in database {name}")
    if declared != declaration():
        why = "a migration did not end" if declared == MIGRATING else "its tables were made by another Daybook"
        raise LedgerSchemaError(
            f"the ledger in database {name} is not as this Daybook declares it: {why}. Run `daybook ledger migrate`: "
            "its tables are folded anew from the journal, which stays as it is."
        )


def schema_of(database: Documents) -> int | None:
    """The version of the ledger in a database; None where there is none."""
    found = database[META].find_one({"_id": _SCHEMA_ID})
    if found is not None:
        return int(found["schema"])
    return None if database[JOURNAL].find_one({}, {"_id": 1}) is None else 1


def declared_in(database: Documents) -> str:
    """What a ledger of this version was made from."""
    found = database[META].find_one({"_id": _SCHEMA_ID})
    return "" if found is None else str(found["declaration"])


def mark(database: Documents, schema: int = SCHEMA, declared: str | None = None) -> None:
    """Writes down which version is there: after it is, or MIGRATING before it is touched."""
    now = {"schema": schema, "declaration": declared or declaration()}
    database[META].update_one({"_id": _SCHEMA_ID}, {"$set": now}, upsert=True)


def create(database: Documents) -> None:
    """Collections with their validators and indexes; what is there is brought to what is declared. Safe to repeat, and
    from two processes at once."""
    there = set(database.list_collection_names())
    for name, validator in {**validators(), META: {}}.items():
        if name in there or not _created(database, name, validator):
            database.command({"collMod": name, "validator": validator, "validationLevel": "strict"})
    for name, found in indexes().items():
        database.command({"createIndexes": name, "indexes": found})


def _created(database: Documents, name: str, validator: Mapping[str, Any]) -> bool:
    """Makes a collection; False where another process was faster."""
    from pymongo.errors import OperationFailure

    try:
        database.command({"create": name, "validator": validator})
    except OperationFailure as cause:
        if cause.code != _ALREADY_THERE:
            raise
        return False
    return True


_ALREADY_THERE = 48
