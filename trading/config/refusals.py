"""Why settings were refused, in sentences: where, which setting, what was given, what may be given.

Belongs here: turning pydantic's findings into words. Does not belong here: the rules themselves (the models), or
reading files (`pipelines/authored.py`).
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from difflib import get_close_matches
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from trading.config.documents import Path, dotted, shown
from trading.config.secrets import HIDDEN, names_secret
from trading.config.settings import IN_THE_CLEAR, Secret

LineOf = Callable[[Path], int | str | None]  # of a setting: a line, or `file:line`; None: nobody knows

SHOWN = 5  # of one document, where one text says what is wrong
MOST = 200  # sentences, of however many wrong settings
KINDS = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
TYPES = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}
MOMENTS = {"date": "a date, like 2000-01-31", "time": "a time, like 17:00:00"}
SHAPES = {
    r"^[A-Za-z0-9_]{1,40}$": "a name: letters, digits and _ only, 40 at most",
    r"^[A-Za-z0-9_-]{1,40}$": "a name: letters, digits, _ and - only, 40 at most",
    r"^[A-Za-z0-9._-]{1,60}$": "a name: letters, digits, dots, _ and - only, 60 at most",
    r"^[A-Za-z0-9._:-]{1,253}$": "the name or the address of a machine: letters, digits, dots, :, _ and - only",
    r"^[A-Za-z0-9_.-]{1,40}$": "a name: letters, digits, _, . and - only, 40 at most",
    r"^[\t !#-~]$": "one character of ASCII, or a tab, and no quotation mark",
    r"^[A-Z]{3}$": "a currency: three capital letters",
    r"^[A-Z][A-Z0-9_]{0,99}$": "the name of an environment variable: capital letters, digits and _, a letter first",
    r"^[0-9a-f]{64}$": "a SHA-256: 64 of the digits 0 to 9 and a to f",
    r"^[^\x00-\x1f\x7f]*$": "one line of text, without control characters",
    r"^https?://[^\s\x00-\x1f]+$": "an address that begins with http:// or https://, without blanks",
}
BOUNDS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "more than {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "less than {}"),
}
_READABLE = (
    "If its value is a secret, it was readable to everybody who could read the file: take it out and change it where "
    "it is valid."
)
_NAMED = re.compile(r"\b[a-z_]+(?:\.[A-Za-z0-9_-]+)+")  # settings in a sentence of a model's own


class Found(NamedTuple):
    """One finding: the setting, what pydantic says of it, its kind, and the section and model it stands in."""

    path: Path
    error: Mapping[str, Any]
    kind: Any
    owner: Any
    model: Any


def refusal(cause: ValidationError, model: type[BaseModel], where: str, line_of: LineOf | None = None) -> str:
    """One text about a refused document: `where` it came from, which settings are wrong (the first five) with their
    lines, and why."""
    found, more = _sentences(cause, model, line_of, SHOWN)
    rest = f" And {more:,} more." if more > 0 else ""
    return f"{where}: {' '.join(found)}{rest} Correct it and run again."


def refusals(cause: ValidationError, model: type[BaseModel], line_of: LineOf | None = None) -> list[str]:
    """A sentence for each setting that is wrong, in the order of the document (the first 200, then how many more).
    With `line_of` each begins with its place: `line 12: `, or `config/base.toml:12: ` where that is what it gives."""
    found, more = _sentences(cause, model, line_of, MOST)
    return [*found, f"And {more:,} more."] if more > 0 else found


def _sentences(
    cause: ValidationError, model: type[BaseModel], line_of: LineOf | None, most: int
) -> tuple[list[str], int]:
    """The first sentences, and how many settings more are wrong."""
    wrong: dict[tuple[Path, str], list[Found]] = {}
    for error in _each(cause.errors(include_url=False)):
        found = _place(model, error)
        rule = "" if found.path else str(error.get("ctx", {}).get("error", ""))  # each rule over sections by itself
        wrong.setdefault((found.path, rule), []).append(found)
    said = [_placed(_sentence(each), each[0], line_of) for each in islice(wrong.values(), most)]
    return said, len(wrong) - most


def _each(errors: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Errors, and of one that stands for several rules each rule's."""
    for error in errors:
        rules = getattr(error.get("ctx", {}).get("error"), "faults", None)
        yield from [error] if rules is None else [{**error, "ctx": {"error": ValueError(rule)}} for rule in rules]


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """` Did you mean x?`, or nothing."""
    near = get_close_matches(str(given)[:100], list(known), 1)
    return f" Did you mean {near[0]}?" if near else ""


