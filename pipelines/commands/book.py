"""`daybook book` and `daybook ledger`: what a person enters into the journal, and the upkeep of what keeps it.

Belongs here: what people type for it. Does not belong here: what an entry does (`book.py` of `pipelines`), or reading
the book (`profit.py`, `datasets.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from pipelines.answers import Answer, Command, answering
from pipelines.options import DAY, date_of
from pipelines.settings import Place, refuse_no_desk
from pipelines.tables import show, show_pairs


@click.group()
def book() -> None:
    """Enter into the journal what no broker delivers, under your name and with a reason."""


def of_the_book(command: Command) -> Command:
    """The options of everything a person enters."""
    for option in (
        click.option("--by", help="Who says so; without it, who is logged in."),
        click.option("--session", type=DAY, help="The session it counts in; without it, the first one not closed."),
        click.option("--reason", required=True, help="Why: it stands in the journal."),
    ):
        command = option(command)
    return command


@book.command()
@click.option("--strategy", required=True, help="Whose position.")
@click.option("--instrument", required=True, help="Of what.")
@click.option("--contract", type=int, required=True, help="Contract id, like 20220600.")
@click.option("--quantity", type=int, required=True, help="Contracts more (or less, negative).")
@click.option("--price", type=float, required=True, help="At which price, points.")
@of_the_book
@answering
def adjust(
    where: Place, strategy: str, instrument: str, contract: int, quantity: int, price: float, **given: Any
) -> Answer:
    """Change a position by some contracts at a price."""
    from pipelines import book as entries

    return _entered(
        where, lambda **more: entries.adjust(where, (strategy, instrument, contract), quantity, price, **more), given
    )


@book.command()
@click.option("--currency", required=True, help="Of which currency.")
@click.option("--amount", type=float, required=True, help="How much; paid out is negative.")
@click.option("--category", required=True, help="interest, fee, deposit, withdrawal or adjustment.")
@of_the_book
@answering
def cash(where: Place, currency: str, amount: float, category: str, **given: Any) -> Answer:
    """Book money that is no trade."""
    from pipelines import book as entries

    return _entered(where, lambda **more: entries.cash(where, currency, amount, category, **more), given)


@book.command()
@click.argument("fill_id")
@of_the_book
@answering
def bust(where: Place, fill_id: str, **given: Any) -> Answer:
    """Take a fill back."""
    from pipelines import book as entries

    return _entered(where, lambda **more: entries.bust(where, fill_id, **more), given)


@book.command()
@click.argument("fill_id")
@click.option("--quantity", type=int, help="The right quantity.")
@click.option("--price", type=float, help="The right price, points.")
@click.option("--commission", type=float, help="The right commission, local money.")
@of_the_book
@answering
def correct(
    where: Place, fill_id: str, quantity: int | None, price: float | None, commission: float | None, **given: Any
) -> Answer:
    """Tell a fill anew, with what is given changed."""
    from pipelines import book as entries

    return _entered(where, lambda **more: entries.correct(where, fill_id, quantity, price, commission, **more), given)


def _entered(where: Place, enter: Callable[..., dict[str, Any]], given: Mapping[str, Any]) -> Answer:
    from pipelines.deployments import sole_run
    from pipelines.runs import aside

    refuse_no_desk(where)
    with sole_run(where, aside):
        found = enter(**{**given, "session": date_of(given["session"])})
    return Answer(found, lambda: show_pairs("Entered", found))


@click.group()
def ledger() -> None:
    """The ledger's own upkeep."""


@ledger.command()
@answering
def migrate(where: Place) -> Answer:
    """Bring a ledger that an older version wrote to this version's schema; what was there stays beside it."""
    from pipelines import book as entries

    refuse_no_desk(where)
    said = entries.migrate(where)
    return Answer({"ledger": said}, lambda: show(said))
