"""A private key in a PKCS#11 token, which signs and never gives the key away.

Belongs here: reading a `pkcs11:` URI (RFC 7512), and signing by the token's Ed25519 key. Does not belong here: what is
signed (`trading/config/live.py`), keys in files (`key_ring.py`), or where a PIN comes from (`pipelines/live.py`).

    pkcs11:token=desk;object=live?module-path=/usr/lib/softhsm/libsofthsm2.so

Python needs the package python-pkcs11 (extra `pkcs11`). A process speaks to one module: the first that it names.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

from trading.errors import LiveKeyUnusable

SCHEME = "pkcs11:"
_EXAMPLE = "pkcs11:token=desk;object=live"
_PATH, _QUERY = ("token", "object", "id", "serial", "type"), ("module-path",)
_POINT = {32: 0, 34: 2, 35: 3}  # bytes before an Ed25519 point, by its length: bare, an octet string, a bit string


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Which key of which token, and the module that speaks to it where the URI names one."""

    token: str
    label: str | None
    key: bytes | None
    serial: str | None = None
    module: Path | None = None

    @classmethod
    def from_uri(cls, uri: str) -> TokenKey:
        """What a `pkcs11:` URI names. Raises LiveKeyUnusable where it has no token or no object, something unknown, or
        a PIN: what is typed is seen."""
        path, _, query = uri.removeprefix(SCHEME).partition("?")
        given = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY)
        if not given.get("token") or not (given.get("object") or given.get("id")):
            raise LiveKeyUnusable(f"a PKCS#11 URI names a token and a key in it, like {_EXAMPLE}.")
        module = given.get("module-path")
        return cls(
            given["token"],
            given.get("object"),
            given["id"].encode("latin-1", "replace") if given.get("id") else None,
            given.get("serial"),
            Path(module) if module else None,
        )


class Pkcs11Key:
    """An Ed25519 key in a token, by the module at `module`. Its `repr` and its errors leave the PIN out. Raises
    LiveKeyUnusable where Python lacks the package."""

    def __init__(self, key: TokenKey, module: Path, pin: str) -> None:
        self._of, self._module, self._pin = key, Path(module), pin
        self._lock = threading.Lock()
        if find_spec("pkcs11") is None:
            self._refuse("Python lacks the package python-pkcs11, which is the extra pkcs11 of daybook")

    def __repr__(self) -> str:
        return f"Pkcs11Key({self._of.token}, {self._of.label})"

    def public(self) -> bytes:
        """The public key (32 bytes). Raises LiveKeyUnusable."""
        from pkcs11 import Attribute, ObjectClass

        with self._session() as session:
            point = bytes(self._found(session, ObjectClass.PUBLIC_KEY)[Attribute.EC_POINT])
        if len(point) not in _POINT:
            self._refuse(f"its public key has {len(point)} bytes, which is no Ed25519 key")
        return point[_POINT[len(point)] :]

    def sign(self, message: bytes) -> bytes:
        """The signature (64 bytes), made in the token. Raises LiveKeyUnusable."""
        from pkcs11 import Mechanism, ObjectClass

        with self._session() as session:
            return bytes(self._found(session, ObjectClass.PRIVATE_KEY).sign(message, mechanism=Mechanism.EDDSA))

    def _found(self, session: Any, kind: Any) -> Any:
        from pkcs11 import Attribute, KeyType

        asked = {Attribute.CLASS: kind, Attribute.KEY_TYPE: KeyType.EC_EDWARDS}
        asked |= {Attribute.LABEL: self._of.label} if self._of.label else {}
        asked |= {Attribute.ID: self._of.key} if self._of.key else {}
        found = list(session.get_objects(asked))  # to its end: a search that is left open disturbs the next one
        if len(found) == 1:
            return found[0]
        if found:
            self._refuse(f"it has several keys {self._of.label or self._of.key!r}: name one by its id")
        return self._refuse(f"it has no Ed25519 key {self._of.label or self._of.key!r}, private and public")

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """A session of the token's user, closed afterwards. One at a time: the user is logged in once a process."""
        from pkcs11.exceptions import PinIncorrect, PinInvalid, PinLenRange, PinLocked, PKCS11Error

        with self._lock:
            try:
                with self._token().open(user_pin=self._pin) as session:
                    yield session
            except (PinIncorrect, PinInvalid, PinLenRange):
                self._refuse("it does not take this PIN")
            except PinLocked:
                self._refuse("its PIN is locked after too many wrong ones; its security officer unlocks it")
            except PKCS11Error as cause:
                self._refuse(f"it failed ({type(cause).__name__}: {cause})")

    def _token(self) -> Any:
        import pkcs11
        from pkcs11.exceptions import MultipleTokensReturned, NoSuchToken, PKCS11Error

        if not self._module.is_file():
            self._refuse(f"there is no module {self._module}: set DAYBOOK_PKCS11_MODULE to the token's library")
        serial = self._of.serial.encode() if self._of.serial else None
        try:
            library = pkcs11.lib(str(self._module))
            return library.get_token(token_label=self._of.token, token_serial=serial)
        except NoSuchToken:
            self._refuse("no such token is plugged in")
        except MultipleTokensReturned:
            self._refuse("several tokens have this name: add ;serial= to the URI")
        except (PKCS11Error, RuntimeError) as cause:
            self._refuse(f"its module {self._module} failed ({type(cause).__name__}: {cause})")

    def _refuse(self, found: str) -> NoReturn:
        """Without the cause: what a driver says may hold what it was given."""
        refused = LiveKeyUnusable(
            f"token {self._of.token} did not sign: {found}. Look at it with the token's own tool, then sign again."
        )
        refused.exit_code = 1  # what was typed may be right
        raise refused from None


def _attributes(text: str, between: str, known: tuple[str, ...]) -> dict[str, str]:
    """Attributes of one part of a URI. The refusal repeats no value: it may be a PIN."""
    found: dict[str, str] = {}
    for part in filter(None, text.split(between)):
        name, _, value = part.partition("=")
        if name.startswith("pin-"):
            raise LiveKeyUnusable(
                "a PKCS#11 URI may not hold a PIN, nor where it is. Set DAYBOOK_PKCS11_PIN_FILE to a file that only "
                "its owner can read, or DAYBOOK_PKCS11_PIN."
            )
        if name not in known or name in found:
            raise LiveKeyUnusable(f"a PKCS#11 URI cannot have {name[:40]!r} here (once). Write it like {_EXAMPLE}.")
        found[name] = unquote(value, encoding="latin-1" if name == "id" else "utf-8")
    return found
