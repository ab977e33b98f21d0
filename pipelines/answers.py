"""What a command answers: data for `--json`, a text for people, an exit code.

Belongs here: the options every command has, JSON documents, and how an error is said. Does not belong here: what a
table looks like (`tables.py`), or what a command does (`commands/`).
"""

from __future__ import annotations

import functools
import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from pipelines.settings import DEPLOYMENTS, Place, place
from pipelines.tables import show, table
from trading.errors import DaybookError

Command = TypeVar("Command", bound=Callable[..., Any])


class Answer:
    """What a command found: data for `--json`, and how to print it for people."""

    def __init__(self, data: Mapping[str, Any], shown: Callable[[], None] | None = None, exit_code: int = 0) -> None:
        self.data, self.shown, self.exit_code = data, shown, exit_code


def answering(function: Command) -> Command:
    """Gives a command the common options and turns its Answer, or a Daybook error, into output and exit code."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output; logs stay on stderr.")
    @click.option("--home", type=click.Path(path_type=Path), help="The desk's folder [DAYBOOK_HOME, default ./var].")
    @click.option(
        "--deployment", type=click.Choice(DEPLOYMENTS), help="Which backends serve it [DAYBOOK_DEPLOYMENT, local]."
    )
    @click.pass_context
    @functools.wraps(function)
    def wrapped(context: click.Context, as_json: bool, home: Path | None, deployment: str | None, **words: Any) -> None:
        given = context.obj or {}
        as_json = as_json or given.get("as_json", False)
        where = None
        try:
            where = place(home or given.get("home"), deployment or given.get("deployment"))
            answer = function(where, **words)
            _print(answer, as_json)
        except DaybookError as error:
            _fail(error, as_json)
        except Exception as cause:
            _fail(_explained(cause, where), as_json)
        else:
            context.exit(answer.exit_code)

    return wrapped  # type: ignore[return-value]


def _explained(cause: Exception, where: Place | None) -> DaybookError:
    from pipelines.mishaps import explained

    return explained(cause, where)


def _fail(error: DaybookError, as_json: bool) -> None:
    if as_json:
        _document({"ok": False, "error": type(error).__name__, "message": str(error), "exit_code": error.exit_code})
    click.echo(f"daybook: {error}", err=True)
    sys.exit(error.exit_code)


def _document(data: Mapping[str, Any]) -> None:
    """One JSON document; JSON has no infinity, so it becomes text."""
    click.echo(json.dumps(_plain(data), default=str, allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _print(answer: Answer, as_json: bool) -> None:
    if as_json:
        _document({"ok": answer.exit_code == 0, **answer.data})
    elif answer.shown is not None:
        answer.shown()


def of_rows(title: str, frame: Any, facts: Mapping[str, Any], out: Path | None = None) -> Answer:
    """A frame's answer: for people the last 40 rows, for JSON all (the count only, when written to a file)."""
    from pipelines.desk import records

    def shown() -> None:
        if out is not None:
            show(f"{len(frame):,} rows of {title} written to {out}")
            return
        rows = records(frame.tail(40))
        hidden = len(frame) - len(rows)
        show(table(title, rows) if rows else f"{title}: none")
        if hidden:
            show(f"{hidden} earlier rows not shown; --json gives all")

    data = {**facts, "count": len(frame)}
    return Answer(data if out else {**data, "rows": records(frame)}, shown)


class Commands(click.Group):
    """Says in JSON what was wrong with the command line, where JSON was asked for."""

    def main(self, args: Any = None, prog_name: str | None = None, *more: Any, **extra: Any) -> Any:
        """As click's, which would print wrong usage for people only."""
        words = list(sys.argv[1:] if args is None else args)
        if "--json" not in words:
            return super().main(words, prog_name, *more, **extra)
        try:
            code = super().main(words, prog_name, *more, **{**extra, "standalone_mode": False})
        except click.ClickException as wrong:
            wrong.show()
            said = {"error": "UsageError", "message": wrong.format_message(), "exit_code": wrong.exit_code}
            _document({"ok": False, **said})
            sys.exit(wrong.exit_code)
        except click.Abort:
            _fail(DaybookError("interrupted. Run the same command again."), as_json=True)
        sys.exit(code or 0)
