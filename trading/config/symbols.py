"""Settings for symbols as a desk's files give them: defaults, and what classes, groups, strategies and symbols change.

Belongs here: the models, held equal to the list of fields by a test. Does not belong here: that list
(`symbol_fields.py`, which needs no pydantic), tables of many symbols (`symbol_table.py`), or what a symbol gets in the
end (`inheritance.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from trading.config.lineage import faults_of_lineage
from trading.config.settings import Code, Name, StrictSettings
from trading.config.symbol_fields import FIELD, FIELDS, SymbolField, SymbolSettings

__all__ = [
    "FIELD",
    "FIELDS",
    "GroupOverrides",
    "SymbolDefaults",
    "SymbolField",
    "SymbolOverrides",
    "SymbolSettings",
    "SymbolsSettings",
]

Contracts = Annotated[int, Field(ge=0, le=1_000_000)]
Exposure = Annotated[float, Field(ge=0, le=1000)]
TradingMode = Literal["free", "reduce_only", "none"]
OrderType = Literal["market", "limit"]
Offset = Annotated[float, Field(ge=0, le=0.5)]
Spike = Annotated[float, Field(ge=1, le=1e6)]
Sessions = Annotated[int, Field(ge=1, le=1000)]
Points = Annotated[float, Field(ge=1e-9, le=1e12)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

PLACE = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*\.csv")
LONGEST_PLACE = 200


def _said(name: str) -> str:
    return FIELD[name].description


class SymbolDefaults(StrictSettings):
    """What every symbol has that nothing else changes."""

    max_position_contracts: Contracts = Field(500, description=_said("max_position_contracts"))
    max_order_contracts: Contracts = Field(1_000_000, description=_said("max_order_contracts"))
    max_exposure_fraction: Exposure = Field(1000.0, description=_said("max_exposure_fraction"))
    trading_mode: TradingMode = Field("free", description=_said("trading_mode"))
    order_type: OrderType = Field("market", description=_said("order_type"))
    limit_offset_fraction: Offset = Field(0.0, description=_said("limit_offset_fraction"))
    max_spike: Spike = Field(20.0, description=_said("max_spike"))
    max_silent_sessions: Sessions = Field(3, description=_said("max_silent_sessions"))
    max_price_points: Points = Field(1e9, description=_said("max_price_points"))


class SymbolOverrides(StrictSettings):
    """What is changed; what is left out is inherited."""

    max_position_contracts: Contracts | None = Field(None, description=_said("max_position_contracts"))
    max_order_contracts: Contracts | None = Field(None, description=_said("max_order_contracts"))
    max_exposure_fraction: Exposure | None = Field(None, description=_said("max_exposure_fraction"))
    trading_mode: TradingMode | None = Field(None, description=_said("trading_mode"))
    order_type: OrderType | None = Field(None, description=_said("order_type"))
    limit_offset_fraction: Offset | None = Field(None, description=_said("limit_offset_fraction"))
    max_spike: Spike | None = Field(None, description=_said("max_spike"))
    max_silent_sessions: Sessions | None = Field(None, description=_said("max_silent_sessions"))
    max_price_points: Points | None = Field(None, description=_said("max_price_points"))


class GroupOverrides(SymbolOverrides):
    """What an asset class or an exchange group changes, over what its parent changes."""

    inherits: Name | None = Field(None, description="another one of the same section, whose changes hold here too")


class SymbolsSettings(StrictSettings):
    """Settings of symbols. Later over earlier: defaults, asset class, exchange group, strategy, the symbol's own (a
    row of the table, and over it an entry of `symbols`)."""

    defaults: SymbolDefaults = Field(default_factory=SymbolDefaults, description="for every symbol")
    asset_classes: dict[Name, GroupOverrides] = Field(
        default_factory=dict, max_length=500, description="by asset class, as in reference data or the table"
    )
    exchange_groups: dict[Name, GroupOverrides] = Field(
        default_factory=dict, max_length=500, description="by exchange group, likewise"
    )
    strategies: dict[Name, SymbolOverrides] = Field(
        default_factory=dict, max_length=200, description="by strategy; a symbol's own setting goes before"
    )
    symbols: dict[Code, SymbolOverrides] = Field(
        default_factory=dict, max_length=5000, description="by symbol; more of them belong into the table"
    )
    table: str | None = Field(
        None, max_length=LONGEST_PLACE, description="CSV file of symbols, below the folder of the file that names it"
    )
    table_sha256: Sha256 | None = Field(None, description="what the table was when it was read; set by reading it")

    @field_validator("table")
    @classmethod
    def _stays_below(cls, table: str | None) -> str | None:
        if table is not None and not PLACE.fullmatch(table):
            raise ValueError(
                "it must be a .csv file below the folder of the file that names it, as tables/symbols.csv: letters, "
                "digits, _, - and . only, no part that begins with a dot, and no root"
            )
        return table

    @model_validator(mode="after")
    def _inherits_soundly(self) -> SymbolsSettings:
        found = [
            *faults_of_lineage("symbols.asset_classes", parents(self.asset_classes)),
            *faults_of_lineage("symbols.exchange_groups", parents(self.exchange_groups)),
        ]
        if found:
            raise ValueError(" ".join(found))
        return self


def parents(groups: Mapping[str, GroupOverrides]) -> dict[str, str | None]:
    """Whom each class or group inherits from."""
    return {name: group.inherits for name, group in groups.items()}
