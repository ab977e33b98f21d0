"""`daybook import`: other systems' files as files of ours.

Belongs here: reading YAML, writing TOML, and the one answer. Does not belong here: what their keys mean
(`trading/config/pysystemtrade.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit
import yaml
from pydantic import BaseModel

from trading.config.pysystemtrade import translated
from trading.config.strategies import StrategySettings, sees_the_future
from trading.errors import ConfigError, UsageError
from trading.strategies.rule import check_rules

LARGEST = 10_000_000  # bytes; a configuration of 500 instruments has 0.2 million


def pysystemtrade_config(file: Path, out: Path) -> dict[str, Any]:
    """Writes the strategy that a pysystemtrade configuration describes to `out`, whole or not at all.

    Returns what was written and, under `notes`, what was not taken over. Raises UsageError on a file that cannot be
    read or written, ConfigError where it gives no strategy.
    """
    if out.suffix != ".toml":
        raise UsageError(f"{out}: a strategy is a .toml file. Name one with --out.")
    name = re.sub(r"[^A-Za-z0-9_]", "_", out.stem)[:40]
    strategy, notes = translated(_read(file), name, file.name)
    check_rules(strategy)
    _write(out, strategy_text(strategy, [f"Imported from {file.name}, a pysystemtrade configuration.", *notes]))
    return {
        "file": str(out),
        "name": strategy.name,
        "rules": list(strategy.rules),
        "instruments": list(strategy.instruments),
        "sees_the_future": list(sees_the_future(strategy)),
        "notes": notes,
    }


def strategy_text(strategy: StrategySettings, heading: list[str]) -> str:
    """A strategy as TOML: what differs from the defaults, each with what it means, under a heading of comments.

    Read again, it is the same strategy.
    """
    document = tomlkit.document()
    for line in heading:
        document.add(tomlkit.comment(" ".join(line.split())))
    _fill(document, strategy, always=("name",))
    text = tomlkit.dumps(document)
    if StrategySettings.model_validate(tomlkit.parse(text).unwrap()) != strategy:
        raise AssertionError(f"strategy {strategy.name} does not survive being written")
    return text


def _read(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > LARGEST:
            raise UsageError(f"{file} is larger than {LARGEST:,} bytes: not a configuration. Name the right file.")
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as cause:
        reason = cause.strerror or cause
        raise UsageError(f"{file} cannot be read: {reason}. Name a pysystemtrade YAML file.") from cause
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as cause:
        reason = " ".join(str(cause).split())
        raise ConfigError(f"{file} is not valid YAML: {reason}. Correct it and import again.") from cause
    if not isinstance(found, Mapping):
        raise ConfigError(f"{file} holds no settings. Name a pysystemtrade system configuration.")
    return {str(key): value for key, value in found.items()}


def _write(out: Path, text: str) -> None:
    draft = out.with_name(f".{out.name}.new")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(out)
    except OSError as cause:
        draft.unlink(missing_ok=True)
        reason = cause.strerror or cause
        raise UsageError(f"{out} cannot be written: {reason}. Name a file in a folder you may write to.") from cause


# --- TOML -------------------------------------------------------------------------------------------------------------
def _fill(table: Any, settings: BaseModel, always: tuple[str, ...] = ()) -> None:
    """Plain values first, then sections: after a section's head, TOML takes every line for the section's."""
    for name, value, description in _given(settings, always):
        if not _is_section(value):
            item = _plain(value)
            item.comment(_line(description))
            table.add(name, item)
    for name, value, _ in _given(settings, always):
        if isinstance(value, BaseModel):
            section = tomlkit.table()
            _fill(section, value, tuple(type(value).model_fields) if not _has_defaults(value) else ())
            table.add(name, section)
        elif _is_section(value):
            table.add(name, _sections(value))


def _given(settings: BaseModel, always: tuple[str, ...]) -> Iterator[tuple[str, Any, str]]:
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        default = None if field.is_required() else field.get_default(call_default_factory=True)
        if name in always or (value is not None and value != default):
            yield name, value, field.description or ""


def _has_defaults(settings: BaseModel) -> bool:
    return not any(field.is_required() for field in type(settings).model_fields.values())


def _is_section(value: Any) -> bool:
    """A model, or a table of tables; a table of numbers stands on one line."""
    return isinstance(value, BaseModel) or (
        isinstance(value, Mapping) and any(isinstance(inner, BaseModel | Mapping) for inner in value.values())
    )


def _sections(values: Mapping[str, Any]) -> Any:
    section = tomlkit.table(is_super_table=True)
    for name, value in values.items():
        if isinstance(value, BaseModel):
            inner = tomlkit.table()
            _fill(inner, value, tuple(type(value).model_fields))
        else:
            inner = _plain(value)
        section.add(name, inner)
    return section


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update(value)
        return table
    return tomlkit.item(list(value) if isinstance(value, tuple) else value)


def _line(text: str) -> str:
    return " ".join(text.split())
