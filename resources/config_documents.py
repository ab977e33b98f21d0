"""Reads one configuration file, TOML or YAML, as plain values with their lines; bounded in size, depth and time.

Belongs here: opening the file without being held up by what is no file, its encoding, and its form. Does not belong
here: which files there are and how they lie over one another (`pipelines/authored.py`), what a setting means
(`trading/config/models.py`), or tables of symbols (`symbol_csv.py`).
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from resources.toml_lines import scan
from resources.yaml_documents import parsed
from trading.config.documents import Bounds, Document, DocumentCeilings, Path, refuse

CEILINGS = DocumentCeilings()
SUFFIXES = (".toml", ".yaml", ".yml")
_SORTS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
          (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))  # fmt: skip
_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def read_document(file: str | File, ceilings: DocumentCeilings = CEILINGS, root: File | None = None) -> Document:
    """The settings of a TOML or YAML file and the line of each.

    `root`: the folder the file must lie in after links are followed; None: anywhere. Raises ConfigError with file,
    line where there is one, what was found and what to do: never another error, whatever the file holds.
    """
    place = File(file)
    name = _printable(place)
    if place.suffix not in SUFFIXES:
        refuse(name, None, "configuration is read from .toml, .yaml and .yml only", "Rename the file to what it is.")
    return document(name, read_bounded(place, ceilings.max_bytes, root), ceilings, yaml=place.suffix != ".toml")


def document(name: str, data: bytes, ceilings: DocumentCeilings = CEILINGS, yaml: bool = False) -> Document:
    """The settings of a TOML (or YAML) text that is already in memory. `name` is what refusals call it. Raises
    ConfigError as `read_document` does."""
    if len(data) > ceilings.max_bytes:
        _too_large(name, len(data), ceilings.max_bytes)
    text = _text(name, data)
    bounds = Bounds(name, ceilings)
    values = parsed(text, bounds) if yaml else _toml(text, bounds)
    return Document(name, values, bounds.lines)


def exists(file: str | File) -> bool:
    """Whether anything has that name: also a link that leads nowhere, or what may not be looked at. Reading such a file
    refuses it; passing over it would put other settings in force than were meant."""
    try:
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


# --- files ------------------------------------------------------------------------------------------------------------
def read_bounded(file: File, max_bytes: int, root: File | None = None) -> bytes:
    """The bytes of a regular file of at most `max_bytes`. Its size is looked at before it is read, and what is no
    regular file is never opened. Raises ConfigError; `root` as `read_document` has it."""
    name = _printable(file)
    try:
        _inside(file, root, name)
        _regular(os.stat(file), name, max_bytes)
        number = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(number, "rb") as opened:
            _regular(os.fstat(number), name, max_bytes)
            data = opened.read(max_bytes + 1)
    except OSError as cause:
        refuse(
            name, None, f"cannot be read: {cause.strerror or cause}", "Correct its name, or make it readable.", cause
        )
    except ValueError as cause:  # a name with a NUL in it
        refuse(name, None, f"cannot be read: {cause}", "Correct its name.", cause)
    if len(data) > max_bytes:
        _too_large(name, len(data), max_bytes)
    return data


def _inside(file: File, root: File | None, name: str) -> None:
    if root is not None and not File(os.path.realpath(file)).is_relative_to(os.path.realpath(root)):
        refuse(name, None, f"lies outside {_printable(root)} once links are followed", "Put the file itself there.")


def _regular(found: os.stat_result, name: str, max_bytes: int) -> None:
    for is_sort, sort in _SORTS:
        if is_sort(found.st_mode):
            refuse(name, None, f"is {sort}, not a file", "Put a file of text there.")
    if found.st_size > max_bytes:
        _too_large(name, found.st_size, max_bytes)


def _too_large(name: str, size: int, most: int) -> None:
    refuse(
        name, None, f"has {size:,} bytes, more than the {most:,} that a configuration file may have",
        "Put settings of many symbols into a CSV table, and everything else into smaller files.",
    )  # fmt: skip


def _printable(file: File) -> str:
    text = str(file)
    return text if text.isprintable() and len(text) <= 1000 else repr(text)[:1000]


# --- text -------------------------------------------------------------------------------------------------------------
def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        found = f"byte {data[cause.start]:#04x} at {cause.start:,} is not UTF-8"
        refuse(name, line, found, "Save the file as UTF-8 in your editor.", cause)


def _toml(text: str, bounds: Bounds) -> dict[str, Any]:
    scan(text, bounds)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        said = str(cause)
        match = _LINE.search(said)
        line = int(match[1]) if match and match[1] else text.count("\n") + 1
        refuse(bounds.file, line, f"not valid TOML: {said[: match.start() if match else 200]}", "Correct it.", cause)
    except (ValueError, RecursionError, OverflowError) as cause:
        refuse(bounds.file, None, f"not valid TOML: {_reason(cause)}", "Correct the file.", cause)
    for path, value in leaves(values):
        bounds.value(value, path, bounds.lines.get(path))
    return values


def _reason(cause: BaseException) -> str:
    deep = isinstance(cause, RecursionError)
    return "sections or lists lie too deep inside one another" if deep else str(cause)[:200]


def leaves(values: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every single value with its path. Depth is bounded by whoever read the values."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from leaves(value, (*path, key))
    elif isinstance(values, list):
        for number, value in enumerate(values):
            yield from leaves(value, (*path, number))
    else:
        yield path, values
