"""What a configuration file says, with the line of everything it says, and how much it may say.

Belongs here: the value that every reader of a form gives, its ceilings, and the sentence of a refusal. Does not belong
here: reading files (`resources/config_documents.py`), or what a setting means (`models.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from trading.config.secrets import HIDDEN, looks_secret
from trading.errors import ConfigError

Path = tuple[str | int, ...]  # of a setting: names of sections and settings, numbers in lists, from 0
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1
SHOWN = 60


@dataclass(frozen=True, slots=True)
class DocumentCeilings:
    """How large a document may be. What is larger is refused before it is understood."""

    max_bytes: int = 4_000_000
    max_nodes: int = 250_000  # settings, sections and entries of lists
    max_depth: int = 16  # sections and lists inside one another
    max_key_characters: int = 200
    max_text_characters: int = 100_000


@dataclass(frozen=True, slots=True)
class Document:
    """One file as read: `file` as sentences name it, plain `values`, and the line of each of them, counted from 1."""

    file: str
    values: dict[str, Any]
    lines: Mapping[Path, int] = field(repr=False)

    def line_of(self, path: Path) -> int | None:
        """The line of a setting, or of the nearest section around it that the file has; None where it has neither."""
        return next((self.lines[near] for near in _outwards(path) if near in self.lines), None)

    def has(self, path: Path) -> bool:
        """Whether the file itself gives this setting or section."""
        return path in self.lines


def place_of(documents: Sequence[Document]) -> Callable[[Path], str | None]:
    """Says where a setting stands, as `file:line`, in documents of which later ones lie over earlier ones: in the last
    that gives it, else in the last that gives the section around it; None where none does."""

    def place(path: Path) -> str | None:
        for near in _outwards(path):
            for document in reversed(documents):
                if document.has(near):
                    return f"{document.file}:{document.lines[near]}"
        return None

    return place


def _outwards(path: Path) -> Iterator[Path]:
    return (path[:end] for end in range(len(path), 0, -1))


def refuse(file: str, line: int | None, found: str, cure: str, cause: BaseException | None = None) -> NoReturn:
    """Raises ConfigError: `file:line: what was found. What to do.`"""
    place = file if line is None else f"{file}:{line}"
    raise ConfigError(f"{place}: {found}. {cure}") from cause


def dotted(path: Path) -> str:
    """A path as people write it: `trading.strategies[0]`; names that are no bare keys are quoted, long ones cut."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{key_text(part)}" if text else key_text(part)
    return text


def key_text(key: str) -> str:
    """A key on one line, without characters a terminal would obey; one that looks like a secret is not repeated."""
    if looks_secret(key):
        return f"({HIDDEN})"
    plain = key.isprintable() and bool(key) and not set(key) & set(" .\"'[]=#")
    return shown(key) if not plain or len(key) > SHOWN else key


def shown(value: object) -> str:
    """A value in a sentence: short, on one line; one that looks like a secret is not repeated."""
    if looks_secret(value if isinstance(value, str) else written(value)):
        return HIDDEN
    text = repr(value[: SHOWN + 1]) if isinstance(value, str) else written(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def written(value: object) -> str:
    """A value as Python writes it, unless that would be endless or very long."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, list | tuple | dict) and len(value) > 20:
        return f"{type(value).__name__} of {len(value)} entries"
    try:
        return repr(value)
    except (RecursionError, ValueError):  # nested without end, or a number too long to be written
        return f"a {type(value).__name__}"


class Bounds:
    """Counts what a reader of a form meets, and refuses what is over the ceilings."""

    def __init__(self, file: str, ceilings: DocumentCeilings) -> None:
        self.file, self.ceilings, self.lines = file, ceilings, dict[Path, int]()

    def meet(self, path: Path, line: int) -> None:
        """Notes the line of a setting, unless it was met before. Raises ConfigError over a ceiling."""
        if path in self.lines:
            return
        self.lines[path] = line
        if len(path) > self.ceilings.max_depth:
            self.too_deep(line)
        if len(self.lines) > self.ceilings.max_nodes:
            refuse(
                self.file, line, f"more than {self.ceilings.max_nodes:,} settings and entries",
                "Put settings of many symbols into a CSV table, and leave out what is not used.",
            )  # fmt: skip
        key = path[-1]
        if isinstance(key, str) and len(key) > self.ceilings.max_key_characters:
            self.too_long(f"the key {shown(key)}", len(key), self.ceilings.max_key_characters, line)

    def too_deep(self, line: int) -> NoReturn:
        """Raises ConfigError: sections or lists inside one another, too many."""
        refuse(
            self.file, line, f"sections or lists lie more than {self.ceilings.max_depth} deep inside one another",
            "No setting is that deep: take the inner ones out.",
        )  # fmt: skip

    def too_long(self, what: str, characters: int, most: int, line: int) -> NoReturn:
        """Raises ConfigError: a text of too many characters."""
        refuse(self.file, line, f"{what} has {characters:,} characters, more than {most:,}", "Shorten it.")

    def given_twice(self, path: Path, line: int) -> NoReturn:
        """Raises ConfigError: the same setting on two lines."""
        refuse(
            self.file, line, f"{dotted(path)} is given twice, first in line {self.lines[path]}",
            "Keep one of the two.",
        )  # fmt: skip

    def value(self, value: object, path: Path, line: int | None) -> None:
        """Raises ConfigError on a single value no setting can have: a number of more than 64 bits, an endless text."""
        if isinstance(value, int) and not LEAST_INTEGER <= value <= MOST_INTEGER:
            refuse(
                self.file, line, f"{dotted(path)} is {shown(value)}, more than 64 bits hold",
                f"Give a number between {LEAST_INTEGER} and {MOST_INTEGER}.",
            )  # fmt: skip
        if isinstance(value, str) and len(value) > self.ceilings.max_text_characters:
            self.too_long(dotted(path), len(value), self.ceilings.max_text_characters, line or 1)
