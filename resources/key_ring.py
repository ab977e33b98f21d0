"""The keys of live orders on disk: which public keys are trusted, and a private key in a file.

Belongs here: reading both, and refusing files that others may have changed or read. Does not belong here: what is
signed (`trading/config/live.py`), a key in a token (`pkcs11_signer.py`), or the desk's own key, which signs closes and
is trusted for nothing else (`ed25519_signer.py`).

    RING/<key id>.pub     a public key (PEM) that may sign live configurations; its id is its fingerprint

A person puts public keys there. Nothing in Daybook writes to a ring.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from trading.config.live import key_id
from trading.errors import LiveKeyChanged, LiveKeyUntrusted, LiveKeyUnusable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

LARGEST_BYTES = 16_384
MOST_KEYS = 100
ROOT = 0  # the user who may write everything anyway
_OF_OTHERS_TO_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class KeyRing:
    """A folder of trusted public keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def trusted(self) -> Mapping[str, bytes]:
        """Public keys (32 bytes) by key id; none where there is no folder. Raises LiveKeyUntrusted where the folder or
        a file cannot be read or others may change it, LiveKeyChanged where a file is another key than its name says.
        """
        if not self.folder.exists():
            return {}
        facts = _facts(self.folder)
        _only_of(self.folder, facts, facts.st_uid)
        files = sorted(self.folder.glob("*.pub"))
        if len(files) > MOST_KEYS:
            raise LiveKeyUntrusted(
                f"the key ring {self.folder} holds {len(files)} keys, and {MOST_KEYS} at most. Remove some."
            )
        return {file.stem: self._public(file, facts.st_uid) for file in files}

    def _public(self, file: Path, keeper: int) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            found = load_pem_public_key(_content(file, keeper))
        except (OSError, ValueError, TypeError) as cause:
            raise LiveKeyUntrusted(f"{file} is no public key: {cause}. Restore it, or remove it.") from cause
        if not isinstance(found, Ed25519PublicKey):
            raise LiveKeyUntrusted(f"{file} is a key of another kind than Ed25519. Remove it.")
        public = found.public_bytes_raw()
        if key_id(public) != file.stem:
            raise LiveKeyChanged(
                f"{file} holds key {key_id(public)}, which is not what its name says. Find out who put it there, and "
                "restore the file."
            )
        return public


class KeyFile:
    """A private Ed25519 key in a PEM file that only its owner can read."""

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._key: Ed25519PrivateKey | None = None

    def public(self) -> bytes:
        """The public key (32 bytes). Raises LiveKeyUnusable."""
        return self._private().public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The signature (64 bytes). Raises LiveKeyUnusable."""
        return self._private().sign(message)

    def _private(self) -> Ed25519PrivateKey:
        self._key = self._key or self._read()
        return self._key

    def _read(self) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        cure = "Name an Ed25519 key without a passphrase: openssl genpkey -algorithm ed25519."
        try:
            found = load_pem_private_key(_secret(self._path), password=None)
        except OSError as cause:
            raise LiveKeyUnusable(f"{self._path} cannot be read: {cause.strerror or cause}. {cure}") from cause
        except (ValueError, TypeError) as cause:
            raise LiveKeyUnusable(f"{self._path} is no private key that can be used. {cure}") from cause
        if not isinstance(found, Ed25519PrivateKey):
            raise LiveKeyUnusable(f"{self._path} is a key of another kind. {cure}")
        return found


def secret(path: Path) -> bytes:
    """What a file with a secret holds. Raises LiveKeyUnusable where it cannot be read, is too large, or anybody but its
    owner may read it."""
    try:
        return _secret(path, "knows the PIN", "Choose another PIN for the token, and keep the file with chmod 600.")
    except OSError as cause:
        raise LiveKeyUnusable(f"{path} cannot be read: {cause.strerror or cause}. Name a file that can.") from cause


def public_pem(public: bytes) -> str:
    """A public key (32 bytes) as a ring keeps it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = Ed25519PublicKey.from_public_bytes(public)
    return found.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _secret(
    path: Path, who_read_it: str = "can sign", cure: str = "Make a new key, and keep it with chmod 600."
) -> bytes:
    with _opened(path) as file:
        facts = os.fstat(file.fileno())
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_BYTES:
            raise LiveKeyUnusable(f"{path} is no file of a key or a PIN. Name one.")
        if facts.st_mode & _OF_OTHERS:
            raise LiveKeyUnusable(
                f"{path} can be read by others than its owner (mode {stat.S_IMODE(facts.st_mode):04o}): who read it "
                f"{who_read_it}. {cure}"
            )
        if facts.st_uid not in (os.geteuid(), ROOT):
            raise LiveKeyUnusable(
                f"{path} belongs to user {facts.st_uid}, and not to the one who reads it ({os.geteuid()}): who owns it "
                "can read and replace it. Make one of your own."
            )
        return file.read(LARGEST_BYTES + 1)


def _content(path: Path, keeper: int) -> bytes:
    with _opened(path) as file:
        facts = os.fstat(file.fileno())
        _only_of(path, facts, keeper)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > LARGEST_BYTES:
            raise ValueError(f"it is no file, or larger than {LARGEST_BYTES} bytes")
        return file.read(LARGEST_BYTES + 1)


def _opened(path: Path) -> BinaryIO:
    """A file, open: facts of it are those of what is read, whatever is put under its name meanwhile. Of a pipe nobody
    waits for a writer."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")


def _facts(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as cause:
        raise LiveKeyUntrusted(f"{path} cannot be read: {cause.strerror or cause}. Make it readable.") from cause


def _only_of(path: Path, facts: os.stat_result, keeper: int) -> None:
    """Nobody but the ring's keeper, who owns its folder, and root may have written it."""
    if facts.st_uid not in (keeper, ROOT):
        raise LiveKeyUntrusted(
            f"{path} belongs to user {facts.st_uid}, and the ring to user {keeper}: it is not known who is trusted. "
            "Look at what it holds, then have the ring's owner own it."
        )
    if facts.st_mode & _OF_OTHERS_TO_WRITE:
        raise LiveKeyUntrusted(
            f"{path} can be changed by others than its owner (mode {stat.S_IMODE(facts.st_mode):04o}), so it is not "
            f"known who is trusted. Look at what it holds, then take the right away (chmod go-w {path})."
        )
