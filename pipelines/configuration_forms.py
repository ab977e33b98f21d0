"""A configuration in a form for other programs: JSON, msgpack and Arrow, and the resolved table of symbols.

Belongs here: choosing the form, and writing it into a file. Does not belong here: the forms themselves
(`resources/config_forms.py`, `resources/symbol_forms.py`), or choosing the configuration (`configuration_views.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.configuration_text import as_toml
from pipelines.configuration_views import chosen, shown
from pipelines.place import Place
from pipelines.symbols import columns_of
from trading.errors import UsageError

OF_SETTINGS = ("toml", "json", "msgpack", "arrow")
OF_SYMBOLS = ("csv", "arrow")
BINARY = ("msgpack", "arrow")


def form_of(given: str | None, symbols: bool) -> str:
    """The form that was asked for; TOML, or CSV of symbols, where none was. Raises UsageError on one that there is not
    of this."""
    forms = OF_SYMBOLS if symbols else OF_SETTINGS
    if given is not None and given not in forms:
        what = "symbols are" if symbols else "settings are"
        more = "" if symbols else " With --symbols there is csv."
        raise UsageError(f"{what} not written as {given}. Choose one of: {', '.join(forms)}.{more}")
    return given or forms[0]


def as_text(found: Mapping[str, Any], form: str) -> str:
    """What `configuration_views.shown` gives, as TOML or JSON."""
    return as_toml(found) if form == "toml" else json.dumps(found, indent=2) + "\n"


def settings_as(where: Place, form: str, sections: Sequence[str], which: int | str | None) -> bytes:
    """A configuration, or some sections of it, in a form. Raises UsageError on a section that there is not, and where a
    binary form is asked for a part of one."""
    if form not in BINARY:
        return as_text(shown(where, sections, which), form).encode()
    from resources import config_forms

    shown(where, sections, which)
    settings, _ = chosen(where, which)
    parts = [path for path in sections if "." in path]
    if parts:
        raise UsageError(f"{form} holds whole sections, not {parts[0]}. Name {parts[0].split('.')[0]}.")
    return (config_forms.packed if form == "msgpack" else config_forms.as_arrow)(settings, sections)


def symbols_as(where: Place, form: str, which: int | str | None) -> bytes:
    """What is in force for every symbol in the end, in a form. Raises ConfigError on a wrong table."""
    from resources import symbol_forms

    settings, table = chosen(where, which)
    columns = columns_of(settings, table, where)
    return symbol_forms.as_arrow(columns) if form == "arrow" else symbol_forms.as_csv(columns)


def write(file: Path, data: bytes) -> None:
    """Writes a file, whole or not at all. Raises UsageError where that cannot be."""
    draft = file.with_name(f".{file.name}.new")
    try:
        draft.write_bytes(data)
        draft.replace(file)
    except OSError as cause:
        draft.unlink(missing_ok=True)
        reason = cause.strerror or cause
        raise UsageError(f"{file} cannot be written: {reason}. Name a file in a folder you may write to.") from cause
