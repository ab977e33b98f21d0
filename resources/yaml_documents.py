"""YAML as far as settings need it: mappings, lists, text, numbers, dates, true and false, nothing that refers or runs.

Belongs here: YAML's events as plain values with lines; tags, anchors, aliases, merges, several documents and keys given
twice are refused. Does not belong here: reading files (`config_documents.py`), or what a setting means.

Plain words are read by the core schema of YAML 1.2, and dates and times as TOML writes them: `no` is text, not false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from typing import Any

from trading.config.documents import Bounds, Path, dotted, refuse, shown

_WORDS: dict[str, object] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False)
_KINDS: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (re.compile(r"[-+]?(0|[1-9][0-9]*(_[0-9]+)*)"), int),
    (re.compile(r"0o[0-7]+"), lambda text: int(text, 8)),
    (re.compile(r"0x[0-9a-fA-F]+"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?"), float),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda _: float("nan")),
    (re.compile(r"\d{4}-\d\d-\d\d"), date.fromisoformat),
    (re.compile(r"\d\d:\d\d:\d\d(\.\d{1,6})?"), time.fromisoformat),
    (re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[-+]\d\d:\d\d)?"), datetime.fromisoformat),
)
_HALF = re.compile("[\ud800-\udfff]")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_STARTS = frozenset("0123456789+-.")


def parsed(text: str, bounds: Bounds) -> dict[str, Any]:
    """The values of a YAML text; the line of each is noted in `bounds`. Raises ConfigError with file and line."""
    import yaml  # type: ignore[import-untyped]

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Reader(yaml.parse(text, Loader=loader), bounds).document()
    except yaml.reader.ReaderError as cause:
        line = text.count("\n", 0, int(cause.position)) + 1
        refuse(bounds.file, line, f"a character YAML does not allow: {cause.reason}", "Remove it.", cause)
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None) or getattr(cause, "context_mark", None)
        said = str(getattr(cause, "problem", None) or cause).splitlines()[0]
        refuse(bounds.file, mark.line + 1 if mark else None, f"not valid YAML: {said}", "Correct the file.", cause)


class _Reader:
    def __init__(self, events: Iterator[Any], bounds: Bounds) -> None:
        self.events, self.bounds, self.line = events, bounds, 1

    def next(self) -> tuple[str, Any]:
        """The next event, by the name of its kind."""
        event = next(self.events)
        self.line = event.start_mark.line + 1
        kind = type(event).__name__.removesuffix("Event")
        self.plain(event, kind)
        return kind, event

    def plain(self, event: Any, kind: str) -> None:
        """Refuses what refers to something else or makes objects."""
        if kind == "Alias":
            self.refuse(f"the alias *{event.anchor[:40]}", "Write out the settings it stands for.")
        if getattr(event, "anchor", None):
            self.refuse(f"the anchor &{event.anchor[:40]}", "Remove it: aliases are not read.")
        if getattr(event, "tag", None):
            self.refuse(f"the tag {shown(event.tag)}", "Remove it: settings are plain text, numbers, lists and tables.")
        if kind == "DocumentStart" and event.tags:
            self.refuse("a %TAG directive", "Remove it: tags are not read.")

    def refuse(self, found: str, cure: str) -> None:
        refuse(self.bounds.file, self.line, found, cure)

    def document(self) -> dict[str, Any]:
        self.next()  # the stream begins
        kind, _ = self.next()
        if kind == "StreamEnd":
            return {}
        kind, event = self.next()
        first, values = self.line, self.value(kind, event, ())
        self.next()  # the document ends
        if self.next()[0] != "StreamEnd":
            self.refuse("a second document begins", "Keep one document a file.")
        if values is None:
            return {}
        if not isinstance(values, dict):
            self.line = first
            self.refuse(f"the file holds {shown(values)}, but must hold settings", "Write `name: value` on each line.")
        return dict(values)

    def value(self, kind: str, event: Any, path: Path) -> Any:
        if kind == "Scalar":
            return self.scalar(event, path)
        return self.mapping(path) if kind == "MappingStart" else self.sequence(path)

    def mapping(self, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while True:
            kind, event = self.next()
            if kind == "MappingEnd":
                return values
            if kind != "Scalar":
                self.refuse("a list or a table as a key", "Keys are names.")
            if event.value == "<<":
                self.refuse("a merge (<<)", "Write out the settings it stands for.")
            here = (*path, event.value)
            if event.value in values:
                self.bounds.given_twice(here, self.line)
            self.bounds.meet(here, self.line)
            values[event.value] = self.value(*self.next(), here)

    def sequence(self, path: Path) -> list[Any]:
        values: list[Any] = []
        while True:
            kind, event = self.next()
            if kind == "SequenceEnd":
                return values
            here = (*path, len(values))
            self.bounds.meet(here, self.line)
            values.append(self.value(kind, event, here))

    def scalar(self, event: Any, path: Path) -> object:
        text: str = event.value
        if _HALF.search(text):
            self.refuse(f"{dotted(path)} holds half of a character", "Write the character itself.")
        value = text if event.style else self.meaning(text, path)
        self.bounds.value(value, path, self.line)
        return value

    def meaning(self, text: str, path: Path) -> object:
        """What a plain word stands for."""
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in _STARTS or len(text) > 400:
            return text
        if _LEADING_ZERO.fullmatch(text):
            self.refuse(
                f"{dotted(path)} is {shown(text)}, which may be read by eights or by tens",
                "Leave out the leading zero for a number, or put it in quotes for text.",
            )
        return self.number_or_date(text, path)

    def number_or_date(self, text: str, path: Path) -> object:
        for pattern, made in _KINDS:
            if pattern.fullmatch(text):
                try:
                    return made(text)
                except ValueError:
                    self.refuse(f"{dotted(path)} is {shown(text)}, which does not exist", "Correct it, or quote it.")
        return text
