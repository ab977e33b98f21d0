"""`daybook pnl` and `daybook slippage`: what was earned and what trading cost, over any sessions.

Belongs here: what people type for it, and the title of what is printed. Does not belong here: the sums (`profit.py` of
`pipelines`).
"""

from __future__ import annotations

import functools
from datetime import date
from typing import Any

import click

from pipelines.answers import Answer, Command, answering, of_rows
from pipelines.options import DAY, date_of
from pipelines.settings import Place

OVER = (
    click.option("--session", type=DAY, help="Which session; without it, the latest closed one."),
    click.option("--month-to-date", is_flag=True, help="All sessions of its month up to it."),
    click.option("--from", "first", type=DAY, help="All closed sessions from this one on."),
    click.option("--to", "last", type=DAY, help="All closed sessions up to this one."),
)


def over_sessions(command: Command) -> Command:
    """The options that say which sessions are summed."""
    return functools.reduce(lambda made, option: option(made), reversed(OVER), command)


@click.command()
@click.option(
    "--by",
    type=click.Choice(["cause", "strategy", "instrument", "asset_class", "session"]),
    help="Sums; more than one session is by cause, without it.",
)
@over_sessions
@answering
def pnl(where: Place, by: str | None, session: Any, month_to_date: bool, first: Any, last: Any) -> Answer:
    """Profit and loss: of the session by strategy, instrument and contract, or of any sessions by cause or group."""
    from pipelines import profit
    from pipelines.desk import Desk

    desk = Desk.open(where)
    if by is None and not (month_to_date or first or last):
        day = desk.closed_session(date_of(session))
        return of_rows(f"pnl on {day}", desk.pnl(day), {"session": day})
    over = profit.span(desk, date_of(session), date_of(first), date_of(last), month_to_date=month_to_date)
    return _over("pnl", by or "cause", over, profit.pnl_by(desk, by or "cause", over))


@click.command()
@click.option(
    "--by",
    type=click.Choice(["instrument", "strategy", "reason", "fill"]),
    default="instrument",
    show_default=True,
    help="Sums, or each fill.",
)
@over_sessions
@answering
def slippage(where: Place, by: str, session: Any, month_to_date: bool, first: Any, last: Any) -> Answer:
    """What fills cost against the price their orders were decided at: points, ticks, money, fraction of value."""
    from pipelines import profit
    from pipelines.desk import Desk

    desk = Desk.open(where)
    over = profit.span(desk, date_of(session), date_of(first), date_of(last), month_to_date=month_to_date)
    return _over("slippage", by, over, profit.slippage_by(desk, by, over))


def _over(what: str, by: str, over: tuple[date, date], frame: Any) -> Answer:
    """Sums over sessions."""
    when = f"on {over[1]}" if over[0] == over[1] else f"from {over[0]} to {over[1]}"
    return of_rows(f"{what} by {by.replace('_', ' ')} {when}", frame, {"from": over[0], "to": over[1], "by": by})
