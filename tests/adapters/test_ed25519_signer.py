"""The desk's signing keys: made once, kept private, and old ones still verify."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from resources.ed25519_signer import PRIVATE, Ed25519Signer
from trading.errors import KeyMissing, StoreUnavailable
from trading.ports import Signer

# RFC 8032, section 7.1, test 2: secret key, public key, message, signature.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
SIGNATURE = (
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def pem(key: object) -> bytes:
    return key.private_bytes(  # type: ignore[attr-defined, no-any-return]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """The key of the RFC, as a file."""
    file = tmp_path / "given.pem"
    file.write_bytes(pem(Ed25519PrivateKey.from_private_bytes(SECRET)))
    return file


def test_it_is_a_signer(tmp_path: Path) -> None:
    assert isinstance(Ed25519Signer(tmp_path / "keys"), Signer)


def test_a_key_is_made_on_first_use_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    signer = Ed25519Signer(folder)
    assert not folder.exists()
    name = signer.key_id
    assert stat.S_IMODE((folder / PRIVATE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(file.name for file in folder.iterdir()) == sorted([PRIVATE, f"{name}.pub"])
    assert Ed25519Signer(folder).key_id == name


def test_signs_as_the_standard_says(tmp_path: Path, given: Path) -> None:
    signer = Ed25519Signer(tmp_path / "keys", given)
    assert signer.sign(b"\x72").hex() == SIGNATURE
    # sha256 of the public key by another program: printf PUBLIC | xxd -r -p | sha256sum
    assert signer.key_id == "39f713d0a644253f04529421b9f51b9b"
    assert not (tmp_path / "keys" / PRIVATE).exists()


def test_only_this_message_and_this_signature_verify(tmp_path: Path, given: Path) -> None:
    signer = Ed25519Signer(tmp_path / "keys", given)
    good = bytes.fromhex(SIGNATURE)
    name = signer.key_id
    assert signer.verify(name, b"\x72", good)
    assert not signer.verify(name, b"\x73", good)
    for place in range(len(good)):
        assert not signer.verify(name, b"\x72", good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
    assert not signer.verify(name, b"\x72", b"")


def test_what_a_replaced_key_signed_still_verifies(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    old = Ed25519Signer(folder)
    name, signature = old.key_id, old.sign(b"a day")
    (folder / PRIVATE).unlink()
    new = Ed25519Signer(folder)
    assert new.key_id != name
    assert new.verify(name, b"a day", signature)
    assert not new.verify(new.key_id, b"a day", signature)


def test_a_public_key_that_is_gone_or_another_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    signer = Ed25519Signer(folder)
    name, signature = signer.key_id, signer.sign(b"a day")
    other = Ed25519Signer(tmp_path / "others")
    kept = folder / f"{name}.pub"
    kept.write_bytes((tmp_path / "others" / f"{other.key_id}.pub").read_bytes())
    with pytest.raises(KeyMissing, match="another key than its name says"):
        signer.verify(name, b"a day", signature)
    kept.write_text("nothing")
    with pytest.raises(KeyMissing, match="not a public key"):
        signer.verify(name, b"a day", signature)
    kept.unlink()
    with pytest.raises(KeyMissing, match=name):
        signer.verify(name, b"a day", signature)


@pytest.mark.parametrize("content", [b"", b"not a key", pem(generate_private_key(SECP256R1()))])
def test_a_given_key_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "given.pem"
    file.write_bytes(content)
    with pytest.raises(KeyMissing, match=r"given\.pem .*Give an Ed25519 key"):
        Ed25519Signer(tmp_path / "keys", file).sign(b"a day")


def test_a_given_key_that_is_absent_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match="DAYBOOK_SIGNING_KEY"):
        Ed25519Signer(tmp_path / "keys", tmp_path / "given.pem").sign(b"a day")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("")
    with pytest.raises(StoreUnavailable, match="keys"):
        Ed25519Signer(tmp_path / "keys").sign(b"a day")
