"""Our book against the broker's statement of one session.

Belongs here: our side as a value, and comparing it: positions by contract, average prices, cash, unknown contracts,
statements that are no answer, totals of strategies, orders that were withdrawn. Does not belong here: trades one by one
(`trade_matching.py`), the life of a break (`break_life.py`), or asking a broker.

A statement that is missing, old or of another session says nothing: that is one finding, and nothing is compared with
it, neither found nor healed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from trading.book.breaks import (
    CASH,
    MISSING_HERE,
    MISSING_THERE,
    POSITION_KINDS,
    PRICE,
    QUANTITY,
    STALE,
    STATEMENT_MISSING,
    STRATEGY_TOTAL,
    TRADE_KINDS,
    UNKNOWN_CONTRACT,
    WITHDRAWN_FILLED,
    Break,
    Comparison,
    Finding,
    Key,
)
from trading.book.orders import Fill
from trading.book.statements import Statement
from trading.book.trade_matching import Matched, Trades, aware, close_to, match
from trading.config.trading import ReconciliationSettings

Contract = tuple[str, int]
StrategyKey = tuple[str, str, int]
NO_TRADES = Matched((), {}, (), ())


@dataclass(frozen=True, slots=True)
class Ours:
    """Our side after a session: contracts by (instrument, contract), all strategies together; the average price of what
    is held; cash by currency (`settled_local`: with the profit of open positions, None where it is not known); trades.

    `withdrawn` are contracts filled of orders that were withdrawn before, by order. `totals` are contracts by
    (strategy, instrument, contract) as the ledger keeps them and as its journal adds up, None where nobody looks.
    """

    positions: Mapping[Contract, int]
    average_points: Mapping[Contract, float] = field(default_factory=dict)
    cash_local: Mapping[str, float] = field(default_factory=dict)
    settled_local: Mapping[str, float] | None = None
    trades: Trades = field(default_factory=lambda: Trades(()))
    withdrawn: Mapping[str, int] = field(default_factory=dict)
    totals: tuple[Mapping[StrategyKey, int], Mapping[StrategyKey, int]] | None = None
    worth: Mapping[str, tuple[str, float]] = field(default_factory=dict)  # currency and point value by instrument


@dataclass(frozen=True, slots=True)
class Asked:
    """What a broker answered about a session: a statement, none, or the reason why it could not answer."""

    broker: str
    statement: Statement | None
    failure: str | None = None


def reconcile(
    ours: Ours, asked: Asked, session: date, settings: ReconciliationSettings, known: Iterable[Break] = ()
) -> Comparison:
    """All differences of a session, over everything either side knows, sorted. `known` are the breaks
    of earlier sessions that were open before."""
    own = _own_findings(ours, session)
    no_answer = unfit(asked, session, settings.stale_after_hours)
    if no_answer is not None or asked.statement is None:
        found = [*own, *([no_answer] if no_answer else [])]
        return Comparison(_sorted(found), _own_kinds(ours) | ({no_answer.kind} if no_answer else set()))
    return _compared(ours, asked.statement, session, settings, list(known), own)


def _compared(
    ours: Ours,
    statement: Statement,
    session: date,
    settings: ReconciliationSettings,
    known: Sequence[Break],
    own: Sequence[Finding],
) -> Comparison:
    trades = _trades(ours, statement, session, settings.price_tolerance_fraction, known)
    held, undecided = _positions(ours, statement, session, settings, trades)
    cash = _cash(ours, statement, session, settings.cash_tolerance_local, trades)
    kinds = _own_kinds(ours) | POSITION_KINDS | {PRICE, UNKNOWN_CONTRACT, STALE, STATEMENT_MISSING}
    kinds |= TRADE_KINDS if statement.trades is not None else set()
    kinds |= {CASH} if cash is not None else set()
    answered = {
        found.key: f"there is a statement of {session}" for found in known if found.kind in (STALE, STATEMENT_MISSING)
    }
    found = [*own, *held, *(cash or []), *trades.findings]
    return Comparison(_sorted(found), frozenset(kinds), undecided, {**trades.healed, **answered})


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted({found.key: found for found in findings}.values(), key=lambda found: found.key))


# --- is it an answer at all -------------------------------------------------------------------------------------------
def unfit(asked: Asked, session: date, stale_after_hours: float) -> Finding | None:
    """Why there is nothing to compare with: no statement, no answer, a statement of another session, or one drawn up
    more than so many hours before the session's end (midnight UTC after its date). None where there is."""
    statement = asked.statement
    if statement is None:
        why = asked.failure or f"{asked.broker} has no statement for {session}."
        text = f"{why.rstrip('. ')}. Nothing was compared: this is no proof that the account is flat."
        return _no_answer(STATEMENT_MISSING, asked.broker, session, text)
    end = datetime.combine(session, time(), UTC) + timedelta(days=1)
    if statement.session != session:
        what = f"is of {statement.session}"
    elif statement.as_of is not None and aware(statement.as_of) < end - timedelta(hours=stale_after_hours):
        what = (
            f"was drawn up at {aware(statement.as_of):%Y-%m-%d %H:%M} UTC, more than {stale_after_hours:g} hours before"
        )
        what += " the session's end"
    else:
        return None
    text = f"the statement of {statement.broker} for {session} {what}. Nothing was compared with it."
    return _no_answer(STALE, asked.broker, session, text)


