"""Who may send live orders: what is signed, and the capability that only a signature yields.

Belongs here: the bytes that are signed, checking them, and the two permits that a broker which sends orders asks for.
Does not belong here: keys and files (`resources/key_ring.py`), the clock and the environment (`pipelines/live.py`), or
sending (`resources/brokers/`).

A live order needs a `LiveCapability`, which `verified` makes from an Ed25519 signature over `Terms`, by a key of the
ring, for exactly the configuration, version, environment, broker and account that are in force. Who made a capability,
and against which ring, is not to be seen on it; so it counts for nothing by itself. Whoever sends under it has the desk
prove it at each use (`Proof`): the signature, against the desk's own ring and what is in force there then. Everything
else is paper. Code that brings a proof of its own has decided for itself: no process can keep that out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Never, final

from trading.errors import (
    LiveExpired,
    LiveForged,
    LiveFormatUnknown,
    LiveKeyChanged,
    LiveKeyUntrusted,
    LiveNotYet,
    LiveOlderVersion,
    LiveOtherAccount,
    LiveOtherBroker,
    LiveOtherConfiguration,
    LiveOtherEnvironment,
    LiveOtherHome,
    LivePermitMissing,
    LiveSignatureWrong,
    LiveTermWrong,
    LiveUnreadable,
    PaperOnly,
)

FORMAT = "daybook-live-1"
PRODUCTION = "production"
LONGEST = timedelta(days=366)  # a signature that nobody renews ends by itself
LARGEST_BYTES = 4096
PAPER_ACCOUNT = re.compile(r"D[A-Z]{0,2}[0-9]{1,12}")  # how Interactive Brokers names paper accounts
AGAIN = "Look at what is in force (daybook config status), then sign it: daybook live sign."
BACK_TO_PAPER = (
    "Apply a configuration with environment = 'paper' and close until no order is at work there, then sign again; or "
    "go live from a home of its own."
)
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_SHAPES = {
    "format": r"daybook-live-[0-9]{1,6}",
    "configuration": r"[0-9a-f]{64}",
    "number": r"[1-9][0-9]{0,17}",
    "environment": r"[a-z]{1,32}",
    "broker": r"[a-z][a-z0-9_]{0,63}",
    "account": r"[A-Za-z0-9._-]{1,60}",
    "home": r"/[^\x00-\x1f\x7f]{0,500}",
    "signed_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "expires_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "key_id": r"[0-9a-f]{32}",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What is signed: a configuration (content hash) as a version, for one account at one broker, of the desk in one
    folder (a copy of it is another desk), from a moment to another (UTC, whole seconds), by a key. Raises
    LiveUnreadable where a field is not written as it must be, LiveTermWrong."""

    configuration: str
    number: int
    broker: str
    account: str
    home: str
    signed_at: datetime
    expires_at: datetime
    key_id: str
    environment: str = PRODUCTION
    format: str = FORMAT

    def __post_init__(self) -> None:
        for name, text in self._texts().items():
            if not re.fullmatch(_SHAPES[name], text, re.ASCII):
                raise LiveUnreadable(f"a live configuration cannot have {name} = {text[:80]!r}. {AGAIN}")
        if not self.signed_at < self.expires_at <= self.signed_at + LONGEST:
            raise LiveTermWrong(
                f"a live configuration cannot be signed from {self.signed_at:{_STAMP}} until "
                f"{self.expires_at:{_STAMP}}: it ends after it begins, and within {LONGEST.days} days. Sign it again, "
                "until a moment between the two."
            )

    def _texts(self) -> dict[str, str]:
        given = asdict(self)
        for name in ("signed_at", "expires_at"):
            given[name] = _stamp(name, given[name])
        if type(given["number"]) is not int:
            raise LiveUnreadable(f"a live configuration cannot have number = {given['number']!r}. {AGAIN}")
        return {name: str(value) for name, value in given.items()}

    def canonical(self) -> bytes:
        """The bytes that are signed: JSON, keys sorted, no blanks, ASCII."""
        return _json({**self._texts(), "number": self.number})


