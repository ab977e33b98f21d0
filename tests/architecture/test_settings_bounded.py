"""Every setting is described, and nothing in one is without an end: numbers have bounds, texts, lists and tables a
largest size, names an alphabet. Does not belong here: what a bound is (the models say)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import AfterValidator, BaseModel

from trading.config.models import DeskSettings
from trading.config.settings import Settings
from trading.config.strategies import StrategySettings

# Texts that are no names, or are held to their alphabet by a rule of their own.
HELD_OTHERWISE = {
    "StrategySettings.description": "what it is, for people, on as many lines as they like",
    "SymbolsSettings.table": "a place below a folder: `a table upwards` of tests/days/test_bad_configurations.py",
}
ENDLESS = re.compile(r"[*+]|\{\d+,\}")  # in a regular expression: as many as you like


def fields() -> Iterator[tuple[str, Any, list[Any]]]:
    """Every field of every model, as `Model.field`, with its kind and what constrains it."""
    seen: set[type[BaseModel]] = set()

    def below(model: type[BaseModel]) -> Iterator[tuple[str, Any, list[Any]]]:
        seen.add(model)
        for name, field in model.model_fields.items():
            yield f"{model.__name__}.{name}", field.annotation, list(field.metadata)
            for kind in kinds(field.annotation):
                if isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in seen:
                    yield from below(kind)

    yield from below(DeskSettings)
    yield from below(StrategySettings)


def kinds(kind: Any) -> list[Any]:
    return [kind, *(inner for part in get_args(kind) for inner in kinds(part))]


def unbounded(kind: Any, rules: list[Any]) -> Iterator[str]:
    """What has no end in a kind under constraints."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *more = get_args(kind)
        yield from unbounded(inner, [*rules, *(rule for each in more for rule in getattr(each, "metadata", [each]))])
    elif origin in (Union, UnionType):
        for option in get_args(kind):
            yield from unbounded(option, rules)
    elif origin in (tuple, list, dict):
        if not any(sized(rule) for rule in rules):
            yield f"{origin.__name__} of any length"
        for part in get_args(kind):
            yield from unbounded(part, []) if part is not ... else ()
    elif kind is str:
        if not any(sized(rule) for rule in rules):
            yield "text of any length"
        if not any(getattr(rule, "pattern", None) for rule in rules):
            yield "text of any characters"
    elif kind in (int, float) and not all(bound(rules, names) for names in (("ge", "gt"), ("le", "lt"))):
        yield "number without bounds"
    elif kind is Any or (origin is None and kind in (dict, list, tuple)):
        yield "anything"


def sized(rule: Any) -> bool:
    """Whether a rule says how long something may be: a length, a ceiling, or a pattern with an end."""
    if getattr(rule, "max_length", None) is not None or is_ceiling(rule):
        return True
    pattern = getattr(rule, "pattern", None)
    return pattern is not None and not ENDLESS.search(re.sub(r"\[[^\]]*\]", "x", pattern))


def bound(rules: list[Any], names: tuple[str, ...]) -> bool:
    held = any(getattr(rule, name, None) is not None for rule in rules for name in names)
    return held or ("le" in names and any(map(is_ceiling, rules)))


def is_ceiling(rule: Any) -> bool:
    return isinstance(rule, AfterValidator) and getattr(rule.func, "__qualname__", "").startswith("within.")


@pytest.mark.parametrize(("name", "kind", "rules"), [pytest.param(*each, id=each[0]) for each in fields()])
def test_a_setting_has_an_end(name: str, kind: Any, rules: list[Any]) -> None:
    allowed = {"text of any characters"} if name in HELD_OTHERWISE else set()
    found = [each for each in unbounded(kind, rules) if each not in allowed]
    assert not found, f"{name}: {', '.join(found)}"


def test_the_method_finds_what_has_no_end() -> None:
    class Open(Settings):
        text: str
        numbers: tuple[float, ...]
        free: dict[str, Any]
        word: Annotated[str, AfterValidator(str.strip)] = ""
        choice: Literal["a", "b"] = "a"

    said = {name: list(unbounded(field.annotation, field.metadata)) for name, field in Open.model_fields.items()}
    assert said["text"] == ["text of any length", "text of any characters"]
    assert said["numbers"] == ["tuple of any length", "number without bounds"]
    assert said["free"] == ["dict of any length", "text of any length", "text of any characters", "anything"]
    assert said["word"] == ["text of any length", "text of any characters"]
    assert said["choice"] == []


def test_models_refuse_what_they_do_not_know_and_never_change() -> None:
    models = {kind for _, annotation, _ in fields() for kind in kinds(annotation)
              if isinstance(kind, type) and issubclass(kind, BaseModel)}  # fmt: skip
    assert len(models) > 25
    for model in models:
        assert model.model_config.get("frozen"), model
        assert model.model_config.get("extra") == "forbid", model
        assert model.model_config.get("allow_inf_nan") is False, model
