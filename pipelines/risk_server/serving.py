"""What `daybook risk serve` does: the processes that answer for a desk.

Belongs here: what must hold before any is started, and what runs in each. Does not belong here: processes
(`crew.py`), or what a worker answers from (`sources.py`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from pipelines.risk_server.callers import callers_of
from pipelines.risk_server.crew import Crew, listening_at
from pipelines.settings import PROJECT, Place, read_section, refuse_no_desk, revealed
from trading.config.risk import RiskServiceSettings, RiskSettings
from trading.errors import ConfigError, UsageError

FIGURES = "risk/figures"  # of the home: what each worker leaves for the one that is scraped


def serve(where: Place, workers: int | None = None, port: int | None = None) -> int:
    """Answers until it is ended. Raises UsageError where there is no desk, the port is taken, or several workers would
    each have a truth of their own; ConfigError where nobody may ask, or a token is not found."""
    refuse_no_desk(where)
    service = read_section(where, RiskSettings).service
    count = workers or service.workers
    _refuse(service, count)
    callers_of(service.tokens, service.max_requests_per_second, lambda secret: revealed(secret, where), 0.0)
    _forget_figures(where)
    with listening_at(service.host, port or service.port) as listening:
        host, chosen = listening.getsockname()[:2]
        _say(
            f"risk service of {where.home} at http://{host}:{chosen}, {count} worker{'s'[: count > 1]}; Ctrl-C ends it"
        )
        return Crew(lambda number, name: _command(where, number, name), listening, count, _say).serve()


def _refuse(service: RiskServiceSettings, count: int) -> None:
    if count > 1 and service.truth == "memory":
        raise UsageError(
            f"{count} workers cannot share reservations that are kept in memory: each would grant the same headroom. "
            "Serve with --workers 1, or set risk.service.truth to 'file' or 'redis'."
        )
    if not service.tokens:
        raise ConfigError(
            "nobody may ask the risk service: risk.service.tokens is empty. Add one, as "
            "[risk.service.tokens.NAME] with token = { env = 'VARIABLE' } and scopes = ['check', 'reserve']."
        )


def _forget_figures(where: Place) -> None:
    """Figures of workers of another day are nobody's."""
    for file in (where.home / FIGURES).glob("*.prom"):
        file.unlink(missing_ok=True)


def _command(where: Place, number: int, name: str) -> Sequence[str]:
    told = [str(where.home), where.deployment, str(number), name]
    program = f"import sys; sys.path.insert(0, {os.fspath(PROJECT)!r}); from pipelines.risk_server import worker"
    return [sys.executable, "-W", "ignore", "-c", f"{program}; sys.exit(worker.main())", *told]


def _say(line: str) -> None:
    click.echo(line, err=True)
