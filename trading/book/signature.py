"""What is signed of a closed session: the document, its one hash, and how two signatures differ.

Belongs here: the document as a value, its canonical bytes, which datasets and columns the one hash covers, the fold of
the book as it covers it, and whether a journal is the one that was signed. Does not belong here: reading stores, keys,
or what a restatement comes to in money (`restatement.py`).

A document has two parts. Its *substance* is what the desk knew and decided: whoever closes the session again with the
same data, configuration and code gets the same, so it has one hash. Its *circumstances* are when and by whom it was
signed, and where everything lies: versions, heads, keys. The Ed25519 signature covers both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa

from trading.book.audit import Entry
from trading.book.journal import NO_HEAD, Head, Scalar, link
from trading.errors import SignatureError
from trading.frames import Dataset, content_hash

FORMAT = 1
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=str).encode
Row = Mapping[str, Scalar]

# Datasets that the one hash leaves out. Results of backtests are about runs. Violations are what rules found when they
# looked. Quarantined rows are raw rows that clean ones lack, kept with the time they were loaded. Orders and fills are
# rows of the journal: the fold of the book has them, whatever a close that was run again called them. Measures of risk
# follow from what is hashed, by linear algebra whose last bits are the machine's.
NOT_HASHED = frozenset(
    {"backtest_results", "sweep_results", "violations", "quarantine", "orders", "fills"}
    | {"exposures", "value_at_risk", "stress_losses", "headroom"}
)
# Columns that it leaves out of the others: when a late row was loaded, and who looks after a break and says what.
NOT_HASHED_COLUMNS = frozenset({"known_at", "loaded_at", "owner", "proposed_fix", "message"})


# --- the document -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Substance:
    """What the desk knew and decided, as hashes: datasets by name, tables of the book by name, the configuration, the
    reference data, the code."""

    session: date
    datasets: Mapping[str, str]
    book: Mapping[str, str]
    configuration: str
    reference: str
    code: str

    def one_hash(self) -> str:
        """SHA-256 of it: the hash that is printed, and that an undisturbed close gives again."""
        return hashlib.sha256(canonical(asdict(self))).hexdigest()


@dataclass(frozen=True, slots=True)
class Pin:
    """Where a dataset stood: its version, the hash of its rows through the session with the columns that content had
    then, and the hash of all that is stored of that version."""

    version: int
    content: str
    columns: tuple[str, ...]
    stored: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When, by whom and in which run it was signed, and where everything lies.

    `heads` are those of all streams before the signature itself was recorded; `reference_files` are blobs by name, and
    the configuration is the blob of its hash; `previous` is the document signed before this one, of any session, empty
    for the first; `overrides` are those in force. `configuration_version` is the configuration's number in the history:
    the substance has its hash, since the same configuration may come into force again under another number. None: it
    was never recorded, and of documents that were signed before configurations were.
    """

    pins: Mapping[str, Pin]
    heads: Mapping[str, Head]
    reference_files: Mapping[str, str]
    signed_at: str
    who: str
    run_id: str
    key: str
    previous: str
    overrides: tuple[Row, ...]
    configuration_version: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """What is signed. `version` counts the signatures of its session from 1."""

    version: int
    substance: Substance
    circumstances: Circumstances

    @property
    def session(self) -> date:
        """The session it is of."""
        return self.substance.session

    def content(self) -> bytes:
        """Its canonical bytes, which are signed. A version that is not known is left out, so that documents of before
        there were any have the bytes that were signed."""
        told = asdict(self)
        if self.circumstances.configuration_version is None:
            del told["circumstances"]["configuration_version"]
        return canonical({"format": FORMAT, "hash": self.substance.one_hash(), **told})


def canonical(value: Any) -> bytes:
    """JSON in one form only: sorted keys, no spaces, dates as ISO text. Raises ValueError on numbers not finite."""
    return _CANONICAL(value).encode()


