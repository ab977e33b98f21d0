"""What the risk engine is given: the facts and the book of a session, in five reads of frames for any number of
sessions and instruments.

Belongs here: reading. Does not belong here: measuring (`trading/risk/risk_model.py`), what a book stands at
(`trading/risk/standing.py`), or keeping what was read (`resources/risk_inputs_cache.py`).

Positions are the fold of the journal. Frames give prices, roll gaps, exchange rates, profits and the account.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import pandas as pd

from trading.book.booking import order_of
from trading.book.breaks import locked
from trading.book.fills import MOVEMENT_KINDS, Blotter
from trading.book.journal import BOOK_KINDS, Event
from trading.book.orders import TARGET, Fill, Order
from trading.book.state import BookState
from trading.config.models import DeskSettings
from trading.errors import DatasetNotFound
from trading.frames import DAILY_PRICES, EQUITY, FX_RATES, PNL, ROLL_GAPS, Dataset, day, empty, to_pandas
from trading.ports import FrameStore, Ledger, ReferenceStore
from trading.risk.book import Book
from trading.risk.market import Contract, Market
from trading.risk.pre_trade import adding_orders
from trading.risk.risk_model import GAP_SESSIONS, MARKED, Histories, Known, histories, market_of
from trading.risk.standing import Curve, Held, book_after, book_of, held, held_through

FACTS: tuple[Dataset, ...] = (DAILY_PRICES, ROLL_GAPS, FX_RATES)  # what a market is made of
EARNED: tuple[Dataset, ...] = (PNL, EQUITY)  # what a book has come to
Rows = list[dict[str, object]]


# --- facts ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class RiskFacts:
    """Prices, gaps and rates of a range of sessions, and how markets are made of them."""

    history: Histories
    reference: ReferenceStore
    desk: DeskSettings

    def market(self, session: date, also: Sequence[Contract] = ()) -> Market:
        """The facts of a session; nothing later is in them. `also`: contracts that are held, whether quoted or not."""
        return market_of(self.history, session, self.known(session), also)

    def known(self, session: date) -> Known:
        """What is in force on a session."""
        return Known(
            self.reference.instruments(session),
            self.reference.roll_parameters(session),
            self.desk.risk.model,
            self.desk.capital.base_currency,
            self.desk.risk.inputs.max_age_sessions,
        )


def risk_facts(frames: FrameStore, reference: ReferenceStore, desk: DeskSettings, first: date, last: date) -> RiskFacts:
    """Three reads, of all instruments and for every session of a range."""
    since = first - _looked_back(desk)
    daily, gaps = _frame(frames, DAILY_PRICES, last, since), _frame(frames, ROLL_GAPS, last, since)
    rates = _frame(frames, FX_RATES, last, first - _rated(desk))
    return RiskFacts(histories(daily, gaps, rates), reference, desk)


def facts_version(frames: FrameStore, reference: ReferenceStore, desk: DeskSettings) -> str:
    """What facts would be made of now, as a hash: versions of the datasets, reference data, and settings. Reads no
    rows."""
    settings = desk.risk.model.model_dump_json() + desk.risk.inputs.model_dump_json() + desk.capital.base_currency
    return hashlib.sha256("\n".join([written(frames, FACTS), reference.content_hash(), settings]).encode()).hexdigest()


def written(frames: FrameStore, datasets: Sequence[Dataset]) -> str:
    """Which versions of datasets are the newest, in words. Reads no rows."""
    found = [each[-1] for dataset in datasets if (each := frames.versions(dataset))]
    return "\n".join(f"{each.dataset} {each.number} {each.written_at.isoformat()}" for each in found)


def newest_facts(
    frames: FrameStore, reference: ReferenceStore, desk: DeskSettings, session: date | None = None,
    priced: date | None = None,
) -> tuple[RiskFacts, date | None]:  # fmt: skip
    """Facts of a session (default: the newest that has prices), and the newest that has prices; None where none has.
    Three reads: the newest session is found in the prices themselves. `priced`: a session that has prices, so that
    those long before it need not be read."""
    after = session or priced
    begins = None if after is None else after - _looked_back(desk)
    daily = _frame(frames, DAILY_PRICES, date.max, begins)
    if daily.empty and begins is not None:  # prices were withdrawn
        daily = _frame(frames, DAILY_PRICES, date.max)
    newest = None if daily.empty else day(daily["session"].max())
    if newest is None:
        return RiskFacts(histories(daily, *(to_pandas(empty(each)) for each in FACTS[1:])), reference, desk), None
    since = (session or newest) - _looked_back(desk)
    gaps = _frame(frames, ROLL_GAPS, newest, since)
    rates = _frame(frames, FX_RATES, newest, (session or newest) - _rated(desk))
    return RiskFacts(histories(daily[daily["session"] >= pd.Timestamp(since)], gaps, rates), reference, desk), newest


def _looked_back(desk: DeskSettings) -> timedelta:
    return max(MARKED, _weekdays(desk.risk.model.sessions + 1 + GAP_SESSIONS))


def _rated(desk: DeskSettings) -> timedelta:
    return _weekdays(desk.risk.inputs.max_age_sessions + GAP_SESSIONS)


def _frame(
    frames: FrameStore, dataset: Dataset, last: date, since: date | None = None, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Rows through a session; none where the dataset was never written."""
    try:
        return to_pandas(frames.history(dataset, through=last, since=since, columns=columns))
    except DatasetNotFound:
        return to_pandas(empty(dataset))


