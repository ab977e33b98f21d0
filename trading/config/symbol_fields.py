"""What may be set for a symbol: every field with its kind, bounds, unit and default.

Belongs here: the one list of fields that tables, snapshots and models are made from, and the check of single values
against it. Does not belong here: pydantic, numpy or Arrow (a process that only reads a compiled snapshot loads none of
them), the settings of classes and groups (`symbols.py`), or what a symbol inherits (`inheritance.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from trading.config.secrets import HIDDEN, looks_secret
from trading.errors import ConfigError

Value = int | float | str
COMPARED = 500  # names a misspelt one is compared with: a few milliseconds
LONGEST_NAME = 60  # of what a message repeats
KINDS = {"whole": "a whole number", "number": "a number"}


@dataclass(frozen=True, slots=True)
class SymbolField:
    """A field of a symbol's settings. `least` and `most` are both allowed; numbers are finite; `choices` in order: a
    snapshot stores their index."""

    name: str
    kind: Literal["whole", "number", "choice"]
    default: Value
    unit: str
    description: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What may be given, in words: `a whole number from 0 to 1000000`, `one of market, limit`."""
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        return f"{KINDS[self.kind]} from {self.least:.15g} to {self.most:.15g}"


class SymbolSettings(NamedTuple):
    """What is in force for one symbol. Fields, their units and bounds: `FIELDS`, in the same order."""

    max_position_contracts: int = 500
    max_order_contracts: int = 1_000_000
    max_exposure_fraction: float = 1000.0
    trading_mode: str = "free"
    order_type: str = "market"
    limit_offset_fraction: float = 0.0
    max_spike: float = 20.0
    max_silent_sessions: int = 3
    max_price_points: float = 1e9


FIELDS: tuple[SymbolField, ...] = (
    SymbolField(
        "max_position_contracts", "whole", 500, "contracts", "largest position, either way", 0, 1_000_000
    ),
    SymbolField("max_order_contracts", "whole", 1_000_000, "contracts", "largest single order", 0, 1_000_000),
    SymbolField(
        "max_exposure_fraction", "number", 1000.0, "fraction", "largest |notional| of the instrument / capital", 0, 1000
    ),
    SymbolField(
        "trading_mode", "choice", "free", "", "which orders are let through: all, those that reduce, or none",
        choices=("free", "reduce_only", "none"),
    ),
    SymbolField(
        "order_type", "choice", "market", "", "orders at market, or limited around the reference price",
        choices=("market", "limit"),
    ),
    SymbolField(
        "limit_offset_fraction", "number", 0.0, "fraction", "limit price beyond the reference price / it", 0, 0.5
    ),
    SymbolField("max_spike", "number", 20.0, "times", "largest change of a price / its usual change", 1, 1e6),
    SymbolField(
        "max_silent_sessions", "whole", 3, "sessions", "sessions without a new price before it is stale", 1, 1000
    ),
    SymbolField("max_price_points", "number", 1e9, "points", "largest believable price", 1e-9, 1e12),
)  # fmt: skip
FIELD: Mapping[str, SymbolField] = MappingProxyType({field.name: field for field in FIELDS})


def checked(changes: Mapping[str, object]) -> dict[str, Value]:
    """Values for fields of a symbol, each of the right kind and within bounds: whole numbers as int, numbers as float.

    Raises ConfigError with a sentence for every field that is unknown or wrong.
    """
    found = [text for name, value in changes.items() for text in _wrong(name, value)]
    if found:
        raise ConfigError(" ".join(found))
    return {name: _plain(FIELD[name], value) for name, value in changes.items()}


def fault(field: SymbolField, value: object) -> str | None:
    """What is wrong with a value, as the end of `... is 5: `; none where nothing is."""
    if field.kind == "choice":
        return None if value in field.choices and isinstance(value, str) else "not a choice"
    kinds = int if field.kind == "whole" else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        return f"not {KINDS[field.kind]}"
    if not math.isfinite(value):
        return "not a finite number"
    return out_of_bounds(field, value)


def out_of_bounds(field: SymbolField, value: float) -> str | None:
    """`below 0` or `above 1000` where a number is; none where it is within the bounds."""
    if field.least is not None and value < field.least:
        return f"below {field.least:.15g}"
    if field.most is not None and value > field.most:
        return f"above {field.most:.15g}"
    return None


def near(given: object, known: Iterable[str]) -> str:
    """` Did you mean x?`, or nothing. Other case is meant first. Of very many names those that begin alike are
    compared."""
    from difflib import get_close_matches  # 5 ms, for those alone who misspelt something

    text, names = str(given)[:LONGEST_NAME], list(known)
    found = [name for name in names if name.casefold() == text.casefold()]
    if not found and len(names) > COMPARED:
        names = [name for name in names if name[:2] == text[:2]][:COMPARED]
    found = found or get_close_matches(text, names, 1)
    return f" Did you mean {found[0]}?" if found else ""


def shown(value: object) -> str:
    """A value as a message repeats it, in 60 characters at most; one that looks like a secret is not repeated."""
    if looks_secret(value if isinstance(value, str) else repr(value)):
        return HIDDEN
    text = repr(value[:LONGEST_NAME] if isinstance(value, str) else value)
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."


def _wrong(name: str, value: object) -> Iterator[str]:
    field = FIELD.get(name)
    if field is None:
        meant, listed = near(name, FIELD), ", ".join(FIELD)
        told = HIDDEN if looks_secret(name) else name[:LONGEST_NAME]
        yield f"{told} is not a setting of a symbol.{meant} Settings are: {listed}."
        return
    reason = fault(field, value)
    if reason is not None:
        yield f"{name} is {shown(value)}: {reason}. It must be {field.allowed}.{near(value, field.choices)}"


def _plain(field: SymbolField, value: object) -> Value:
    return float(value) if field.kind == "number" else value  # type: ignore[arg-type, return-value]
