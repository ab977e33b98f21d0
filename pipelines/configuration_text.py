"""Settings as the text of files.

Belongs here: TOML out of plain values. Does not belong here: choosing which (`configuration_views.py`), or writing
files (`configuration_files.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

READ = "strategies"  # a section that no file of settings gives: it is read from files of its own


def as_toml(found: Mapping[str, Any]) -> str:
    """Settings as TOML. As a whole it is a desk.toml: strategies, which are files of their own, are only named."""
    settings = found["settings"]
    strategies = [each["name"] for each in settings.get(READ, ())] if "schema" in settings else []
    tail = f"\n# strategies as read: {', '.join(strategies)} (daybook config show strategies)\n" if strategies else ""
    head = f"# configuration {found['configuration']}, environment {found['environment']}\n"
    return f"{head}{settings_toml(settings)}{tail}"


def settings_toml(given: Mapping[str, Any]) -> str:
    """Settings as TOML, without a remark: none that the next who edits the file makes untrue."""
    import tomlkit

    settings = dict(given)
    if "schema" in settings:
        settings.pop(READ, None)
        settings = {"schema": settings.pop("schema"), **settings}
        if "symbols" in settings:
            settings["symbols"] = {key: each for key, each in settings["symbols"].items() if key != "table_sha256"}
    return tomlkit.dumps(_nested({path: _without_none(value) for path, value in settings.items()}))


def _nested(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted paths as tables in tables."""
    made: dict[str, Any] = {}
    for path, value in sections.items():
        *above, name = path.split(".")
        at = made
        for part in above:
            at = at.setdefault(part, {})
        at[name] = value
    return made


def strategy_toml(values: Mapping[str, Any]) -> str:
    """A strategy as a file of its own."""
    import tomlkit

    return tomlkit.dumps(_without_none(values))


def _without_none(value: Any) -> Any:
    """TOML has no word for none: what is not given stays so."""
    if isinstance(value, Mapping):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    return [_without_none(each) for each in value] if isinstance(value, list) else value
