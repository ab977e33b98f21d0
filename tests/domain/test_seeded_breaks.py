"""A believable book of fourteen instruments, three strategies and four currencies over twelve sessions, against a
broker that agrees to the last cent; then the same with some sixty breaks of all kinds sown into it, each with what must
be found of it written down where it is sown.

Does not belong here: one kind at a time (`test_broker_breaks.py`).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta

import pytest

from assets.reconciliation import reconciled
from resources.memory import MemoryBroker, MemoryLedger, MemoryReference
from trading.book.breaks import KINDS
from trading.book.journal import Event
from trading.book.orders import Fill
from trading.book.statements import Statement
from trading.config.trading import ReconciliationSettings
from trading.errors import BrokerError
from trading.market.instruments import Instrument

DAYS = [date(2024, 3, 4) + timedelta(days=n) for n in range(16)]
SESSIONS = [day for day in DAYS if day.weekday() < 5]  # day 1 is a Monday, day 12 a Tuesday
LAST = len(SESSIONS)
JUN, SEP, DEC = 20240600, 20240900, 20241200
STALE_ON, MISSING_ON, DOWN_ON = 7, 8, 10
MARKET = {
    "USD": {"US10": (110.5, 1000.0), "SP500": (5100.25, 50.0), "CRUDE": (78.1, 1000.0), "GOLD": (2150.0, 100.0),
            "CORN": (430.0, 50.0), "SOY": (1180.0, 50.0)},
    "EUR": {"BUND": (132.2, 1000.0), "STOXX": (4900.0, 10.0), "BOBL": (117.1, 1000.0), "OAT": (128.4, 1000.0)},
    "JPY": {"JGB": (146.0, 1_000_000.0), "NIKKEI": (39000.0, 1000.0)},
    "GBP": {"FTSE": (7650.0, 10.0), "GILT": (98.6, 1000.0)},
}  # fmt: skip
INSTRUMENTS = [
    Instrument(code, code.title(), "X", currency, worth, 0.01, "futures", "any", "US", effective_from=date(2020, 1, 1))
    for currency, codes in MARKET.items()
    for code, (_, worth) in codes.items()
]
PRICE = {code: price for codes in MARKET.values() for code, (price, _) in codes.items()}
WORTH = {code: worth for codes in MARKET.values() for code, (_, worth) in codes.items()}
CURRENCY = {code: currency for currency, codes in MARKET.items() for code in codes}
NOW = datetime(2024, 4, 1, tzinfo=UTC)


def session(day: int) -> date:
    """The session of a day, counted from 1."""
    return SESSIONS[day - 1]


def fill(name: str, code: str, contract: int, day: int, quantity: int, price: float | None = None, **more) -> Fill:
    """A trade of the afternoon, with a commission of two."""
    at = datetime.combine(session(day), time(15), UTC).isoformat()
    values = {"order_id": f"o-{name}", "strategy": "trend", "commission_local": 2.0, "executed_at": at, **more}
    return Fill(
        name, instrument=code, contract=contract, session=session(day), quantity_contracts=quantity,
        price_points=PRICE[code] if price is None else price, **values,
    )  # fmt: skip


Found = tuple[int, str, str, int, bool]  # day, kind, item, age, known to be late


@dataclass
class Book:
    """Both sides day by day, and what must be found. `broker` holds trades by the day they are booked there."""

    events: dict[int, list[Event]] = field(default_factory=lambda: {day: [] for day in range(1, LAST + 1)})
    broker: dict[int, list[Fill]] = field(default_factory=lambda: {day: [] for day in range(1, LAST + 1)})
    hidden: set[str] = field(default_factory=set)  # trades the broker counts and does not list
    edits: list[Callable[[int, Statement], Statement]] = field(default_factory=list)
    expected: list[Found] = field(default_factory=list)
    ids: int = 0

    # --- building -----------------------------------------------------------------------------------------------------
    def tell(self, kind: str, day: int, **payload: object) -> None:
        """An event of ours."""
        name = (
            payload.get("fill_id") or payload.get("order_id") or payload.get("adjustment_id") or len(self.events[day])
        )
        self.events[day].append(Event(f"{kind}:{name}:{day}", kind, session(day), NOW, "test", payload))

    def here(self, trade: Fill, kind: str = "fill", day: int | None = None, **more: object) -> None:
        """Booked in our journal."""
        names = ("fill_id", "order_id", "strategy", "instrument", "contract", "quantity_contracts", "price_points",
                 "commission_local", "executed_at")  # fmt: skip
        values = {name: getattr(trade, name) for name in names}
        on = SESSIONS.index(trade.session) + 1 if day is None else day
        self.tell(kind, on, **values, session=trade.session.isoformat(), **more)

    def there(self, trade: Fill, day: int | None = None) -> None:
        """Booked by the broker."""
        self.broker[SESSIONS.index(trade.session) + 1 if day is None else day].append(trade)

    def both(self, trade: Fill) -> None:
        """On both sides alike."""
        self.here(trade)
        self.there(trade)

    def bust(self, trade: Fill, day: int) -> None:
        """Taken back here."""
        self.tell("fill_busted", day, fill_id=trade.fill_id, strategy=trade.strategy, instrument=trade.instrument,
                  contract=trade.contract, reason="not ours")  # fmt: skip

    def adjust(self, name: str, strategy: str, as_if: Fill) -> None:
        """Our position moved by hand, as if by a trade."""
        day = SESSIONS.index(as_if.session) + 1
        self.tell("position_adjusted", day, adjustment_id=name, strategy=strategy, instrument=as_if.instrument,
                  contract=as_if.contract, session=as_if.session.isoformat(), price_points=as_if.price_points,
                  quantity_contracts=as_if.quantity_contracts, reason="found by hand")  # fmt: skip

    def expect(self, kind: str, item: str, first: int, last: int = LAST, timing: bool = False) -> None:
        """One break, open from one day to another, both included."""
        self.ids += 1
        self.expected += [(day, kind, item, day - first, timing) for day in range(first, last + 1)]

    # --- the broker's statement ---------------------------------------------------------------------------------------
    def statement(self, day: int) -> Statement:
        """As the broker's own books have it: sums of its trades."""
        booked = [trade for on in range(1, day + 1) for trade in self.broker[on]]
        positions, cash = Counter(), Counter()
        for trade in booked:
            code, quantity, price = trade.instrument, trade.quantity_contracts, trade.price_points
            positions[code, trade.contract] += quantity
            cash[CURRENCY[code]] += -quantity * price * WORTH[code] - trade.commission_local
        made = Statement(
            "ib", session(day), {key: held for key, held in positions.items() if held}, dict(cash),
            averages(booked), tuple(t for t in self.broker[day] if t.fill_id not in self.hidden),
            datetime.combine(session(day) + timedelta(days=1), time(0, 30), UTC),
        )  # fmt: skip
        for edit in self.edits:
            made = edit(day, made)
        return made


