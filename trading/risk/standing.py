"""What a book stands at: what is held and was at the open, what the account lost, out of rows of the book.

Belongs here: the `Book` of a session. Does not belong here: reading rows (`assets/risk_inputs.py`), how positions and
profits come about (`trading/book/`), or sums of positions (`engine.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import cast

from trading.book.orders import Fill, Order
from trading.config.models import DeskSettings
from trading.risk.book import WHOLE, Book, Holding, Standing
from trading.risk.pre_trade import adding_orders

Curve = Sequence[tuple[date, float]]  # sessions in order, each with a value


@dataclass(frozen=True, slots=True)
class Held:
    """Contracts after a session and at its open, and contracts bought and sold in it, by instrument."""

    positions: Mapping[Holding, int] = field(default_factory=dict)
    opening: Mapping[Holding, int] = field(default_factory=dict)
    traded: Mapping[str, int] = field(default_factory=dict)


def held(movements: Iterable[Fill], session: date) -> Held:
    """What movements (fills, corrections, adjustments, by the session they are booked in) come to; those of later
    sessions do not count."""
    return next(held_through(movements, [session]))


def held_through(movements: Iterable[Fill], sessions: Iterable[date]) -> Iterator[Held]:
    """The same for sessions in order, in one pass."""
    now: dict[Holding, int] = defaultdict(int)
    coming = sorted(movements, key=lambda each: each.session, reverse=True)
    for session in sessions:
        while coming and coming[-1].session < session:
            _move(now, coming.pop())
        opening, traded = _not_flat(now), defaultdict[str, int](int)
        while coming and coming[-1].session == session:
            each = coming.pop()
            traded[each.instrument] += abs(each.quantity_contracts)
            _move(now, each)
        yield Held(_not_flat(now), opening, dict(traded))


def _move(contracts: dict[Holding, int], fill: Fill) -> None:
    contracts[fill.strategy, fill.instrument, fill.contract] += fill.quantity_contracts


def _not_flat(contracts: Mapping[Holding, int]) -> dict[Holding, int]:
    return {key: count for key, count in sorted(contracts.items()) if count}


def standing(curve: Curve, session: date, begun_base: float) -> Standing:
    """What a curve lost through a session, which began at `begun_base` before its first value. The session's loss is 0
    while it has no value of its own: nothing was lost yet that is known. The week begins on Monday. The drawdown is a
    fraction of the highest value so far, the beginning included; 1 where there is nothing left to draw down from."""
    known = [(day, value) for day, value in curve if day <= session]
    now = known[-1][1] if known else begun_base
    monday = session - timedelta(days=session.weekday())
    peak = max([begun_base, *(value for _, value in known)])
    return Standing(
        day_base=_before(known, session, begun_base) - now,
        week_base=_before(known, monday, begun_base) - now,
        drawdown_fraction=(peak - now) / peak if peak > 0.0 else 1.0,
    )


def _before(curve: Curve, day: date, begun_base: float) -> float:
    """The last value of an earlier day."""
    return next((value for earlier, value in reversed(curve) if earlier < day), begun_base)


def standings(
    account: Curve, gains: Mapping[str, Curve], session: date, capital_base: float, holding: Collection[str] = (),
    strategies: Collection[str] = (),
) -> dict[str, Standing]:  # fmt: skip
    """Standing of the whole book, by the value of the account, and of each strategy, by its gains of each session on
    top of the capital; one of `strategies` that never gained anything stands where it began.

    Who is not in it is not known: of a session that the account has no value of, those who are `holding` something,
    and the whole book with them. Where nothing is held nothing is lost.
    """
    unknown: set[str] = set() if any(day == session for day, _ in account) else set(holding)
    curves = dict.fromkeys(strategies, cast(Curve, ())) | dict(gains)
    found = {} if unknown else {WHOLE: standing(account, session, capital_base)}
    return found | {
        name: standing(_cumulated(curve, capital_base), session, capital_base)
        for name, curve in curves.items()
        if name not in unknown
    }


def _cumulated(gains: Curve, begun_base: float) -> list[tuple[date, float]]:
    found, value = [], begun_base
    for day, gain in gains:
        value += gain
        found.append((day, value))
    return found


@dataclass(slots=True)
class Course:
    """A value on its way: what it is, and what its standing is measured from. A session costs the same however many
    there were."""

    value_base: float
    peak_base: float
    day: date = date.min
    before_base: float = 0.0
    week_base: float = 0.0

    @classmethod
    def begun(cls, begun_base: float, curve: Curve = ()) -> Course:
        """Where a value begins, and goes on along a curve."""
        found = cls(begun_base, begun_base, date.min, begun_base, begun_base)
        for day, value in curve:
            found.move(day, value)
        return found

    def move(self, session: date, value_base: float) -> Standing:
        """As `standing`, after one more session, which is later than those before."""
        self.before_base = self.value_base
        if session - timedelta(days=session.weekday()) > self.day:
            self.week_base = self.value_base
        self.day, self.value_base = session, value_base
        self.peak_base = max(self.peak_base, value_base)
        return self.standing()

    def standing(self) -> Standing:
        """Where it stands."""
        fall = (self.peak_base - self.value_base) / self.peak_base if self.peak_base > 0.0 else 1.0
        return Standing(self.before_base - self.value_base, self.week_base - self.value_base, fall)


class Curves:
    """What the account and each strategy came to, session after session."""

    def __init__(self, capital_base: float, account: Curve = (), gains: Mapping[str, Curve] | None = None) -> None:
        self._capital, self._account = capital_base, Course.begun(capital_base, account)
        self._gains = {
            name: Course.begun(capital_base, _cumulated(curve, capital_base)) for name, curve in (gains or {}).items()
        }

    def after(
        self, session: date, account_base: float, gained: Mapping[str, float], strategies: Iterable[str] = ()
    ) -> dict[str, Standing]:
        """As `standings`, after one more session: what the account is worth, and what strategies gained; those that
        gained nothing stand where they stood."""
        found = {WHOLE: self._account.move(session, account_base)}
        for name in sorted({*strategies, *gained, *self._gains}):
            course = self._gains.setdefault(name, Course.begun(self._capital))
            found[name] = course.move(session, course.value_base + gained.get(name, 0.0))
        return found

    def now(self, strategies: Iterable[str] = ()) -> dict[str, Standing]:
        """As `after` said it last."""
        begun = Course.begun(self._capital)
        names = sorted({*strategies, *self._gains})
        return {WHOLE: self._account.standing()} | {name: self._gains.get(name, begun).standing() for name in names}


def strategies_of(desk: DeskSettings, *holdings: Iterable[Holding]) -> tuple[str, ...]:
    """The desk's strategies, and any that holds something."""
    return tuple(sorted({each.name for each in desk.strategies} | {key[0] for keys in holdings for key in keys}))