def _no_answer(kind: str, broker: str, session: date, text: str) -> Finding:
    fix = f"ask {broker} for the statement of {session}, then run the reconciliation again"
    return Finding(kind, broker, session, None, None, text, fix)


# --- positions and their prices ---------------------------------------------------------------------------------------
def _positions(
    ours: Ours, statement: Statement, session: date, settings: ReconciliationSettings, trades: Matched
) -> tuple[list[Finding], frozenset[Key]]:
    """Differences of contracts and of average prices; and prices that could not be compared."""
    found = [_unknown(name, session) for name in statement.unknown]
    undecided: set[Key] = set()
    for key in sorted({*ours.positions, *statement.positions}):
        held, theirs = ours.positions.get(key, 0), statement.positions.get(key, 0)
        prices = ours.average_points.get(key), statement.average_points.get(key)
        if held != theirs:
            found.append(_held(ours, key, held, theirs, session, trades))
        if held != theirs or (held and None in map(_stated, prices)):
            undecided.add((PRICE, _item(key)))
        elif held and not close_to(_number(prices[0]), _number(prices[1]), settings.price_tolerance_fraction):
            found.append(
                _price(key, _number(prices[0]), _number(prices[1]), session, settings.price_tolerance_fraction)
            )
    return found, frozenset(undecided)


def _stated(price: float | None) -> float | None:
    """A price, with NaN for none."""
    return None if price is None or price != price else price


def _number(price: float | None) -> float:
    return 0.0 if price is None else price


def _held(ours: Ours, key: Contract, held: int, theirs: int, session: date, trades: Matched) -> Finding:
    item = _item(key)
    text = f"{item}: the book holds {held:+d}, the broker {theirs:+d}."
    if ours.worth and key[0] not in ours.worth:
        fix = f"add {key[0]} to the reference data, or have the broker take the position away"
        return Finding(UNKNOWN_CONTRACT, item, session, float(held), float(theirs),
                       f"{text} {key[0]} is not in the reference data.", fix)  # fmt: skip
    kind = QUANTITY if held and theirs else MISSING_THERE if held else MISSING_HERE
    because, timing = _because(key, theirs - held, trades)
    fix = because or _CURES[kind]
    return Finding(kind, item, session, float(held), float(theirs), f"{text} {_sentence(fix)}", fix, timing=timing)


_CURES = {
    QUANTITY: "compare the fills of both sides, latest first",
    MISSING_HERE: "look for a fill that was never booked",
    MISSING_THERE: "look for a fill the broker does not know",
}


def _because(key: Contract, difference: int, trades: Matched) -> tuple[str, bool]:
    """The trades that make up a difference of contracts, as a cure, and whether they are all only late; empty where
    they do not explain it."""
    about = [found for found in trades.findings if found.item.startswith(f"{_item(key)}/") and found.tolerance is None]
    if not about or sum(_number(found.theirs) - _number(found.ours) for found in about) != difference:
        return "", False
    late = all(found.timing for found in about)
    names = ", ".join(found.item.split("/", 2)[2] for found in about)
    return (f"none: {names} is late on one side" if late else f"settle the trade {names}, which explains it"), late


def _price(key: Contract, ours: float, theirs: float, session: date, tolerance: float) -> Finding:
    item = _item(key)
    text = f"{item}: the average price is {ours:,.10g} in the book and {theirs:,.10g} at the broker."
    fix = "compare the prices of the fills that opened the position"
    return Finding(PRICE, item, session, ours, theirs, f"{text} {_sentence(fix)}", fix,
                   tolerance * max(abs(ours), abs(theirs)))  # fmt: skip


