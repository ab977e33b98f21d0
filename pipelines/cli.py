"""The `daybook` command.

Belongs here: its options, and the list of its commands. Does not belong here: a command (`commands/`, a file for what
each is about), what every command shares (`answers.py`), or what a command does (`runs.py` runs jobs, `desk.py` reads).
Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import atexit
import gc
import sys
from pathlib import Path
from typing import Any

import click

from pipelines.answers import Commands
from pipelines.commands import (
    audit,
    backups,
    book,
    breaks,
    closing,
    configuration,
    datasets,
    live,
    profit,
    research,
    risk,
    servers,
)
from pipelines.settings import DEPLOYMENTS


@atexit.register
def _uncollected() -> None:
    """What a command has loaded is not searched for garbage as it ends: 0.03 to 0.1 s. DuckDB wants to be."""
    if "duckdb" not in sys.modules:
        gc.freeze()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output; logs stay on stderr.")
@click.option("--home", type=click.Path(path_type=Path), help="The desk's folder [DAYBOOK_HOME, default ./var].")
@click.option(
    "--deployment", type=click.Choice(DEPLOYMENTS), help="Which backends serve it [DAYBOOK_DEPLOYMENT, default local]."
)
@click.version_option(package_name="daybook")
@click.pass_context
def main(context: click.Context, **given: Any) -> None:
    """Daybook closes the trading day for a systematic futures desk.

    Start with `daybook demo`, which needs no data and no server. With data of your own: `daybook load`, then
    `daybook close`, then look: `daybook pnl`, `daybook positions`, `daybook violations`, `daybook ui`.

    Exit codes: 0 all good; 1 a step or a check failed; 2 wrong usage or bad input.
    """
    context.obj = given


for command in (
    closing.demo,
    closing.load,
    closing.close,
    closing.backfill,
    closing.sign,
    research.backtest,
    research.sweep,
    datasets.quality,
    backups.backup,
    backups.restore,
    servers.ui,
    servers.doctor,
    servers.services,
    research.imports,
    closing.open_day,
    closing.status,
    audit.override,
    audit.overrides,
    audit.runs,
    audit.audit,
    datasets.prices,
    datasets.volatility,
    datasets.correlation,
    datasets.positions,
    datasets.violations,
    breaks.breaks,
    book.book,
    book.ledger,
    configuration.config,
    live.live,
    profit.pnl,
    profit.slippage,
    risk.risk,
    datasets.sql,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
