"""What MongoDB's errors mean, as sentences: the one translation of the driver's exceptions.

Belongs here: which Daybook error an error of the driver is. Does not belong here: trying again (`mongo_ledger.py`).

Servers are named by host and port only. An address may hold a password, so it is in no message, and an address that the
driver cannot read is no cause either: the driver repeats parts of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trading.errors import ConfigError, LedgerError, StoreBusy, StoreError, StoreUnavailable

if TYPE_CHECKING:
    from pymongo.errors import PyMongoError

DUPLICATE = 11000
WRITE_CONFLICT = 112
_NO_REPLICA_SET = (20, 263)  # IllegalOperation, OperationNotSupportedInTransaction
_WRONG_CREDENTIALS = (18, 8000)
_UNAUTHORIZED = (13,)
_INVALID_DOCUMENT = (121, 10334, 17280, 17419)
_FULL = (14031, 28)
_TOO_LATE = (50, 24, 251, 262)  # MaxTimeMSExpired, LockTimeout, NoSuchTransaction, ExceededTimeLimit
_NOTHING_WRITTEN = "Nothing of the batch was recorded."
_NOT_KNOWN = "Whether the batch was recorded is not known: run the same command again, nothing is recorded twice."
_AGAIN = "Then run the same command again."
ADDRESS = "MONGODB_URI"  # where an address is corrected, unless settings say where it is found


def servers_of(uri: str, address: str = ADDRESS) -> tuple[str, str | None, str | None]:
    """Hosts with ports, the database and the user of an address. Raises ConfigError where it cannot be read; `address`:
    the words for where it is found."""
    from pymongo.errors import PyMongoError
    from pymongo.uri_parser import parse_uri

    try:
        found: Mapping[str, Any] = parse_uri(uri, validate=True)
    except (PyMongoError, ValueError, TypeError) as cause:
        kind = type(cause).__name__
    else:
        hosts = ", ".join(f"{host}:{port}" if port else str(host) for host, port in found["nodelist"])
        return hosts, found["database"], found["username"]
    raise ConfigError(
        f"{address} is no address of a MongoDB ({kind}). Write mongodb://user:password@host:port/database?replicaSet="
        "name, with %-escapes for the characters : / ? # [ ] @ % of user and password."
    )


@contextmanager
def translated(
    servers: str, user: str | None, timeout_s: float, writing: bool = False, address: str = ADDRESS
) -> Iterator[None]:
    """Raises Daybook's error for the driver's, which is kept as its cause. While `writing`, a broken connection leaves
    open whether the batch arrived. `address`: the words for where it is found."""
    from bson.errors import InvalidDocument
    from pymongo.errors import PyMongoError

    try:
        yield
    except PyMongoError as cause:
        raise meaning(cause, servers, user, timeout_s, _NOT_KNOWN if writing else _AGAIN, address) from cause
    except (OverflowError, UnicodeError, InvalidDocument) as cause:
        raise _unfit(cause) from cause


def _unfit(cause: Exception) -> LedgerError:
    return LedgerError(
        f"MongoDB cannot keep a value of an event: {cause}. {_NOTHING_WRITTEN} Integers have at most 64 bits, and text "
        "is valid Unicode."
    )


def meaning(
    cause: PyMongoError, servers: str, user: str | None, timeout_s: float, then: str, address: str = ADDRESS
) -> StoreError:
    """The Daybook error that an error of the driver is."""
    from pymongo.errors import DocumentTooLarge

    codes, where = set(_codes(cause)), f"MongoDB at {servers}"
    if codes & {*_WRONG_CREDENTIALS, *_UNAUTHORIZED}:
        return _refused(codes, where, user, address)
    if isinstance(cause, DocumentTooLarge):
        return _unfit(cause)
    if codes & set(_INVALID_DOCUMENT):
        return LedgerError(
            f"{where} refused a document that is not as the schema says: {_said(cause)}. {_NOTHING_WRITTEN} Give each "
            "column its declared type."
        )
    if codes & set(_NO_REPLICA_SET) and "replica set" in str(cause):
        return not_a_replica_set(where)
    return _unavailable(cause, codes, where, timeout_s, then, address)


def _refused(codes: set[int], where: str, user: str | None, address: str) -> StoreUnavailable:
    who = f"the user {user}" if user else "a user without a name"
    if codes & set(_WRONG_CREDENTIALS):
        return StoreUnavailable(
            f"{where} does not accept the password of {who}, or does not know that user. Correct {address} (and its "
            "authSource, where the user is kept in another database). Nothing was read or written."
        )
    return StoreUnavailable(
        f"{where} does not let {who} do this. Give that user the role dbOwner on the ledger's database, or name "
        f"another user in {address}. Nothing was written."
    )


def not_a_replica_set(where: str) -> StoreUnavailable:
    """A server alone has no transactions."""
    return StoreUnavailable(
        f"{where} is no replica set, and a ledger needs its transactions. Start mongod with --replSet and run "
        "rs.initiate() once (a set of one member will do), or use `daybook services start`. Nothing was written."
    )


def _unavailable(
    cause: PyMongoError, codes: set[int], where: str, timeout_s: float, then: str, address: str
) -> StoreError:
    from pymongo import errors

    said = _said(cause)
    if codes & set(_FULL) or "no space left" in said.lower():
        return StoreUnavailable(f"the disk of {where} is full. Free some space there. {then}")
    if any(isinstance(link, errors.ServerSelectionTimeoutError) for link in _chain(cause)):
        return StoreUnavailable(
            f"{where} did not answer for {timeout_s:g} s, or has no primary that takes writes: {said}. Start it "
            f"(its log says why it ended), or correct {address}. {then}"
        )
    if WRITE_CONFLICT in codes:
        return busy(where, timeout_s)
    if any(isinstance(link, errors.AutoReconnect) and not link.timeout for link in _chain(cause)):
        return StoreUnavailable(
            f"the connection to {where} broke: {said}. See that it is up, and what its log says. {then}"
        )
    if getattr(cause, "timeout", False) or codes & set(_TOO_LATE):
        return StoreUnavailable(
            f"{where} took longer than {timeout_s:g} s (data.storage.ledger.timeout_seconds): its majority does not "
            f"answer, or the network is cut: {said}. See that both are up. {then}"
        )
    if isinstance(cause, errors.BulkWriteError):
        return StoreUnavailable(f"{where} refused a write: {said}. {_NOTHING_WRITTEN}")
    return StoreUnavailable(f"{where} cannot be used: {said}. {then}")


def busy(where: str, waited_s: float) -> StoreBusy:
    """Other writers held the stream all the time."""
    return StoreBusy(
        f"other writers of the same book held {where} for more than {waited_s:g} s. {_NOTHING_WRITTEN} Wait for them "
        "to end, and run the same command again."
    )


def _chain(cause: BaseException) -> Iterator[BaseException]:
    """An error, and what it was raised from: a transaction that ran out of time hides why it was tried again."""
    seen: BaseException | None = cause
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _codes(cause: BaseException) -> Iterator[int]:
    for link in _chain(cause):
        yield from (int(code) for code in (getattr(link, "code", None),) if isinstance(code, int))
        details = getattr(link, "details", None)
        if isinstance(details, Mapping):
            yield from (int(error["code"]) for error in details.get("writeErrors", ()) if "code" in error)


def codes(cause: BaseException) -> set[int]:
    """The server's codes in an error and its causes: their own, and those of the writes of a bulk."""
    return set(_codes(cause))


def _said(cause: BaseException) -> str:
    """What the driver or the server said, in one line: not its whole answer, nor the driver's view of all servers."""
    details = getattr(cause, "details", None)
    refused = details.get("writeErrors") if isinstance(details, Mapping) else None
    text = str(refused[0].get("errmsg") if refused else cause) or type(cause).__name__
    for mark in ("\n", ", full error:", ", Topology Description:", ", Timeout:", " (configured"):
        text = text.partition(mark)[0]
    return text.strip().rstrip(".")
