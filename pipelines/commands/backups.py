"""`daybook backup` and `daybook restore`: snapshots of a desk.

Belongs here: what people type for it. Does not belong here: taking or reading a snapshot (`closing.py` of `pipelines`).
"""

from __future__ import annotations

from pathlib import Path

import click

from pipelines.answers import Answer, answering
from pipelines.settings import Place
from pipelines.tables import show_pairs


@click.command()
@answering
def backup(where: Place) -> Answer:
    """Take a snapshot of the desk into its backup folder [DAYBOOK_BACKUPS, default <home>-backups]."""
    from pipelines import closing

    found = closing.backup(where)
    return Answer(found, lambda: show_pairs("Backup", found), found["exit_code"])


@click.command()
@click.argument("snapshot")
@click.option("--into", type=click.Path(path_type=Path), required=True, help="An empty or new folder.")
@answering
def restore(where: Place, snapshot: str, into: Path) -> Answer:
    """Rebuild a desk from SNAPSHOT (a name, or `latest`) into a folder, every hash checked."""
    from pipelines import closing

    found = closing.restore(where, snapshot, into)
    return Answer(found, lambda: show_pairs("Restored", found))
