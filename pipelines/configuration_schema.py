"""JSON schemas of configuration files, with the parameters of every rule that a strategy file may name.

Belongs here: asking which rules there are. Does not belong here: the schemas (`trading/config/json_schema.py`).
"""

from __future__ import annotations

from typing import Any

from trading.config.json_schema import KINDS, json_schema
from trading.errors import UsageError


def schema_of_files(kind: str) -> dict[str, Any]:
    """The JSON schema of a sort of file. Raises UsageError on one that there is not."""
    for each in KINDS:
        if each == kind:
            return json_schema(each, _parameters() if kind == "strategy" else None)
    raise UsageError(f"there is no sort of file {kind!r}. Give one of: {', '.join(KINDS)}.")


def _parameters() -> dict[str, Any]:
    from pipelines.plugins import known_rules

    return {name: rule.parameters for name, rule in known_rules((), ()).items()}