def document_of(content: bytes) -> Document:
    """The document of such bytes. Raises SignatureError where they are none, or where its hash is not of its substance:
    nothing else makes exactly these bytes."""
    try:
        given = json.loads(content)
        known, around = given["substance"], given["circumstances"]
        pins = {name: Pin(**{**pin, "columns": tuple(pin["columns"])}) for name, pin in around["pins"].items()}
        heads = {name: Head(**head) for name, head in around["heads"].items()}
        overrides = tuple(around["overrides"])
        found = Document(
            given["version"],
            Substance(**{**known, "session": date.fromisoformat(known["session"])}),
            Circumstances(**{**around, "pins": pins, "heads": heads, "overrides": overrides}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise SignatureError(f"the signed document cannot be read: {cause!r}. {CURE}") from cause
    if found.content() != content:
        raise SignatureError(f"the signed document of {found.session} has another hash than its substance. {CURE}")
    return found


CURE = "Restore it from a backup, and find out who changed it."


# --- what the one hash covers -----------------------------------------------------------------------------------------
def substance_hash(rows: pa.Table, dataset: Dataset) -> str:
    """The hash of a dataset's rows through the session as the one hash covers them: without when they were loaded."""
    return content_hash(rows, dataset, without=NOT_HASHED_COLUMNS & set(dataset.schema.names))


def content_of(rows: pa.Table, dataset: Dataset, columns: Iterable[str] = ()) -> str:
    """The content hash of rows by `columns` only (default: those of today), so that a dataset which gained a column
    since still has the hash that was signed."""
    kept = set(columns) or set(dataset.content)
    return content_hash(rows, dataset, without=set(dataset.content) - kept)


# Columns of the book that the one hash covers. Left out: what follows from others, and times of the broker's clock.
BOOK: Mapping[str, tuple[str, ...]] = {
    "orders": (
        "order_id", "parent_id", "level", "strategy", "instrument", "contract", "session", "quantity_contracts",
        "reason", "status", "filled_contracts", "reference_points", "refusal",
    ),
    "fills": (
        "fill_id", "order_id", "strategy", "instrument", "contract", "session", "quantity_contracts", "price_points",
        "commission_local", "state",
    ),
    "positions": (
        "strategy", "instrument", "contract", "quantity_contracts", "average_points", "realised_points",
        "commission_local",
    ),
    "cash": ("cash_id", "currency", "amount_local", "category", "session", "reason"),
}  # fmt: skip


def book_hashes(tables: Mapping[str, Iterable[Row]]) -> dict[str, str]:
    """The hash of each table of the book (BOOK), given the tables folded from the journal through the session.

    An order that was withdrawn before anything of it was filled did nothing and is left out, and an order that took the
    place of such a one under the next number (`...:2`) has its first name: a close that was run again, with the
    decision taken anew, has the book of one that was not.
    """
    return {
        name: _hashed(canonical(_named(row, BOOK[name])) for row in tables.get(name, ()) if _counts(name, row))
        for name in BOOK
    }


def _hashed(lines: Iterable[bytes]) -> str:
    """SHA-256 of lines in order."""
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()


def _counts(table: str, row: Row) -> bool:
    return table != "orders" or row["status"] != "cancelled" or bool(row["filled_contracts"])


def _named(row: Row, columns: Iterable[str]) -> dict[str, Scalar]:
    """The columns, an order's ids without their repetition; a paper fill's id ends with its order's."""
    found = {name: row[name] for name in columns}
    order = found.get("order_id")
    if isinstance(order, str) and isinstance(found.get("fill_id"), str):
        fill = str(found["fill_id"])
        found["fill_id"] = fill.removesuffix(order) + first_name(order) if fill.endswith(order) else fill
    for name in ("order_id", "parent_id"):
        if isinstance(found.get(name), str):
            found[name] = first_name(str(found[name]))
    return found


def first_name(order_id: str) -> str:
    """An order's id without the number it got where the decision was taken again: `2022-02-25:trend:...:target:2`."""
    name, _, number = order_id.rpartition(":")
    return name if name.count(":") >= ORDER_ID_PARTS - 1 and number.isdigit() else order_id


ORDER_ID_PARTS = 5  # session, strategy, instrument, contract, reason: trading.book.orders.order_id


# --- two signatures ---------------------------------------------------------------------------------------------------
def differences(before: Substance, after: Substance) -> list[str]:
    """What two substances differ in, a name each: `dataset pnl`, `the book's fills`; none where they have one hash."""
    names = [f"dataset {name}" for name in _changed(before.datasets, after.datasets)]
    names += [f"the book's {name}" for name in _changed(before.book, after.book)]
    said = {"session": "the session", "configuration": "the configuration", "reference": "the reference data"}
    said["code"] = "the code"
    return names + [text for name, text in said.items() if getattr(before, name) != getattr(after, name)]


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


# --- the journal ------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Chain:
    """One stream as far as it was read: its last number, the link that its events come to, the records since it, the
    links at the ends of all batches, and what is not as it was recorded: in words, and from which entry on."""

    number: int = 0
    link: str = ""
    since: list[str] = field(default_factory=list)
    ends: dict[int, str] = field(default_factory=dict)
    wrong: str = ""
    wrong_at: int = 0

    def read(self, entry: Entry) -> None:
        """Takes the next entry in. The link is what the events come to, whatever link is stored with them."""
        began = self.number - len(self.since) + 1
        self.since.append(entry.record_text())
        if entry.number != self.number + 1 or entry.event.stream != entry.stream:
            self.spoilt(f"entry {entry.number} is not where it was", entry.number)
        self.number = entry.number
        if entry.link is None:
            return
        self.link, self.since = link(self.link, self.since), []
        self.ends[entry.number] = self.link
        if self.link != entry.link:
            which = f"entry {entry.number}" if began == entry.number else f"one of entries {began} to {entry.number}"
            self.spoilt(f"{which} was changed, added or taken away", began)

    def spoilt(self, why: str, number: int) -> None:
        """Notes the first thing that is wrong."""
        if not self.wrong:
            self.wrong, self.wrong_at = why, number


def chain_differences(heads: Mapping[str, Head], read: Mapping[str, Chain]) -> list[str]:
    """One sentence for each stream that, up to the head that was signed, is not what it was then."""
    found = []
    for stream, head in sorted(heads.items()):
        chain = read.get(stream, Chain())
        spoilt = chain.wrong and chain.wrong_at <= head.number
        if spoilt or (head != NO_HEAD and chain.ends.get(head.number) != head.link):
            why = chain.wrong if spoilt else f"its {chain.number} entries come to another link"
            found.append(f"ledger stream {stream} up to entry {head.number} is not what was signed: {why}.")
    return found
