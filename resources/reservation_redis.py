"""Reservations that workers of many machines share, in Redis: one script a reservation.

Belongs here: keys, scripts, and what errors of Redis mean. Does not belong here: bytes of entries
(`reservation_entries.py`), or who follows them (`trading/risk/shared.py`).

    PREFIX:{reservations}:head      hash: epoch, end (number), first (number the base is at), mark of it, base
    PREFIX:{reservations}:entries   list of entries after the base

A script does all of a call in one step: it looks whether the log is the one that the worker knows, and ends there, and
adds the entry or gives what was missed. Neither key has an age. A Redis that evicts keys, or lost them, has lost the
log, which workers notice by the epoch, the count of entries, and marks; they begin it anew. One that may evict them is
not used at all: its memory is bounded and its policy takes keys without an age (`allkeys-...`). Policies that take only
keys with an age (`volatile-...`) never take these.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from resources.reservation_entries import MARK_BYTES, new_mark, packed, packed_base, unpacked, unpacked_base
from trading.errors import ConfigError, StoreUnavailable
from trading.risk.reservations import Answer, Base, Entry, LogLost, Place

_log = logging.getLogger(__name__)
_LOOK_S = 60.0  # a server's policy can be changed while it runs

# KEYS: head, entries. Answers: {word, epoch, end, mark, length, base or '', entries...}.
_COMMON = """
local head = redis.call('HMGET', KEYS[1], 'epoch', 'end', 'first', 'mark')
local function last_mark(first, last)
  if last == first then return head[4] end
  return string.sub(redis.call('LINDEX', KEYS[2], -1), 1, %d)
