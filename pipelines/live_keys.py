"""The keys of live orders at a desk, which are trusted and with which a person signs, and the file of what was signed.

Belongs here: where they are, by the home and the environment. Does not belong here: reading them
(`resources/key_ring.py`, `resources/pkcs11_signer.py`), or what is signed (`trading/config/live.py`).

    DAYBOOK_LIVE_KEYS         the key ring, a folder of public keys; default <home>/keys/live
    DAYBOOK_LIVE_KEY          the key that signs: a file, or a pkcs11: URI; `--key` wins over it
    DAYBOOK_PKCS11_MODULE     the library that speaks to the token, where the URI names none
    DAYBOOK_PKCS11_PIN_FILE   a file with the token's PIN that only its owner can read; or DAYBOOK_PKCS11_PIN, the PIN
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipelines.settings import Place
from trading.config.live import key_id
from trading.errors import DaybookError, LiveKeyUntrusted, LiveKeyUnusable

if TYPE_CHECKING:
    from resources.live_file import LiveFile
    from resources.pkcs11_signer import TokenKey

FILE = Path("config") / "live.json"  # of the home
_MODULE = "DAYBOOK_PKCS11_MODULE"


class SigningKey(Protocol):
    """A private Ed25519 key, wherever it lies. Raises LiveKeyUnusable."""

    def public(self) -> bytes:
        """The public key (32 bytes)."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature (64 bytes)."""
        ...


def ring(where: Place) -> Path:
    """The folder of public keys that may sign live configurations."""
    given = os.environ.get("DAYBOOK_LIVE_KEYS")
    return Path(given).resolve() if given else where.home / "keys" / "live"


def trusted(where: Place) -> Mapping[str, bytes]:
    """Public keys (32 bytes) of the ring by key id. Raises LiveKeyUntrusted, LiveKeyChanged; a key that signs closes is
    none of them: a program makes it, and uses it without being asked."""
    from resources.key_ring import KeyRing

    found = KeyRing(ring(where)).trusted()
    closing = sorted(found.keys() & _closing(where, found))
    if closing:
        raise LiveKeyUntrusted(
            f"key {closing[0]} of {ring(where)} signs this desk's closes, so it may not sign live configurations too. "
            "Remove it from the ring, and make a key of its own: openssl genpkey -algorithm ed25519."
        )
    return found


def signing_key(given: str | None) -> SigningKey:
    """The key that is named: a file, or a `pkcs11:` URI. Raises LiveKeyUnusable."""
    from resources.key_ring import KeyFile
    from resources.pkcs11_signer import SCHEME, Pkcs11Key, TokenKey

    name = given or os.environ.get("DAYBOOK_LIVE_KEY")
    if not name:
        raise LiveKeyUnusable(
            "no key is named that signs. Give --key FILE or --key 'pkcs11:token=NAME;object=LABEL', or set "
            "DAYBOOK_LIVE_KEY to that."
        )
    if not name.startswith(SCHEME):
        return KeyFile(Path(name))
    token = TokenKey.from_uri(name)
    return Pkcs11Key(token, _module(token), _pin())


def live_file(where: Place) -> LiveFile:
    """The signed live configuration of a home."""
    from resources.live_file import LiveFile

    return LiveFile(where.home / FILE)


def public_pem(public: bytes) -> str:
    """A public key (32 bytes) as a ring keeps it."""
    from resources import key_ring

    return key_ring.public_pem(public)


def trusted_or_how(where: Place, public: bytes) -> str:
    """The id of a key that is in the ring. Raises LiveKeyUntrusted saying how it gets there."""
    name, folder = key_id(public), ring(where)
    if name in trusted(where):
        return name
    raise LiveKeyUntrusted(
        f"key {name} is not in the key ring {folder}, and signing makes nobody trusted: nothing was written. Whoever "
        f"keeps the ring puts what `daybook live key` prints there, as {name}.pub."
    )


def _closing(where: Place, names: Collection[str]) -> set[str]:
    """Those that signed a close here, and the key that signs the next one."""
    from resources.ed25519_signer import Ed25519Signer

    folder = where.home / "keys"
    signed = {name for name in names if (folder / f"{name}.pub").exists()}
    if not names:
        return signed
    try:
        coming = Ed25519Signer(folder, where.signing_key).next_key_id()
    except DaybookError as cause:
        raise LiveKeyUntrusted(
            f"whether a key of {ring(where)} signs this desk's closes, which may not sign live configurations too, "
            f"cannot be told: {cause}"
        ) from cause
    return signed if coming is None else signed | {coming}


def _module(token: TokenKey) -> Path:
    given = os.environ.get(_MODULE)
    if token.module is None and not given:
        raise LiveKeyUnusable(
            f"which library speaks to token {token.token} is not said. Set {_MODULE}, like "
            "/usr/lib/softhsm/libsofthsm2.so, or add ?module-path= to the URI."
        )
    return token.module or Path(str(given))


def _pin() -> str:
    from resources.key_ring import secret

    file, given = os.environ.get("DAYBOOK_PKCS11_PIN_FILE"), os.environ.get("DAYBOOK_PKCS11_PIN")
    found = secret(Path(file)).decode("utf-8", "replace").rstrip("\r\n") if file else given
    if not found:
        raise LiveKeyUnusable(
            "the token's PIN is not said. Set DAYBOOK_PKCS11_PIN_FILE to a file that only its owner can read, or "
            "DAYBOOK_PKCS11_PIN."
        )
    return found
