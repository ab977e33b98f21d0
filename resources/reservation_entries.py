"""Entries of a log of reservations as bytes, and back.

Belongs here: the bytes. Does not belong here: what entries mean (`trading/risk/reservations.py`), or keeping them.

The bytes of an entry begin with its mark, so that a store can compare marks without knowing more.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgpack  # type: ignore[import-untyped]

from trading.risk.book import Book, Standing
from trading.risk.decision import Asked
from trading.risk.reservations import Base, Booked, Entry, Filled, OnRecord, Place, Released, Reserved

MARK_BYTES = 16
_RESERVED, _FILLED, _RELEASED, _BOOKED = range(4)
_ANY_TEXT = "surrogatepass"
_NONE_MORE: tuple[Any, ...] = (0.0, (), (), 0.0)  # of a base: what the oldest do not say


def new_mark() -> str:
    """A mark that no other entry has."""
    return secrets.token_hex(MARK_BYTES // 2)


def packed(entry: Entry) -> bytes:
    """An entry as bytes."""
    return entry.mark.encode().ljust(MARK_BYTES) + _packb(_values(entry))


def unpacked(data: bytes) -> Entry:
    """The entry of some bytes."""
    mark = data[:MARK_BYTES].decode().strip()
    kind, *said = _unpackb(data[MARK_BYTES:])
    if kind == _RESERVED:
        return Reserved(mark, tuple(Asked(*order) for order in said[0]), *said[1:])
    if kind == _FILLED:
        return _filled(mark, said)
    if kind == _RELEASED:
        return Released(mark, tuple(said[0]), said[1])
    session, book, *record = said  # the oldest have none
    return Booked(mark, date.fromisoformat(session), _book_of(book), _record_of(*record))


def packed_base(base: Base) -> bytes:
    """A base as bytes."""
    units = [[unit.mark, *_values(unit)[1:]] for unit in base.units]
    lost = None if base.lost is None else list(base.lost)
    session = base.session.isoformat()
    begins = [base.mark, session, _book(base.book), units, list(base.fill_ids), lost, base.ready, base.unsure]
    return _packb([*begins, [[each.mark, *_values(each)[1:]] for each in base.told], list(base.desk), base.recorded])


def unpacked_base(data: bytes) -> Base:
    """The base of some bytes."""
    mark, session, book, units, fill_ids, lost, ready, *more = _unpackb(data)  # the oldest end here
    unsure, told, desk, recorded = [*more, *_NONE_MORE[len(more) :]]
    held = tuple(Reserved(name, tuple(Asked(*order) for order in orders), *rest) for name, orders, *rest in units)
    place = None if lost is None else Place(*lost)
    fills = tuple(_filled(name, said) for name, *said in told)
    of_desk = (fills, tuple(desk), recorded)
    return Base(
        mark, date.fromisoformat(session), _book_of(book), held, tuple(fill_ids), place, ready, unsure, *of_desk
    )  # fmt: skip


def _values(entry: Entry) -> list[Any]:
    if isinstance(entry, Reserved):
        orders = [_order(order) for order in entry.orders]
        return [_RESERVED, orders, entry.netted, float(entry.now), float(entry.expires)]
    if isinstance(entry, Filled):
        return [_FILLED, _order(entry.asked), float(entry.now), entry.fill_id]
    if isinstance(entry, Released):
        return [_RELEASED, list(entry.names), entry.expired]
    return [_BOOKED, entry.session.isoformat(), _book(entry.book), _record(entry.record)]


def _filled(mark: str, said: Sequence[Any]) -> Filled:
    return Filled(mark, Asked(*said[0]), *said[1:])


def _record(record: OnRecord) -> list[Any]:
    working = [_order(order) for order in record.working]
    return [working, list(record.fill_ids), float(record.as_of), float(record.at), record.orders]


def _record_of(said: Sequence[Any] = ((), ())) -> OnRecord:
    return OnRecord(tuple(Asked(*order) for order in said[0]), tuple(said[1]), *said[2:])


def _order(asked: Asked) -> list[Any]:
    price = None if asked.limit_points is None else float(asked.limit_points)
    contracts = int(asked.quantity_contracts)
    return [asked.strategy, asked.instrument, int(asked.contract), contracts, price, asked.order_id]


def _book(book: Book) -> list[Any]:
    standing = {name: [float(number) for number in found] for name, found in book.standing.items()}
    traded = {code: int(count) for code, count in book.traded_contracts.items()}
    money = [float(book.capital_base), float(book.equity_base), float(book.volatility_target_fraction)]
    held = [_holdings(book.positions), _holdings(book.opening)]
    return [*money, *held, standing, traded, dict(book.locks), int(book.orders), list(book.strategies)]


def _book_of(said: Sequence[Any]) -> Book:
    capital, equity, target, positions, opening, standing, traded, locks, orders, strategies = said
    losses = {name: Standing(*found) for name, found in standing.items()}
    held, opened = _positions(positions), _positions(opening)
    return Book(capital, equity, held, opened, target, losses, traded, locks, orders, tuple(strategies))


def _holdings(positions: Mapping[tuple[str, str, int], int]) -> list[list[Any]]:
    return [[strategy, code, int(line), int(count)] for (strategy, code, line), count in positions.items()]


def _positions(said: Sequence[Sequence[Any]]) -> dict[tuple[str, str, int], int]:
    return {(strategy, code, line): count for strategy, code, line, count in said}


def _packb(value: object) -> bytes:
    return bytes(msgpack.packb(value, unicode_errors=_ANY_TEXT))


def _unpackb(data: bytes) -> list[Any]:
    found: list[Any] = msgpack.unpackb(data, unicode_errors=_ANY_TEXT)
    return found