@dataclass(frozen=True, slots=True)
class Signed:
    """Terms with a signature (64 bytes, where it was not cut)."""

    terms: Terms
    signature: bytes

    def to_bytes(self) -> bytes:
        """As a file holds it."""
        return _json({"signature": self.signature.hex(), "signed": json.loads(self.terms.canonical())}) + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Signed:
        """What a file holds. Raises LiveUnreadable unless the bytes are those that `to_bytes` writes, each of them;
        LiveFormatUnknown."""
        if len(content) > LARGEST_BYTES:
            raise LiveUnreadable(f"the signed live configuration is larger than {LARGEST_BYTES} bytes. {AGAIN}")
        try:
            found = json.loads(content)
            given, signature = dict(found["signed"]), bytes.fromhex(found["signature"])
        except (ValueError, TypeError, KeyError, RecursionError) as cause:
            raise LiveUnreadable(f"the signed live configuration is not whole: {_said(cause)}. {AGAIN}") from cause
        signed = cls(_terms(given), signature)
        if signed.to_bytes() != content:
            raise LiveUnreadable(f"the signed live configuration was written by something else. {AGAIN}")
        return signed


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds at a desk now: the configuration in force and its version, what it says, and the desk's folder."""

    configuration: str
    number: int
    environment: str
    broker: str
    account: str | None
    home: str


def sign(terms: Terms, with_key: Callable[[bytes], bytes]) -> Signed:
    """Terms, signed."""
    return Signed(terms, with_key(terms.canonical()))


