"""Who may send live orders: one way to get a capability, and every other way refused by name.

Keys are made here; signatures are those of the library, over bytes written down in the test where that matters. Does
not belong here: files and tokens (`tests/adapters/`), or a desk (`tests/days/test_paper_refusals.py`).
"""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from trading.config.live import (
    LiveCapability,
    PaperPermit,
    Signed,
    Standing,
    Terms,
    check_paper,
    check_use,
    is_live,
    key_id,
    required,
    sign,
    verified,
)
from trading.errors import (
    DaybookError,
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
    LiveRefused,
    LiveSignatureWrong,
    LiveTermWrong,
    LiveUnreadable,
    PaperOnly,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC, OTHER_PUBLIC = (key.public_key().public_bytes_raw() for key in (KEY, OTHER))
RING = {key_id(PUBLIC): PUBLIC}
BEGUN, ENDS = datetime(2026, 11, 21, 9, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 23, 22, tzinfo=UTC)
IB, ACCOUNT, HASH = "interactive_brokers", "U0000017", "ab" * 32
HOME = "/srv/desk"
STANDING = Standing(HASH, 7, "production", IB, ACCOUNT, HOME)


def terms(**changes: Any) -> Terms:
    return replace(Terms(HASH, 7, IB, ACCOUNT, HOME, BEGUN, ENDS, key_id(PUBLIC)), **changes)


SIGNED = sign(terms(), KEY.sign)


def capability(now: datetime = NOW) -> LiveCapability:
    return verified(SIGNED, RING, STANDING, now)


def desk(permit: LiveCapability, now: datetime) -> None:
    """The proof of a desk with that ring and standing."""
    verified(permit.signed, RING, STANDING, now)


# --- what is signed ---------------------------------------------------------------------------------------------------
def test_what_is_signed_is_written_down() -> None:
    # written by hand: a change of it ends every signature there is
    assert terms().canonical() == (
        b'{"account":"U0000017","broker":"interactive_brokers","configuration":"' + b"ab" * 32 + b'",'
        b'"environment":"production","expires_at":"2027-01-01T00:00:00Z","format":"daybook-live-1",'
        b'"home":"/srv/desk","key_id":"' + key_id(PUBLIC).encode() + b'","number":7,"signed_at":"2026-11-21T09:00:00Z"}'
    )


def test_the_id_of_a_key_is_its_fingerprint() -> None:
    # sha256sum of the 32 bytes of the public key, by openssl
    answer = subprocess.run(["openssl", "dgst", "-sha256", "-hex"], input=PUBLIC, capture_output=True, check=True)
    assert key_id(PUBLIC) == answer.stdout.split()[-1].decode()[:32]


@pytest.mark.parametrize(("changes", "refused"), [
    ({"configuration": "AB" * 32}, LiveUnreadable), ({"configuration": HASH[:-1]}, LiveUnreadable),
    ({"number": 0}, LiveUnreadable), ({"number": True}, LiveUnreadable), ({"number": "7"}, LiveUnreadable),
    ({"account": ""}, LiveUnreadable), ({"account": "U1\n"}, LiveUnreadable), ({"account": "Ü1"}, LiveUnreadable),
    ({"home": "desk"}, LiveUnreadable), ({"home": "/a\n"}, LiveUnreadable), ({"home": ""}, LiveUnreadable),
    ({"broker": "Interactive Brokers"}, LiveUnreadable), ({"key_id": "z" * 32}, LiveUnreadable),
    ({"signed_at": BEGUN.replace(tzinfo=None)}, LiveUnreadable),
    ({"signed_at": BEGUN.astimezone(timezone(timedelta(hours=1)))}, LiveUnreadable),
    ({"expires_at": ENDS.replace(microsecond=1)}, LiveUnreadable),
    ({"expires_at": BEGUN}, LiveTermWrong), ({"expires_at": BEGUN - timedelta(days=1)}, LiveTermWrong),
    ({"expires_at": BEGUN + timedelta(days=366, seconds=1)}, LiveTermWrong),
])  # fmt: skip
def test_terms_that_nobody_may_sign(changes: dict[str, Any], refused: type[DaybookError]) -> None:
    with pytest.raises(refused):
        terms(**changes)


def test_a_year_and_a_day_is_the_longest_term() -> None:
    assert terms(expires_at=BEGUN + timedelta(days=366)).expires_at == datetime(2027, 11, 22, 9, tzinfo=UTC)


# --- the one way ------------------------------------------------------------------------------------------------------
def test_a_signature_of_what_is_in_force_yields_the_capability() -> None:
    found = capability()
    assert (found.terms, found.public) == (terms(), PUBLIC)
    assert is_live(found)
    check_use(found, IB, ACCOUNT, NOW, desk)


@pytest.mark.parametrize("now", [BEGUN, ENDS - timedelta(seconds=1)])
def test_it_holds_from_the_second_of_signing_to_the_last_before_the_end(now: datetime) -> None:
    check_use(capability(now), IB, ACCOUNT, now, desk)


# --- every other way --------------------------------------------------------------------------------------------------
ELSE: dict[str, tuple[type[LiveRefused], Callable[[], object]]] = {
    "an expired one": (LiveExpired, lambda: capability(ENDS)),
    "a clock before the signing": (LiveNotYet, lambda: capability(BEGUN - timedelta(seconds=1))),
    "an empty key ring": (LiveKeyUntrusted, lambda: verified(SIGNED, {}, STANDING, NOW)),
    "a key that nobody trusts": (
        LiveKeyUntrusted,
        lambda: verified(sign(terms(key_id=key_id(OTHER_PUBLIC)), OTHER.sign), RING, STANDING, NOW),
    ),
    "another key under a trusted name": (
        LiveKeyChanged,
        lambda: verified(sign(terms(), OTHER.sign), {key_id(PUBLIC): OTHER_PUBLIC}, STANDING, NOW),
    ),
    "a signature by another key": (
        LiveSignatureWrong, lambda: verified(sign(terms(), OTHER.sign), RING, STANDING, NOW),
    ),
    "a signature cut short": (
        LiveSignatureWrong, lambda: verified(replace(SIGNED, signature=SIGNED.signature[:63]), RING, STANDING, NOW),
    ),
    "no signature": (LiveSignatureWrong, lambda: verified(replace(SIGNED, signature=b""), RING, STANDING, NOW)),
    "another account": (
        LiveOtherAccount, lambda: verified(SIGNED, RING, replace(STANDING, account="U0000018"), NOW),
    ),
    "no account": (LiveOtherAccount, lambda: verified(SIGNED, RING, replace(STANDING, account=None), NOW)),
    "another broker": (
        LiveOtherBroker, lambda: verified(SIGNED, RING, replace(STANDING, broker="statement_file"), NOW),
    ),
    "a copy of the desk": (
        LiveOtherHome, lambda: verified(SIGNED, RING, replace(STANDING, home="/srv/desk-copy"), NOW),
    ),
    "a desk on paper": (
        LiveOtherEnvironment, lambda: verified(SIGNED, RING, replace(STANDING, environment="paper"), NOW),
    ),
    "a signature for paper": (
        LiveOtherEnvironment,
        lambda: verified(sign(terms(environment="paper"), KEY.sign), RING, STANDING, NOW),
    ),
    "an older version, put back": (
        LiveOlderVersion, lambda: verified(SIGNED, RING, replace(STANDING, number=8), NOW),
    ),
    "an older version whose configuration is in force again": (
        LiveOlderVersion, lambda: verified(SIGNED, RING, replace(STANDING, number=9, configuration=HASH), NOW),
    ),
    "a version that is not in force yet": (
        LiveOtherConfiguration, lambda: verified(SIGNED, RING, replace(STANDING, number=6), NOW),
    ),
    "another configuration of the same number": (
        LiveOtherConfiguration, lambda: verified(SIGNED, RING, replace(STANDING, configuration="cd" * 32), NOW),
    ),
    "the constructor": (LiveForged, lambda: LiveCapability(SIGNED, PUBLIC)),  # type: ignore[arg-type]
    "the constructor with names": (
        LiveForged, lambda: LiveCapability(signed=SIGNED, public=PUBLIC),  # type: ignore[arg-type]
    ),
    "a copy": (LiveForged, lambda: copy.copy(capability())),
    "a deep copy": (LiveForged, lambda: copy.deepcopy(capability())),
    "a pickle": (LiveForged, lambda: pickle.dumps(capability())),
    "an old pickle": (LiveForged, lambda: pickle.dumps(capability(), protocol=0)),
    "a state put into it": (LiveForged, lambda: capability().__setstate__([SIGNED, PUBLIC])),
    "dataclasses.replace": (LiveForged, lambda: dataclasses.replace(capability())),
    "a subclass": (LiveForged, lambda: type("Mine", (LiveCapability,), {})),
    "a subclass of the paper permit": (LiveForged, lambda: type("Mine", (PaperPermit,), {})),
    "an empty one": (LiveForged, lambda: is_live(object.__new__(LiveCapability))),
    "one with other terms": (LiveSignatureWrong, lambda: is_live(tampered(signed=signed_for("U0000018")))),
    "one with another key": (LiveForged, lambda: is_live(tampered(public=OTHER_PUBLIC))),
    "one with nonsense in it": (LiveForged, lambda: is_live(tampered(public="key"))),
    "nothing": (LivePermitMissing, lambda: required(None)),
    "a word": (LivePermitMissing, lambda: check_use("live", IB, ACCOUNT, NOW)),  # type: ignore[arg-type]
    "an object that says it is one": (LivePermitMissing, lambda: is_live(Lookalike())),  # type: ignore[arg-type]
}  # fmt: skip


def signed_for(account: str) -> Signed:
    """Terms for another account with the signature of the right ones."""
    return replace(SIGNED, terms=terms(account=account))


def tampered(**changes: object) -> LiveCapability:
    """A capability that somebody wrote into past its guards."""
    found = capability()
    for name, value in changes.items():
        object.__setattr__(found, name, value)
    return found


class Lookalike:
    """Has what a capability has."""

    signed, public, terms = SIGNED, PUBLIC, terms()


@pytest.mark.parametrize(("refused", "forge"), ELSE.values(), ids=ELSE)
def test_no_other_way_yields_one(refused: type[LiveRefused], forge: Callable[[], object]) -> None:
    with pytest.raises(refused) as caught:
        forge()
    assert type(caught.value) is refused
    assert str(caught.value).endswith("."), "a sentence"


def test_every_way_is_refused_with_a_cure_of_its_own() -> None:
    assert len({refused for refused, _ in ELSE.values()}) == 13


def test_a_capability_cannot_be_written_into() -> None:
    found = capability()
    with pytest.raises(AttributeError):
        found.signed = signed_for("U0000018")  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        found.account = "U0000018"  # type: ignore[attr-defined]


def test_each_use_is_held_against_the_account_and_the_time_then() -> None:
    found = capability()
    with pytest.raises(LiveExpired):
        check_use(found, IB, ACCOUNT, ENDS, desk)
    with pytest.raises(LiveNotYet):
        check_use(found, IB, ACCOUNT, BEGUN - timedelta(days=1), desk)
    with pytest.raises(LiveOtherAccount):
        check_use(found, IB, "U0000018", NOW, desk)
    with pytest.raises(LiveOtherAccount):
        check_use(found, IB, "DU1", NOW, desk)
    with pytest.raises(LiveOtherBroker):
        check_use(found, "statement_file", ACCOUNT, NOW, desk)


def test_a_capability_by_itself_is_worth_nothing() -> None:
    """Ring and standing may be anybody's: the desk says whether they are its own."""
    mine = sign(terms(key_id=key_id(OTHER_PUBLIC)), OTHER.sign)
    made = verified(mine, {key_id(OTHER_PUBLIC): OTHER_PUBLIC}, STANDING, NOW)
    assert is_live(made), "it is whole, and the key is a stranger's"
    with pytest.raises(LiveKeyUntrusted):
        check_use(made, IB, ACCOUNT, NOW, desk)
    with pytest.raises(LiveKeyUntrusted):
        check_use(tampered(signed=mine, public=OTHER_PUBLIC), IB, ACCOUNT, NOW, desk)
    with pytest.raises(LivePermitMissing, match="without its desk"):
        check_use(capability(), IB, ACCOUNT, NOW)


# --- properties -------------------------------------------------------------------------------------------------------
@given(place=st.integers(0, len(SIGNED.to_bytes()) - 1), byte=st.integers(0, 255))
def test_no_changed_byte_of_the_file_passes(place: int, byte: int) -> None:
    content = bytearray(SIGNED.to_bytes())
    content[place] = byte
    if bytes(content) == SIGNED.to_bytes():
        return
    with pytest.raises(LiveRefused):
        verified(Signed.from_bytes(bytes(content)), RING, STANDING, NOW)


@given(cut=st.integers(0, len(SIGNED.to_bytes()) - 1), more=st.binary(max_size=40))
def test_no_cut_or_lengthened_file_passes(cut: int, more: bytes) -> None:
    content = SIGNED.to_bytes()[:cut] + more
    if content == SIGNED.to_bytes():
        return
    with pytest.raises(LiveRefused):
        verified(Signed.from_bytes(content), RING, STANDING, NOW)


@given(content=st.binary(max_size=6000))
def test_no_other_bytes_pass(content: bytes) -> None:
    with pytest.raises(LiveRefused):
        verified(Signed.from_bytes(content), RING, STANDING, NOW)


DOCUMENT = json.loads(SIGNED.to_bytes())
JUNK = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)


