"""`daybook ui`, `doctor`, `services`: the servers a desk is seen through and stands on.

Belongs here: what people type for it, and how the state of servers is printed. Does not belong here: starting and
asking them (`web.py`, `doctor.py`, `local_servers.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from pipelines.answers import Answer, answering
from pipelines.settings import Place
from pipelines.tables import show, table


@click.command()
@click.option("--port", default=3000, show_default=True, help="Where the UI listens on this machine.")
@answering
def ui(where: Place, port: int) -> Answer:
    """Open the Dagster UI on this desk's data."""
    from pipelines import web

    return Answer({}, exit_code=web.serve(where, port))


@click.command()
@answering
def doctor(where: Place) -> Answer:
    """Ask every backend of the deployment whether it is well, and say what to do where one is not."""
    from pipelines import doctor as practice

    found = practice.examined(where)
    return Answer(found, lambda: show(table("Backends", found["backends"])), found["exit_code"])


@click.group()
def services() -> None:
    """Run MongoDB and Redis of this home on this machine, for people without servers."""


@services.command(name="start")
@answering
def start_services(where: Place) -> Answer:
    """Start them, data under <home>/services, and say what to export."""
    from pipelines import local_servers as servers

    return _servers(servers.described(servers.start(where)))


@services.command(name="stop")
@answering
def stop_services(where: Place) -> Answer:
    """Stop them; their data stay."""
    from pipelines import local_servers as servers

    return _servers(servers.described(servers.stop(where)))


@services.command(name="status")
@answering
def services_status(where: Place) -> Answer:
    """Whether they run, and where. Exit code 1 unless all do."""
    from pipelines import local_servers as servers

    found = servers.described(servers.status(where))
    return _servers(found, 0 if found["export"] else 1)


def _servers(found: Mapping[str, Any], exit_code: int = 0) -> Answer:
    def shown() -> None:
        show(table("Servers", found["servers"]) if found["servers"] else "no servers were started in this home")
        for name, address in found["export"].items():
            click.echo(f"export {name}='{address}'")

    return Answer(found, shown, exit_code)
