"""`daybook breaks`: differences between our book and the broker's statement.

Belongs here: what people type to list, assign and close them. Does not belong here: what that does (`breaks.py` of
`pipelines`), or finding them (`trading/book/breaks.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pipelines.answers import Answer, answering, of_rows
from pipelines.options import DAY, date_of
from pipelines.settings import Place, refuse_no_desk
from pipelines.tables import show, show_pairs, table
from trading.errors import UsageError


class Listing(click.Group):
    """A group whose command `list` is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's, with `list` put in front where no command is."""
        named = [word for word in args if not word.startswith("-")][:1]
        asks = args[:1] in (["--help"], ["-h"])
        return super().parse_args(ctx, args if asks or (named and named[0] in self.commands) else ["list", *args])


@click.group(cls=Listing)
def breaks() -> None:
    """Differences between our book and the broker's statement: list (what no command means), assign, close."""


@breaks.command(name="list")
@click.option("--session", type=DAY, help="Those open after which session; without it, the latest closed one.")
@click.option("--open", "open_now", is_flag=True, help="Those open now, with their ids, and the instruments they lock.")
@answering
def list_breaks(where: Place, session: Any, open_now: bool) -> Answer:
    """Breaks that were open after a session, or are open now."""
    if not open_now:
        from pipelines.desk import Desk

        desk = Desk.open(where)
        day = desk.closed_session(date_of(session))
        return of_rows(f"breaks on {day}", desk.breaks(day), {"session": day})
    if session is not None:
        raise UsageError("--open is about now and --session about a session of the past. Leave one out.")
    from pipelines import breaks as broken

    refuse_no_desk(where)
    found = broken.opened(where)
    return Answer(found, lambda: _show_open(found))


@breaks.command(name="assign")
@click.argument("break_id")
@click.argument("owner")
@click.option("--reason", help="Why: it stands in the journal.")
@click.option("--by", help="Who says so; without it, who is logged in.")
@answering
def assign_break(where: Place, break_id: str, owner: str, reason: str | None, by: str | None) -> Answer:
    """Have OWNER look after BREAK_ID (an id, or a part of one that no other open break has)."""
    from pipelines import breaks as broken

    refuse_no_desk(where)
    found = broken.assign(where, break_id, owner, reason, by)
    return Answer(found, lambda: show_pairs("Break", found))


@breaks.command(name="close")
@click.argument("break_id")
@click.option("--reason", help="Why: it stands in the journal.")
@click.option("--by", help="Who says so; without it, who is logged in.")
@answering
def close_break(where: Place, break_id: str, reason: str | None, by: str | None) -> Answer:
    """Close BREAK_ID (an id, or a part of one that no other open break has) under your name and with a reason.

    What it locks is free from then on. A difference of contracts that the next statement still shows is a new break.
    """
    from pipelines import breaks as broken

    refuse_no_desk(where)
    found = broken.close(where, break_id, reason, by)
    return Answer(found, lambda: show_pairs("Break", found))


def _show_open(found: Mapping[str, Any]) -> None:
    show(table("open breaks", found["rows"]) if found["rows"] else "open breaks: none")
    if found["locked"]:
        show(f"locked against new orders: {', '.join(found['locked'])}")
