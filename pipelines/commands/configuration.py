"""`daybook config`: what configures a desk, which version of it is in force, and putting another one in force.

Belongs here: what people type for it, and how what was found is printed. Does not belong here: the work
(`configuration.py` of `pipelines`, and its neighbours).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from pipelines.answers import Answer, answering
from pipelines.settings import Place, refuse_no_desk
from pipelines.tables import show, show_pairs, table
from trading.config.diffs import counted
from trading.errors import UsageError

_REASON = click.option("--reason", required=True, help="Why: it stands in the journal.")
_AUTHOR = click.option("--author", help="Who says so; without it, who is logged in.")
_EXPECTED = click.option(
    "--expected", type=click.IntRange(min=0), help="Only if this version is in force now (0: none is)."
)
_VERSION = click.option(
    "--version", "word", help="Which one: the number of a version, applied, or files; without it, what is in force."
)


@click.group()
def config() -> None:
    """What configures the desk: validate and apply what the files say, see versions, go back to one."""


# --- files ------------------------------------------------------------------------------------------------------------
@config.command(name="validate")
@answering
def validate_config(where: Place) -> Answer:
    """Check the files, and say everything that is wrong with them at once. Exit code 2 where anything is."""
    from pipelines.configuration_validation import validated

    refuse_no_desk(where)
    found = validated(where)
    return Answer(found, lambda: _show_validated(found), found["exit_code"])


def _show_validated(found: Mapping[str, Any]) -> None:
    for fault in found["faults"]:
        show(fault)
    if found["faults"]:
        show(f"{found['count']} {'fault' if found['count'] == 1 else 'faults'}: nothing of this can be put in force.")
        return
    show(
        f"the files are right: configuration {found['configuration'][:12]} for {found['environment']}, "
        f"{found['symbols']:,} symbols, strategies {', '.join(found['strategies']) or 'none'}"
    )
    _show_notes(found)


def _show_notes(found: Mapping[str, Any]) -> None:
    for note in found["notes"]:
        show(f"note: {note}")


@config.command(name="schema")
@click.argument("kind", type=click.Choice(["desk", "strategy"]), default="desk")
@click.option("--out", type=click.Path(path_type=Path), help="Write it into this file, for an editor to find.")
@answering
def config_schema(where: Place, kind: str, out: Path | None) -> Answer:
    """The JSON schema of a file of settings (desk) or of a strategy, for editors: they complete and explain by it."""
    from pipelines.configuration_forms import write
    from pipelines.configuration_schema import schema_of_files

    found = schema_of_files(kind)
    if out is None:
        return Answer({"kind": kind, "schema": found}, lambda: click.echo(json.dumps(found, indent=2)))
    write(out, (json.dumps(found, indent=2) + "\n").encode())
    return Answer({"kind": kind, "out": str(out)}, lambda: show(f"the JSON schema of {kind} files is in {out}"))


# --- in force ---------------------------------------------------------------------------------------------------------
@config.command(name="apply")
@_REASON
@_AUTHOR
@_EXPECTED
@answering
def apply_config(where: Place, reason: str, author: str | None, expected: int | None) -> Answer:
    """Put what the files say in force, as a new version with your name and reason.

    If it is in force already nothing is recorded. If somebody else applied another one meanwhile, yours is refused.
    """
    from pipelines import configuration

    return _applied(where, configuration.apply(where, reason, author, expected))


@config.command(name="rollback")
@click.argument("number", type=click.IntRange(min=1))
@_REASON
@_AUTHOR
@_EXPECTED
@answering
def rollback_config(where: Place, number: int, reason: str, author: str | None, expected: int | None) -> Answer:
    """Put what version NUMBER said in force again, as a new version with your name and reason.

    Files stay as they are, but in development, where they are what is in force: there it is written back into them, and
    you are told which. A version of another environment is refused: apply files that say so.
    """
    from pipelines import configuration

    refuse_no_desk(where)
    return _applied(where, configuration.rollback(where, number, reason, author, expected))


def _applied(where: Place, done: Any) -> Answer:
    from pipelines.configuration_views import told
    from pipelines.live import ended_by

    ended = ended_by(where, done.version) if done.new else ()
    found = {"new": done.new, **told(done.version), "notes": [*done.notes, *ended]}

    def shown() -> None:
        if not done.new:
            show(f"unchanged: the files say what version {found['number']} says, which is in force. Nothing recorded.")
        else:
            show_pairs("In force now", {name: found[name] for name in _FACTS})
            _show_version(found)
        _show_notes(found)

    return Answer(found, shown)


_FACTS = ("number", "environment", "configuration", "author", "reason", "restores")


@config.command(name="status")
@click.option("--metrics", "as_metrics", is_flag=True, help="As Prometheus reads it.")
@answering
def config_status(where: Place, as_metrics: bool) -> Answer:
    """What is in force, since when and why, whether files and the last close agree with it, and what reading it costs.

    Exit code 1 where a finding is an error; drift that is a warning, as of changed files on paper, leaves it at 0.
    """
    from pipelines.configuration_status import metrics, status

    found = status(where)
    if as_metrics:
        return Answer(found, lambda: click.echo(metrics(found), nl=False), found["exit_code"])
    return Answer(found, lambda: _show_status(found), found["exit_code"])


def _show_status(found: Mapping[str, Any]) -> None:
    lists = {name: value for name, value in found.items() if isinstance(value, list) and name != "notes"}
    show_pairs("Configuration", {name: value for name, value in found.items() if name not in (*lists, "notes")})
    for name, values in lists.items():
        for value in values:
            said = value.get("message", value) if isinstance(value, Mapping) else value
            show(f"{name.replace('_', ' ')}: {said}")
    _show_notes(found)


@config.command(name="watch")
@click.option(
    "--metrics-port", type=click.IntRange(1, 65_535), help="Serve figures for Prometheus here, to this machine."
)
@answering
def watch_config(where: Place, metrics_port: int | None) -> Answer:
    """Watch the files and what is in force, and say what happens until Ctrl-C.

    What is saved is judged at once. In development it comes into force; on paper where operations.changes.from_files
    says so; in production never: that is for `daybook config apply`.
    """
    from pipelines.configuration_watch import watch

    watch(where, partial(click.echo, err=_for_programs()), metrics_port=metrics_port)
    return Answer({"watched": str(where.home)})


def _for_programs() -> bool:
    """Whether one JSON document is asked for on standard output."""
    given = click.get_current_context()
    return bool(given.params.get("as_json") or (given.obj or {}).get("as_json", False))


# --- reading ----------------------------------------------------------------------------------------------------------
@config.command(name="show")
@click.argument("sections", nargs=-1)
@click.option(
    "--format", "form", type=click.Choice(["toml", "json", "msgpack", "arrow", "csv"]),
    help="In which form; toml without it. csv is for --symbols.",
)  # fmt: skip
@click.option("--symbols", is_flag=True, help="What is in force for every symbol in the end, as csv or arrow.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it into this file.")
@_VERSION
@answering
def show_config(
    where: Place, sections: tuple[str, ...], form: str | None, symbols: bool, out: Path | None, word: str | None
) -> Answer:
    """Settings of all SECTIONS or those named, like risk or data.vendor, as TOML or in a form for other programs.
    Secrets are shown as what they refer to."""
    from pipelines import configuration_forms as forms
    from pipelines import configuration_views as views

    refuse_no_desk(where)
    if symbols and sections:
        raise UsageError("--symbols is about symbols, not about sections. Give one of the two.")
    which, form = None if word is None else views.meant(word), forms.form_of(form, symbols)
    if out is None:
        if not symbols and form not in forms.BINARY:
            found = views.shown(where, sections, which)
            return Answer(found, lambda: click.echo(forms.as_text(found, form), nl=False))
        _refuse_bytes(form in forms.BINARY)
    made = forms.symbols_as(where, form, which) if symbols else forms.settings_as(where, form, sections, which)
    if out is None:
        return Answer({}, lambda: click.echo(made, nl=False))
    forms.write(out, made)
    return Answer(
        {"format": form, "bytes": len(made), "out": str(out)}, lambda: show(f"{len(made):,} bytes of {form} in {out}")
    )


def _refuse_bytes(binary: bool) -> None:
    """Raises UsageError where bytes would be written for people to see, or between what is JSON."""
    if _for_programs():
        raise UsageError("--json answers with one JSON document, and this is a file. Give --out FILE.")
    if binary and sys.stdout.isatty():
        raise UsageError("a terminal cannot show this form. Give --out FILE, or send it into a pipe.")


@config.command(name="diff")
@click.argument("a", default="applied")
@click.argument("b", default="files")
@answering
def diff_config(where: Place, a: str, b: str) -> Answer:
    """What changes from configuration A to B: numbers of versions, applied (what was put in force last) or files.

    Without any, what `daybook config apply` would change.
    """
    from pipelines import configuration_views as views
    from pipelines.configuration import diff_of

    refuse_no_desk(where)
    changes = diff_of(where, views.meant(a), views.meant(b))
    rows = views.changes_told(changes)
    found = {"from": a, "to": b, "count": counted(changes), "changes": rows}
    return Answer(found, lambda: _show_changes(rows, len(rows)))


def _show_version(row: Mapping[str, Any]) -> None:
    if row["parent"] is None:
        show("the first configuration of this desk")
    else:
        _show_changes(row["changes"], row["changed"], f"{row['number'] - 1} {row['number']}")


def _show_changes(changes: Sequence[Mapping[str, Any]], count: int, versions: str = "") -> None:
    for change in changes:
        show(change["text"])
    if count > len(changes):
        show(f"and {count - len(changes):,} more: see `daybook config diff {versions}`")
    if not count:
        show("no setting differs")


@config.command(name="history")
@click.option("--last", type=click.IntRange(min=1), help="Only so many of the newest versions.")
@click.option("--changes", is_flag=True, help="And what each of them changed.")
@answering
def config_history(where: Place, last: int | None, changes: bool) -> Answer:
    """Every version that was ever in force: when, by whom, why, and how much it changed; the newest last."""
    from pipelines.configuration import history
    from pipelines.configuration_views import told

    refuse_no_desk(where)
    versions = history(where)
    rows = [told(version) for version in versions[-last if last else 0 :]]
    return Answer({"count": len(versions), "rows": rows}, lambda: _show_history(rows, changes))


def _show_history(rows: Sequence[Mapping[str, Any]], changes: bool) -> None:
    if not rows:
        show("nothing was applied yet: daybook config apply --reason")
        return
    facts = ("number", "at", "environment", "author", "reason", "restores", "changed")
    short = [{**{name: row[name] for name in facts}, "configuration": row["configuration"][:12]} for row in rows]
    show(table("Versions of the configuration", short))
    for row in rows if changes else ():
        show(f"version {row['number']}:")
        _show_version(row)


@config.command(name="explain")
@click.argument("symbol")
@click.argument("field")
@click.option("--strategy", help="As this strategy sees it.")
@_VERSION
@answering
def explain_config(where: Place, symbol: str, field: str, strategy: str | None, word: str | None) -> Answer:
    """Where the value of FIELD comes from for SYMBOL: defaults, asset class, exchange group, strategy, or its own."""
    from pipelines import configuration_views as views

    refuse_no_desk(where)
    found = views.explanation(where, symbol, field, strategy, None if word is None else views.meant(word))

    def shown() -> None:
        marked = [{**origin, "in_force": "<-" if origin["in_force"] else ""} for origin in found["origins"]]
        show(table(f"{field} of {symbol}: {found['value']}", marked))

    return Answer(found, shown)
