"""Interactive Brokers Flex statements (Activity Flex Query, XML), as the broker's reporting guide documents them.

Belongs here: finding the statement of a session in a folder, and what its sections say of futures. Does not belong
here: XML as such (`flex_rows.py`), or matching trades with our orders (`order_files.py`).

    FlexQueryResponse > FlexStatements > FlexStatement accountId fromDate toDate whenGenerated
        OpenPositions > OpenPosition         position costBasisPrice multiplier symbol underlyingSymbol expiry ...
        Trades > Trade                       tradeID quantity tradePrice ibCommission dateTime orderReference ...
        CashReport > CashReportCurrency      currency endingCash

A statement is of the session `toDate`; a file may hold several, of days or accounts. Without the section Open Positions
nothing is known of positions, so that is an error; without Trades or Cash Report they are not stated. Positions are
rows of level SUMMARY, else lots added up; trades are rows of level EXECUTION. Currency conversions are no trades: cash
shows them. Anything else that is no future of an instrument we know is `unknown`.

A cancelled trade (transaction type TradeCancel, or code Ca) drops out with its cancellation where both are in one
statement; where the trade was in an earlier one it is taken back by a trade `<id>~busted`, or `<id>~1-` and `<id>~1`
where it was booked again, as `trading.book.fills` names them. A correction (code Co) takes the place of its original.

`costBasisPrice` includes commissions, by first in first out. Cash includes the settled profit of open futures. Prices
may be in another unit than ours (dollars or cents): multiplier and money of a row say in which.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from resources.brokers.flex_rows import EASTERN, FlexRow, Head, Section, heads, instant, known_zone, sections
from resources.brokers.listing import (
    Contract,
    Listing,
    Symbols,
    Trade,
    exact,
    in_points,
    number,
    sorted_names,
    unknown_name,
    whole,
)
from resources.brokers.statement_folder import files_in, stamp_of, unreadable
from trading.errors import BadInput
from trading.market.instruments import Instrument

CASH_TOTALS = ("BASE_SUMMARY", "BASE")
CANCELS, CORRECTIONS = ("TradeCancel", "Ca"), ("TradeCorrect", "Co")


class FlexStatements:
    """Statements in a folder of Flex XML files. `account` chooses among several; `zone` is that of the files' times.
    Raises ConfigError where there is no such zone."""

    def __init__(self, folder: Path, account: str | None, symbols: Symbols, zone: str = EASTERN) -> None:
        self._folder, self._account, self._symbols, self._zone = Path(folder), account, symbols, known_zone(zone)
        self._heads: dict[Path, tuple[str, tuple[Head, ...]]] = {}

    def sessions(self) -> Mapping[date, str]:
        """As the protocol."""
        marks: dict[date, list[str]] = {}
        for path, (stamp, found) in self._indexed().items():
            for session in {head.session for head in found if self._account in (None, head.account)}:
                marks.setdefault(session, []).append(f"{path.name} {stamp}")
        return {day: hashlib.sha256(repr(names).encode()).hexdigest()[:16] for day, names in sorted(marks.items())}

    def listing(self, session: date) -> Listing | None:
        """As the protocol. Raises BadInput where several statements could be meant, or all are of other accounts."""
        found = [(path, head) for path, (_, all_heads) in self._indexed().items() for head in all_heads]
        of_session = [(path, head) for path, head in found if head.session == session]
        if not of_session:
            return None
        path, head = self._chosen(of_session, session)
        try:
            return _listing(path, head, sections(path, head), self._symbols, self._zone)
        except OSError as cause:
            raise unreadable(path, cause) from cause

    def _chosen(self, found: list[tuple[Path, Head]], session: date) -> tuple[Path, Head]:
        accounts = sorted({head.account for _, head in found})
        mine = [(path, head) for path, head in found if self._account in (None, head.account)]
        if not mine:
            raise BadInput(
                f"the statement of {session} is of another account",
                where=str(found[0][0]), column="FlexStatement.accountId", value=", ".join(accounts),
                cure=f"Deliver the one of {self._account}, or correct trading.broker.account.",
            )  # fmt: skip
        if len({head.account for _, head in mine}) > 1:
            raise BadInput(
                f"statements of several accounts for {session}",
                where=str(mine[0][0]), column="FlexStatement.accountId", value=", ".join(accounts),
                cure="Set trading.broker.account to the one this desk trades.",
            )  # fmt: skip
        if len(mine) > 1:
            beside = f"beside {mine[0][0].name}, line {mine[0][1].line}"
            cure = "Keep the one that is right."
            raise BadInput(
                f"a second statement of {session}, {beside}", where=str(mine[1][0]), row=mine[1][1].line, cure=cure
            )
        return mine[0]

    def _indexed(self) -> Mapping[Path, tuple[str, tuple[Head, ...]]]:
        """The statements each file holds; a file is looked at again when it changed."""
        known, now = self._heads, dict[Path, tuple[str, tuple[Head, ...]]]()
        for path in files_in(self._folder, ".xml"):
            try:
                stamp = stamp_of(path)
                was = known.get(path)
                now[path] = was if was is not None and was[0] == stamp else (stamp, heads(path))
            except OSError as cause:
                raise unreadable(path, cause) from cause
        self._heads = now
        return now


# --- one statement ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Known:
    """A row of a future that we know: its instrument and contract."""

    row: FlexRow
    instrument: Instrument
    contract: int

    @property
    def key(self) -> Contract:
        return self.instrument.code, self.contract


@dataclass(frozen=True, slots=True)
class _Sorter:
    """Tells rows of known futures from others, whose names it collects."""

    session: date
    symbols: Symbols
    unknown: list[str]

    def known(self, rows: Iterable[FlexRow]) -> list[_Known]:
        """Rows of futures that we know, in order."""
        return [found for row in rows for found in [self._sorted(row)] if found is not None]

    def _sorted(self, row: FlexRow) -> _Known | None:
        kind, symbol, under = row.get("assetCategory"), row.need("symbol"), row.get("underlyingSymbol")
        instrument = self.symbols.instrument(symbol, self.session, under) if kind in ("", "FUT") else None
        if instrument is None or not self.symbols.is_of_size(instrument, _multiplier(row)):
            self.unknown.append(unknown_name(symbol, "" if kind == "FUT" else kind, row.get("expiry")))
            return None
        expiry = row.day("expiry")
        # A symbol that is the underlying's own name tells no month: ESTX50, K200.
        told = symbol if symbol != under else ""
        contract = self.symbols.contract(instrument.code, told, self.session, expiry)
        if contract is None:
            raise row.wrong("expiry")("no contract month", "Add Expiry to the sections of the Flex query.")
        currency = row.get("currency")
        if currency and currency != instrument.currency:
            found = f"{instrument.code} trades in {instrument.currency}"
            raise row.wrong("currency")(found, "Map the symbol to the instrument it is in trading.broker.symbols.")
        return _Known(row, instrument, contract)


def _listing(path: Path, head: Head, found: Mapping[str, Section], symbols: Symbols, zone: str) -> Listing:
    if "OpenPositions" not in found:
        cure = "Add the section Open Positions to the Flex query (an Activity query, not Trade Confirmations)."
        raise BadInput("the section OpenPositions is missing", where=str(path), row=head.line, cure=cure)
    sorter = _Sorter(head.session, symbols, [])
    held = _positions(sorter.known(_held(found["OpenPositions"].rows)))
    trades = _trades(found["Trades"], sorter, head, zone) if "Trades" in found else None
    cash = _cash(found["CashReport"].rows) if "CashReport" in found else None
    return Listing(
        head.session,
        {key: quantity for key, (quantity, _) in held.items()},
        {key: average for key, (_, average) in held.items() if average is not None},
        cash,
        trades,
        head.at(zone),
        sorted_names(sorter.unknown),
        settles_daily=True,
    )


def _held(rows: Iterable[FlexRow]) -> list[FlexRow]:
    """Rows that are positions and not zero: those of level SUMMARY, else all lots."""
    listed = [row for row in rows if row.name == "OpenPosition" and row.get("assetCategory") != "CASH"]
    whole_ones = [row for row in listed if row.get("levelOfDetail") in ("", "SUMMARY")]
    return [row for row in whole_ones or listed if exact(row.need("position"), row.wrong("position"))]


def _positions(rows: list[_Known]) -> dict[Contract, tuple[int, float | None]]:
    """Contracts and average price by contract. Two summary rows of one contract are an error; lots are added up."""
    found: dict[Contract, tuple[int, float | None]] = {}
    for known in rows:
        row = known.row
        quantity, price = (
            whole(row.need("position"), row.wrong("position")),
            _price(known, "costBasisPrice", "costBasisMoney", "position"),
        )
        before = found.get(known.key)
        if before is None:
            found[known.key] = quantity, price
        elif row.get("levelOfDetail") == "LOT":
            found[known.key] = _added(before, (quantity, price))
        else:
            name = f"{known.key[0]}/{known.key[1]}"
            cure = "Take one model or consolidate the query. Two symbols of trading.broker.symbols may mean one."
            raise row.wrong("symbol")(f"a second position in {name}", cure)
    return {key: held for key, held in found.items() if held[0]}


def _added(first: tuple[int, float | None], second: tuple[int, float | None]) -> tuple[int, float | None]:
    total = first[0] + second[0]
    if first[1] is None or second[1] is None or not total:
        return total, None
    return total, (first[0] * first[1] + second[0] * second[1]) / total


def _price(known: _Known, attribute: str, money: str, quantity: str) -> float | None:
    """A price in our points, None where the query does not have it; 0 contracts or no price tell no money."""
    row = known.row
    text, multiplier = row.get(attribute), _multiplier(row)
    price = exact(text, row.wrong(attribute)) if text else None
    if price and multiplier and row.get(money):
        paid, held = exact(row.get(money), row.wrong(money)), exact(row.need(quantity), row.wrong(quantity))
        multiplier = _paid_for(paid, held * price, multiplier)
    points = in_points(price or Decimal(0), multiplier, known.instrument, row.wrong("multiplier"))
    return None if price is None else points


def _multiplier(row: FlexRow) -> Decimal | None:
    size = row.get("multiplier")
    return exact(size, row.wrong("multiplier")) if size else None


def _paid_for(paid: Decimal, traded: Decimal, multiplier: Decimal) -> Decimal:
    """The multiplier that the money of a row tells: prices in cents have one of a hundredth of what is written."""
    if not paid or not traded or not multiplier:
        return multiplier
    power = round(math.log10(abs(paid / traded / multiplier)))
    return multiplier.scaleb(power)


def _cash(rows: Iterable[FlexRow]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        currency = row.need("currency")
        if currency in CASH_TOTALS or row.get("levelOfDetail") == "BaseCurrency":
            continue
        if currency in found:
            raise row.wrong("currency")("cash in this currency twice", "Take one model or consolidate the query.")
        found[currency] = number(row.need("endingCash"), row.wrong("endingCash"))
    return found


# --- trades -----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Execution:
    """A trade with what its row says of cancelling and correcting others."""

    trade: Trade
    row: FlexRow

    def is_one_of(self, kind: tuple[str, str]) -> bool:
        """Whether transaction type or codes say so."""
        codes = {code.strip() for code in self.row.get("notes").replace(",", ";").split(";")}
        return self.row.get("transactionType") == kind[0] or kind[1] in codes

    def takes_back(self, other: _Execution) -> bool:
        """Whether this cancellation is of that trade: by the transaction it names, else by its id, quantity and price
        (a trade booked again has the id of the first)."""
        transaction = self.row.get("origTransactionID")
        if transaction not in ("", "0") and other.row.get("transactionID"):
            return other.row.get("transactionID") == transaction
        mine, theirs = self.trade, other.trade
        back = (mine.original, -mine.quantity_contracts, mine.price_points)
        return (theirs.trade_id, theirs.quantity_contracts, theirs.price_points) == back


def _trades(section: Section, sorter: _Sorter, head: Head, zone: str) -> tuple[Trade, ...]:
    """The session's trades in the order they were done."""
    rows = [row for row in section.rows if row.name == "Trade" and row.get("assetCategory") != "CASH"]
    done = [row for row in rows if row.get("levelOfDetail") in ("", "EXECUTION")]
    if rows and not done:
        cure = "Choose Executions among the options of the section Trades."
        raise rows[0].wrong("levelOfDetail")("trades, but no executions", cure)
    of_session = [row for row in done if _is_of(row, head)]
    found = [_Execution(_trade(known, zone), known.row) for known in sorter.known(of_session)]
    kept = [execution.trade for execution in _in_force(found)]
    moved = (trade for trade in kept if trade.quantity_contracts)
    return tuple(sorted(moved, key=lambda trade: trade.executed_at or ""))


