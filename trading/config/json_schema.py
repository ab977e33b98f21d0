"""What may stand in a configuration file, as JSON schema: editors complete, explain and underline by it.

Belongs here: the schema of each sort of file, made from the models, with what files may say and models do not show.
Does not belong here: writing it anywhere (`daybook config schema`), or rules over several settings, which no schema
says: whoever reads the file checks those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel

from trading.config.models import DeskSettings
from trading.config.settings import OrNone, Secret
from trading.config.strategies import StrategySettings
from trading.config.symbols import SymbolsSettings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FileKind = Literal["desk", "strategy"]
KINDS: tuple[FileKind, ...] = get_args(FileKind)
_TITLES: Mapping[FileKind, str] = {
    "desk": "Settings of a desk: config/*.toml and a home's desk.toml",
    "strategy": "A strategy: a file of config/strategies or of a home's strategies",
}
_MODELS: Mapping[FileKind, type[BaseModel]] = {"desk": DeskSettings, "strategy": StrategySettings}
# Fields that reading sets and no file gives.
_NOT_WRITTEN: Mapping[type[BaseModel], frozenset[str]] = {
    DeskSettings: frozenset({"strategies"}),
    SymbolsSettings: frozenset({"table_sha256"}),
}


def json_schema(kind: FileKind, rules: Mapping[str, type[BaseModel]] | None = None) -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a sort of file, as plain values. `rules`: the parameters of forecasting rules
    by name, so that a strategy file's parameters are held to those of its rule."""
    model = _MODELS[kind]
    schema = model.model_json_schema(by_alias=True)
    parts: dict[str, Any] = schema.setdefault("$defs", {})
    for each in sorted(set(_models(model)), key=lambda found: found.__name__):
        _as_written(parts.get(each.__name__, schema), each)
    for part in (schema, *parts.values()):
        _walk(part, _closed)
    if kind == "strategy":
        schema["required"] = [name for name in schema.get("required", ()) if name != "name"]  # the file's name is
        _with_rules(parts, rules or {})
    _drop_unused(schema)
    return {"$schema": DIALECT, "title": _TITLES[kind], **{k: v for k, v in schema.items() if k != "title"}}


# --- from models to files ---------------------------------------------------------------------------------------------
def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all inside it."""
    yield model
    for field in model.model_fields.values():
        for inner in _inside(field.annotation):
            yield from _models(inner)


def _inside(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    else:
        for part in get_args(kind):
            yield from _inside(part)


def _as_written(part: dict[str, Any], model: type[BaseModel]) -> None:
    """A section as files have it: without what only reading sets, and with "" where that stands for none."""
    properties = part["properties"]
    for name, field in model.model_fields.items():
        key = field.alias or name
        if name in _NOT_WRITTEN.get(model, ()):
            del properties[key]
        elif OrNone in field.metadata:
            properties[key]["anyOf"].append({"const": ""})
    if model is Secret:
        part |= {"minProperties": 1, "maxProperties": 1}


def _walk(part: Any, visit: Callable[[dict[str, Any]], None]) -> None:
    if isinstance(part, dict):
        visit(part)
        for value in part.values():
            _walk(value, visit)
    elif isinstance(part, list):
        for value in part:
            _walk(value, visit)


def _closed(part: dict[str, Any]) -> None:
    """No names but those a table allows; no titles, which only repeat names; no default that nobody can write."""
    if "patternProperties" in part:
        part["additionalProperties"] = False
    if isinstance(part.get("title"), str) and ("type" in part or "anyOf" in part or "$ref" in part):
        del part["title"]
    if part.get("default", "") is None:
        del part["default"]


def _with_rules(parts: dict[str, Any], rules: Mapping[str, type[BaseModel]]) -> None:
    rule = parts["RuleSettings"]
    if not rules:
        return
    rule["properties"]["rule"]["examples"] = list(rules)
    rule["allOf"] = [
        {
            "if": {"properties": {"rule": {"const": name}}, "required": ["rule"]},
            "then": {"properties": {"parameters": model.model_json_schema()}},
        }
        for name, model in rules.items()
    ]


def _drop_unused(schema: dict[str, Any]) -> None:
    """Leaves out parts that nothing names any more."""
    parts = schema["$defs"]
    while unused := set(parts) - _named(schema):
        for name in unused:
            del parts[name]


def _named(schema: dict[str, Any]) -> set[str]:
    used: set[str] = set()
    _walk(schema, lambda part: used.add(str(part.get("$ref", "")).removeprefix("#/$defs/")))
    return used