def averages(booked: Sequence[Fill]) -> dict[tuple[str, int], float]:
    """Average prices of June contracts, of which everything was bought."""
    bought: dict[tuple[str, int], list[Fill]] = {}
    for trade in booked:
        if trade.contract == JUN:
            bought.setdefault((trade.instrument, JUN), []).append(trade)
    return {
        key: sum(t.quantity_contracts * t.price_points for t in some) / sum(t.quantity_contracts for t in some)
        for key, some in bought.items()
        if all(t.quantity_contracts > 0 for t in some)
    }


def clean() -> Book:
    """Three strategies that buy June on the first days; every day one of September is bought or sold; some interest."""
    book = Book()
    for place, code in enumerate(PRICE):
        for number, strategy in enumerate(("trend", "carry", "value")[: 1 + place % 3]):
            trade = fill(f"{code}-{strategy}", code, JUN, 1 + number, 4 + place % 3, PRICE[code] * (1 + number / 100))
            book.both(replace(trade, strategy=strategy))
        for day in range(1, LAST + 1):
            book.both(fill(f"{code}-{day}", code, SEP, day, 1 if day % 2 else -1, PRICE[code] * (1 + day / 1000)))
    return book


# --- sowing -----------------------------------------------------------------------------------------------------------
def sow_trades_missing(book: Book) -> None:
    """Trades that one side does not have."""
    late = fill("a1", "US10", JUN, 3, 2)
    book.here(late)
    book.there(late, 6)  # the broker books it three days later
    book.expect("trade_missing_there", "US10/20240600/a1", 3, 5)
    book.expect("quantity", "US10/20240600", 3, 5)

    book.here(fill("a2", "SP500", DEC, 3, -1))
    book.expect("trade_missing_there", "SP500/20241200/a2", 3)
    book.expect("missing_there", "SP500/20241200", 3)

    book.here(fill("a3", "BUND", JUN, 5, 1))
    book.expect("trade_missing_there", "BUND/20240600/a3", 5)
    book.expect("quantity", "BUND/20240600", 5)

    never = fill("a4", "JGB", DEC, 4, 1)
    book.here(never)
    book.bust(never, 6)
    book.expect("trade_missing_there", "JGB/20241200/a4", 4, 5)
    book.expect("missing_there", "JGB/20241200", 4, 5)

    unbooked = fill("a5", "CRUDE", JUN, 3, 1)
    book.there(unbooked)
    book.here(unbooked, day=5)
    book.expect("trade_missing_here", "CRUDE/20240600/a5", 3, 4)
    book.expect("quantity", "CRUDE/20240600", 3, 4)

    book.there(fill("a6", "GOLD", DEC, 3, 2))
    book.expect("trade_missing_here", "GOLD/20241200/a6", 3)
    book.expect("missing_here", "GOLD/20241200", 3)

    given = fill("a7", "STOXX", DEC, 4, 3, commission_local=0.0)
    book.there(given)
    book.adjust("a7-taken", "trend", fill("a7", "STOXX", DEC, 6, 3))
    book.expect("trade_missing_here", "STOXX/20241200/a7", 4, 5)
    book.expect("missing_here", "STOXX/20241200", 4, 5)

    book.there(fill("a8", "CORN", JUN, 5, -10))  # all of it: 5 of trend and 5 of carry
    book.expect("trade_missing_here", "CORN/20240600/a8", 5)
    book.expect("missing_there", "CORN/20240600", 5)

    book.both(fill("a9", "STOXX", JUN, 9, 1))
    book.here(fill("a10", "STOXX", JUN, 9, 1))  # its twin
    book.expect("trade_missing_there", "STOXX/20240600/a10", 9)
    book.expect("quantity", "STOXX/20240600", 9)


