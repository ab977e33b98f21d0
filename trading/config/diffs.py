"""What differs between two configurations, setting by setting.

Belongs here: finding changes in trees of plain values, and saying them. Does not belong here: who changed what and when
(`versions.py`), or telling those who want to know (`change_events.py`).

A change is of one setting: its path, and its value before and after. Of a section that is new, or gone, each setting is
one, but for what is none there: it is inherited. Lists of tables that have names (strategies) are compared by name, and
one that is new, or gone, is one change; any other list is one value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, NamedTuple

KEPT_CHANGES = 100  # of one version, in the journal; all of them can be found again from the two documents
KEPT_CHARACTERS = 200  # of one value there
SHOWN_CHARACTERS = 80
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


class Absent(Enum):
    """What a setting is where it is not given at all: not the same as none."""

    ABSENT = "not set"


ABSENT: Final = Absent.ABSENT


class Cut(str):
    """A value as text that was cut: it stands for the value, and is shown without quotation marks."""


class More(int):
    """So many changes that are not listed, where the value after a change would stand."""


class Change(NamedTuple):
    """A setting that differs. `path` is dotted; `before` or `after` is ABSENT where the setting is new, or gone, and
    `after` is More where it stands for changes that are not listed."""

    path: str
    before: Any
    after: Any

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """Whether the setting is new, gone, or has another value."""
        if self.before is ABSENT and not isinstance(self.after, More):
            return "added"
        return "removed" if self.after is ABSENT else "changed"

    def text(self) -> str:
        """`path: before -> after`; of lists, what came and what went."""
        if isinstance(self.after, More):
            return f"{self.path}: {self.after:,} more {'change' if self.after == 1 else 'changes'}"
        lists = isinstance(self.before, Sequence) and isinstance(self.after, Sequence)
        if lists and not isinstance(self.before, str) and not isinstance(self.after, str):
            return f"{self.path}: {_moved(self.before, self.after)}"
        return f"{self.path}: {shown(self.before)} -> {shown(self.after)}"

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the journal: a value that is absent is left out; `cut` names those that are cut, and `more`
        counts changes that are not listed."""
        if isinstance(self.after, More):
            return {"path": self.path, "more": int(self.after)}
        sides = {"before": self.before, "after": self.after}
        cut = [name for name, value in sides.items() if isinstance(value, Cut)]
        given = {name: value for name, value in sides.items() if value is not ABSENT}
        return {"path": self.path, **given, **({"cut": cut} if cut else {})}


def diff(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """Changes from one tree of plain values (dicts, lists, text, numbers, true, false, none) to another: in the order
    of the old one, then what is new in the order of the new one."""
    return list(_changes("", old, new))


def counted(changes: Iterable[Change]) -> int:
    """How many changes there are, with those that are not listed."""
    return sum(change.after if isinstance(change.after, More) else 1 for change in changes)


def of_section(changes: Iterable[Change], path: str) -> list[Change]:
    """Those changes that lie in a section, or that the section lies in."""
    return [change for change in changes if _within(change.path, path) or _within(path, change.path)]


def _within(path: str, section: str) -> bool:
    return path == section or path.startswith(f"{section}.")


def _changes(path: str, old: Any, new: Any) -> Iterator[Change]:
    before, after = _table(old), _table(new)
    if before is None or after is None or isinstance(old, Mapping) != isinstance(new, Mapping):
        if not _same(old, new):
            yield Change(path, old, new)
        return
    for key in [*before, *(key for key in after if key not in before)]:
        sides = before.get(key, ABSENT), after.get(key, ABSENT)
        if sides[0] is not ABSENT and sides[1] is not ABSENT:
            yield from _changes(_under(path, key), *sides)
        elif isinstance(old, Mapping):
            yield from _came_or_went(_under(path, key), *sides)
        else:
            yield Change(_under(path, key), *sides)


def _came_or_went(path: str, old: Any, new: Any) -> Iterator[Change]:
    """Of a section every setting that is not none; what has none of them, and what is no section, is one change."""
    value = new if old is ABSENT else old
    given = {key: each for key, each in value.items() if each is not None} if isinstance(value, Mapping) else {}
    for key, each in given.items():
        yield from _came_or_went(_under(path, key), *((ABSENT, each) if old is ABSENT else (each, ABSENT)))
    if not given:
        yield Change(path, old, new)


def _table(value: Any) -> Mapping[str, Any] | None:
    """A table, or a list of tables with names as a table of them; None of any other value."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, list | tuple) or not all(isinstance(each, Mapping) and "name" in each for each in value):
        return None
    by_name = {str(each["name"]): each for each in value}
    return by_name if len(by_name) == len(value) else None


def _same(old: Any, new: Any) -> bool:
    """Equal, and of one kind: true is not 1."""
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _under(path: str, key: str) -> str:
    name = key if _PLAIN.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{path}.{name}" if path else name


# --- words ------------------------------------------------------------------------------------------------------------
def shown(value: Any, characters: int = SHOWN_CHARACTERS) -> str:
    """A value as people read it, cut where it is long."""
    text = _word(value)
    return text if len(text) <= characters else f"{text[: characters - 3]}..."


def _word(value: Any) -> str:
    if value is ABSENT:
        return "not set"
    if value is None:
        return "none"
    if isinstance(value, Cut):
        return str(value)
    if isinstance(value, Mapping):
        given = {key: each for key, each in value.items() if each is not None}  # what inherits says nothing
        return f"{{{', '.join(f'{key}: {_word(each)}' for key, each in given.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_word, value))}]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _moved(before: Sequence[Any], after: Sequence[Any]) -> str:
    """What came and what went; both lists where only the order or the count differs."""
    came, went = [each for each in after if each not in before], [each for each in before if each not in after]
    if not came and not went:
        return f"{shown(before)} -> {shown(after)}"
    words = [*(f"+ {shown(each)}" for each in came[:10]), *(f"- {shown(each)}" for each in went[:10])]
    more = max(0, len(came) - 10) + max(0, len(went) - 10)
    return ", ".join(words) + (f" and {more} more" if more else "") + f" ({len(after)} now, {len(before)} before)"


# --- as text ----------------------------------------------------------------------------------------------------------
def bounded(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Changes as they are kept for good: the first ones, long values as text that is cut."""
    return tuple(Change(change.path, _cut(change.before), _cut(change.after)) for change in changes[:KEPT_CHANGES])


def kept(changes: Sequence[Change]) -> str:
    """Changes as JSON text of bounded length."""
    return json.dumps([change.as_json() for change in bounded(changes)], separators=(",", ":"))


def _cut(value: Any) -> Any:
    if value is ABSENT or len(_word(value)) <= KEPT_CHARACTERS:
        return value
    return Cut(shown(value, KEPT_CHARACTERS))


def unkept(text: str) -> list[Change]:
    """Changes out of the text of `kept`."""
    return [Change(each["path"], _side(each, "before"), _side(each, "after")) for each in json.loads(text)]


def _side(told: Mapping[str, Any], name: str) -> Any:
    if name == "after" and "more" in told:
        return More(told["more"])
    value = told.get(name, ABSENT)
    return Cut(value) if name in told.get("cut", ()) else value
