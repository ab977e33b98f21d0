"""The journal: events, the streams and chains they are kept in, and the tables that are folds of it, declared as data.

Belongs here: what can happen to the book, and what an event looks like as bytes. Does not belong here: how events
change the tables (`fold.py`), or storing either (a `Ledger` adapter does both in one transaction).

Each book (a strategy's orders, fills and positions) is a stream of its own, and so are closes, breaks, limits and the
rest: entries are numbered within their stream, and a batch is chained to the batch before it in that stream. Nothing
is shared between streams, so that writers of different books never wait for each other.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache

Scalar = str | int | float | bool | None
SCHEMA = 2  # of what a ledger stores; adapters refuse any other, and `daybook ledger migrate` brings older ones here

_TEXT = json.encoder.encode_basestring_ascii
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `event_id` makes recording idempotent; `payload` is flat.

    `at` (UTC), `actor`, `cause` (the id of the event that led to it) and `correlation` (what belongs together: a run,
    an order) tell its story. They are kept and chained, but are not its content: the same event recorded again later,
    by another run, is the same event.
    """

    event_id: str
    kind: str
    session: date
    at: datetime
    actor: str
    payload: Mapping[str, Scalar] = field(default_factory=dict)
    cause: str | None = None
    correlation: str | None = None

    @property
    def stream(self) -> str:
        """The stream it belongs to: its strategy's book, or that of its kind."""
        strategy = self.payload.get("strategy")
        return f"book/{strategy}" if self.kind in BOOK_KINDS else STREAMS.get(self.kind, "other")

    def payload_text(self) -> str:
        """Canonical JSON of the payload. Raises ValueError on a number that is not finite."""
        return _CANONICAL(self.payload)

    def content(self, payload_text: str | None = None) -> str:
        """Canonical JSON of all but its story. `payload_text` saves making it again."""
        payload = self.payload_text() if payload_text is None else payload_text
        return (
            f'{{"id":{_TEXT(self.event_id)},"kind":{_TEXT(self.kind)},"payload":{payload},'
            f'"session":"{day_text(self.session)}"}}'
        )

    def record_text(self, payload_text: str | None = None) -> str:
        """Every stored byte of it: its content and its story, as the chain covers them, in one line."""
        story = (self.actor, self.cause, self.correlation)
        said = ",".join(["null" if word is None else _TEXT(word) for word in story])
        return f'{self.content(payload_text)}["{stamp(self.at)}",{said}]'

    def stored_text(self, session: str, at: str, payload: str) -> str:
        """The record text out of the texts a store holds: that of the event only if they are what was written, to the
        byte."""
        as_written = (day_text(self.session), stamp(self.at)) == (session, at)
        return self.record_text(payload) if as_written else f"{self.record_text(payload)} stored as {session}, {at}"


@lru_cache(maxsize=1024)
def stamp(at: datetime) -> str:
    """An instant as text. Events of a batch share theirs."""
    return at.isoformat()


@lru_cache(maxsize=16_384)
def day_text(session: date) -> str:
    """A session as text."""
    return session.isoformat()


BOOK_KINDS = (
    "order_created", "order_approved", "order_refused", "order_sent", "order_changed", "order_cancelled",
    "order_expired", "order_rejected", "fill", "fill_corrected", "fill_busted", "position_adjusted",
)  # fmt: skip
STREAMS: Mapping[str, str] = {
    "cash_booked": "cash",
    "limit_changed": "limits", "override_set": "limits", "override_cleared": "limits",
    "halt_set": "limits", "halt_cleared": "limits",
    "close_moved": "close", "close_signed": "close",
    "break_opened": "breaks", "break_seen": "breaks", "break_assigned": "breaks", "break_closed": "breaks",
    "process": "processes",
    "backtest": "backtests",
    "configuration_applied": "configuration",
}  # fmt: skip
KINDS = (*BOOK_KINDS, *STREAMS)