def sow_trades_that_differ(book: Book) -> None:
    """Trades that both sides have, told differently; and two that only look so."""
    book.here(fill("b1", "SOY", JUN, 4, 2))
    book.there(fill("b1", "SOY", JUN, 4, 3))
    book.expect("trade", "SOY/20240600/b1", 4)
    book.expect("quantity", "SOY/20240600", 4)

    book.here(fill("b2", "BOBL", JUN, 3, 1))
    book.there(fill("b2", "BOBL", JUN, 3, 2))
    book.here(fill("b2", "BOBL", JUN, 3, 2), "fill_corrected", day=5, version=1)
    book.expect("trade", "BOBL/20240600/b2", 3, 4)
    book.expect("quantity", "BOBL/20240600", 3, 4)

    book.here(fill("b3", "OAT", JUN, 3, 2))
    book.there(fill("b3", "OAT", JUN, 3, 2, 130.0))
    book.expect("trade", "OAT/20240600/b3", 3)
    book.expect("price", "OAT/20240600", 3)

    book.here(fill("b4", "NIKKEI", JUN, 4, 1))
    book.there(fill("b4", "NIKKEI", JUN, 4, 1, 39500.0))
    book.expect("trade", "NIKKEI/20240600/b4", 4, 5)
    book.expect("price", "NIKKEI/20240600", 4, 5)
    book.edits.append(put_right_on(6, "b4", 39500.0 - 39000.0))

    book.here(fill("b5", "BUND", DEC, 3, 5))  # the broker lists what was filled in two parts
    book.there(fill("b5/1", "BUND", DEC, 3, 3))
    book.there(fill("b5/2", "BUND", DEC, 3, 2, commission_local=0.0))
    book.here(fill("b6", "FTSE", SEP, 4, 2, 7000.0))
    book.there(fill("another id", "FTSE", SEP, 4, 2, 7000.0))


