"""What may still be held though no log of reservations says so: out of decisions that were kept.

Belongs here: reading them back as reservations, for a log that was lost while nobody lived who knew it. Does not belong
here: the log (`trading/risk/shared.py`), or keeping decisions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from pipelines.risk_server.served import Decisions
from trading.risk.decision import Asked
from trading.risk.kept import BY_DESK, Kept, Wanted
from trading.risk.reservations import Reserved, desk_mark

DAY_S = 86_400.0  # how long orders are held for whose end nobody wrote down


def remembered(
    kept: Decisions, longest_s: float, now: float, mark: Callable[[], str], working: Sequence[Asked] = ()
) -> Iterator[Reserved]:
    """Reservations of at most `longest_s` seconds that are not over, and orders `working` at the desk. Some of that was
    filled or released meanwhile: it is held until its time is over. Orders of a close are held as the desk's own, which
    the next journal that knows what became of them takes back."""
    known = {order.order_id for order in working}
    if working:
        yield Reserved(mark(), tuple(working), False, now, now + DAY_S)
    for each in _granted(kept.read(_since(now - longest_s)), now):
        if each.asked.order_id not in known:
            known.add(each.asked.order_id)
            order = each.asked._replace(quantity_contracts=each.granted_contracts)
            own = desk_mark(mark()) if each.about.by in BY_DESK else mark()
            yield Reserved(own, (order,), False, now, _ends(each, now))


def _since(seconds: float) -> Wanted:
    return Wanted(since=datetime.fromtimestamp(seconds, UTC), action="reserve", outcomes=("pass", "warn"))


def _granted(found: Iterable[Kept], now: float) -> Iterator[Kept]:
    return (each for each in found if each.granted_contracts and _ends(each, now) > now)


def _ends(each: Kept, now: float) -> float:
    until = each.about.expires
    return now + DAY_S if until is None else until.timestamp()
