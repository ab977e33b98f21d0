"""Who asks: tokens, what each may do, and how often.

Belongs here: telling callers by their tokens, scopes and strategies, and counting requests. Does not belong here: where
tokens are found (`pipelines/place.py`), or what is answered.

A token is kept as its SHA-256, and compared with all there are, each in a time that says nothing of it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pipelines.risk_server.problems import Problem
from trading.config.risk import Scope, TokenSettings
from trading.config.settings import Secret
from trading.errors import ConfigError

SHORTEST = 16  # characters of a token
UNKNOWN_PER_SECOND, MOST_PEERS = 20.0, 10_000  # requests without a token from one address; addresses remembered


@dataclass(slots=True)
class Bucket:
    """Requests that may still be made: it fills at `per_second`, up to one second's worth."""

    per_second: float
    left: float
    at: float

    def takes(self, now: float) -> bool:
        """Whether one more may be made."""
        most = max(self.per_second, 1.0)
        self.left, self.at = min(most, self.left + (now - self.at) * self.per_second), now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """Who asks. `strategies`: only these; none: all."""

    name: str
    digest: bytes
    scopes: frozenset[Scope]
    strategies: frozenset[str]
    bucket: Bucket

    def require(self, scope: Scope) -> None:
        """Raises Problem where the token does not have the scope."""
        if scope not in self.scopes:
            raise Problem(
                403, "scope_missing",
                f"the token {self.name} may not {scope}. Ask with one that may, or add the scope to "
                f"risk.service.tokens.{self.name}.scopes.",
            )  # fmt: skip

    def require_strategies(self, asked: Iterable[str]) -> None:
        """Raises Problem where one of these is not the token's."""
        for strategy in asked:
            if self.strategies and strategy not in self.strategies:
                raise Problem(
                    403, "strategy_not_yours",
                    f"the token {self.name} may not ask for strategy {strategy}. Ask with that strategy's own token, "
                    f"or add it to risk.service.tokens.{self.name}.strategies.",
                )  # fmt: skip


class Callers:
    """All who may ask, told by their tokens. Requests without one are counted by the address they come from."""

    def __init__(self, callers: Iterable[Caller]) -> None:
        self._callers = tuple(callers)
        self._peers: OrderedDict[str, Bucket] = OrderedDict()

    def continuing(self, others: Callers) -> Callers:
        """These, who asked as often as who was there before with the same token: other settings undo no requests."""
        before = {caller.digest: caller.bucket for caller in others._callers}
        for caller in self._callers:
            was = before.get(caller.digest)
            if was is not None:
                caller.bucket.left, caller.bucket.at = min(was.left, caller.bucket.left), was.at
        self._peers = others._peers
        return self

    def admitted(self, authorization: bytes, now: float, peer: str = "") -> Caller:
        """Whose token that is. Raises Problem with 401 where it is nobody's, 429 where it, or somebody without one at
        `peer`, asked too often."""
        kind, _, token = authorization.partition(b" ")
        presented = hashlib.sha256(token.strip()).digest()
        found = None
        for caller in self._callers:
            if hmac.compare_digest(caller.digest, presented):
                found = caller
        if found is None or kind.lower() != b"bearer":
            self._count(peer, now)
            raise _unknown(bool(authorization))
        if not found.bucket.takes(now):
            raise Problem(
                429, "too_many_requests",
                f"the token {found.name} asked more than {found.bucket.per_second:,.0f} times in a second. Ask less "
                "often, or for lists of orders.", {"Retry-After": "1"},
            )  # fmt: skip
        return found

    def _count(self, peer: str, now: float) -> None:
        bucket = self._peers.pop(peer, None) or Bucket(UNKNOWN_PER_SECOND, UNKNOWN_PER_SECOND, now)
        self._peers[peer] = bucket
        if len(self._peers) > MOST_PEERS:
            self._peers.popitem(last=False)
        if not bucket.takes(now):
            raise Problem(
                429, "too_many_unknown",
                f"more than {UNKNOWN_PER_SECOND:.0f} requests of a second came from {peer or 'there'} without a token "
                "of this service. Send the header 'Authorization: Bearer TOKEN', and ask less often.",
                {"Retry-After": "1", "Connection": "close"},
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self._callers)


def callers_of(
    tokens: Mapping[str, TokenSettings], per_second: float, reveal: Callable[[Secret], str], now: float
) -> Callers:
    """Callers out of settings. Raises ConfigError on a token that is too short or that two share, and as `reveal`."""
    found: dict[bytes, str] = {}
    made = []
    for name, said in tokens.items():
        token = reveal(said.token)
        if len(token) < SHORTEST:
            raise ConfigError(
                f"the token {name} has {len(token)} characters, and needs {SHORTEST} at least. Make one: "
                "python3 -c 'import secrets; print(secrets.token_urlsafe(32))'."
            )
        digest = hashlib.sha256(token.encode()).digest()
        if digest in found:
            raise ConfigError(f"the tokens {found[digest]} and {name} are the same. Give each one of its own.")
        found[digest] = name
        bucket = Bucket(per_second, max(per_second, 1.0), now)
        made.append(Caller(name, digest, frozenset(said.scopes), frozenset(said.strategies), bucket))
    return Callers(made)


def _unknown(given: bool) -> Problem:
    said = "the token is not one of this service's" if given else "the request has no token"
    return Problem(
        401, "token_unknown", f"{said}. Send the header 'Authorization: Bearer TOKEN'.",
        {"WWW-Authenticate": "Bearer"},
    )  # fmt: skip
