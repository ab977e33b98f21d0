"""Connections to a PostgreSQL server, and what its errors mean.

Belongs here: opening, keeping and lending connections, and the one translation of the driver's errors into sentences.
Does not belong here: what is asked of the server (`postgres_ledger.py`).

No sentence holds an address as it was given: it may hold a password.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from trading.errors import ConfigError, LedgerError, LedgerSchemaError, StoreBusy, StoreError, StoreUnavailable

# A batch that has to be tried again leaves its pipeline in the middle, which the driver remarks on at the console.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

Answer = TypeVar("Answer")

_SET = "select set_config(name, value, false) from unnest(%s::text[], %s::text[]) as given(name, value)"
ADDRESS = "POSTGRES_URI"  # where an address is corrected, unless settings say where it is found
_AGAIN = "Run the same command again: what was recorded is not recorded twice."


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that does not wait for ever: after `patience_s` seconds without an answer it closes itself."""

    patience_s: float | None = None

    def wait(self, gen: PQGen[Answer], interval: float = 0.1, timeout: float | None = None) -> Answer:
        """As psycopg's. Raises OperationalError where the server is silent."""
        try:
            return super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as cause:
            self.close()
            raise psycopg.OperationalError(f"no answer in {self.patience_s:g} s") from cause


class Connections:
    """Connections of one process to the database at `uri`, `most` at a time: each is lent to one thread at a time.

    A commit returns when it is on the server's disk. The server has `timeout_s` seconds to be reached, to answer a
    statement, and to give a lock. `address`: the words for where the address is found, for who must correct it.
    """

    def __init__(self, uri: str, timeout_s: float, most: int = 16, address: str = ADDRESS) -> None:
        self._idle: deque[Connection] = deque()
        self._owner = os.getpid()
        self.place, self.user = _named(uri, address)
        self._address = address
        self._uri, self._timeout_s, self._most = uri, timeout_s, most
        self._turns = threading.BoundedSemaphore(most)

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """A connection. Errors of the driver leave as ours, and nothing that was begun stays open."""
        with self._translated(), self._turn():
            connection = self._taken()
            try:
                yield connection
            except BaseException:
                _rolled_back(connection)
                raise
            finally:
                self._returned(connection)

    def close(self) -> None:
        """Closes those that nobody has; the next use opens new ones."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def __del__(self) -> None:
        if self._owner == os.getpid():
            self.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._turns.acquire(timeout=self._timeout_s):
            busy = f"all {self._most} connections to {self.place} were in use for {self._timeout_s:g} s"
            raise StoreBusy(f"{busy}. {_AGAIN}")
        try:
            yield
        finally:
            self._turns.release()

    def _taken(self) -> Connection:
        if self._owner != os.getpid():  # a fork must not speak on its parent's connections
            self._idle, self._owner = deque(), os.getpid()
        with suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if not connection.closed and _quiet(connection):
                    return connection
                connection.close()
        return self._opened()

    def _returned(self, connection: Connection) -> None:
        if not connection.closed:
            self._idle.append(connection)

    def _opened(self) -> Connection:
        wait_s, wait_ms = max(2, round(self._timeout_s)), str(round(self._timeout_s * 1000))
        words = make_conninfo(self._uri, connect_timeout=wait_s, application_name="daybook", tcp_user_timeout=wait_ms)
        connection = Connection.connect(words, autocommit=True)
        connection.patience_s = 2 * self._timeout_s + 1  # the server's own limits come first
        given = {"statement_timeout": wait_ms, "lock_timeout": str(round(self._timeout_s * 900)), "timezone": "UTC"}
        given |= {"synchronous_commit": "on", "search_path": "daybook"}
        connection.execute(_SET, [list(given), list(given.values())])
        return connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as cause:
            raise self._meaning(cause) from cause

    # --- what errors mean ---
    def _meaning(self, cause: psycopg.Error) -> StoreError:
        state, said = cause.sqlstate or "", _first_line(cause)
        if state in ("53100", "58030") or "No space left on device" in said:
            return StoreUnavailable(
                f"the disk of the PostgreSQL server {self.place} is full ({said}): nothing was recorded. Free some "
                "space there and run the same command again."
            )
        if state in ("55P03", "57014", "40P01", "40001"):
            return StoreBusy(
                f"the ledger {self.place} did not answer within {self._timeout_s:g} s, because others hold it or the "
                f"server is slow ({said}). {_AGAIN}"
            )
        if state in ("42P01", "42703", "3F000"):
            return LedgerSchemaError(
                f"the ledger {self.place} has not the tables of this Daybook ({said}). Run `daybook ledger migrate`."
            )
        if state.startswith(("22", "23", "P0")):
            return LedgerError(f"the ledger {self.place} refused this and recorded nothing of it: {said}.")
        return self._unavailable(cause, state, said)

    def _unavailable(self, cause: psycopg.Error, state: str, said: str) -> StoreError:
        if "password" in said or "authentication" in said or "pg_hba.conf" in said or state.startswith("28"):
            cure = f"Correct user or password in {self._address}."
            return StoreUnavailable(f"the PostgreSQL server {self.place} does not let {self.user} in ({said}). {cure}")
        if state == "3D000" or ("database" in said and "does not exist" in said):
            cure = f"Create it (`createdb`), or correct {self._address}."
            return StoreUnavailable(f"there is no such database on {self.place} ({said}). {cure}")
        if state == "25006":
            cure = f"Name the primary in {self._address}."
            return StoreUnavailable(
                f"the PostgreSQL server {self.place} is read-only, as a standby is ({said}). {cure}"
            )
        if state == "42501":
            cure = f"Let the database's owner grant it, or name another user in {self._address}."
            return StoreUnavailable(f"{self.user} may not do this on {self.place} ({said}). {cure}")
        if state and state[:2] not in ("08", "57", "53"):
            return LedgerError(
                f"the ledger {self.place} could not do this, and did nothing ({type(cause).__name__}: {said})."
            )
        return StoreUnavailable(
            f"the PostgreSQL server {self.place} cannot be reached, or went away ({said}). Start it, or correct "
            f"{self._address}; `daybook doctor` says when it answers. {_AGAIN}"
        )


def _named(uri: str, address: str) -> tuple[str, str]:
    """The server and database of an address, and its user, without the password. Raises ConfigError on no address."""
    try:
        found = conninfo_to_dict(uri)
    except psycopg.Error:
        raise ConfigError(
            f"{address} is not the address of a PostgreSQL database. Set it, like "
            "postgresql://user:password@host:5432/daybook (with %40 for an @ in the password)."
        ) from None  # the cause repeats the address, and with it the password
    host, port = found.get("host") or "localhost", found.get("port") or "5432"
    user = str(found.get("user") or "this user")
    return f"{host}:{port}/{found.get('dbname') or user}", user


def _first_line(cause: psycopg.Error) -> str:
    """What the driver said, on one line: for a constraint its name as well."""
    lines = str(cause).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(cause).__name__


def _quiet(connection: Connection) -> bool:
    """Whether the server has said nothing since: what it says unasked is that it goes away."""
    readable, _, _ = select.select([connection.fileno()], [], [], 0)
    return not readable


def _rolled_back(connection: Connection) -> None:
    """Ends what a failure left open; a connection that cannot even do that is closed."""
    try:
        connection.rollback()
    except psycopg.Error:
        connection.close()
