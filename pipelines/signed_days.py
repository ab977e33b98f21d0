"""Signed days as they are kept: finding a signature, verifying it, and the ports that read the day as it was signed.

Belongs here: comparing what is stored with what was signed. Does not belong here: signing or restating (`signing.py`),
or what a document says (`trading/book/signature.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from assets.signed_session import book_of
from trading.book.signature import (
    CURE,
    Chain,
    Document,
    Pin,
    chain_differences,
    content_of,
    document_of,
)
from trading.errors import DaybookError, SignatureError, UsageError
from trading.frames import DATASETS, Dataset
from trading.ports import BlobStore, FrameStore, Ledger, Signer

Row = Mapping[str, object]
UNREADABLE = (DaybookError, OSError, ValueError, KeyError, TypeError)  # what reading something damaged may raise


@dataclass(frozen=True, slots=True)
class Stores:
    """Where a signed day lies."""

    frames: FrameStore
    ledger: Ledger
    blobs: BlobStore
    signer: Signer


# --- finding ----------------------------------------------------------------------------------------------------------
def signature_row(ledger: Ledger, session: date, version: int | None = None) -> Row:
    """The signature of a session: of that version, or the newest. Raises UsageError where there is none."""
    rows = {_number(row): row for row in ledger.rows("signatures", {"session": session.isoformat()})}
    if not rows:
        raise UsageError(f"{session} is not signed. {_signed_near(ledger, session)}")
    if version is not None and version not in rows:
        known = ", ".join(map(str, sorted(rows)))
        raise UsageError(f"{session} has no signature {version}. Its signatures: {known}.")
    return rows[max(rows) if version is None else version]


def newest_rows(ledger: Ledger) -> dict[date, Row]:
    """The newest signature of every signed session, ascending."""
    found: dict[date, Row] = {}
    for row in sorted(ledger.rows("signatures"), key=lambda row: (str(row["session"]), _number(row))):
        found[date.fromisoformat(str(row["session"]))] = row
    return found


def _signed_near(ledger: Ledger, session: date) -> str:
    signed = list(newest_rows(ledger))
    before = [day for day in signed if day < session][-1:] + [day for day in signed if day > session][:1]
    near = f"Signed are, nearest to it: {' and '.join(map(str, before))}. " if before else "No session is signed yet. "
    return f"{near}If it is closed, sign it: daybook sign --session {session}"


def _number(row: Row) -> int:
    return int(str(row["version"]))


# --- verifying --------------------------------------------------------------------------------------------------------
def verified(row: Row, stores: Stores) -> Document:
    """The document of a signature, all that it names verified. Raises SignatureError naming what is different."""
    document, wrong = document_findings(row, stores)
    if document is not None:
        numbers = {stream: head.number for stream, head in document.circumstances.heads.items()}
        wrong += [*blob_findings(document, stores.blobs), *frame_findings(document, stores.frames, thorough=True)]
        wrong += chain_findings(document, chains_of(stores.ledger, numbers))
        wrong += book_findings(document, stores.ledger)
    if wrong or document is None:
        raise SignatureError(f"signature {_number(row)} of {row['session']}: {' '.join(wrong)} {CURE}")
    return document


def findings(stores: Stores) -> Iterator[str]:
    """What is wrong with anything that was ever signed, one sentence each."""
    read = chains_of(stores.ledger)
    for row in stores.ledger.rows("signatures"):
        document, wrong = document_findings(row, stores)
        if document is not None:
            wrong += [*blob_findings(document, stores.blobs), *frame_findings(document, stores.frames, thorough=False)]
            wrong += chain_findings(document, read)
        yield from (f"signature {_number(row)} of {row['session']}: {sentence}" for sentence in wrong)


def document_findings(row: Row, stores: Stores) -> tuple[Document | None, list[str]]:
    """The document that a row of signatures names, and what is wrong with it; None where it cannot be trusted."""
    name = f"document {str(row['document'])[:12]}"
    try:
        content = stores.blobs.get(str(row["document"]))
        if not stores.signer.verify(str(row["key"]), content, bytes.fromhex(str(row["signature"]))):
            return None, [f"the {name} is not what key {row['key']} signed."]
        document = document_of(content)
    except UNREADABLE as cause:
        return None, [f"the {name} cannot be verified: {cause}"]
    around = document.circumstances
    said: dict[str, object] = {
        "session": document.session.isoformat(), "version": document.version, "hash": document.substance.one_hash(),
        "key": around.key, "previous": around.previous, "actor": around.who, "signed_at": around.signed_at,
    }  # fmt: skip
    wrong = [name for name, value in said.items() if row[name] != value]
    return document, [
        f"the ledger's {name} of it is {row[name]!r}, the document says {said[name]!r}." for name in wrong
    ]


def blob_findings(document: Document, blobs: BlobStore) -> Iterator[str]:
    """What is wrong with the configuration and the reference files that were kept."""
    kept = {"configuration": document.substance.configuration, **document.circumstances.reference_files}
    for name, digest in kept.items():
        try:
            blobs.get(digest)
        except UNREADABLE as cause:
            yield f"the {name} kept with it cannot be read: {cause}"


def frame_findings(document: Document, frames: FrameStore, *, thorough: bool) -> Iterator[str]:
    """Which pinned versions are not what they were. Rows are hashed where the stored bytes differ, or always."""
    for name, pin in document.circumstances.pins.items():
        place = f"dataset {name}, version {pin.version}"
        if name not in DATASETS:
            yield f"{place}: this Daybook does not know the dataset. Open the day with the one that signed it."
            continue
        try:
            untouched = frames.stored_hash(DATASETS[name], pin.version) == pin.stored
            same = (untouched and not thorough) or _content(
                DATASETS[name], pin, document.session, frames
            ) == pin.content
        except UNREADABLE as cause:
            yield f"{place} cannot be read any more: {cause}"
            continue
        if not same:
            yield f"{place}: its rows through {document.session} are not those that were signed."
        elif not untouched:
            yield f"{place}: its rows are those that were signed, but somebody touched what is stored of it."


def _content(dataset: Dataset, pin: Pin, session: date, frames: FrameStore) -> str:
    rows = frames.history(dataset, through=session, as_of=pin.version)
    return content_of(rows, dataset, pin.columns)


def chains_of(ledger: Ledger, numbers: Mapping[str, int] | None = None) -> dict[str, Chain]:
    """The chains of the streams `numbers` names, up to these entries; of all, without. One that cannot be read is wrong
    from its first entry that cannot."""
    names = ledger.heads() if numbers is None else numbers
    found: dict[str, Chain] = {}
    for stream in names:
        upto = None if numbers is None else {stream: numbers[stream]}
        read = Chain()
        try:
            for entry in ledger.entries(streams=[stream], upto=upto):
                read.read(entry)
        except UNREADABLE as cause:
            read.spoilt(f"entry {read.number + 1} cannot be read ({cause})", read.number + 1)
        found[stream] = read
    return found


def chain_findings(document: Document, read: Mapping[str, Chain]) -> list[str]:
    """Which streams of the ledger are not what was signed."""
    return chain_differences(document.circumstances.heads, read)


def book_findings(document: Document, ledger: Ledger) -> Iterator[str]:
    """Which tables of the book, folded from the journal, are not what was signed."""
    try:
        now = book_of(document.session, ledger, document.circumstances.heads)
    except UNREADABLE as cause:
        yield f"the book cannot be folded from the journal: {cause}"
        return
    yield from (
        f"the book's {name}, folded from the journal, are not those that were signed."
        for name, was in document.substance.book.items()
        if now.get(name) != was
    )
