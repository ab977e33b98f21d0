"""CSV statements, one file a session, columns by their mapping (`trading.config.trading.StatementColumns`).

Belongs here: finding the file of a session by its name, and its rows. Does not belong here: matching trades with our
orders (`order_files.py`).

    STATEMENTS/positions-2022-02-25.csv      the session is in the name, as `date_format` writes it

    record,symbol,contract,quantity,price,currency,amount,trade_id,commission,executed_at
    position,GOLD,202204,3,1887.6,,,,,
    trade,GOLD,202204,1,1890.2,,,8812,2.1,2022-02-25T15:02:11Z
    cash,,,,,USD,1002345.67,,,

Every column that is mapped must be there; others are left alone. A file without a record column lists positions only;
one without any row is refused, since a flat account and a file that was cut off look alike. Cash without a row is not
stated, which is not zero; no trades are none.
Where there is no contract column, the symbol tells the month (GCJ2, GC APR 22). Times without a zone are UTC.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from resources.brokers.listing import (
    Contract,
    Listing,
    Symbols,
    Trade,
    Wrong,
    number,
    sorted_names,
    unknown_name,
    whole,
)
from resources.brokers.statement_folder import files_in, stamp_of, unreadable
from resources.csv_tables import Row, mapped_rows
from trading.config.trading import StatementColumns
from trading.errors import BadInput, ConfigError

MAPPING = "trading.broker.columns"
RECORDS = ("position", "trade", "cash")
_DIRECTIVES = {"%Y": r"\d{4}", "%y": r"\d{2}", "%m": r"\d{2}", "%d": r"\d{2}", "%b": "[A-Za-z]{3}", "%j": r"\d{3}"}


class CsvStatements:
    """Statements in a folder of CSV files. Raises ConfigError where `date_format` cannot be found in a name again."""

    def __init__(self, folder: Path, columns: StatementColumns, symbols: Symbols) -> None:
        self._folder, self._columns, self._symbols = Path(folder), columns, symbols
        self._date = _date_pattern(columns.date_format)

    def sessions(self) -> Mapping[date, str]:
        """As the protocol."""
        return {session: _fingerprint(path) for session, path in self._files().items()}

    def listing(self, session: date) -> Listing | None:
        """As the protocol."""
        path = self._files().get(session)
        if path is None:
            return None
        try:
            return _Reader(path, session, self._columns, self._symbols).read()
        except OSError as cause:
            raise unreadable(path, cause) from cause

    def _files(self) -> Mapping[date, Path]:
        found: dict[date, Path] = {}
        for path in files_in(self._folder, ".csv"):
            session = self._session(path)
            if session in found:
                raise BadInput(
                    f"a second statement of {session}, beside {found[session].name}",
                    where=str(path),
                    cure="Keep the one that is right.",
                )
            found[session] = path
        return found

    def _session(self, path: Path) -> date:
        shown = self._columns.date_format
        for text in self._date.findall(path.stem):
            try:
                return datetime.strptime(text, shown).date()  # noqa: DTZ007
            except ValueError:
                continue
        cure = f"Rename or remove the file, or set {MAPPING}.date_format."
        raise BadInput(f"no session in the file name, written as {shown}", where=str(path), cure=cure)


def _fingerprint(path: Path) -> str:
    try:
        return hashlib.sha256(f"{path.name} {stamp_of(path)}".encode()).hexdigest()[:16]
    except OSError as cause:
        raise unreadable(path, cause) from cause


def _date_pattern(written: str) -> re.Pattern[str]:
    parts = re.split(r"(%.)", written)
    unknown = [part for part in parts if part.startswith("%") and part not in _DIRECTIVES]
    if unknown or "%" not in written:
        raise ConfigError(
            f"{MAPPING}.date_format {written!r} cannot be found in a file name: write it with "
            f"{', '.join(_DIRECTIVES)}, like %Y-%m-%d."
        )
    pattern = "".join(_DIRECTIVES.get(part, re.escape(part)) for part in parts)
    return re.compile(rf"(?<!\d){pattern}(?!\d)")


@dataclass(slots=True)
class _Reader:
    """Reads one file; what it collects is given out only when all of it was read."""

    path: Path
    session: date
    columns: StatementColumns
    symbols: Symbols
    positions: dict[Contract, int] = field(default_factory=dict)
    average: dict[Contract, float] = field(default_factory=dict)
    cash: dict[str, float] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    seen: set[Contract] = field(default_factory=set)

    def read(self) -> Listing:
        """The whole statement."""
        columns = self.columns
        names = [getattr(columns, name) for name in self._fields()]
        rows = mapped_rows(
            self.path, [name for name in names if name], delimiter=columns.delimiter, encoding=columns.encoding,
            mapping=MAPPING,
        )  # fmt: skip
        if not rows:
            found = "a header and no rows, which may be a flat account or a file that was cut off"
            cure = "Deliver it again; where the account is flat, with a position of 0 in any contract."
            raise BadInput(found, where=str(self.path), row=1, cure=cure)
        for row in rows:
            self._take(row)
        listed = columns.record is not None
        trades = tuple(sorted(self.trades.values(), key=lambda trade: trade.executed_at or ""))
        return Listing(
            self.session,
            {key: held for key, held in self.positions.items() if held},
            self.average,
            self.cash or None,
            trades if listed and columns.trade_id else None,
            unknown=sorted_names(self.unknown),
            settles_daily=columns.settles_daily,
        )

    def _fields(self) -> Iterator[str]:
        """Fields whose columns must be there: those of trades and cash only where rows can be trades or cash."""
        yield from ("symbol", "contract", "quantity", "price")
        if self.columns.record is not None:
            yield from ("record", "currency", "amount", "trade_id", "commission", "executed_at", "order_reference")

    def _take(self, row: Row) -> None:
        kind = row.fields[self.columns.record].lower() if self.columns.record else "position"
        if kind not in RECORDS:
            raise row.wrong(str(self.columns.record), "not a kind of record", f"Write one of: {', '.join(RECORDS)}.")
        {"position": self._position, "trade": self._trade, "cash": self._cash}[kind](row)

    def _position(self, row: Row) -> None:
        quantity = whole(row.fields[self.columns.quantity], _wrong(row, self.columns.quantity))
        key = self._key(row)
        if key is None:
            return
        if key in self.seen:
            cure = "Keep one row of the contract, or add them up."
            raise row.wrong(self.columns.symbol, f"a second position in {key[0]}/{key[1]}", cure)
        self.seen.add(key)
        self.positions[key] = quantity
        price = row.fields[self.columns.price] if self.columns.price else ""
        if price and quantity:
            self.average[key] = number(price, _wrong(row, str(self.columns.price)))

    def _trade(self, row: Row) -> None:
        columns = self.columns
        if columns.trade_id is None or columns.price is None:
            found = "a trade, but the mapping has no column for its id or its price"
            raise row.wrong(str(columns.record), found, f"Set {MAPPING}.trade_id and {MAPPING}.price.")
        quantity = whole(row.fields[columns.quantity], _wrong(row, columns.quantity))
        if not quantity:
            raise row.wrong(columns.quantity, "a trade of nothing", "Remove it, or correct the quantity.")
        price = number(row.fields[columns.price], _wrong(row, columns.price))
        key, name = self._key(row), row.fields[columns.trade_id]
        if not name or name in self.trades:
            found = "a trade twice" if name else "a trade without an id"
            raise row.wrong(columns.trade_id, found, "Give each trade an id of its own, and list it once.")
        if key is None:
            return
        paid, reference = self._optional(row, columns.commission), self._optional(row, columns.order_reference)
        cost = abs(number(paid, _wrong(row, str(columns.commission)))) if paid else 0.0
        self.trades[name] = Trade(
            f"{self.session}:{name}", *key, quantity, price, cost, self._executed_at(row), reference
        )

    def _cash(self, row: Row) -> None:
        columns = self.columns
        if columns.currency is None or columns.amount is None:
            found = "cash, but the mapping has no column for its currency or its amount"
            raise row.wrong(str(columns.record), found, f"Set {MAPPING}.currency and {MAPPING}.amount.")
        currency = row.fields[columns.currency].upper()
        if not re.fullmatch("[A-Z]{3}", currency) or currency in self.cash:
            found = "cash in this currency twice" if currency in self.cash else "not a currency"
            raise row.wrong(columns.currency, found, "Give one row for each currency, named like USD.")
        self.cash[currency] = number(row.fields[columns.amount], _wrong(row, columns.amount))

    def _key(self, row: Row) -> Contract | None:
        """Instrument and contract of a row; None, and the name among the unknown ones, where nobody mapped them."""
        symbol = row.fields[self.columns.symbol]
        if not symbol:
            raise row.wrong(self.columns.symbol, "no symbol", "Say which contract it is.")
        instrument = self.symbols.instrument(symbol, self.session)
        given = row.fields[self.columns.contract] if self.columns.contract else ""
        if instrument is None:
            self.unknown.append(unknown_name(symbol, given))
            return None
        named = self.symbols.contract(instrument.code, symbol, self.session, None)
        contract = _contract(given) if given else named
        if contract is None:
            cure = "Write the month as 202206 or 20220600, or in the symbol, like GCM2."
            raise row.wrong(self.columns.contract or self.columns.symbol, "not a contract month", cure)
        return instrument.code, contract

    def _executed_at(self, row: Row) -> str | None:
        text = self._optional(row, self.columns.executed_at)
        if not text:
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError as cause:
            wrong = row.wrong(str(self.columns.executed_at), "not a time", "Write it like 2022-02-25T15:02:11Z.")
            raise wrong from cause
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat()

    def _optional(self, row: Row, column: str | None) -> str:
        return row.fields[column] if column else ""


def _wrong(row: Row, column: str) -> Wrong:
    return lambda found, cure: row.wrong(column, found, cure)


def _contract(text: str) -> int | None:
    found = re.fullmatch(r"(\d{4})-?(\d{2})-?(\d{2})?", text)
    if found is None or not 1 <= int(found[2]) <= 12 or int(found[3] or 0) > 31:
        return None
    return int(found[1] + found[2] + (found[3] or "00"))
