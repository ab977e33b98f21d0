"""On which line of a TOML text each setting stands, in one pass, before anything is understood.

Belongs here: finding keys, sections and entries of lists, and what is over the ceilings or given twice. Does not belong
here: values, and whether the text is TOML: `tomllib` says both, and refuses where this scan ends early.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left

from trading.config.documents import Bounds, Path, dotted

LONGEST_WORD = 400  # numbers, dates, true and false
_SPACE = re.compile(r"[ \t]*+")
_GAP = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")  # between statements, and inside lists
_BARE = re.compile(r"[A-Za-z0-9_-]++")
_ONE_LINE = re.compile(r'"(?:[^"\\\n]++|\\.)*+"|\'[^\'\n]*+\'')
_MANY_LINES = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"{1,2}+(?!"))*+"""(?:""?(?!"))?|' + r"'''(?:[^']++|'{1,2}+(?!'))*+'''(?:''?(?!'))?"
)
_PLAIN = re.compile(r"[^,\[\]{}#\"'\n]++")


class _Lost(Exception):
    """Here the text is no TOML: tomllib will say so."""


def scan(text: str, bounds: Bounds) -> None:
    """Notes the line of every setting of `text` in `bounds`. Raises ConfigError on too much depth, too many settings,
    and a setting or section that is given twice. A text that is no TOML is noted as far as it is."""
    try:
        _Scan(text, bounds).document()
    except _Lost:
        return


class _Scan:
    def __init__(self, text: str, bounds: Bounds) -> None:
        self.text, self.bounds, self.at = text, bounds, 0
        self.ends = [match.start() for match in re.finditer("\n", text)]
        self.section: Path = ()
        self.arrays: dict[Path, int] = {}
        self.given: set[Path] = set()

    def line(self) -> int:
        """The line being read."""
        return bisect_left(self.ends, self.at) + 1

    # --- text ---------------------------------------------------------------------------------------------------------
    def skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def next_is(self, word: str) -> bool:
        """Whether `word` comes next; it is read then."""
        if self.text.startswith(word, self.at):
            self.at += len(word)
            return True
        return False

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _Lost
        self.at = match.end()
        return match.group()

    # --- statements ---------------------------------------------------------------------------------------------------
    def document(self) -> None:
        self.skip(_GAP)
        while self.at < len(self.text):
            if self.next_is("[["):
                self.entry_of_array()
            elif self.next_is("["):
                self.header()
            else:
                self.setting(self.section)
            self.skip(_GAP)

    def header(self) -> None:
        path, line = self.resolved(self.key(), whole=True), self.line()
        if path in self.given:
            self.bounds.given_twice(path, line)
        self.given.add(path)
        self.section = self.meet(path, line)
        self.bounds.lines[path] = line  # a section's own header, not the first that names it
        self.closed("]")

    def entry_of_array(self) -> None:
        parts, line = self.key(), self.line()
        path = self.resolved(parts, whole=False)
        number = self.arrays.get(path, 0)
        self.arrays[path] = number + 1
        self.section = self.meet((*path, number), line)
        self.closed("]]")

    def closed(self, word: str) -> None:
        self.skip(_SPACE)
        if not self.next_is(word):
            raise _Lost

    def setting(self, section: Path) -> None:
        line = self.line()
        path = section + self.key()
        self.skip(_SPACE)
        if not self.next_is("="):
            raise _Lost
        if path in self.given:
            self.bounds.given_twice(path, line)
        self.given.add(path)
        self.meet(path, line, len(section))
        self.skip(_SPACE)
        self.value(path)

    def key(self) -> tuple[str, ...]:
        parts: list[str] = []
        while True:
            self.skip(_SPACE)
            quoted = self.text[self.at : self.at + 1] in ("'", '"')
            parts.append(_decoded(self.take(_ONE_LINE)) if quoted else self.take(_BARE))
            if len(parts) > self.bounds.ceilings.max_depth:
                self.bounds.too_deep(self.line())
            self.skip(_SPACE)
            if not self.next_is("."):
                return tuple(parts)

    def resolved(self, parts: tuple[str, ...], whole: bool) -> Path:
        """A header's path: a section inside an array of sections belongs to its last entry."""
        path: Path = ()
        for number, part in enumerate(parts):
            path += (part,)
            if path in self.arrays and (whole or number < len(parts) - 1):
                path += (self.arrays[path] - 1,)
        return path

    def meet(self, path: Path, line: int, met: int = 0) -> Path:
        for end in range(met + 1, len(path) + 1):
            self.bounds.meet(path[:end], line)
        return path

    # --- values -------------------------------------------------------------------------------------------------------
    def value(self, path: Path) -> None:
        start = self.text[self.at : self.at + 1]
        if start == "[":
            self.entries(path)
        elif start == "{":
            self.inline(path)
        elif start in ("'", '"') and start:
            self.take(_MANY_LINES if self.text.startswith(start * 3, self.at) else _ONE_LINE)
        else:
            self.word(path)

    def word(self, path: Path) -> None:
        characters = len(self.take(_PLAIN).rstrip())
        if characters > LONGEST_WORD:
            self.bounds.too_long(dotted(path), characters, LONGEST_WORD, self.line())

    def entries(self, path: Path) -> None:
        self.at += 1
        number = 0
        self.skip(_GAP)
        while not self.next_is("]"):
            self.bounds.meet((*path, number), self.line())
            self.value((*path, number))
            number += 1
            self.separated("]")

    def inline(self, path: Path) -> None:
        self.at += 1
        self.skip(_GAP)
        while not self.next_is("}"):
            self.setting(path)
            self.separated("}")

    def separated(self, end: str) -> None:
        self.skip(_GAP)
        if not self.next_is(",") and not self.text.startswith(end, self.at):
            raise _Lost
        self.skip(_GAP)


def _decoded(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    try:
        return str(tomllib.loads(f"key = {quoted}")["key"])
    except ValueError as cause:
        raise _Lost from cause
