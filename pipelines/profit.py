"""What a desk earned and what its trades cost, over any sessions: `daybook pnl --by`, `daybook slippage`.

Belongs here: which sessions are asked about, and reading them. Does not belong here: sums (`trading/book/period.py`),
the measure of slippage (`trading/book/slippage.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from datetime import date
from typing import TYPE_CHECKING, Any

import pandas as pd

from assets.attribution_inputs import references
from trading.book import period, slippage
from trading.book.orders import Fill
from trading.errors import CalculationError, UsageError
from trading.frames import ATTRIBUTION, FILLS, FX_RATES, to_pandas

if TYPE_CHECKING:
    from pipelines.desk import Desk

PNL_BY = ("cause", "strategy", "instrument", "asset_class", "session")
SLIPPAGE_BY = ("instrument", "strategy", "reason", "fill")
Span = tuple[date, date]


def span(
    desk: Desk,
    session: date | None = None,
    first: date | None = None,
    last: date | None = None,
    *,
    month_to_date: bool = False,
) -> Span:
    """First and last closed session that are asked about: one session (default: the latest closed), its month up to
    it, or all from `first` to `last`, either of which may be left out.

    Raises UsageError where the words contradict each other or nothing was closed then.
    """
    if first is None and last is None:
        end = desk.closed_session(session)
        return (period.month_start(end) if month_to_date else end), end
    if session is not None or month_to_date:
        raise UsageError("--from and --to cannot be combined with --session or --month-to-date. Give one or the other.")
    closed = [day for day in desk.closed_sessions() if (first or day) <= day <= (last or day)]
    if not closed:
        asked = f"from {first or 'the beginning'} to {last or 'now'}"
        raise UsageError(f"no session {asked} is closed. `daybook status` says what is.")
    return closed[0], closed[-1]


def attribution(desk: Desk, over: Span) -> pd.DataFrame:
    """Rows of `attribution`. Raises UsageError where none was ever written."""
    if not desk.adapters.frames.versions(ATTRIBUTION):
        raise UsageError(
            "the profit of this desk was never attributed: its sessions were closed by an older version. "
            f"Run `daybook backfill --from {over[0]} --to {over[1]}`."
        )
    return to_pandas(desk.adapters.frames.history(ATTRIBUTION, through=over[1], since=over[0]))


def pnl_by(desk: Desk, by: str, over: Span) -> pd.DataFrame:
    """Profit over some sessions, by one of PNL_BY: causes as rows with their amount, or groups with every cause."""
    rows = attribution(desk, over)
    if by == "cause":
        return period.by_cause(rows).rename_axis("cause").reset_index()
    if by == "session":
        return period.by_session(rows)
    if by not in period.GROUPS:
        raise UsageError(f"profit has no {by!r}. Choose one of: {', '.join(PNL_BY)}.")
    return period.by_group(rows, by)


def slippage_by(desk: Desk, by: str, over: Span) -> pd.DataFrame:
    """What fills cost against the reference price of their orders, by one of SLIPPAGE_BY; `fill` is each by itself."""
    if by not in SLIPPAGE_BY:
        raise UsageError(f"slippage has no {by!r}. Choose one of: {', '.join(SLIPPAGE_BY)}.")
    names = [field.name for field in fields(slippage.FillCost)]
    costs = pd.DataFrame(map(asdict, fill_costs(desk, over)), columns=names)
    return costs if by == "fill" else slippage.by_group(costs, by)


def fill_costs(desk: Desk, over: Span) -> Iterator[slippage.FillCost]:
    """The cost of each fill of some sessions that has a reference, in order of session."""
    if not desk.adapters.frames.versions(FILLS):
        return
    rows = desk.adapters.frames.history(FILLS, through=over[1], since=over[0]).to_pylist()
    fills = sorted((Fill(**row) for row in rows), key=lambda fill: (fill.session, fill.fill_id))
    orders, rates = references(desk.adapters.ledger, {fill.order_id for fill in fills}), _rates(desk, over)
    for fill in fills:
        instrument = desk.adapters.reference.instruments(fill.session)[fill.instrument]
        cost = slippage.fill_cost(fill, orders, instrument, _rate(rates, instrument.currency, fill.session))
        if cost is not None:
            yield cost


def _rates(desk: Desk, over: Span) -> Mapping[str, list[tuple[date, float]]]:
    """Rates of each currency in order of session, from the last before the span on."""
    frames, found = desk.adapters.frames, dict[str, list[tuple[date, float]]]()
    if not frames.versions(FX_RATES):
        return {}
    rows: list[dict[str, Any]] = frames.latest(FX_RATES, through=over[0]).to_pylist()
    rows += frames.history(FX_RATES, through=over[1], since=over[0]).to_pylist()
    for row in sorted(rows, key=lambda row: row["session"]):
        found.setdefault(row["currency"], []).append((row["session"], row["rate"]))
    found[desk.adapters.settings.capital.base_currency] = [(date.min, 1.0)]
    return found


def _rate(rates: Mapping[str, list[tuple[date, float]]], currency: str, session: date) -> float:
    """The last rate known at a session."""
    known = rates.get(currency, [])
    place = bisect_right(known, session, key=lambda quoted: quoted[0])
    if not place:
        raise CalculationError(f"no exchange rate of {currency} is known on {session}. Load FX rates for it.")
    return known[place - 1][1]
