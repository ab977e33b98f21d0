"""A violation: what a data rule found, as a value. Does not belong here: the rules (one file each beside this one)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

Severity = Literal["error", "warning"]
Layer = Literal["input", "processing", "output"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One finding. `label` is the vendor's stamp or empty for a whole series; `message` names the cure."""

    layer: Layer
    dataset: str
    rule: str
    severity: Severity
    series: str
    session: date
    label: str
    message: str
    column_name: str | None = None
    value: str | None = None