def key_id(public: bytes) -> str:
    """The id of a public key (32 bytes): the first 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:32]


# --- permits ----------------------------------------------------------------------------------------------------------
@final
@dataclass(frozen=True, slots=True, init=False)
class LiveCapability:
    """That live orders may be sent, under the terms that were signed. `verified` makes one, and it cannot be copied by
    accident. Code can put one together all the same, with a key of its own: each use has the desk prove it."""

    signed: Signed
    public: bytes

    def __new__(cls, *_: Never, **__: Never) -> LiveCapability:
        raise _forged("was made without verification")

    def __init__(self, *_: Never, **__: Never) -> None:
        raise _forged("was made without verification")

    def __init_subclass__(cls) -> None:
        raise _forged("has another class")

    def __reduce_ex__(self, _: object) -> Never:
        raise _forged("was copied or pickled")

    def __getstate__(self) -> Never:
        raise _forged("was copied or pickled")

    def __setstate__(self, _: object) -> None:
        raise _forged("was unpickled")

    @property
    def terms(self) -> Terms:
        """What was signed."""
        return self.signed.terms


@final
@dataclass(frozen=True, slots=True)
class PaperPermit:
    """That orders may be sent on paper: to accounts that their broker calls paper accounts, and to folders that say
    PAPER. Anybody may have one."""

    environment: str = "development"

    def __init_subclass__(cls) -> None:
        raise _forged("has another class")


Permit = LiveCapability | PaperPermit
Proof = Callable[[LiveCapability, datetime], None]
"""Whether a capability holds at a desk, now (UTC): its signature again, against the desk's ring and what is in force
there. Raises LiveRefused, of `verified`."""


def verified(signed: Signed, trusted: Mapping[str, bytes], standing: Standing, now: datetime) -> LiveCapability:
    """The capability that a signature yields at a desk, now (UTC). `trusted`: public keys (32 bytes) by key id. Ring
    and standing are what the caller says they are: a sender asks the desk for its own.

    Raises LiveKeyUntrusted, LiveKeyChanged, LiveSignatureWrong, LiveOtherEnvironment, LiveOtherBroker,
    LiveOtherAccount, LiveOtherHome, LiveOlderVersion, LiveOtherConfiguration, LiveNotYet, LiveExpired.
    """
    terms = signed.terms
    public = _trusted(terms.key_id, trusted)
    _check_signature(signed, public)
    _check_standing(terms, standing)
    check_time(terms, now)
    made = object.__new__(LiveCapability)
    object.__setattr__(made, "signed", signed)
    object.__setattr__(made, "public", public)
    return made


def required(permit: object) -> LiveCapability | PaperPermit:
    """A permit, as an adapter that sends orders was given it. Raises LivePermitMissing where it is none."""
    if type(permit) is LiveCapability or type(permit) is PaperPermit:
        return permit
    raise LivePermitMissing(
        f"a broker that sends orders was made with {type(permit).__name__} as its permit. Orders are sent on paper "
        "with a PaperPermit, and live with the LiveCapability of a signed live configuration: daybook live status."
    )


def is_live(permit: LiveCapability | PaperPermit) -> bool:
    """Whether a permit is one for live orders, and whole: signed by the key that it holds itself, whoever that is.
    Raises LivePermitMissing, LiveForged, LiveSignatureWrong."""
    if type(required(permit)) is PaperPermit:
        return False
    try:
        signed, public = permit.signed, permit.public  # type: ignore[union-attr]
        is_its_key = key_id(public) == signed.terms.key_id
    except (AttributeError, TypeError) as cause:
        raise _forged("was made without verification") from cause
    if not is_its_key:
        raise _forged("was changed")
    _check_signature(signed, public)
    return True


def unproven(permit: LiveCapability, now: datetime) -> None:
    """The proof of a sender that no desk made. Raises LivePermitMissing."""
    raise LivePermitMissing(
        f"a broker that sends orders to account {permit.terms.account} was made without its desk, which alone can say "
        f"whether key {permit.terms.key_id} is trusted and what is in force: nothing was sent. Have the desk make it."
    )


def check_use(
    permit: LiveCapability | PaperPermit, broker: str, account: str | None, now: datetime, proof: Proof = unproven
) -> None:
    """Whether orders may be sent under a permit now, to an account as the broker itself reports it (None: nobody
    does, and nobody can); of a capability, by the proof of the desk. Raises PaperOnly, LiveOtherBroker,
    LiveOtherAccount, LiveNotYet, LiveExpired, and as `is_live` and the proof."""
    if isinstance(permit, LiveCapability) and is_live(permit):
        _check_account(permit.terms, broker, account)
        check_time(permit.terms, now)
        proof(permit, now)
    else:
        check_paper(permit, broker, account)


def check_paper(permit: object, broker: str, account: str | None) -> None:
    """Whether an account is one that a paper permit is for. Raises PaperOnly, LivePermitMissing."""
    required(permit)
    if account is not None and not PAPER_ACCOUNT.fullmatch(account):
        raise PaperOnly(
            f"account {account} of {broker} is no paper account (those begin with D), and this desk is on paper: "
            "nothing was sent. Log the gateway in with the paper user, or have a live configuration signed: daybook "
            "live status says what is missing."
        )


# --- checks -----------------------------------------------------------------------------------------------------------
def _trusted(name: str, trusted: Mapping[str, bytes]) -> bytes:
    if name not in trusted:
        known = ", ".join(sorted(trusted)) or "no key"
        raise LiveKeyUntrusted(
            f"key {name} is not in the key ring, which holds {known}. Whoever keeps the ring puts a public key there; "
            "signing makes nobody trusted."
        )
    if key_id(trusted[name]) != name:
        raise LiveKeyChanged(
            f"the key ring holds another key under the name {name}. Find out who put it there, and restore the file."
        )
    return trusted[name]


def _check_signature(signed: Signed, public: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signed.signature, signed.terms.canonical())
    except (InvalidSignature, ValueError) as cause:
        raise LiveSignatureWrong(
            f"the signature of key {signed.terms.key_id} is not of these terms: one of the two was changed. {AGAIN}"
        ) from cause


def _check_standing(terms: Terms, standing: Standing) -> None:
    if standing.environment != PRODUCTION or terms.environment != PRODUCTION:
        raise LiveOtherEnvironment(
            f"the desk is in environment {standing.environment} and the signature is for {terms.environment}: live "
            f"orders are sent in {PRODUCTION} only. Apply a configuration with environment = '{PRODUCTION}', then sign."
        )
    _check_account(terms, standing.broker, standing.account)
    if terms.home != standing.home:
        raise LiveOtherHome(
            f"the desk in {terms.home} was signed, and this one is in {standing.home}: a copy of a desk sends no live "
            f"orders. {AGAIN}"
        )
    if terms.number < standing.number:
        raise LiveOlderVersion(
            f"version {terms.number} was signed, and version {standing.number} is in force: a signature of an earlier "
            f"version does not hold again. {AGAIN}"
        )
    if (terms.number, terms.configuration) != (standing.number, standing.configuration):
        raise LiveOtherConfiguration(
            f"version {terms.number} with configuration {terms.configuration[:12]} was signed, and version "
            f"{standing.number} with {standing.configuration[:12]} is in force. {AGAIN}"
        )


def _check_account(terms: Terms, broker: str, account: str | None) -> None:
    if broker != terms.broker:
        raise LiveOtherBroker(f"broker {terms.broker} was signed, and {broker} is what the desk uses. {AGAIN}")
    if account != terms.account:
        shown = "no account is named" if account is None else f"{account} is what the desk uses"
        raise LiveOtherAccount(f"account {terms.account} was signed, and {shown}: nothing was sent. {AGAIN}")


def check_time(terms: Terms, now: datetime) -> None:
    """Raises LiveNotYet, LiveExpired."""
    if now < terms.signed_at:
        raise LiveNotYet(
            f"the clock says {now:{_STAMP}}, before the signing at {terms.signed_at:{_STAMP}}. Correct the clock."
        )
    if now >= terms.expires_at:
        raise LiveExpired(
            f"the live configuration was signed until {terms.expires_at:{_STAMP}}, and it is {now:{_STAMP}}. {AGAIN}"
        )


def _forged(how: str) -> LiveForged:
    return LiveForged(
        f"a live capability {how}: only verifying a signed live configuration makes one. Use what daybook live verify "
        "finds, or a PaperPermit."
    )


# --- bytes ------------------------------------------------------------------------------------------------------------
def _terms(given: dict[str, Any]) -> Terms:
    """Terms out of a document. Raises LiveUnreadable, LiveFormatUnknown, LiveTermWrong."""
    if given.get("format") != FORMAT:
        raise LiveFormatUnknown(
            f"the live configuration was signed in format {str(given.get('format'))[:40]!r}, and this version knows "
            f"{FORMAT}. Sign it with this version, or run the one that signed."
        )
    names = {field.name for field in fields(Terms)}
    if set(given) != names:
        wrong = ", ".join(sorted(map(str, set(given) ^ names)))[:200]
        raise LiveUnreadable(f"the signed live configuration has not the fields it must have: {wrong}. {AGAIN}")
    times = {name: _moment(name, given[name]) for name in ("signed_at", "expires_at")}
    return Terms(**{**given, **times})


def _moment(name: str, text: object) -> datetime:
    try:
        return datetime.strptime(str(text), _STAMP).replace(tzinfo=UTC)
    except ValueError as cause:
        raise LiveUnreadable(f"a live configuration cannot have {name} = {str(text)[:80]!r}. {AGAIN}") from cause


def _stamp(name: str, moment: object) -> str:
    if not isinstance(moment, datetime) or moment.utcoffset() != timedelta(0) or moment.microsecond:
        raise LiveUnreadable(f"a live configuration cannot have {name} = {moment!r}: give whole seconds of UTC.")
    return f"{moment:{_STAMP}}"


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def _said(cause: Exception) -> str:
    """What is wrong with a document that is none, in words."""
    if isinstance(cause, json.JSONDecodeError):
        return f"it is no JSON from line {cause.lineno}, column {cause.colno} on"
    if isinstance(cause, KeyError):
        return f"it has no field {cause.args[0]}"
    return "it has a field of another kind than was written, or is no JSON of ours"
