"""`daybook audit`, `override`, `overrides`, `runs`: who did what, when and why, and whether the record was changed.

Belongs here: what people type for it, and how what was found is printed. Does not belong here: reading or proving the
record (`auditing.py`, `processes.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pipelines.answers import Answer, answering
from pipelines.options import DAY, date_of
from pipelines.settings import Place, refuse_no_desk
from pipelines.tables import show, show_pairs, show_tables
from trading.errors import UsageError


@click.command()
@click.argument("verify", type=click.Choice(["verify"]), required=False)
@click.option("--search", "words", metavar="WORDS", help="Entries that hold all these words; fills are not searched.")
@click.option("--kind", help="Of this kind, like fill or close_moved.")
@click.option("--session", type=DAY, help="Of this session.")
@click.option("--actor", help="By this person or job.")
@click.option("--stream", help="Of this stream, like close or book/trend.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="How many.")
@answering
def audit(where: Place, verify: str | None, limit: int, session: Any, **wanted: str | None) -> Answer:
    """What happened to the book, the newest first; `audit verify` proves that nothing of it was changed.

    Verifying reads every entry: its number, its link in the chain, the tables that follow from all of them, and every
    signature. Exit code 1 where something is wrong.
    """
    from pipelines import auditing

    refuse_no_desk(where)
    if verify:
        proof = auditing.verified(where)
        return Answer(proof, lambda: _show_proof(proof), 1 if proof["problems"] else 0)
    found = auditing.trail(where, auditing.Wanted(session=date_of(session), **wanted), limit)
    shown = {"entries": auditing.shown(found["entries"])}
    return Answer(found, lambda: show_tables(shown) if found["entries"] else show("entries: none"))


def _show_proof(found: Mapping[str, Any]) -> None:
    for problem in found["problems"]:
        show(problem)
    said = f"{len(found['problems'])} problems" if found["problems"] else "nothing is wrong"
    show(f"{said}: {found['entries']:,} entries of {found['streams']} streams read")


@click.command()
@click.option("--check", metavar="DATASET/RULE", help="The check whose findings may pass.")
@click.option("--instrument", metavar="CODE", help="The instrument that may be traded although it has an open break.")
@click.option("--step", metavar="STATE", help="The state of the close whose every check may pass.")
@click.option("--session", type=DAY, help="For which session; an instrument's holds for all without it.")
@click.option("--reason", help="Why: it stands in the journal.")
@click.option("--by", help="Who; without it, who is logged in.")
@click.option("--clear", metavar="ID", help="Take an override back, by its id.")
@answering
def override(
    where: Place, session: Any, reason: str | None, by: str | None, clear: str | None, **what: str | None
) -> Answer:
    """Let a failed check, a locked instrument or a step of the close pass, under your name and with a reason."""
    from pipelines import auditing

    refuse_no_desk(where)
    given = {scope: item for scope, item in {**what, "clear": clear}.items() if item is not None}
    if len(given) != 1:
        raise UsageError("say what is overridden: one of --check, --instrument, --step, or --clear to take one back.")
    ((scope, item),) = given.items()
    if clear is not None:
        found = auditing.clear(where, clear, reason, by)
    else:
        found = auditing.override(where, scope, str(item), date_of(session), reason, by)
    return Answer(found, lambda: show_pairs("Override", found))


@click.command()
@answering
def overrides(where: Place) -> Answer:
    """Who let what pass and why: those in force, then those taken back."""
    from pipelines import auditing

    refuse_no_desk(where)
    found = auditing.overrides(where)
    return Answer(found, lambda: show_tables(found) if found["overrides"] else show("overrides: none"))


@click.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@answering
def runs(where: Place, limit: int) -> Answer:
    """Which job ran when, by whom and where, how far it came, and how it ended; the newest first."""
    from pipelines import processes

    refuse_no_desk(where)
    found = {"runs": processes.listed(where, limit)}
    shown = {"runs": processes.shown(found["runs"])}
    return Answer(found, lambda: show_tables(shown) if found["runs"] else show("runs: none"))