# --- where ------------------------------------------------------------------------------------------------------------
def _place(model: Any, error: Mapping[str, Any]) -> Found:
    """The setting's path, what kind it is, and the section it stands in; pydantic's marks of unions are left out."""
    path: Path = ()
    kind, owner = model, model
    for part in error["loc"]:
        kind = _plain(kind)
        if _is_model(kind):
            owner, path, kind = kind, (*path, part), _kind_of(kind, part)
        elif get_origin(kind) is dict and part != "[key]":
            path, kind = (*path, part), get_args(kind)[1]
        elif get_origin(kind) in (tuple, list) and isinstance(part, int):
            path, kind = (*path, part), get_args(kind)[0]
    return Found(path, error, _plain(kind), owner, model)


def _kind_of(model: type[BaseModel], name: int | str) -> Any:
    return next((field.annotation for key, field in _fields(model).items() if key == name), None)


def _fields(model: Any) -> dict[str, Any]:
    """Fields by the name that files use."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _plain(kind: Any) -> Any:
    """A kind without its constraints, and without `or none`."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    options = _options(kind)
    return _plain(options[0]) if len(options) == 1 and options[0] is not kind else kind


def _options(kind: Any) -> tuple[Any, ...]:
    union = get_origin(kind) in (Union, types.UnionType)
    return tuple(each for each in get_args(kind) if each is not type(None)) if union else (kind,)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _placed(sentence: str, found: Found, line_of: LineOf | None) -> str:
    if line_of is None:
        return sentence
    place = line_of(_meant(found, line_of))
    word = f"line {place}" if isinstance(place, int) else place
    return f"{word}: {sentence}" if word else sentence


def _meant(found: Found, line_of: LineOf) -> Path:
    """Of a rule over several settings the first it names, where the file has it, or the environment that has the rule;
    else the setting itself."""
    said = str(found.error["ctx"]["error"]) if found.error["type"] == "value_error" else ""
    for name in [*_NAMED.findall(said), *(["environment"] if said.startswith("environment is ") else [])]:
        path: Path = tuple(name.split("."))
        inside = len(path) > len(found.path) and path[: len(found.path)] == found.path
        if inside and line_of(path) not in (None, line_of(path[:-1])):
            return path
    return found.path


# --- what -------------------------------------------------------------------------------------------------------------
def _sentence(all_found: list[Found]) -> str:
    found = all_found[0]
    if len(all_found) > 1 and found.error["type"] != IN_THE_CLEAR:
        return f"{dotted(found.path)} is {_value(found)}, but must be {_wanted(found.kind)}."
    made = SENTENCES.get(found.error["type"])
    return made(found) if made else _generic(found)


def _generic(found: Found) -> str:
    name: str = found.error["type"]
    if name in BOUNDS:
        key, words = BOUNDS[name]
        return f"{dotted(found.path)} is {_value(found)}, but must be {words.format(_number(found.error['ctx'][key]))}."
    if name.endswith(("_type", "_parsing", "_from_float")):
        sort = TYPES.get(type(found.error["input"]))
        given = f"{_value(found)}{f' ({sort})' if sort else ''}"
        return f"{dotted(found.path)} is {given}, but must be {_wanted(found.kind)}."
    return f"{dotted(found.path)} is {_value(found)}: {found.error['msg'].lower()}."


def _number(bound: float) -> str:
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _unknown(found: Found) -> str:
    *section, name = found.path
    known = _fields(found.owner)
    place = f"[{dotted(tuple(section))}]" if section else "the top"
    if isinstance(name, str) and names_secret(name):
        return f"{dotted(found.path)} is not a setting. {_READABLE} Settings of {place} are: {', '.join(known)}."
    near = did_you_mean(name, known) or _elsewhere(found.model, str(name)) or _at_the_top(found, str(name))
    return f"{dotted(found.path)} is not a setting.{near} Settings of {place} are: {', '.join(known)}."


