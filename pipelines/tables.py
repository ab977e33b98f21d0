"""Tables on standard output, for people.

Belongs here: how rows, pairs and numbers are printed. Does not belong here: which of them a command prints
(`commands/`), or what it prints for programs (`answers.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def show(shown: Any) -> None:
    """Prints to standard output; where that is no terminal, as wide as the content, so that nothing is cut. Nothing in
    it is markup: an id like `trend:CORN:20211200` is text, and so is a reason in square brackets."""
    from rich.console import Console

    console = Console(emoji=False, markup=False)
    if not console.is_terminal:
        console = Console(emoji=False, markup=False, width=max(200, console.width))
    console.print(shown)


def table(title: str, rows: list[dict[str, Any]]) -> Any:
    """Rows as a table, numbers to the right; the first row's keys are its columns."""
    from rich.table import Table

    made = Table(title=title, title_justify="left")
    for column in rows[0]:
        numeric = any(isinstance(row[column], int | float) for row in rows)
        made.add_column(str(column), justify="right" if numeric else "left")
    for row in rows:
        made.add_row(*(_cell(value, str(column)) for column, value in row.items()))
    return made


def show_tables(found: Mapping[str, Any]) -> None:
    """Prints what is found as lists of rows, a table each; the rest, and empty lists, it leaves out."""
    for name, rows in found.items():
        if isinstance(rows, list) and rows:
            show(table(name.replace("_", " "), rows))


def show_pairs(title: str, found: Mapping[str, Any]) -> None:
    """Prints names and values under a title; what is empty it leaves out."""
    from rich.table import Table

    made = Table(title=title, title_justify="left", show_header=False)
    for key, value in found.items():
        if value not in (None, {}, [], ""):
            made.add_row(key.replace("_", " "), _cell(value, key))
    show(made)


def _cell(value: Any, column: str = "") -> str:
    """Money to the cent, other numbers to ten digits, missing as nothing."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.2f}" if column.endswith(("_base", "_total")) else f"{value:,.10g}"
    if isinstance(value, Mapping):
        return "\n".join(f"{key}: {_cell(inner)}" for key, inner in value.items())
    return str(value)
