"""Why settings were refused, in sentences: which setting, what was given, what may be given.

Belongs here: turning pydantic's findings into words. Does not belong here: the rules themselves (the models), or
reading files (`pipelines/settings.py`).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

SHOWN = 5
KINDS = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
TYPES = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "a table"}
SHAPES = {
    r"^[A-Za-z0-9_]{1,40}$": "a name: letters, digits and _ only, 40 at most",
    r"^[A-Za-z0-9_-]{1,40}$": "a name: letters, digits, _ and - only, 40 at most",
    r"^[A-Z]{3}$": "a currency: three capital letters",
}
BOUNDS = {
    "greater_than_equal": ("ge", "{} or more"),
    "greater_than": ("gt", "more than {}"),
    "less_than_equal": ("le", "{} or less"),
    "less_than": ("lt", "less than {}"),
}


def refusal(cause: ValidationError, model: type[BaseModel], where: str) -> str:
    """One text about a refused document: `where` it came from, which settings are wrong (the first five), and why."""
    found = refusals(cause, model)
    more = len(found) - SHOWN
    rest = f" And {more} more." if more > 0 else ""
    return f"{where}: {' '.join(found[:SHOWN])}{rest} Correct it and run again."


def refusals(cause: ValidationError, model: type[BaseModel]) -> list[str]:
    """A sentence for each setting that is wrong, in the order of the document."""
    wrong: dict[str, list[tuple[Any, Any, BaseModel]]] = {}
    for error in cause.errors():
        path, kind, owner = _place(model, error["loc"])
        wrong.setdefault(path, []).append((error, kind, owner))
    return [_sentence(path, found) for path, found in wrong.items()]


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """` Did you mean x?`, or nothing."""
    near = get_close_matches(str(given), list(known), 1)
    return f" Did you mean {near[0]}?" if near else ""


# --- where ------------------------------------------------------------------------------------------------------------
def _place(model: Any, loc: tuple[int | str, ...]) -> tuple[str, Any, Any]:
    """The setting's path, what kind it is, and the section it stands in; pydantic's marks of unions are left out."""
    path, kind, owner = "", model, model
    for part in loc:
        kind = _plain(kind)
        if _is_model(kind):
            owner = kind
            path = f"{path}.{part}" if path else str(part)
            kind = kind.model_fields[part].annotation if part in kind.model_fields else None
        elif get_origin(kind) is dict and part != "[key]":
            path, kind = f"{path}.{part}", get_args(kind)[1]
        elif get_origin(kind) in (tuple, list) and isinstance(part, int):
            path, kind = f"{path}[{part}]", get_args(kind)[0]
    return path, _plain(kind), owner


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


# --- what -------------------------------------------------------------------------------------------------------------
def _sentence(path: str, found: list[tuple[Any, Any, Any]]) -> str:
    error, kind, owner = found[0]
    if len(found) > 1:
        return f"{path} is {_value(error['input'])}, but must be {_wanted(kind)}."
    made = SENTENCES.get(error["type"])
    return made(path, error, kind, owner) if made else _generic(path, error, kind, owner)


def _generic(path: str, error: Mapping[str, Any], kind: Any, _: Any) -> str:
    name: str = error["type"]
    if name in BOUNDS:
        key, words = BOUNDS[name]
        bound = words.format(format(error["ctx"][key], "g"))
        return f"{path} is {_value(error['input'])}, but must be {bound}."
    if name.endswith(("_type", "_parsing", "_from_float")):
        given = error["input"]
        sort = TYPES.get(type(given))
        return f"{path} is {_value(given)}{f' ({sort})' if sort else ''}, but must be {_wanted(kind)}."
    return f"{path} is {_value(error['input'])}: {error['msg'].lower()}."


def _unknown(path: str, _: Mapping[str, Any], __: Any, owner: Any) -> str:
    section, _dot, name = path.rpartition(".")
    known = ", ".join(owner.model_fields)
    place = f"[{section}]" if section else "the top"
    return f"{path} is not a setting.{did_you_mean(name, owner.model_fields)} Settings of {place} are: {known}."


def _missing(path: str, _: Mapping[str, Any], __: Any, owner: Any) -> str:
    description = owner.model_fields[path.rpartition(".")[2]].description
    return f"{path} is missing ({description})."


def _not_a_choice(path: str, error: Mapping[str, Any], kind: Any, _: Any) -> str:
    choices = [str(choice) for choice in get_args(kind)]
    near = did_you_mean(error["input"], choices)
    return f"{path} is {_value(error['input'])}, but must be one of {', '.join(choices)}.{near}"


def _not_finite(path: str, error: Mapping[str, Any], _: Any, __: Any) -> str:
    return f"{path} is {_value(error['input'])}, but must be a finite number."


def _shape(path: str, error: Mapping[str, Any], _: Any, __: Any) -> str:
    pattern = error["ctx"]["pattern"]
    return f"{path} is {_value(error['input'])}, but must be {SHAPES.get(pattern, f'like {pattern}')}."


def _length(path: str, error: Mapping[str, Any], _: Any, __: Any) -> str:
    limits = error["ctx"]
    needed = f"at least {limits['min_length']}" if "min_length" in limits else f"at most {limits['max_length']}"
    return f"{path} has {limits['actual_length'] or 'no'} entries, but must have {needed}."


def _own_words(path: str, error: Mapping[str, Any], _: Any, __: Any) -> str:
    said = str(error["ctx"]["error"])
    text = f"{path} is {_value(error['input'])}: {said}" if path and not isinstance(error["input"], dict) else said
    return text if text.endswith((".", "?")) else f"{text}."


SENTENCES: Mapping[str, Callable[[str, Mapping[str, Any], Any, Any], str]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "literal_error": _not_a_choice,
    "finite_number": _not_finite,
    "string_pattern_mismatch": _shape,
    "too_short": _length,
    "too_long": _length,
    "value_error": _own_words,
}


def _wanted(kind: Any) -> str:
    options = _options(kind)
    if len(options) > 1:
        return " or ".join(dict.fromkeys(_wanted(_plain(option)) for option in options))
    if get_origin(kind) is Literal:
        return " or ".join(str(choice) for choice in get_args(kind))
    if _is_model(kind) or get_origin(kind) is dict:
        return "a table"
    if get_origin(kind) in (tuple, list):
        return "a list"
    return KINDS.get(kind, "a date, like 2000-01-31" if getattr(kind, "__name__", "") == "date" else "something else")


def _value(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
