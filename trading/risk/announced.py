"""The desk's own orders in a log of reservations: announced before they are judged, taken back where they do not go.

Belongs here: what a close, or the order job, tells workers of the risk service, and what it hears of what they hold.
Does not belong here: judging (`pre_trade.py`), what entries come to (`replica.py`), or keeping the log.

The desk adds its orders to the log first and looks then. So every reservation is either before that, and the desk
counts it; or after, and its worker counted the desk's orders: no two of them are given the last of a limit. Adding
decides nothing and is tried again at once, so that busy workers do not keep it out.

What was announced is told from what workers granted by its mark. It is held until it is taken back, until a worker
loads a journal that has the order, or until its time is over: a run that dies leaves no more than that behind, and the
next one takes it away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

from trading.config.risk import RiskSettings
from trading.errors import StoreBusy, StoreError, StoreUnavailable
from trading.risk.decision import Asked
from trading.risk.market import Market
from trading.risk.reservations import (
    Answer,
    Entry,
    Filled,
    Log,
    LogLost,
    OnRecord,
    Released,
    Reserved,
    desk_mark,
    is_of_desk,
)

if TYPE_CHECKING:
    from trading.risk.replica import Replica

ATTEMPTS = 2_000  # each follows somebody else's entry at once
LIVES = 5  # of a log that is lost again and again
LOOKS, LOOK_S = 8, 0.25  # a log that was lost is begun anew by the workers that knew it
LONGEST_S = 15.0  # a log that was begun anew grants nothing for some seconds


class Held(NamedTuple):
    """What others hold of the book. `units`: reservations that are not over. `fills`: told to workers, and not in the
    desk's journal. `unsure`: some of the units may be given back already, so that a book that is past a limit with them
    need not be."""

    units: tuple[Reserved, ...] = ()
    fills: tuple[Filled, ...] = ()
    unsure: bool = False

    def lines(self) -> set[tuple[str, int]]:
        """Instruments and contracts of all of it."""
        return {(asked.instrument, asked.contract) for asked in self._all()}

    def strategies(self) -> set[str]:
        """Whose it is."""
        return {asked.strategy for asked in self._all()}

    def of(self, instruments: Collection[str]) -> Held:
        """What is of these instruments."""
        kept = (
            unit._replace(orders=tuple(order for order in unit.orders if order.instrument in instruments))
            for unit in self.units
        )
        fills = tuple(each for each in self.fills if each.asked.instrument in instruments)
        return self._replace(units=tuple(unit for unit in kept if unit.orders), fills=fills)

    def _all(self) -> Iterator[Asked]:
        yield from (order for unit in self.units for order in unit.orders)
        yield from (each.asked for each in self.fills)


NOTHING_HELD = Held()


class DeskOrders:
    """The desk's orders in the log that `opened` gives, for one run. `clock`: seconds since 1970, the same as the
    workers'; `wait` waits so many seconds. What is announced is held for as long as workers may take to read the
    journal. `opened` is asked at every look, and may raise StoreUnavailable."""

    def __init__(
        self, opened: Callable[[], Log], settings: RiskSettings, clock: Callable[[], float],
        wait: Callable[[float], object],
    ) -> None:  # fmt: skip
        self._opened, self._clock, self._wait = opened, clock, wait
        self._capacity = settings.service.max_reservations
        self._lasts_s = max(settings.service.reservation_seconds, 2.0 * settings.inputs.age_seconds)
        self._looks = LOOKS
        self._replica: Replica | None = None
        self._announced: set[str] = set()

    def announce(self, orders: Sequence[Asked], record: OnRecord, filled: Collection[str] = ()) -> Held:
        """Holds headroom for orders, and says what others hold. `record` is what the journal says: orders `working` are
        the desk's, and so are those that it has fills of (`filled`), which are held until workers have read that; what
        is announced of others is taken away. Without a log nobody was ever granted anything, and nobody is told.

        Raises StoreUnavailable where the log cannot be reached, or waits for those who know more of it for longer than
        is waited here; StoreBusy where others were faster all the time, or as many orders are at work as there may be.
        """
        self._announced = set()
        own = {order.order_id for order in record.working}
        for _ in range(LIVES):
            try:
                self._replica = self._looked()
                if self._replica is None:
                    return NOTHING_HELD
                self._add(lambda replica: self._left_over(replica, own | set(filled)))
                self._add(lambda replica: self._announcement(replica, orders))
                self._hear_all()
                return self._held(self._replica, own, record)
            except LogLost:
                self._looks = LOOKS
            except StoreError:
                self.give_back(self._announced)  # it may have been added although the answer did not come
                raise
        raise StoreBusy(f"the log of reservations was lost {LIVES} times while orders were announced. Try again.")

    def give_back(self, names: Iterable[str]) -> None:
        """Those that were announced here and do not go hold nothing any more. What the log cannot be told is given back
        when its time is over."""
        mine = self._announced.intersection(names)
        with suppress(StoreError):
            self._catch_up()
            self._add(lambda replica: self._taken_back(replica, [name for name in mine if name in replica.unit_of]))

    # --- entries ------------------------------------------------------------------------------------------------------
    def _announcement(self, replica: Replica, orders: Sequence[Asked]) -> Reserved | None:
        """Orders that are not held yet."""
        new = tuple(order for order in orders if order.order_id not in replica.unit_of)
        self._announced = {order.order_id for order in new}
        if not new:
            return None
        if replica.held + len(new) > self._capacity:
            raise StoreBusy(
                f"as many orders are at work as there may be ({self._capacity}): the desk's do not find room among "
                "them. Wait for some to be filled or cancelled, or raise risk.service.max_reservations."
            )
        now = self._clock()
        return Reserved(desk_mark(self._opened().mark()), new, False, now, now + self._lasts_s)

    def _left_over(self, replica: Replica, kept: Collection[str]) -> Released | None:
        """What was announced of orders that the journal does not have."""
        units = [unit for unit in replica.held_units() if is_of_desk(unit.mark)]
        names = [order.order_id for unit in units for order in unit.orders if order.order_id not in kept]
        return self._taken_back(replica, names)

    def _taken_back(self, replica: Replica, names: Sequence[str]) -> Released | None:
        return Released(self._opened().mark(), tuple(sorted(names))) if names else None

    # --- following the log --------------------------------------------------------------------------------------------
    def _looked(self) -> Replica | None:
        """What the log comes to; None where there is none, and nobody begins one who knew it."""
        looks, self._looks = self._looks, 1
        for number in range(looks):
            try:
                return _followed(self._opened().since(None))
            except LogLost:
                if number + 1 < looks:
                    self._wait(LOOK_S)
        return None

    def _add(self, made: Callable[[Replica], Entry | None]) -> None:
        """Adds an entry, which is made anew of what the log comes to each time that somebody was faster."""
        for _ in range(ATTEMPTS):
            replica = self._replica
            entry = None if replica is None else made(replica)
            if replica is None or entry is None:
                return
            answer = self._opened().append(entry, replica.place)
            self._heed(answer, (entry,) if answer.added else answer.missed)
            if answer.added:
                return
        raise StoreBusy(f"workers of the risk service were faster {ATTEMPTS} times in a row. Try again.")

    def _heed(self, answer: Answer, entries: Sequence[Entry]) -> None:
        if self._replica is None or answer.base is not None:
            self._replica = _followed(answer)
        else:
            self._replica.take_all(entries, _NO_MARKET)
            self._replica.place = answer.end

    def _hear_all(self) -> None:
        """Where a log was begun anew, waits until those who know more of the one before have said it."""
        replica = self._replica
        left = 0.0 if replica is None else replica.ready - self._clock()
        if replica is None or left <= 0.0:
            return
        if left > LONGEST_S:
            raise StoreUnavailable(
                f"the log of reservations was begun anew, and is put together for {left:.0f} s more, so that nothing "
                "that is held is forgotten."
            )
        self._wait(left)
        self._catch_up()

    def _catch_up(self) -> None:
        if self._replica is not None:
            answer = self._opened().since(self._replica.place)
            self._heed(answer, answer.missed)

    def _held(self, replica: Replica, own: Collection[str], record: OnRecord) -> Held:
        """What is not the desk's. A fill of an order that is at work counts with the order, which counts whole."""
        from trading.risk.replica import missing_fills

        now, desks = self._clock(), replica.desk | set(own)
        others = (unit for unit in replica.held_units() if unit.expires > now and not is_of_desk(unit.mark))
        units = (
            unit._replace(orders=tuple(order for order in unit.orders if order.order_id not in desks))
            for unit in others
        )
        fills = (each for each in missing_fills(replica.told, record) if each.asked.order_id not in own)
        return Held(tuple(unit for unit in units if unit.orders), tuple(fills), replica.unsure > now)


_NO_MARKET = cast(Market, None)  # who only follows a log has no engine that would load one


def _followed(answer: Answer) -> Replica:
    """What a whole log comes to."""
    from trading.risk.replica import followed  # machine code, which a desk without a log need not wait for

    assert answer.base is not None
    return followed(answer.base, answer, _NO_MARKET)