@given(field=st.sampled_from([*DOCUMENT["signed"], "another"]), value=JUNK)
def test_no_changed_field_passes(field: str, value: Any) -> None:
    given = {**DOCUMENT["signed"], field: value}
    if given == DOCUMENT["signed"] and type(value) is type(DOCUMENT["signed"].get(field)):
        return
    content = json.dumps({**DOCUMENT, "signed": given}, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(LiveRefused):
        verified(Signed.from_bytes(content), RING, STANDING, NOW)


@given(
    configuration=st.sampled_from([HASH, "cd" * 32]), number=st.integers(1, 9), environment=st.sampled_from(
        ["development", "paper", "production"]), broker=st.sampled_from([IB, "statement_file", "paper"]),
    account=st.sampled_from([ACCOUNT, "DU1", None]), home=st.sampled_from([HOME, "/srv/other"]),
    days=st.integers(-3, 60),
)  # fmt: skip
def test_it_is_yielded_exactly_where_everything_agrees(days: int, **held: Any) -> None:
    standing, now = Standing(**held), BEGUN + timedelta(days=days)
    agrees = standing == STANDING and BEGUN <= now < ENDS
    try:
        found = verified(SIGNED, RING, standing, now)
    except LiveRefused:
        assert not agrees
    else:
        assert agrees
        assert found.terms.account == standing.account


@given(signature=st.binary(max_size=80))
def test_no_made_up_signature_passes(signature: bytes) -> None:
    with pytest.raises(LiveSignatureWrong):
        verified(replace(SIGNED, signature=signature), RING, STANDING, NOW)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_made_by_hand_is_no_capability(protocol: int) -> None:
    class Made:
        def __reduce__(self) -> tuple[Any, ...]:
            return (object.__new__, (LiveCapability,))

    found = pickle.loads(pickle.dumps(Made(), protocol=protocol))
    with pytest.raises(LiveForged):
        is_live(found)


def test_a_format_of_another_version_is_refused_by_name() -> None:
    newer = SIGNED.to_bytes().replace(b"daybook-live-1", b"daybook-live-2")
    with pytest.raises(LiveFormatUnknown, match="daybook-live-2"):
        Signed.from_bytes(newer)


def test_a_field_named_twice_is_refused() -> None:
    twice = SIGNED.to_bytes().replace(b'{"account":', b'{"account":"U0000018","account":')
    with pytest.raises(LiveUnreadable, match="written by something else"):
        Signed.from_bytes(twice)


# --- paper ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("account", ["DU1", "DU1234567", "DF12345", "D1"])
def test_a_paper_permit_is_for_paper_accounts(account: str) -> None:
    check_use(PaperPermit(), IB, account, NOW)


@pytest.mark.parametrize(
    "account", ["U1234567", "F1234567", "I1", "", "du1", "XD1", "DUMMY", "D", "U1,DU1", "DU1 ", "DU1\n"]
)
def test_a_paper_permit_is_for_no_other_account(account: str) -> None:
    with pytest.raises(PaperOnly, match="no paper account"):
        check_use(PaperPermit(), IB, account, NOW)
    with pytest.raises(PaperOnly):
        check_paper(PaperPermit("production"), IB, account)


def test_a_paper_permit_is_not_live_whatever_it_says() -> None:
    assert not is_live(PaperPermit("production"))


# --- types ------------------------------------------------------------------------------------------------------------
PROGRAM = """
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from resources.brokers.interactive_brokers import InteractiveBrokers
from resources.brokers.order_files import OrderFiles
from resources.brokers.ib_account import InteractiveBrokersAccount
from trading.config.live import LiveCapability, PaperPermit, Signed

def f(clock: Callable[[], datetime], signed: Signed, home: Path, live: LiveCapability) -> None:
    OrderFiles(home, home, permit=live, clock=clock)
    OrderFiles(home, home, permit=PaperPermit(), clock=clock)
    OrderFiles(home, home, clock=clock)  # 1
    OrderFiles(home, home, permit=None, clock=clock)  # 2
    OrderFiles(home, home, permit="live", clock=clock)  # 3
    InteractiveBrokers(clock=clock)  # 4
    InteractiveBrokers(clock=clock, permit=signed)  # 5
    LiveCapability(signed, b"")  # 6
    live.signed = signed  # 7
    InteractiveBrokersAccount(futures={}, instruments=lambda day: {}).place([])  # 8
class Mine(PaperPermit):  # 9
    pass
"""


def test_types_say_so(tmp_path: Path, root: Path) -> None:
    program = tmp_path / "attempts.py"
    program.write_text(PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(program)]
    answer = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=240)
    said = set(re.findall(r"attempts\.py:(\d+): error", answer.stdout))
    wrong = {str(n) for n, line in enumerate(PROGRAM.splitlines(), 1) if "  # " in line}
    assert len(wrong) == 9
    assert said == wrong, answer.stdout + answer.stderr
