"""Ed25519 keys in a folder: the desk's own private key, and the public key of every key that ever signed.

Belongs here: making, finding and using keys. Does not belong here: what is signed (`trading/book/signature.py`).

A key's id is its fingerprint: the first 32 hexadecimal digits of the SHA-256 of its public key. `signing.pem` is the
private key, readable by its owner only and made on first use; `<fingerprint>.pub` are public keys, kept for good, so
that what an older key signed is verified after it was replaced. Replace a key by moving `signing.pem` away.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from resources.disk_errors import refusal
from resources.durable import synced
from trading.errors import KeyMissing, StoreUnavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PRIVATE = "signing.pem"
_ONLY_ITS_OWNER = 0o600


class Ed25519Signer:
    """Signer with the keys of `folder`. `key_file` names another private key, which must be there; its public key is
    kept in the folder too."""

    def __init__(self, folder: Path, key_file: Path | None = None) -> None:
        self._folder = Path(folder)
        self._given = key_file
        self._private: Ed25519PrivateKey | None = None

    @property
    def key_id(self) -> str:
        """As the port."""
        return fingerprint(self._key().public_key())

    def sign(self, message: bytes) -> bytes:
        """As the port. Raises KeyMissing where the given key file is absent, unreadable or no Ed25519 key."""
        return self._key().sign(message)

    def verify(self, key_id: str, message: bytes, signature: bytes) -> bool:
        """As the port. Raises KeyMissing where no public key of that fingerprint is kept, or the one kept under its
        name is another."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._public(key_id).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def next_key_id(self) -> str | None:
        """The id of the key that signs next, though it may not have signed yet; None where one would be made then.
        Nothing is written. Raises as `sign`."""
        path = self._given or self._folder / PRIVATE
        if self._given is None and not path.exists():
            return None
        with self._translated():
            return fingerprint(_read_private(path).public_key())

    # --- keys ---
    def _key(self) -> Ed25519PrivateKey:
        if self._private is None:
            with self._translated():
                path = self._given or self._folder / PRIVATE
                if self._given is None and not path.exists():
                    self._make(path)
                self._private = _read_private(path)
                self._keep_public(self._private.public_key())
        return self._private

    def _make(self, path: Path) -> None:
        """A new key, whole or not at all; where two processes make one at once, the first one's stays."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        content = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _put_if_absent(path, content, _ONLY_ITS_OWNER)

    def _keep_public(self, key: Ed25519PublicKey) -> None:
        path = self._folder / f"{fingerprint(key)}.pub"
        if not path.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _put_if_absent(path, _public_bytes(key), 0o644)

    def _public(self, key_id: str) -> Ed25519PublicKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        path = self._folder / f"{key_id}.pub"
        try:
            found = load_pem_public_key(path.read_bytes())
        except FileNotFoundError as cause:
            raise KeyMissing(
                f"there is no public key {key_id} in {self._folder}: what it signed cannot be verified. Restore the "
                "file from a backup."
            ) from cause
        except (OSError, ValueError) as cause:
            raise KeyMissing(f"{path} is not a public key: {cause}. Restore the file from a backup.") from cause
        if not isinstance(found, Ed25519PublicKey) or fingerprint(found) != key_id:
            raise KeyMissing(f"{path} is another key than its name says. Restore the file from a backup.")
        return found

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            raise refusal(cause, self._folder) or StoreUnavailable(
                f"the keys in {self._folder} cannot be used: {cause}."
            ) from cause


def fingerprint(key: Ed25519PublicKey) -> str:
    """The id of a public key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]


def _read_private(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError as cause:
        raise KeyMissing(
            f"there is no signing key {path}. Name one that exists with DAYBOOK_SIGNING_KEY, or unset it: a key of the "
            "desk's own is made then."
        ) from cause
    except (ValueError, TypeError) as cause:
        raise KeyMissing(f"{path} is not a private key without a passphrase: {cause}. Give an Ed25519 key.") from cause
    if not isinstance(found, Ed25519PrivateKey):
        raise KeyMissing(f"{path} is a key of another kind. Give an Ed25519 key: openssl genpkey -algorithm ed25519.")
    return found


def _public_bytes(key: Ed25519PublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _put_if_absent(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    synced(path.parent)
