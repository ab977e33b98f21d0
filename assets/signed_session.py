"""Signing a closed session: everything that was made of it is read, hashed, pinned, signed and recorded.

Belongs here: reading what a signature covers, and recording it; the close and `daybook sign` both do it so. Does not
belong here: what the document says (`trading/book/signature.py`), keys, opening and verifying what was signed
(`pipelines/signed_days.py`), or the asset (`signing.py`): nothing here loads Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

from assets.configuration import versions
from trading.book.fold import folded
from trading.book.journal import BOOK_KINDS, Event, Head, Scalar
from trading.book.signature import (
    NOT_HASHED,
    NOT_HASHED_COLUMNS,
    Circumstances,
    Document,
    Pin,
    Substance,
    book_hashes,
    content_of,
    differences,
    document_of,
    substance_hash,
)
from trading.config.models import DeskSettings
from trading.errors import ConfigError, UsageError
from trading.frames import DATASETS, EQUITY, Dataset
from trading.ports import BlobStore, Configurations, FrameStore, Ledger, ReferenceStore, Signer

SIGNED_KINDS = (*BOOK_KINDS, "cash_booked")  # what the tables of the book are folded from


@dataclass(frozen=True, slots=True)
class Desk:
    """What signing works with; `configuration` numbers the settings, and has the tables that they name by hash; `code`
    tells the version of the code that closed the session."""

    frames: FrameStore
    ledger: Ledger
    reference: ReferenceStore
    settings: DeskSettings
    blobs: BlobStore
    signer: Signer
    configuration: Configurations
    clock: Callable[[], datetime]
    code: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature of a session, the blob of its document, whether it was made just now, and what is stored otherwise
    now than it says."""

    document: Document
    digest: str
    is_new: bool
    differs: tuple[str, ...] = ()

    @property
    def numbers_differ(self) -> bool:
        """Whether data or the book are stored otherwise now; another configuration or code changes no number yet."""
        return any(name.startswith(("dataset ", "the book's ")) for name in self.differs)


def sign_session(session: date, desk: Desk, who: str, run_id: str, *, anew: bool = False) -> Signed:
    """Signs a closed session as it stands. Where it is signed already that signature stands and nothing is recorded;
    but `anew`, which restating is, makes a new version where anything of its substance changed.

    Raises UsageError where the session is not closed.
    """
    _refuse_not_closed(session, desk.frames)
    heads = desk.ledger.heads()
    pins, hashes = pinned(session, desk.frames)
    book, settings = book_of(session, desk.ledger, heads), desk.settings.content_hash()
    substance = Substance(session, hashes, book, settings, desk.reference.content_hash(), desk.code())
    newest = _newest(session, desk)
    if newest is not None:
        differs = differences(newest.document.substance, substance)
        if not (differs and anew):
            return replace(newest, differs=tuple(differs))
    around = Circumstances(
        pins=pins,
        heads=heads,
        reference_files={name: desk.blobs.put(content) for name, content in desk.reference.files().items()},
        signed_at=desk.clock().isoformat(),
        who=who,
        run_id=run_id,
        key=desk.signer.key_id,
        previous=last_document(desk.ledger),
        overrides=tuple(desk.ledger.rows("overrides", {"state": "set"})),  # type: ignore[arg-type]
        configuration_version=_configuration_version(substance.configuration, desk),
    )
    _keep_settings(desk)
    return _recorded(Document(newest.document.version + 1 if newest else 1, substance, around), desk)


def _keep_settings(desk: Desk) -> None:
    """Keeps the configuration, and its table of symbols where it has one, under the hashes that name them."""
    desk.blobs.put(desk.settings.document().encode())
    table = desk.settings.symbols.table_sha256
    if table is not None and not desk.blobs.exists(table):
        desk.blobs.put(desk.configuration.table(table))


def pinned(session: date, frames: FrameStore) -> tuple[dict[str, Pin], dict[str, str]]:
    """Where every dataset stands, and the hashes that the one hash covers: of those with rows through the session."""
    pins: dict[str, Pin] = {}
    hashes: dict[str, str] = {}
    for dataset in (DATASETS[name] for name in frames.written() if name in DATASETS):
        version = frames.versions(dataset)[-1].number
        rows = frames.history(dataset, through=session, as_of=version)
        stored = frames.stored_hash(dataset, version)
        content = content_of(rows, dataset)
        pins[dataset.name] = Pin(version, content, dataset.content, stored)
        if rows.num_rows and dataset.name not in NOT_HASHED:
            whole = NOT_HASHED_COLUMNS.isdisjoint(dataset.content)
            hashes[dataset.name] = content if whole else substance_hash(rows, dataset)
    return pins, hashes


def book_of(session: date, ledger: Ledger, heads: Mapping[str, Head]) -> dict[str, str]:
    """Hashes of the tables of the book, folded from the journal up to the heads and through the session."""
    numbers = {stream: head.number for stream, head in heads.items()}
    tables = folded(entry.event for entry in ledger.entries(kinds=SIGNED_KINDS, through=session, upto=numbers))
    return book_hashes({name: rows.values() for name, rows in tables.tables.items()})


def _configuration_version(configuration: str, desk: Desk) -> int | None:
    """The number of a configuration's hash: of what is in force, else the newest in the history that has the hash; None
    if none has, or the files are being changed."""
    try:
        found = desk.configuration.in_force()
    except ConfigError:
        found = None
    if found is not None and found[0].configuration == configuration and found[0].number is not None:
        return found[0].number
    return max((one.number for one in versions(desk.ledger) if one.configuration == configuration), default=None)


def last_document(ledger: Ledger) -> str:
    """The blob of the document signed last, of any session; empty where none was."""
    last = ""
    for entry in ledger.entries(kinds=["close_signed"]):
        last = str(entry.event.payload["document"])
    return last


def _refuse_not_closed(session: date, frames: FrameStore) -> None:
    if EQUITY.name not in frames.written() or not _is_closed(session, EQUITY, frames):
        raise UsageError(
            f"{session} is not closed, so there is nothing to sign. Run `daybook close --session {session}`."
        )


def _is_closed(session: date, dataset: Dataset, frames: FrameStore) -> bool:
    return bool(frames.history(dataset, through=session, since=session, columns=["session"]).num_rows)


def _newest(session: date, desk: Desk) -> Signed | None:
    rows = desk.ledger.rows("signatures", {"session": session.isoformat()})
    if not rows:
        return None
    digest = str(max(rows, key=lambda row: int(str(row["version"])))["document"])
    return Signed(document_of(desk.blobs.get(digest)), digest, is_new=False)


def _recorded(document: Document, desk: Desk) -> Signed:
    """Keeps the document and records its signature: in this order, so that a run that dies in between is run again."""
    content, around = document.content(), document.circumstances
    digest = desk.blobs.put(content)
    payload: dict[str, Scalar] = {
        "session": document.session.isoformat(),
        "version": document.version,
        "hash": document.substance.one_hash(),
        "document": digest,
        "key": around.key,
        "signature": desk.signer.sign(content).hex(),
        "previous": around.previous,
    }
    event_id = f"close_signed:{document.session}:{document.version}"
    at = datetime.fromisoformat(around.signed_at)
    event = Event(event_id, "close_signed", document.session, at, around.who, payload, correlation=around.run_id)
    desk.ledger.record([event])
    return Signed(document, digest, is_new=True)