def put_right_on(day: int, name: str, too_much: float) -> Callable[[int, Statement], Statement]:
    """From a day on the broker tells a trade of one Nikkei cheaper, and lists it again on that day."""

    def edit(on: int, made: Statement) -> Statement:
        if on < day:
            return made
        held, cash = made.positions["NIKKEI", JUN], made.cash_local["JPY"] + too_much * WORTH["NIKKEI"]
        average = made.average_points["NIKKEI", JUN] - too_much / held
        again = (fill(name, "NIKKEI", JUN, 4, 1),) if on == day else ()
        return replace(made, cash_local={**made.cash_local, "JPY": cash}, trades=(*made.trades, *again),
                       average_points={**made.average_points, ("NIKKEI", JUN): average})  # fmt: skip

    return edit


def sow_what_is_only_late(book: Book) -> None:
    """Trades booked after the other side's cut-off; the third never comes."""
    night = fill("c1", "FTSE", JUN, 3, 2, executed_at="2024-03-07T00:45:00+00:00")
    book.here(night)
    book.there(night, 4)
    book.expect("trade_missing_there", "FTSE/20240600/c1", 3, 3, timing=True)
    book.expect("quantity", "FTSE/20240600", 3, 3, timing=True)
    book.expect("cash", "GBP", 3, 3, timing=True)

    early = fill("c2", "GILT", JUN, 6, 1)
    book.here(early)
    book.there(early, 5)
    book.expect("trade_missing_here", "GILT/20240600/c2", 5, 5, timing=True)
    book.expect("quantity", "GILT/20240600", 5, 5, timing=True)
    book.expect("cash", "GBP", 5, 5, timing=True)

    book.here(fill("c3", "FTSE", DEC, 9, 1, executed_at="2024-03-15T00:45:00+00:00"))
    for kind, item in (
        ("trade_missing_there", "FTSE/20241200/c3"),
        ("missing_there", "FTSE/20241200"),
        ("cash", "GBP"),
    ):
        book.ids += 1
        book.expected += [(day, kind, item, day - 9, day < 11) for day in range(9, LAST + 1)]


def sow_positions_and_prices(book: Book) -> None:
    """What no trade explains."""
    opened = fill("d1", "BOBL", DEC, 2, 3)
    book.both(opened)
    book.here(replace(opened, quantity_contracts=2), "fill_corrected", day=5, version=1)
    book.expect("quantity", "BOBL/20241200", 5)

    taken_back = fill("d2", "NIKKEI", DEC, 2, 1)
    book.both(taken_back)
    book.bust(taken_back, 4)
    book.expect("missing_here", "NIKKEI/20241200", 4)

    book.adjust("d3", "carry", fill("d3", "CORN", DEC, 6, 2, 431.0))
    book.expect("missing_there", "CORN/20241200", 6)

    book.edits.append(shown(6, 8, "SP500", JUN, 0))
    book.expect("missing_there", "SP500/20240600", 6, 8)
    book.both(fill("d4", "CRUDE", DEC, 2, 2))
    book.edits.append(shown(11, LAST, "CRUDE", DEC, -2))
    book.expect("quantity", "CRUDE/20241200", 11)

    def dearer(day: int, made: Statement) -> Statement:
        prices = made.average_points
        return made if day < 2 else replace(made, average_points={**prices, ("JGB", JUN): prices["JGB", JUN] * 1.01})

    book.edits.append(dearer)
    book.expect("price", "JGB/20240600", 2)