def _unknown(name: str, session: date) -> Finding:
    text = f"the broker holds {name}, which is no contract known here."
    fix = f"map {name} to an instrument (trading.broker.symbols), or add the instrument to the reference data"
    return Finding(UNKNOWN_CONTRACT, name, session, None, None, f"{text} {_sentence(fix)}", fix)


def _item(key: Contract) -> str:
    return f"{key[0]}/{key[1]}"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


# --- trades and cash --------------------------------------------------------------------------------------------------
def _trades(ours: Ours, statement: Statement, session: date, tolerance: float, known: Sequence[Break]) -> Matched:
    if statement.trades is None:
        return NO_TRADES
    return match(ours.trades, statement.trades, known, session, statement.as_of, tolerance)


def _cash(ours: Ours, statement: Statement, session: date, tolerance: float, trades: Matched) -> list[Finding] | None:
    """Differences of cash over the currencies of both sides, or None where one of them does not state it."""
    own = ours.settled_local if statement.settles_daily else ours.cash_local
    if own is None or statement.cash_local is None:
        return None
    found = []
    for currency in sorted({*own, *statement.cash_local}):
        here, there = own.get(currency, 0.0), statement.cash_local.get(currency, 0.0)
        if abs(there - here) > tolerance:
            late = abs(there - here - _late_cash(ours, trades, currency)) <= tolerance and not statement.settles_daily
            found.append(_cash_differs(currency, here, there, session, tolerance, late))
    return found


def _late_cash(ours: Ours, trades: Matched, currency: str) -> float:
    """What the trades that are only late come to in a currency, theirs - ours; NaN where there are none."""
    late = {found.item.split("/", 2)[2] for found in trades.findings if found.timing}
    sides = ((trades.only_there, 1.0), (trades.only_here, -1.0))
    paid = [
        sign * _paid(ours, fill)
        for fills, sign in sides
        for fill in fills
        if fill.fill_id in late and ours.worth.get(fill.instrument, ("", 0.0))[0] == currency
    ]
    return sum(paid) if paid else float("nan")


def _paid(ours: Ours, fill: Fill) -> float:
    return -fill.quantity_contracts * fill.price_points * ours.worth[fill.instrument][1] - fill.commission_local


def _cash_differs(currency: str, ours: float, theirs: float, session: date, tolerance: float, late: bool) -> Finding:
    fix = "none: trades that are late on one side" if late else "compare prices and commissions of the fills"
    text = f"cash in {currency}: the book has {ours:,.2f}, the broker {theirs:,.2f} ({theirs - ours:+,.2f})."
    return Finding(CASH, currency, session, ours, theirs, f"{text} {_sentence(fix)}", fix, tolerance, late)


# --- our own side -----------------------------------------------------------------------------------------------------
def _own_kinds(ours: Ours) -> frozenset[str]:
    return frozenset({WITHDRAWN_FILLED} | ({STRATEGY_TOTAL} if ours.totals is not None else set()))


def _own_findings(ours: Ours, session: date) -> list[Finding]:
    """What is wrong without asking anybody."""
    found = [_withdrawn(name, quantity, session) for name, quantity in ours.withdrawn.items() if quantity]
    if ours.totals is not None:
        kept, journal = ours.totals
        keys = sorted({*kept, *journal})
        found += [_total(key, kept.get(key, 0), journal.get(key, 0), session)
                  for key in keys if kept.get(key, 0) != journal.get(key, 0)]  # fmt: skip
    return found


def _withdrawn(order: str, quantity: int, session: date) -> Finding:
    text = f"order {order} was withdrawn, yet the broker filled it ({quantity:+d}). The position counts the fill."
    fix = "agree with the broker whose trade it is"
    return Finding(WITHDRAWN_FILLED, order, session, 0.0, float(quantity), f"{text} {_sentence(fix)}", fix)


def _total(key: StrategyKey, kept: int, journal: int, session: date) -> Finding:
    item = f"{key[1]}/{key[2]}/{key[0]}"
    text = f"{item}: the ledger keeps {kept:+d} contracts, its journal adds up to {journal:+d}."
    fix = "stop trading, run `daybook audit verify` and rebuild the ledger's tables from the journal"
    return Finding(STRATEGY_TOTAL, item, session, float(kept), float(journal), f"{text} {_sentence(fix)}", fix)