# --- words ------------------------------------------------------------------------------------------------------------
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text as they are searched for: letters and digits, in lower case, each once, sorted."""
    return sorted(set(_WORD.findall(text.lower())))


def searchable(event: Event) -> list[str]:
    """The words an event is found by: of its id, kind, session, actor and payload; none of a fill, of which there are
    too many, and which its order leads to."""
    if event.kind == "fill":
        return []
    said = (event.event_id, event.kind, event.session.isoformat(), event.actor, *map(str, event.payload.values()))
    return words(" ".join(said))


# --- chains -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Head:
    """Where a stream stands: entries so far, and the link of its last batch."""

    number: int = 0
    link: str = ""


NO_HEAD = Head()


def link(previous: str, records: Iterable[str]) -> str:
    """The link of a batch: SHA-256 of the link before it and the record texts of its events, one a line."""
    return hashlib.sha256("\n".join((previous, *records)).encode()).hexdigest()


def content_hash(streams: Mapping[str, Iterable[Event]]) -> str:
    """SHA-256 over the contents of all events, stream by stream in order of name: journals that say the same have the
    same hash, whoever recorded them, when, and in batches of whatever size."""
    digest = hashlib.sha256()
    for name in sorted(streams):
        digest.update(f"{name}\n".encode())
        for event in streams[name]:
            digest.update(f"{event.content()}\n".encode())
    return digest.hexdigest()


# --- tables -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Projection:
    """A table kept beside the journal. `columns` map names to `text`, `integer`, `real`; `key` names the first ones.
    `lookups` are sets of columns that rows are looked for by, beside the key."""

    name: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    lookups: tuple[tuple[str, ...], ...] = ()


def _columns(text: str) -> dict[str, str]:
    """`a:text b c:real` as names and types; a name without a type is text."""
    return {name: kind or "text" for name, _, kind in (word.partition(":") for word in text.split())}


PROJECTIONS: Mapping[str, Projection] = {
    p.name: p
    for p in (
        Projection(
            "orders",
            ("order_id",),
            _columns(
                "order_id parent_id level strategy instrument contract:integer session quantity_contracts:integer "
                "reason status moved filled_contracts:integer reference_points:real reference_at refusal ended "
                "open_children:integer"
            ),
            (("session",), ("strategy", "instrument")),
        ),
        Projection(
            "fills",
            ("fill_id",),
            _columns(
                "fill_id order_id strategy instrument contract:integer session quantity_contracts:integer "
                "price_points:real commission_local:real executed_at version:integer state"
            ),
            (("strategy", "instrument", "contract"), ("session",), ("order_id",)),
        ),
        Projection(
            "positions",
            ("strategy", "instrument", "contract"),
            _columns(
                "strategy instrument contract:integer quantity_contracts:integer average_points:real "
                "realised_points:real commission_local:real last_fill"
            ),
        ),
        Projection("cash", ("cash_id",), _columns("cash_id currency amount_local:real category session reason")),
        Projection("limits", ("name",), _columns("name value reason actor session")),
        Projection(
            "overrides", ("override_id",), _columns("override_id scope item session state actor reason cleared_reason")
        ),
        Projection(
            "halts",
            ("halt_id",),
            _columns(
                "halt_id scope item mode until session state actor reason set_at cleared_by cleared_at cleared_reason"
            ),
        ),
        Projection("closes", ("session",), _columns("session state run_id overridden detail version:integer hash")),
        Projection(
            "signatures",
            ("session", "version"),
            _columns("session version:integer hash document key signature previous actor signed_at"),
        ),
        Projection(
            "breaks",
            ("break_id",),
            _columns(
                "break_id kind item opened seen ours:real theirs:real tolerance:real timing:integer "
                "owner state proposed_fix message closed closed_by reason"
            ),
            (("state",),),
        ),
        Projection("process_state", ("process",), _columns("process session state run_id detail")),
        Projection(
            "process_runs",
            ("run_id",),
            _columns("run_id process session state step actor host pid:integer started ended detail"),
            (("process", "session"),),
        ),
        Projection(
            "backtests",
            ("request",),
            _columns(
                "request key strategy who asked_at source data_version code_version engine seconds:real cached:integer "
                "outcome detail"
            ),
        ),
    )
}