def shown(first: int, last: int, code: str, contract: int, held: int) -> Callable[[int, Statement], Statement]:
    """The broker shows another quantity from one day to another."""

    def edit(day: int, made: Statement) -> Statement:
        if not first <= day <= last:
            return made
        positions = {key: was for key, was in made.positions.items() if key != (code, contract)}
        return replace(made, positions={**positions, **({(code, contract): held} if held else {})})

    return edit


def sow_strangers(book: Book) -> None:
    """Contracts that nobody here knows."""

    def edit(day: int, made: Statement) -> Statement:
        names = [name for name, days in (("ZRN4", range(2, 99)), ("XKH4", range(4, 6))) if day in days]
        rice = {("RICE", JUN): 2} if day >= 6 else {}
        return replace(made, unknown=tuple(names), positions={**made.positions, **rice})

    book.edits.append(edit)
    book.expect("unknown_contract", "ZRN4", 2)
    book.expect("unknown_contract", "XKH4", 4, 5)
    book.expect("unknown_contract", "RICE/20240600", 6)


def sow_cash(book: Book) -> None:
    """Fees and interest that one side has not booked, and what the trades above do to cash."""

    def edit(day: int, made: Statement) -> Statement:
        fees = ({"CHF": -12.5} if day >= 3 else {}) | ({"SEK": 0.02} if day >= 4 else {})
        return replace(made, cash_local={**made.cash_local, **fees, "NOK": 0.009})  # under a cent is nothing

    book.edits.append(edit)
    book.tell("cash_booked", 6, cash_id="fee", currency="CHF", amount_local=-12.5, category="fee",
              session=session(6).isoformat(), reason="custody")  # fmt: skip
    book.expect("cash", "CHF", 3, 5)
    book.expect("cash", "SEK", 4)
    book.expect("cash", "USD", 3)  # a1, a2, a5 and a6 from day 3 on, then others
    book.expect("cash", "EUR", 3)  # b2 and b3
    book.expect("cash", "JPY", 4)  # a4, b4 and d2


def sow_withdrawn_orders(book: Book) -> None:
    """Orders that were withdrawn and filled all the same; the second is taken back by both sides."""
    for name, code, day in (("e1", "US10", 5), ("e2", "SOY", 4)):
        order = {"order_id": f"o-{name}", "strategy": "trend"}
        told = {"parent_id": None, "level": "contract", "instrument": code, "contract": DEC, "quantity_contracts": 1,
                "reason": "target", "reference_points": None, "reference_at": None,
                "session": session(day - 1).isoformat()}  # fmt: skip
        book.tell("order_created", day - 1, **order, **told)
        for kind in ("order_approved", "order_sent", "order_cancelled"):
            book.tell(kind, day - 1, **order)
        book.both(fill(name, code, DEC, day, 1))
    book.bust(fill("e2", "SOY", DEC, 4, 1), 6)
    book.there(fill("e2 cancelled", "SOY", DEC, 6, -1, commission_local=-2.0))
    book.expect("withdrawn_filled", "o-e1", 5)
    book.expect("withdrawn_filled", "o-e2", 4, 5)


def sow_no_answers(book: Book) -> None:
    """A statement of the day before, none, and a broker that is down; and a table of ours that is not its journal."""
    book.expect("stale", "ib", STALE_ON, STALE_ON + 1)
    book.expect("statement_missing", "ib", MISSING_ON, MISSING_ON)
    book.expect("statement_missing", "ib", DOWN_ON, DOWN_ON)
    book.expect("strategy_total", "GOLD/20240600/trend", LAST)


SEEDS = (sow_trades_missing, sow_trades_that_differ, sow_what_is_only_late, sow_positions_and_prices, sow_strangers,
         sow_cash, sow_withdrawn_orders, sow_no_answers)  # fmt: skip