def book_after(
    desk: DeskSettings,
    positions: Mapping[Holding, int],
    equity_base: float,
    standing: Mapping[str, Standing],
    locks: Mapping[str, str] | None = None,
    sent: Iterable[Order] = (),
    filled: Iterable[Order] = (),
    also: Iterable[str] = (),
) -> Book:
    """The book for orders that are decided after a session, and trade in the next one: changes count from the
    `positions` that it left, and nothing was traded since. `sent`: orders decided after it before these, of which those
    count that did not only reduce. `filled`: orders at work that count as filled. `also`: more strategies.

    Whoever judges such an order begins with this: the close, the order job, `daybook risk check`, the service.
    """
    counted = dict(positions)
    for order in filled:
        key = (order.strategy, order.instrument, order.contract)
        counted[key] = counted.get(key, 0) + order.quantity_contracts
    return Book(
        capital_base=desk.capital.capital_base,
        equity_base=equity_base,
        positions=counted,
        opening=dict(positions),
        volatility_target_fraction=desk.capital.volatility_target_percent / 100,
        standing=standing,
        locks=dict(locks or {}),
        orders=len(adding_orders(sent, positions)),
        strategies=tuple(sorted({*strategies_of(desk, counted), *also})),
    )


def book_of(
    desk: DeskSettings,
    session: date,
    holdings: Held,
    account: Curve = (),
    gains: Mapping[str, Curve] | None = None,
    locks: Mapping[str, str] | None = None,
    orders: int = 0,
) -> Book:
    """The book of a session as it went, for what it came to: with its opening, and what was traded in it. `account`:
    value of the account by session; `gains`: of each strategy, by session. Nothing later than the session counts.
    Strategies: the desk's, and any that holds something. `orders`: decided after it, those that only reduce apart."""
    capital = desk.capital.capital_base
    known = [value for day, value in account if day <= session]
    names = strategies_of(desk, holdings.positions, holdings.opening)
    holding = {strategy for strategy, _, _ in (*holdings.positions, *holdings.opening)}
    return Book(
        capital_base=capital,
        equity_base=known[-1] if known else capital,
        positions=dict(holdings.positions),
        opening=dict(holdings.opening),
        volatility_target_fraction=desk.capital.volatility_target_percent / 100,
        standing=standings(account, gains or {}, session, capital, holding, names),
        traded_contracts=dict(holdings.traded),
        locks=dict(locks or {}),
        orders=orders,
        strategies=names,
    )
