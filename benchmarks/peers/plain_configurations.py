"""Peers of the compiled configuration: a list of pydantic models, msgspec structs, and a plain dict of dicts.

Belongs here: the same settings of symbols, held to the same bounds where the peer checks any, written as its users
would. Does not belong here: Daybook's own way, or measuring.
"""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

NAME = r"^[A-Za-z0-9_-]{1,40}$"


class Model(BaseModel):
    """A symbol, by pydantic."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    symbol: str = Field(pattern=NAME)
    asset_class: str = Field(pattern=NAME)
    exchange_group: str = Field(pattern=NAME)
    max_position_contracts: int = Field(ge=0, le=1_000_000)
    max_order_contracts: int = Field(ge=0, le=1_000_000)
    max_exposure_fraction: float = Field(ge=0, le=1000)
    trading_mode: Literal["free", "reduce_only", "none"]
    order_type: Literal["market", "limit"]
    limit_offset_fraction: float = Field(ge=0, le=0.5)
    max_spike: float = Field(ge=1, le=1e6)
    max_silent_sessions: int = Field(ge=1, le=1000)
    max_price_points: float = Field(ge=1e-9, le=1e12)


Contracts = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Name = Annotated[str, msgspec.Meta(pattern=NAME)]


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A symbol, by msgspec."""

    symbol: Name
    asset_class: Name
    exchange_group: Name
    max_position_contracts: Contracts
    max_order_contracts: Contracts
    max_exposure_fraction: Annotated[float, msgspec.Meta(ge=0, le=1000)]
    trading_mode: Literal["free", "reduce_only", "none"]
    order_type: Literal["market", "limit"]
    limit_offset_fraction: Annotated[float, msgspec.Meta(ge=0, le=0.5)]
    max_spike: Annotated[float, msgspec.Meta(ge=1, le=1e6)]
    max_silent_sessions: Annotated[int, msgspec.Meta(ge=1, le=1000)]
    max_price_points: Annotated[float, msgspec.Meta(ge=1e-9, le=1e12)]


MODELS = TypeAdapter(list[Model])
_WHOLE = ("max_position_contracts", "max_order_contracts", "max_silent_sessions")
_NUMBER = ("max_exposure_fraction", "limit_offset_fraction", "max_spike", "max_price_points")


# --- what people write ------------------------------------------------------------------------------------------------
def models_of_csv(file: Path) -> dict[str, Model]:
    """Models by symbol, from a CSV table."""
    with file.open(encoding="utf-8", newline="") as opened:
        return {each.symbol: each for each in MODELS.validate_python(list(csv.DictReader(opened)))}


def models_of_json(file: Path) -> dict[str, Model]:
    """Models by symbol, from JSON."""
    return {each.symbol: each for each in MODELS.validate_json(file.read_bytes())}


def structs_of_json(file: Path) -> dict[str, Struct]:
    """Structs by symbol, from JSON."""
    return {each.symbol: each for each in msgspec.json.decode(file.read_bytes(), type=list[Struct])}


def dicts_of_csv(file: Path) -> dict[str, dict[str, Any]]:
    """Dicts by symbol, from a CSV table; nothing is checked but that numbers are numbers."""
    with file.open(encoding="utf-8", newline="") as opened:
        return {row["symbol"]: _typed(row) for row in csv.DictReader(opened)}


def _typed(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: int(row[name]) for name in _WHOLE} | {name: float(row[name]) for name in _NUMBER}


# --- what was validated before ----------------------------------------------------------------------------------------
def structs_of_msgpack(file: Path) -> dict[str, Struct]:
    """Structs by symbol, from msgpack."""
    return {each.symbol: each for each in msgspec.msgpack.decode(file.read_bytes(), type=list[Struct])}


def dicts_of_pickle(file: Path) -> dict[str, dict[str, Any]]:
    """Dicts by symbol, from a pickle."""
    found: dict[str, dict[str, Any]] = pickle.loads(file.read_bytes())
    return found


def written(folder: Path, rows: list[dict[str, Any]]) -> None:
    """rows.json, rows.msgpack and rows.pickle of the same symbols."""
    (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "rows.msgpack").write_bytes(msgspec.msgpack.encode(rows))
    (folder / "rows.pickle").write_bytes(pickle.dumps({row["symbol"]: row for row in rows}, 5))