# --- the two sides at work --------------------------------------------------------------------------------------------
class Told(MemoryBroker):
    """A broker with the statements of a book; on some days, where it is asked to, it has none that is any good."""

    def __init__(self, book: Book, fails: bool) -> None:
        super().__init__(name="ib")
        self._book, self._fails = book, fails

    def statement(self, session: date) -> Statement | None:
        """As the port."""
        day = SESSIONS.index(session) + 1
        if self._fails and day == DOWN_ON:
            raise BrokerError("broker ib did not answer: the gateway is down. Try again when it is up.")
        if self._fails and day == MISSING_ON:
            return None
        return self._book.statement(day - 1 if self._fails and day == STALE_ON else day)


class Tampered(MemoryLedger):
    """A ledger of which somebody changed a row of positions once everything was booked."""

    changed = False

    def rows(self, projection: str, where: Mapping[str, object] | None = None) -> list[dict[str, object]]:
        """As the port, but for that row."""
        rows = super().rows(projection, where)
        for row in rows:
            if projection == "positions" and self.changed and row["contract"] == JUN and row["instrument"] == "GOLD":
                row["quantity_contracts"] += 1 if row["strategy"] == "trend" else 0
        return rows


def worked(book: Book, ledger: MemoryLedger, at_once: bool, fails: bool = True) -> list[Found]:
    """Reconciles all days, one by one as they come or all at once at the end; what was found."""
    reference, broker = MemoryReference(INSTRUMENTS), Told(book, fails)
    settings = ReconciliationSettings()
    rows: list[dict] = []
    for day in range(1, LAST + 1):
        ledger.record(book.events[day])
        if not at_once or day == LAST:
            if day == LAST and isinstance(ledger, Tampered):
                ledger.changed = True
            sessions = SESSIONS if at_once else [session(day)]
            rows += reconciled(sessions, ledger, broker, reference, settings, lambda: NOW)
    return [
        (SESSIONS.index(row["session"]) + 1, row["kind"], row["item"], row["age_sessions"], row["timing"])
        for row in rows
    ]


@pytest.fixture(scope="module")
def sown() -> Book:
    """The book with everything sown."""
    book = clean()
    for seed in SEEDS:
        seed(book)
    return book


@pytest.mark.parametrize("at_once", [False, True], ids=["day by day", "in one run"])
def test_a_book_that_agrees_has_no_breaks(at_once: bool) -> None:
    ledger = MemoryLedger()
    assert worked(clean(), ledger, at_once, fails=False) == []
    assert ledger.rows("breaks") == []
    assert "breaks" not in ledger.heads()
    assert len(ledger.rows("fills")) > 190


@pytest.mark.parametrize("at_once", [False, True], ids=["day by day", "in one run"])
def test_every_break_that_was_sown_is_found_classed_and_aged_and_none_is_invented(sown: Book, at_once: bool) -> None:
    ledger = Tampered()
    found = worked(sown, ledger, at_once)
    assert sorted(set(found) - set(sown.expected)) == []  # none invented
    assert sorted(set(sown.expected) - set(found)) == []  # none lost
    assert max(Counter(found).values()) == 1
    rows = ledger.rows("breaks")
    assert len(rows) == sown.ids >= 40
    assert {kind for _, kind, *_ in found} == {row["kind"] for row in rows} == KINDS


def test_what_healed_is_closed_and_what_did_not_is_open(sown: Book) -> None:
    ledger = Tampered()
    worked(sown, ledger, at_once=False)
    last = Counter((kind, item) for day, kind, item, *_ in sown.expected if day == LAST)
    rows = ledger.rows("breaks")
    assert Counter((row["kind"], row["item"]) for row in rows if row["state"] == "open") == last
    assert {row["closed_by"] for row in rows if row["state"] == "closed"} == {"reconciliation"}


def test_all_days_again_record_nothing(sown: Book) -> None:
    ledger = Tampered()
    worked(sown, ledger, at_once=True)
    before = ledger.content_hash()
    again = list(
        reconciled(
            SESSIONS, ledger, Told(sown, True), MemoryReference(INSTRUMENTS), ReconciliationSettings(), lambda: NOW
        )
    )
    assert ledger.content_hash() == before
    assert len(again) == len(sown.expected)
