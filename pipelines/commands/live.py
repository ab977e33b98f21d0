"""`daybook live sign`, `verify`, `status`, `key`: whether this desk may send live orders.

Belongs here: what people type for it, and how what was found is printed. Does not belong here: the work (`live.py` of
`pipelines`).
"""

from __future__ import annotations

from typing import Any

import click

from pipelines.answers import Answer, answering
from pipelines.options import DAY
from pipelines.settings import Place, refuse_no_desk
from pipelines.tables import show, show_pairs

_KEY = click.option(
    "--key", metavar="KEY", help="The key that signs: a PEM file, or pkcs11:token=NAME;object=LABEL [DAYBOOK_LIVE_KEY]."
)


@click.group()
def live() -> None:
    """Live orders: sign what is in force, verify it, and say whether orders could be sent now."""


@live.command(name="sign")
@click.option("--account", required=True, help="The broker's name of the account that orders may go to.")
@click.option(
    "--expires", type=DAY, required=True, help="Last day (UTC) that it holds; a year (365 days) ahead at most."
)
@_KEY
@answering
def sign_live(where: Place, account: str, expires: Any, key: str | None) -> Answer:
    """Sign the configuration in force for live orders of one account; the next version that is applied ends it.

    The key must be in the key ring already: signing makes nobody trusted.
    """
    from pipelines import live as work

    refuse_no_desk(where)
    found = work.sign_live(where, account, expires.date(), key)
    return Answer(found, lambda: show_pairs("Signed for live orders", found))


@live.command(name="verify")
@answering
def verify_live(where: Place) -> Answer:
    """Hold the signed live configuration against what is in force, the key ring and the clock. Exit code 1 if it does
    not hold."""
    from pipelines import live as work

    refuse_no_desk(where)
    found = work.verify_live(where)
    return Answer(found, lambda: show_pairs("Live orders may be sent", found))


@live.command(name="status")
@answering
def live_status(where: Place) -> Answer:
    """Whether live orders could be sent now, and why not."""
    from pipelines import live as work

    refuse_no_desk(where)
    found = work.status(where)
    return Answer(found, lambda: show_pairs("Live orders", {**found, "live": "yes" if found["live"] else "no"}))


@live.command(name="key")
@_KEY
@answering
def live_key(where: Place, key: str | None) -> Answer:
    """The id of a key, and its public part as the key ring keeps it; nothing is written."""
    from pipelines import live as work

    found = work.key_of(key)
    return Answer(found, lambda: show(f"{found['pem']}belongs into the key ring as {found['file']}"))
