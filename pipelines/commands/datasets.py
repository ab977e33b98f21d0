"""`daybook prices`, `volatility`, `correlation`, `positions`, `violations`, `sql`, `quality`: what datasets hold.

Belongs here: what people type to read them, to write them to a file, or to have them judged. Does not belong here:
reading itself (`desk.py`), or sums over sessions (`profit.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pipelines.answers import Answer, answering, of_rows
from pipelines.options import DAY, date_of
from pipelines.settings import Place
from pipelines.tables import show_pairs
from trading.errors import UsageError


@click.command()
@click.argument("instrument")
@click.option(
    "--kind",
    type=click.Choice(["adjusted", "multiple", "daily", "intraday"]),
    default="adjusted",
    show_default=True,
    help="Which prices.",
)
@click.option("--since", type=DAY, help="First session.")
@click.option("--until", type=DAY, help="Last session.")
@click.option("--out", type=click.Path(path_type=Path), help="Write all rows to FILE.parquet or FILE.csv.")
@answering
def prices(where: Place, instrument: str, kind: str, since: Any, until: Any, out: Path | None) -> Answer:
    """Prices of INSTRUMENT: adjusted (stitched, at the vendor's times), multiple, daily or intraday."""
    from pipelines.desk import Desk

    frame = Desk.open(where).prices(instrument, kind, since=date_of(since), until=date_of(until))
    if out is not None:
        _write(frame, out)
    return of_rows(f"{instrument} {kind} prices", frame, {"instrument": instrument, "kind": kind, "out": out}, out)


def _write(frame: Any, out: Path) -> None:
    """Writes whole or not at all."""
    if out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"{out}: unknown format {out.suffix!r}. Name a file that ends in .parquet or .csv.")
    draft = out.with_name(f".{out.name}.new")
    try:
        if out.suffix == ".parquet":
            frame.to_parquet(draft, index=False)
        else:
            frame.to_csv(draft, index=False, date_format="%Y-%m-%d %H:%M:%S")
        draft.replace(out)
    except OSError as cause:
        draft.unlink(missing_ok=True)
        reason = cause.strerror or cause
        raise UsageError(f"{out} cannot be written: {reason}. Name a file in a folder you may write to.") from cause


def _reading(name: str, text: str) -> click.Command:
    """A command that prints what a session's dataset holds."""

    @click.option("--session", type=DAY, help="Which session; without it, the latest closed one.")
    @answering
    def command(where: Place, session: Any) -> Answer:
        from pipelines.desk import Desk

        desk = Desk.open(where)
        if name == "violations":  # a load finds some too, before anything is closed
            day = date_of(session) or next(reversed(desk.closed_sessions()), None)
        else:
            day = desk.closed_session(date_of(session))
        return of_rows(f"{name} on {day or 'any session'}", getattr(desk, name)(day), {"session": day})

    return click.command(name, help=text)(command)


volatility = _reading("volatility", "Volatility of each instrument: daily points by method, and percent a year.")
correlation = _reading("correlation", "Correlation of weekly returns, as a matrix.")
positions = _reading("positions", "What the book holds after the session.")
violations = _reading("violations", "What the data rules found.")


@click.command()
@click.argument("query")
@click.option("--as-of", help="Read every dataset as it was at this instant (ISO 8601).")
@answering
def sql(where: Place, query: str, as_of: str | None) -> Answer:
    """Run a read-only SQL QUERY over every dataset (DuckDB); tables are the dataset names."""
    from pipelines.desk import Desk

    frame = Desk.open(where).sql(query, as_of)
    return of_rows("rows", frame, {})


@click.command()
@answering
def quality(where: Place) -> Answer:
    """Run the second layer of checks (Great Expectations) and build its Data Docs."""
    from pipelines import closing

    found = closing.quality(where)
    return Answer(found, lambda: show_pairs("Quality", found), found["exit_code"])