def _is_of(row: FlexRow, head: Head) -> bool:
    """Whether a row moved the session: all rows of a statement of one day, else those reported on it."""
    if head.first == head.session:
        return True
    day = row.day("reportDate") or row.day("tradeDate") or row.day("dateTime")
    if day is None:
        raise row.wrong("tradeDate")("a trade without a date", "Add Trade Date to the section Trades.")
    return day == head.session


def _trade(known: _Known, zone: str) -> Trade:
    row = known.row
    name = next((text for text in map(row.get, ("tradeID", "ibExecID", "transactionID", "origTradeID")) if text), "")
    if not name:
        raise row.wrong("tradeID")("a trade without an id", "Add Trade ID to the section Trades.")
    row.need("tradePrice")
    at = row.get("dateTime")
    original = row.get("origTradeID")
    return Trade(
        name,
        *known.key,
        whole(row.need("quantity"), row.wrong("quantity")),
        _price(known, "tradePrice", "tradeMoney", "quantity") or 0.0,
        _paid(known),
        instant(at, zone, row.wrong("dateTime")).isoformat() if len(at) > 10 else None,
        row.get("orderReference"),
        "" if original == "0" else original,
    )


def _paid(known: _Known) -> float:
    """Commission and taxes; the broker writes what we pay as negative."""
    row, currency = known.row, known.row.get("ibCommissionCurrency")
    amounts = [exact(row.get(name) or "0", row.wrong(name)) for name in ("ibCommission", "taxes")]
    if any(amounts) and currency and currency != known.instrument.currency:
        found = f"commission in another currency than {known.instrument.code} trades in"
        raise row.wrong("ibCommissionCurrency")(found, "Ask the broker; such a commission cannot be booked.")
    return float(-sum(amounts, Decimal(0))) or 0.0


