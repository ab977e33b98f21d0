"""`daybook risk`: the limits of the whole book, asked and changed from the shell.

Belongs here: what people type for it, and how answers are printed. Does not belong here: judging orders
(`trading/risk/engine.py`), or the service (`pipelines/risk_service/`).
"""

from __future__ import annotations

import click

from pipelines.answers import Answer, answering
from pipelines.settings import Place


@click.group()
def risk() -> None:
    """Ask about orders before they are sent, and see what limits leave."""


@risk.command(name="serve")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that answer [risk.service.workers].")
@click.option("--port", type=click.IntRange(1, 65535), help="Where it listens [risk.service.port].")
@answering
def serve(where: Place, workers: int | None, port: int | None) -> Answer:
    """Answer about orders over HTTP, until it is ended: for strategies that trade between closes.

    Who may ask is in the settings, risk.service.tokens. A changed limit is in force as soon as it is applied.
    """
    from pipelines.risk_service import serving

    return Answer({}, exit_code=serving.serve(where, workers, port))