end
local function said(word, from, base)
  local first, last = tonumber(head[3]), tonumber(redis.call('HGET', KEYS[1], 'end'))
  local found = {word, head[1], last, last_mark(first, last), last - first, base}
  if from < last then
    for _, entry in ipairs(redis.call('LRANGE', KEYS[2], from - first, -1)) do found[#found + 1] = entry end
  end
  return found
end
local function whole()
  return head[1] and redis.call('LLEN', KEYS[2]) == tonumber(head[2]) - tonumber(head[3])
end
local function known(epoch, number, mark)
  local first, last = tonumber(head[3]), tonumber(head[2])
  if epoch ~= head[1] or number > last then return false end
  if number < first then return true end
  if number == first then return mark == head[4] end
  return mark == string.sub(redis.call('LINDEX', KEYS[2], number - first - 1), 1, %d)
end
""" % (MARK_BYTES, MARK_BYTES)  # noqa: UP031 -- braces are Lua's
# ARGV: epoch, number, mark, entry or ''.
_APPEND = (
    _COMMON
    + """
if not whole() then return {'lost'} end
local number = tonumber(ARGV[2])
if number < 0 then return said('missed', tonumber(head[3]), redis.call('HGET', KEYS[1], 'base')) end
if not known(ARGV[1], number, ARGV[3]) then return {'lost'} end
if number < tonumber(head[3]) then return said('missed', tonumber(head[3]), redis.call('HGET', KEYS[1], 'base')) end
if number == tonumber(head[2]) and ARGV[4] ~= '' then
  redis.call('RPUSH', KEYS[2], ARGV[4])
  redis.call('HSET', KEYS[1], 'end', number + 1)
  return {'added', head[1], number + 1, string.sub(ARGV[4], 1, 16), number + 1 - tonumber(head[3]), ''}
end
return said('missed', number, '')
"""
)
# ARGV: the epoch and end that are replaced ('' and -1: none), the new epoch, the base's mark, the base.
_BEGIN = (
    _COMMON
    + """
local there = whole()
if (not there and ARGV[1] == '') or (there and ARGV[1] == head[1] and tonumber(ARGV[2]) == tonumber(head[2])) then
  redis.call('DEL', KEYS[1], KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'end', 0, 'first', 0, 'mark', ARGV[4], 'base', ARGV[5])
  head = {ARGV[3], 0, 0, ARGV[4]}
end
if not head[1] then return {'lost'} end
return said('missed', tonumber(head[3]), redis.call('HGET', KEYS[1], 'base'))
"""
)
# ARGV: epoch, number, mark, base.
_COMPACT = (
    _COMMON
    + """
local number = tonumber(ARGV[2])
if not whole() or not known(ARGV[1], number, ARGV[3]) or number <= tonumber(head[3]) then return 0 end
redis.call('LTRIM', KEYS[2], number - tonumber(head[3]), -1)
redis.call('HSET', KEYS[1], 'first', number, 'mark', ARGV[3], 'base', ARGV[4])
return 1
"""
)


class RedisReservations:
    """ReservationLog at a Redis `url`; its keys start with `prefix:`. Waits `timeout_s` for an answer; after one that
    did not come, leaves Redis alone for `pause_s`, twice as long after each further one, up to `longest_pause_s`."""

    def __init__(
        self,
        url: str,
        prefix: str = "daybook",
        timeout_s: float = 0.5,
        pause_s: float = 0.1,
        longest_pause_s: float = 0.5,
        max_connections: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._timeout_s, self._clock = url, timeout_s, clock
        self._pause_s, self._longest_pause_s, self._max_connections = pause_s, longest_pause_s, max_connections
        self._keys = [f"{prefix}:{{reservations}}:{part}" for part in ("head", "entries")]
        self._opened: Any = None
        self._scripts: dict[str, Any] = {}
        self._lost, self._retry_at, self._why = 0, float("-inf"), ""
        self._look_at, self._evicts, self._told = float("-inf"), "", False

    def refuse_evicting(self) -> None:
        """Before anything is served: raises ConfigError where the server would forget reservations. One that does not
        answer yet is looked at when it does."""
        from redis.exceptions import RedisError

        try:
            self._look_at_memory()
        except StoreUnavailable as cause:
            raise ConfigError(str(cause)) from cause
        except (RedisError, OSError) as cause:
            _log.warning("%s", self._unreachable(cause))

    def mark(self) -> str:
        """As the port."""
        return new_mark()

    def append(self, entry: Entry, at: Place) -> Answer:
        """As the port."""
        return _answered(self._asked(_APPEND, [*at, packed(entry)]))

    def since(self, at: Place | None) -> Answer:
        """As the port."""
        return _answered(self._asked(_APPEND, [*(at or ("", -1, "")), b""]))

    def begin(self, base: Base, instead: Place | None) -> Answer:
        """As the port."""
        epoch, number, _ = instead or Place("", -1, "")
        return _answered(self._asked(_BEGIN, [epoch, number, new_mark(), base.mark, packed_base(base)]))

    def compact(self, base: Base, at: Place) -> bool:
        """As the port."""
        return bool(self._asked(_COMPACT, [*at, packed_base(base)]))

    def close(self) -> None:
        """Closes the connections; the next call opens them again."""
        if self._opened is not None:
            self._opened.close()
            self._opened.connection_pool.disconnect()
        self._opened, self._scripts = None, {}

    def _asked(self, script: str, values: list[Any]) -> Any:
        """What a script answers. Raises StoreUnavailable."""
        from redis.exceptions import RedisError

        if self._clock() < self._retry_at:
            raise StoreUnavailable(self._why)
        try:
            self._look_at_memory()
            found = self._script(script)(keys=self._keys, args=values)
        except (RedisError, OSError) as cause:
            raise self._unreachable(cause) from cause
        self._lost = 0
        return found

    def _look_at_memory(self) -> None:
        """Whether the server keeps what it is given: at the first call, after it was away, and every minute. Raises
        StoreUnavailable where it may forget a reservation without a word."""
        if self._clock() >= self._look_at:
            memory = _memory(self._client())
            if memory is None and not self._told:
                self._told = True
                _log.warning("%s", _UNKNOWN)
            self._evicts = _EVICTS.format(memory) if memory is not None and memory.evicts else ""
            self._look_at = self._clock() + (_AGAIN_S if self._evicts else _LOOK_S)
        if self._evicts:
            raise StoreUnavailable(self._evicts)

    def _script(self, script: str) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self._client().register_script(script)
        return self._scripts[script]

    def _client(self) -> Any:
        from redis import BlockingConnectionPool, Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        if self._opened is None:
            pool = BlockingConnectionPool.from_url(
                self._url,
                max_connections=self._max_connections,
                timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                socket_timeout=self._timeout_s,
                retry=Retry(NoBackoff(), 0),  # a second attempt might add an entry twice
            )
            self._opened = Redis(connection_pool=pool)
        return self._opened

    def _unreachable(self, cause: Exception) -> StoreUnavailable:
        pause = min(self._longest_pause_s, self._pause_s * 2.0 ** min(self._lost, 30))
        self._lost, self._retry_at, self._look_at = self._lost + 1, self._clock() + pause, float("-inf")
        said = " ".join(str(cause).split())[:200] or type(cause).__name__
        self._why = (
            f"the reservations in Redis cannot be reached ({said}). Nothing is granted until they can; it is asked "
            "again within a second. Start Redis, or correct REDIS_URL."
        )
        return StoreUnavailable(self._why)


class _Memory(NamedTuple):
    """The most that a server keeps, bytes, 0 without an end; and what it does when that is full."""

    most: int
    policy: str

    @property
    def evicts(self) -> bool:
        """Whether keys without an age may go."""
        return self.most > 0 and self.policy.startswith("allkeys-")


def _memory(client: Any) -> _Memory | None:
    """How a server's memory is bounded; None where it does not say, to those that have our rights."""
    from redis.exceptions import ResponseError

    questions: tuple[Callable[[], Any], ...] = (
        partial(client.info, "memory"),
        partial(client.config_get, "maxmemory*"),
    )
    for ask in questions:
        try:
            said = ask()
        except ResponseError:  # not allowed, or not known there
            continue
        policy = said.get("maxmemory_policy") or said.get("maxmemory-policy")
        if policy is not None and "maxmemory" in said:
            return _Memory(int(said["maxmemory"]), str(policy))
    return None


_AGAIN_S = 1.0  # how soon a server that was refused is looked at again
_EVICTS = (
    "Redis would forget reservations when its memory is full: maxmemory is {0.most} bytes and maxmemory-policy is "
    "{0.policy}. Nothing is granted. Set it with `CONFIG SET maxmemory-policy noeviction` and in its configuration "
    "file, or give REDIS_URL of another server."
)
_UNKNOWN = (
    "Redis does not say how its memory is bounded (INFO memory and CONFIG GET are not allowed), so nobody knows "
    "whether it would forget reservations. See that its maxmemory-policy is noeviction."
)


def _answered(said: list[Any]) -> Answer:
    word = said[0]
    if word == b"lost":
        raise LogLost("the log of reservations in Redis is not there, or not the one that was known.")
    _, epoch, number, mark, length, base, *entries = said
    end = Place(epoch.decode(), int(number), mark.decode().strip())
    if word == b"added":
        return Answer(True, end, int(length))
    begins = unpacked_base(base) if base else None
    return Answer(False, end, int(length), tuple(unpacked(entry) for entry in entries), begins)