def _in_force(found: list[_Execution]) -> list[_Execution]:
    """What counts of a statement's trades after its cancellations and corrections."""
    cancels = [each for each in found if each.is_one_of(CANCELS)]
    alive = [each for each in found if not each.is_one_of(CANCELS)]
    earlier: list[_Execution] = []
    for cancel in cancels:
        target = next((each for each in alive if cancel.takes_back(each)), None)
        if target is not None:
            alive.remove(target)
        else:
            earlier.append(cancel)
    replaced = {each.trade.original for each in alive if each.is_one_of(CORRECTIONS)}
    kept = [each for each in alive if each.trade.trade_id not in replaced or each.is_one_of(CORRECTIONS)]
    _refuse_twice(kept)
    return [*_taken_back(earlier, kept), *_booked_again(earlier, kept)]


def _refuse_twice(kept: list[_Execution]) -> None:
    seen: set[str] = set()
    for each in kept:
        if each.trade.trade_id in seen:
            raise each.row.wrong("tradeID")("a trade twice", "Take one model or consolidate the query.")
        seen.add(each.trade.trade_id)


def _taken_back(earlier: list[_Execution], kept: list[_Execution]) -> list[_Execution]:
    """Cancellations of trades of earlier statements."""
    again, found = {each.trade.trade_id for each in kept}, []
    for cancel in earlier:
        name = cancel.trade.original or cancel.trade.trade_id
        why = "1-" if name in again else "busted"
        found.append(replace(cancel, trade=replace(cancel.trade, trade_id=f"{name}~{why}", original=name)))
    return found


def _booked_again(earlier: list[_Execution], kept: list[_Execution]) -> list[_Execution]:
    """Trades, those under the id of an earlier one that was cancelled named apart from it."""
    cancelled = {cancel.trade.original or cancel.trade.trade_id for cancel in earlier}
    return [
        replace(each, trade=replace(each.trade, trade_id=f"{name}~1", original=name))
        if (name := each.trade.trade_id) in cancelled
        else each
        for each in kept
    ]