def _at_the_top(found: Found, name: str) -> str:
    """` Did you mean environment? ...` for one of the settings that are in no section, written below a [section]."""
    kinds = {key: _plain(field.annotation) for key, field in _fields(found.model).items()}
    bare = [key for key, kind in kinds.items() if not _is_model(kind) and get_origin(kind) not in (tuple, dict)]
    near = did_you_mean(name, bare)
    return f"{near} It belongs above the first [section] of its file." if near else ""


def _elsewhere(model: Any, name: str, path: Path = ()) -> str:
    """` Did you mean trading.x?` for a setting of that name in another section."""
    for key, field in _fields(model).items():
        if key == name and path:
            return f" Did you mean {dotted((*path, key))}?"
        inner = _plain(field.annotation)
        found = _elsewhere(inner, name, (*path, key)) if _is_model(inner) else ""
        if found:
            return found
    return ""


def _missing(found: Found) -> str:
    description = _fields(found.owner)[str(found.path[-1])].description
    return f"{dotted(found.path)} is missing ({description})."


def _not_a_choice(found: Found) -> str:
    choices = [str(choice) for choice in get_args(found.kind)]
    near = did_you_mean(found.error["input"], choices)
    return f"{dotted(found.path)} is {_value(found)}, but must be one of {', '.join(choices)}.{near}"


def _not_finite(found: Found) -> str:
    return f"{dotted(found.path)} is {_value(found)}, but must be a finite number."


def _shape(found: Found) -> str:
    pattern = found.error["ctx"]["pattern"]
    return f"{dotted(found.path)} is {_value(found)}, but must be {SHAPES.get(pattern, f'like {pattern}')}."


def _length(found: Found) -> str:
    limits, given = found.error["ctx"], found.error["input"]
    least = "min_length" in limits
    needed = f"{'at least' if least else 'at most'} {limits['min_length' if least else 'max_length']:,}"
    size = len(given) if isinstance(given, Sized) else limits["actual_length"]
    words = "characters" if isinstance(given, str) else "entries"
    return f"{dotted(found.path)} has {f'{size:,}' if size else 'no'} {words}, but must have {needed}."


def _in_the_clear(found: Found) -> str:
    return f"{dotted(found.path)} holds {found.error['msg']}."


def _own_words(found: Found) -> str:
    said = str(found.error["ctx"]["error"])
    given = found.error["input"]
    if found.path and not isinstance(given, dict | list | tuple):
        said = f"{dotted(found.path)} is {_value(found)}: {said}"
    elif found.path and not _is_model(found.kind):
        said = f"{dotted(found.path)}: {said}"
    return said if said.endswith((".", "?")) else f"{said}."


SENTENCES: Mapping[str, Callable[[Found], str]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "literal_error": _not_a_choice,
    "finite_number": _not_finite,
    "string_pattern_mismatch": _shape,
    "string_too_short": _length,
    "string_too_long": _length,
    "too_short": _length,
    "too_long": _length,
    "value_error": _own_words,
    IN_THE_CLEAR: _in_the_clear,
}


def _wanted(kind: Any) -> str:
    options = _options(kind)
    if len(options) > 1:
        return " or ".join(dict.fromkeys(_wanted(_plain(option)) for option in options))
    if get_origin(kind) is Literal:
        return " or ".join(str(choice) for choice in get_args(kind))
    if kind is Secret:
        return "a reference: { env = 'NAME' } or { file = 'path' }"
    if _is_model(kind) or get_origin(kind) is dict:
        return "a table"
    if get_origin(kind) in (tuple, list):
        return "a list"
    return KINDS.get(kind, MOMENTS.get(getattr(kind, "__name__", ""), "something else"))


def _value(found: Found) -> str:
    """The value in a sentence; one that is a secret, or looks like one, is not repeated."""
    given = found.error["input"]
    if (found.owner is Secret and found.path[-1:] != ("file",)) or found.kind is Secret:
        return HIDDEN
    return shown(given)