def _weekdays(sessions: int) -> timedelta:
    return timedelta(days=sessions * 7 // 5 + 7)


# --- the book ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class RiskBooks:
    """What the journal and the frames of the book tell, through the last session of a range. `sent`: orders by the
    session they were decided after, without those withdrawn before anything was filled. `held_gains` of each session:
    what was held into it gained."""

    desk: DeskSettings
    movements: Sequence[Fill]
    sent: Mapping[date, Sequence[Order]]
    account: Curve
    gains: Mapping[str, Curve]
    held_gains: Mapping[date, float]
    breaks: Rows
    overrides: Rows

    def books(self, sessions: Sequence[date]) -> Iterator[Book]:
        """Each session's book as it went, in order, and what was in dispute when its orders were decided."""
        for session, holdings in zip(sessions, held_through(self.movements, sessions), strict=True):
            yield self._book(session, holdings, locked(self.breaks, self.overrides, session))

    def book(self, session: date) -> Book:
        """A session's book as it went, and what is in dispute now."""
        return self._book(session, held(self.movements, session), locked(self.breaks, self.overrides))

    def after(self, session: date) -> Book:
        """The book for orders that are decided after a session, and what is in dispute now."""
        went, sent = self.book(session), self.sent.get(session, ())
        return book_after(
            self.desk, went.positions, went.equity_base, went.standing, went.locks, sent, also=went.strategies
        )

    def _book(self, session: date, holdings: Held, locks: Mapping[str, str]) -> Book:
        orders = len(adding_orders(self.sent.get(session, ()), holdings.positions))
        return book_of(self.desk, session, holdings, self.account, self.gains, locks, orders)

    @property
    def closed(self) -> frozenset[date]:
        """Sessions that the account was valued in."""
        return frozenset(session for session, _ in self.account)


class Earned(NamedTuple):
    """What the account came to by session, what each strategy gained, and what was held into the session."""

    account: Curve
    gains: Mapping[str, Curve]
    held_gains: Mapping[date, float]


@dataclass(frozen=True, slots=True)
class Told:
    """What a ledger says of its book: events in the order of the journal, what is in dispute, and halts."""

    events: tuple[Event, ...]
    breaks: Rows
    overrides: Rows
    halts: Rows

    def working(self, session: date) -> list[Order]:
        """Orders at work after a session."""
        state = BookState(0.0)
        state.apply(event for event in self.events if event.session <= session)
        return list(state.working.values())


def told(ledger: Ledger) -> Told:
    """One pass over the journal, and three tables."""
    events = tuple(entry.event for entry in ledger.entries(kinds=BOOK_KINDS))
    return Told(events, *(ledger.rows("breaks"), _overrides(ledger), ledger.rows("halts")))


def _overrides(ledger: Ledger) -> Rows:
    return ledger.rows("overrides", {"scope": "instrument"})


def risk_books(frames: FrameStore, ledger: Ledger, desk: DeskSettings, last: date) -> RiskBooks:
    """Two reads of frames, and the journal, through a session."""
    kinds = [*MOVEMENT_KINDS, "order_created", "order_sent", "order_cancelled"]
    events = tuple(entry.event for entry in ledger.entries(kinds=kinds, through=last))
    known = Told(events, ledger.rows("breaks"), _overrides(ledger), [])
    return books_of(desk, known, earned(frames, last), last)


def books_of(desk: DeskSettings, known: Told, gained: Earned, last: date) -> RiskBooks:
    """The same of what was read, which may be more."""
    movements, sent = _moved(event for event in known.events if event.session <= last)
    account = [each for each in gained.account if each[0] <= last]
    return RiskBooks(
        desk, movements, sent, account, gained.gains, gained.held_gains, known.breaks, known.overrides
    )  # fmt: skip


def earned(frames: FrameStore, last: date) -> Earned:
    """What was earned through a session: two reads."""
    profits = _frame(frames, PNL, last, columns=["strategy", "session", "held_base", "total_base"])
    account = _frame(frames, EQUITY, last, columns=["currency", "session", "account_base"])
    by_strategy = profits.groupby(["strategy", "session"])["total_base"].sum()
    gains = {str(name): _curve(rows.droplevel(0)) for name, rows in by_strategy.groupby(level=0)}
    of_held = dict(_curve(profits.groupby("session")["held_base"].sum()))
    return Earned(_curve(account.groupby("session")["account_base"].last()), gains, of_held)


def _moved(events: Iterable[Event]) -> tuple[list[Fill], dict[date, list[Order]]]:
    """What moved the book, in the order of the journal, and the orders that each session sent towards its targets."""
    blotter, movements = Blotter(), list[Fill]()
    created, sent = dict[str, Order](), dict[str, Order]()
    for event in events:
        name = str(event.payload.get("order_id"))
        if event.kind in MOVEMENT_KINDS:
            movements += blotter.apply(event)
            created.pop(name, None)  # filled: it stays an order of its session, whatever becomes of the rest
        elif event.kind == "order_created" and event.payload["level"] == "contract":
            created[name] = order_of(event)
        elif event.kind == "order_sent" and name in created and created[name].reason == TARGET:
            sent[name] = created[name]
        elif event.kind == "order_cancelled" and name in created:
            sent.pop(name, None)
    by_session: dict[date, list[Order]] = {}
    for order in sent.values():
        by_session.setdefault(order.session, []).append(order)
    return movements, by_session


def _curve(values: "pd.Series[Any]") -> list[tuple[date, float]]:
    """Values by session, in order."""
    ordered = values.sort_index()
    return [(day(session), float(value)) for session, value in ordered.items()]
