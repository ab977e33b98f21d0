"""What the risk engine is given: the facts and the book of a session, in five reads of frames for any number of
sessions and instruments.

Belongs here: reading. Does not belong here: measuring (`trading/risk/risk_model.py`), what a book stands at
(`trading/risk/standing.py`), or keeping what was read (`resources/risk_inputs_cache.py`).

Positions are the fold of the journal. Frames give prices, roll gaps, exchange rates, profits and the account.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

import pandas as pd

from trading.book.breaks import locked
from trading.book.fills import MOVEMENT_KINDS, Blotter
from trading.book.orders import Fill
from trading.config.models import DeskSettings
from trading.errors import DatasetNotFound, StoreUnavailable
from trading.frames import DAILY_PRICES, EQUITY, FX_RATES, PNL, ROLL_GAPS, Dataset, day, empty, to_pandas
from trading.ports import FrameStore, Ledger, ReferenceStore
from trading.risk.book import Book
from trading.risk.market import Contract, Market
from trading.risk.risk_model import GAP_SESSIONS, MARKED, Histories, Known, aged, histories, market_of
from trading.risk.standing import Curve, Held, book_of, held, held_through

FACTS: tuple[Dataset, ...] = (DAILY_PRICES, ROLL_GAPS, FX_RATES)  # what a market is made of
_MARKET = "risk facts of"  # how keys of markets begin
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
    since = first - max(MARKED, _weekdays(desk.risk.model.sessions + 1 + GAP_SESSIONS))
    daily, gaps = _frame(frames, DAILY_PRICES, last, since), _frame(frames, ROLL_GAPS, last, since)
    rates = _frame(frames, FX_RATES, last, first - _weekdays(desk.risk.inputs.max_age_sessions + GAP_SESSIONS))
    return RiskFacts(histories(daily, gaps, rates), reference, desk)


def facts_version(frames: FrameStore, reference: ReferenceStore, desk: DeskSettings) -> str:
    """What facts would be made of now, as a hash: versions of the datasets, reference data, and settings. Reads no
    rows."""
    written = [found[-1] for dataset in FACTS if (found := frames.versions(dataset))]
    newest = [f"{each.dataset} {each.number} {each.written_at.isoformat()}" for each in written]
    settings = desk.risk.model.model_dump_json() + desk.risk.inputs.model_dump_json() + desk.capital.base_currency
    return hashlib.sha256("\n".join([*newest, reference.content_hash(), settings]).encode()).hexdigest()


class _Held(Protocol):
    """A value as a cache has it."""

    @property
    def value(self) -> Any: ...


class InputsCache(Protocol):
    """Where facts are kept that were read: `resources/risk_inputs_cache.py`."""

    def load(self, backend: str, key: str, version: Callable[[], str], read: Callable[[], Any]) -> _Held:
        """What is kept, or read. Raises StoreUnavailable where neither can be had."""
        ...

    def latest(self, beginning: str) -> _Held | None:
        """What was used last of the keys that begin so."""
        ...


def kept_market(
    cache: InputsCache, frames: FrameStore, reference: ReferenceStore, desk: DeskSettings, session: date,
    also: Sequence[Contract] = (),
) -> Market:  # fmt: skip
    """The facts of a session, read only where no cache has them: three reads, and none when warm. While the store does
    not answer, those of an earlier session, so much older: what is older than `risk.inputs.max_age_sessions` is NaN.
    Raises StoreUnavailable where there are none at all."""
    contracts = sorted(set(also))
    key = f"{_MARKET} {session} {hashlib.sha256(repr(contracts).encode()).hexdigest()[:12]}"

    def read() -> Market:
        return risk_facts(frames, reference, desk, session, session).market(session, contracts)

    try:
        found = cache.load("frames", key, lambda: facts_version(frames, reference, desk), read)
    except StoreUnavailable:
        earlier = cache.latest(_MARKET)
        if earlier is None or earlier.value.session > session:
            raise
        return aged(earlier.value, session, desk.risk.inputs.max_age_sessions)
    market: Market = found.value
    return market


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
    """What the journal and the frames of the book tell, through the last session of a range. `held_gains` of each
    session: what was held into it gained."""

    desk: DeskSettings
    movements: Sequence[Fill]
    sent: Mapping[date, int]
    account: Curve
    gains: Mapping[str, Curve]
    held_gains: Mapping[date, float]
    breaks: Rows
    overrides: Rows

    def books(self, sessions: Sequence[date]) -> Iterator[Book]:
        """The book after each session, in order, and what was in dispute when its orders were decided."""
        for session, holdings in zip(sessions, held_through(self.movements, sessions), strict=True):
            yield self._book(session, holdings, locked(self.breaks, self.overrides, session))

    def book(self, session: date) -> Book:
        """The book after a session, and what is in dispute now."""
        return self._book(session, held(self.movements, session), locked(self.breaks, self.overrides))

    def _book(self, session: date, holdings: Held, locks: Mapping[str, str]) -> Book:
        orders = self.sent.get(session, 0)
        return book_of(self.desk, session, holdings, self.account, self.gains, locks, orders)

    @property
    def closed(self) -> frozenset[date]:
        """Sessions that the account was valued in."""
        return frozenset(session for session, _ in self.account)


def risk_books(frames: FrameStore, ledger: Ledger, desk: DeskSettings, last: date) -> RiskBooks:
    """Two reads of frames, and the journal, through a session."""
    account, gains, of_held = earned(frames, last)
    movements, sent = _told(ledger, last)
    return RiskBooks(
        desk, movements, sent, account, gains, of_held,
        ledger.rows("breaks"), ledger.rows("overrides", {"scope": "instrument"}),
    )  # fmt: skip


def earned(frames: FrameStore, last: date) -> tuple[Curve, dict[str, Curve], dict[date, float]]:
    """What the account came to by session, what each strategy gained, and what was held into the session: two reads."""
    profits = _frame(frames, PNL, last, columns=["strategy", "session", "held_base", "total_base"])
    account = _frame(frames, EQUITY, last, columns=["currency", "session", "account_base"])
    by_strategy = profits.groupby(["strategy", "session"])["total_base"].sum()
    gains = {str(name): _curve(rows.droplevel(0)) for name, rows in by_strategy.groupby(level=0)}
    of_held = dict(_curve(profits.groupby("session")["held_base"].sum()))
    return _curve(account.groupby("session")["account_base"].last()), gains, of_held


def _told(ledger: Ledger, last: date) -> tuple[list[Fill], dict[date, int]]:
    """What moved the book, in the order of the journal, and how many orders each session sent."""
    blotter, movements, sent = Blotter(), list[Fill](), dict[date, int]()
    for entry in ledger.entries(kinds=[*MOVEMENT_KINDS, "order_sent"], through=last):
        if entry.event.kind == "order_sent":
            sent[entry.event.session] = sent.get(entry.event.session, 0) + 1
        else:
            movements += blotter.apply(entry.event)
    return movements, sent


def _curve(values: "pd.Series[Any]") -> list[tuple[date, float]]:
    """Values by session, in order."""
    ordered = values.sort_index()
    return [(day(session), float(value)) for session, value in ordered.items()]
