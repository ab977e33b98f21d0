"""`daybook demo`, `load`, `close`, `backfill`, `sign`, `open`, `status`: the trading day, from prices to signature.

Belongs here: what people type for it, and how what it did is printed. Does not belong here: the work (`closing.py`,
`loading.py` and `signing.py` of `pipelines`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pipelines.answers import Answer, answering
from pipelines.options import DAY, codes, date_of
from pipelines.settings import Place, refuse_no_desk
from pipelines.tables import show, show_pairs, show_tables
from trading.errors import UsageError


@click.command()
@click.option("--sessions", default=10, show_default=True, help="How many of the last sessions to close.")
@click.option("--years", default=3, show_default=True, help="Years of simulated history to load.")
@answering
def demo(where: Place, sessions: int, years: int) -> Answer:
    """Load the simulated market, close its last sessions, print a summary, write the report."""
    from pipelines import demonstration

    return _closed(where, demonstration.run(where, sessions, years))


@click.command()
@click.option(
    "--vendor", type=click.Choice(["simulated", "pysystemtrade", "csv_folder"]), required=True, help="Whose prices."
)
@click.option("--source", type=click.Path(path_type=Path), help="The vendor's folder.")
@click.option("--instruments", help="Comma-separated codes; without it, all the vendor has.")
@click.option("--since", type=DAY, help="First session.")
@click.option("--until", type=DAY, help="Last session.")
@click.option("--calendar", type=click.Choice(["exchange", "weekdays"]), help="How stamps become sessions.")
@answering
def load(
    where: Place,
    vendor: str,
    source: Path | None,
    instruments: str | None,
    since: Any,
    until: Any,
    calendar: str | None,
) -> Answer:
    """Load history from a vendor: raw, clean and continuous datasets. Safe to repeat."""
    from pipelines import loading

    found = loading.load(where, vendor, source, codes(instruments), (date_of(since), date_of(until)), calendar)
    return Answer(found, lambda: _show_close(found), found["exit_code"])


@click.command()
@click.option("--session", type=DAY, help="Session to close; without it, the latest there are prices for.")
@click.option(
    "--restate", is_flag=True, help="After a late correction: close the session and all after it again, sign anew."
)
@answering
def close(where: Place, session: Any, restate: bool) -> Answer:
    """Close one session: ingest, check, value, trade on paper, reconcile, sign, report.

    With --restate, what was signed stays as it was; new signatures are made, and what changed is printed in money.
    """
    from pipelines import closing

    if restate:
        return _restated(where, session)
    return _closed(where, closing.close(where, date_of(session)))


@click.command()
@click.option("--from", "first", type=DAY, required=True, help="First session.")
@click.option("--to", "last", type=DAY, required=True, help="Last session.")
@answering
def backfill(where: Place, first: Any, last: Any) -> Answer:
    """Close all sessions of a span, in order, in one run."""
    from pipelines import closing

    return _closed(where, closing.backfill(where, first.date(), last.date()))


@click.command()
@click.option("--session", type=DAY, help="Session to sign; without it, the latest closed one.")
@answering
def sign(where: Place, session: Any) -> Answer:
    """Sign a closed session as it stands: one hash over its data, book, configuration and code, and a signature."""
    from pipelines import signing

    found = signing.sign(where, date_of(session))
    return Answer(found, lambda: show_pairs("Signed", found))


@click.command(name="open")
@click.argument("session", type=DAY)
@click.option("--version", type=click.IntRange(1), help="Which signature of the session; without it, the newest.")
@click.option("--prices", metavar="INSTRUMENT", help="The adjusted prices of an instrument as they were signed.")
@answering
def open_day(where: Place, session: Any, version: int | None, prices: str | None) -> Answer:
    """Open SESSION as it was signed, after verifying it: positions, P&L, the one hash, and what it pins."""
    from pipelines import signing

    found = signing.open_day(where, session.date(), version, prices)
    return Answer(found, lambda: _show_signed(found))


@click.command()
@answering
def status(where: Place) -> Answer:
    """What this desk is, what it holds, and how its last runs ended."""
    from pipelines.desk import Desk

    refuse_no_desk(where)
    found = Desk.open(where).status()
    return Answer(found, lambda: _show_status(found))


def _closed(where: Place, found: dict[str, Any]) -> Answer:
    return Answer(found, lambda: _show_close(found), found["exit_code"])


def _restated(where: Place, session: Any) -> Answer:
    from pipelines import signing

    if session is None:
        raise UsageError("name the session that was corrected: `daybook close --restate --session 2022-02-25`.")
    found = signing.restate(where, session.date())
    return Answer(found, lambda: _show_restated(found), found["exit_code"])


def _show_close(found: Mapping[str, Any]) -> None:
    show_tables(found)
    show_pairs("Summary", {key: value for key, value in found.items() if not isinstance(value, list)})


def _show_restated(found: Mapping[str, Any]) -> None:
    shown = ("session", "version", "hash")
    signatures = [{name: row[name] for name in shown} for row in found.get("signatures", ())]
    _show_close({**found, "signatures": signatures})
    for row in found.get("signatures", ()):
        show(f"{row['session']}, against signature {row['version_before']}, changed: {row['changed']}")


def _show_signed(found: Mapping[str, Any]) -> None:
    rows = {name: value for name, value in found.items() if isinstance(value, list)}
    shown = {name: value[-40:] for name, value in rows.items()}
    show_tables(shown)
    hidden = sum(len(value) for value in rows.values()) - sum(len(value) for value in shown.values())
    if hidden:
        show(f"{hidden} earlier rows not shown; --json gives all")
    show_pairs("Signed", {name: value for name, value in found.items() if not isinstance(value, list)})


def _show_status(found: Mapping[str, Any]) -> None:
    show_pairs("Desk", {key: value for key, value in found.items() if not isinstance(value, list)})
    show_tables(found)
