"""Files of a home that look as if they configured the desk, and are not read; and a desk file that says nothing.

Belongs here: noticing them by their names. Does not belong here: which files are read (`authored.py`), or what is in
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from pipelines.in_force import compiled_files
from pipelines.place import Place
from trading.errors import ConfigError, StoreError

DESK = ("desk.toml", "desk.yaml")
_MEANT = re.compile(r"desk\.(toml|tml|ya?ml|json|ini|cfg|conf)")
_COPIES = ("~", ".bak", ".orig", ".old", ".new", ".half", ".swp")  # made on purpose, or by an editor
_ALIKE = 0.8  # of get_close_matches: two letters of desk.toml


def unread(where: Place) -> list[str]:
    """A sentence for each file of a home that may be meant to configure it and does not, and for a desk file that is
    empty or gone. Nothing where the home cannot be listed: whoever reads it says why."""
    with suppress(OSError):
        return [*misnamed(where), *_misnamed_strategies(where), *_silent(where)]
    return []


def misnamed(where: Place) -> Iterator[str]:
    """A sentence for each file whose name is nearly that of a desk file. Raises OSError."""
    for file in _files(where.home):
        if file.name not in DESK and _is_meant(file) and not _is_read(file, where):
            yield f"{file} is not read: settings of a desk are in {' or '.join(DESK)}. Rename it, or take it away."


def _is_meant(file: Path) -> bool:
    name = file.name.lower()
    if name.endswith(_COPIES) or ".before-version-" in name:
        return False
    return _MEANT.fullmatch(name) is not None or bool(get_close_matches(name, DESK, 1, _ALIKE))


def _is_read(file: Path, where: Place) -> bool:
    """Whether it is a desk file all the same, on a disk to which Desk.toml and desk.toml are one."""
    return any((where.home / name).exists() and (where.home / name).samefile(file) for name in DESK)


def _misnamed_strategies(where: Place) -> Iterator[str]:
    for file in _files(where.home / "strategies"):
        if file.suffix != ".toml" and file.suffix.lower() in (".toml", ".tml", ".yaml", ".yml", ".json"):
            yield f"{file} is not read: a strategy is a file NAME.toml. Rename it, or take it away."


def _silent(where: Place) -> Iterator[str]:
    there = [where.home / name for name in DESK if (where.home / name).exists()]
    beneath = "its settings are only those of the files beneath it"
    yield from (
        f"{file} is empty, so {beneath}. Put back what it said, or delete it." for file in there if _empty(file)
    )
    with suppress(ConfigError, StoreError):
        if not there and compiled_files(where).last() is not None:
            yield f"there is no {DESK[0]} in {where.home}, where a configuration was put in force, so {beneath}."


def _empty(file: Path) -> bool:
    """Whether there is nothing but remarks in it; not read further than to the first line that is none."""
    with file.open("rb") as lines:
        return all(line.split(b"#")[0].strip() in (b"", b"---", b"\xef\xbb\xbf") for line in lines)


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
