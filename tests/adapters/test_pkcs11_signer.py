"""Signing by a token: SoftHSM, started for the test, does what a token of hardware does.

Does not belong here: what is signed (`tests/domain/test_live_permits.py`), or a desk that signs
(`tests/days/test_live_commands.py`).
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from resources.pkcs11_signer import Pkcs11Key, TokenKey
from trading.errors import LiveKeyUnusable


@pytest.fixture(scope="module")
def public(token: Any) -> bytes:
    """The public key of `live`, as the token gave it when it made it."""
    return bytes(token.make_key("live"))


@pytest.fixture
def key(token: Any, public: bytes) -> Callable[..., Pkcs11Key]:
    """A key of the token, by its URI."""

    def of(uri: str = token.uri("live"), pin: str = token.pin, module: Path = token.module) -> Pkcs11Key:
        return Pkcs11Key(TokenKey.from_uri(uri), module, pin)

    return of


def test_a_token_signs_as_ed25519_says(key: Callable[..., Pkcs11Key], public: bytes) -> None:
    found = key()
    assert found.public() == public
    signature = found.sign(b"words")
    assert len(signature) == 64
    Ed25519PublicKey.from_public_bytes(public).verify(signature, b"words")


def test_openssl_agrees_with_the_token(key: Callable[..., Pkcs11Key], public: bytes, tmp_path: Path) -> None:
    header = bytes.fromhex("302a300506032b6570032100")  # RFC 8410: a public key of Ed25519
    (tmp_path / "key.der").write_bytes(header + public)
    (tmp_path / "words").write_bytes(b"words")
    (tmp_path / "signature").write_bytes(key().sign(b"words"))
    words = ["pkeyutl", "-verify", "-pubin", "-inkey", "key.der", "-keyform", "DER", "-rawin", "-in", "words"]
    answer = subprocess.run(["openssl", *words, "-sigfile", "signature"], cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_threads_take_turns(key: Callable[..., Pkcs11Key], public: bytes) -> None:
    found, made = key(), []
    threads = [threading.Thread(target=lambda: made.append(found.sign(b"words"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [found.sign(b"words")] * 8, "an Ed25519 signature is the same each time"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a wrong PIN": ({"pin": "00000000"}, "does not take this PIN"),
    "a PIN that is too short": ({"pin": "1"}, "does not take this PIN"),
    "another token": ({"uri": "pkcs11:token=nobodys;object=live"}, "no such token"),
    "another serial number": ({"uri": "pkcs11:token=daybook-tests;object=live;serial=77"}, "no such token"),
    "another key": ({"uri": "pkcs11:token=daybook-tests;object=dead"}, "no Ed25519 key 'dead'"),
    "no module": ({"module": Path("/none/module.so")}, "no module /none/module.so"),
}


@pytest.mark.parametrize(("given", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_sign_is_refused_and_the_pin_is_not_said(
    key: Callable[..., Pkcs11Key], given: dict[str, Any], said: str, token: Any
) -> None:
    found = key(**given)
    for ask in (found.public, lambda: found.sign(b"words")):
        with pytest.raises(LiveKeyUnusable, match=said) as caught:
            ask()
        assert caught.value.__cause__ is None, "a driver's own words may hold what it was given"
        assert token.pin not in str(caught.value) + repr(found)


def test_two_keys_of_a_name_are_told_apart_or_refused(key: Callable[..., Pkcs11Key], token: Any) -> None:
    token.make_key("twin")
    token.make_key("twin")
    with pytest.raises(LiveKeyUnusable, match="several keys 'twin'"):
        key(uri=token.uri("twin")).sign(b"words")


# --- URIs -------------------------------------------------------------------------------------------------------------
def test_a_uri_is_read_as_rfc_7512_writes_it() -> None:
    found = TokenKey.from_uri("pkcs11:token=My%20desk;object=live;id=%01%ff;serial=7?module-path=/usr/lib/m.so")
    assert found == TokenKey("My desk", "live", b"\x01\xff", "7", Path("/usr/lib/m.so"))


@pytest.mark.parametrize("uri", [
    "pkcs11:", "pkcs11:token=desk", "pkcs11:object=live", "pkcs11:token=;object=live", "pkcs11:token=desk;object=",
    "pkcs11:token=desk;object=live;object=dead", "pkcs11:token=desk;object=live;manufacturer=x",
    "pkcs11:token=desk;object=live?module-path=/a&module-path=/b", "pkcs11:token=desk;object=live?x=1",
])  # fmt: skip
def test_a_uri_that_names_no_one_key_is_refused(uri: str) -> None:
    with pytest.raises(LiveKeyUnusable, match="pkcs11:token=desk;object=live"):
        TokenKey.from_uri(uri)


@pytest.mark.parametrize("part", ["?pin-value=8642", "?pin-source=file:/8642", ";pin-value=8642"])
def test_a_pin_in_a_uri_is_refused_and_not_repeated(part: str) -> None:
    with pytest.raises(LiveKeyUnusable, match="DAYBOOK_PKCS11_PIN_FILE") as caught:
        TokenKey.from_uri(f"pkcs11:token=desk;object=live{part}")
    assert "8642" not in str(caught.value)
