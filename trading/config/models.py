"""A desk's settings as one typed, frozen value.

Does not belong here: a section (`data.py`, `features.py`, `trading.py`, `risk.py`, `operations.py`, `symbols.py`,
`strategies.py`), or where settings come from (`pipelines/authored.py`).

Unknown keys are refused, every field is described, and every size is bounded (`ceilings.py`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from trading.config.ceilings import within
from trading.config.data import DataSettings
from trading.config.features import FeatureSettings
from trading.config.migrations import SCHEMA
from trading.config.operations import OperationSettings
from trading.config.risk import RiskSettings
from trading.config.settings import StrictSettings
from trading.config.strategies import StrategySettings
from trading.config.strictness import TooLoose, too_loose
from trading.config.symbol_lookup import SymbolLookup
from trading.config.symbols import SymbolSettings, SymbolsSettings
from trading.config.trading import Capital, TradingSettings

Environment = Literal["development", "paper", "production"]


class DeskSettings(StrictSettings):
    """Everything a run needs to know. Its hash names the configuration a run used."""

    schema_version: int = Field(
        SCHEMA, alias="schema", ge=SCHEMA, le=SCHEMA, description="what this file is written in"
    )
    environment: Environment = Field(
        "development", description="development: files are in force at once; paper, production: what was applied is"
    )
    data: DataSettings = Field(default_factory=DataSettings, description="market data")
    features: FeatureSettings = Field(default_factory=FeatureSettings, description="measures of prices")
    trading: TradingSettings = Field(default_factory=TradingSettings, description="what is traded")
    risk: RiskSettings = Field(default_factory=RiskSettings, description="limits on the book")
    symbols: SymbolsSettings = Field(default_factory=SymbolsSettings, description="settings of single instruments")
    operations: OperationSettings = Field(default_factory=OperationSettings, description="runs, notices, changes")
    strategies: Annotated[tuple[StrategySettings, ...], within("strategies")] = Field(
        (), strict=False, description="the strategies that trade, as read"
    )
    _lookup: SymbolLookup | None = PrivateAttr(None)

    @field_validator("strategies")
    @classmethod
    def _capital_is_the_desks(cls, strategies: tuple[StrategySettings, ...]) -> tuple[StrategySettings, ...]:
        """A backtest's own profit is not the account's, so it cannot be what sizes targets."""
        for strategy in strategies:
            if strategy.compounding != "fixed":
                raise ValueError(
                    f"strategy {strategy.name} has compounding = '{strategy.compounding}' and cannot be traded: what "
                    "it trades with is the desk's capital, and that is set. Set its compounding to 'fixed', and "
                    "trading.capital.capital_base of the desk to what the account holds when that changes."
                )
        return strategies

    @model_validator(mode="after")
    def _fits_its_environment(self) -> DeskSettings:
        found = list(too_loose(self))
        if found:
            raise TooLoose(found)
        return self

    @property
    def capital(self) -> Capital:
        """What the desk trades with."""
        return self.trading.capital

    def symbol(self, code: str, strategy: str | None = None) -> SymbolSettings:
        """Settings of one instrument, for a strategy or for none. Until the table and the reference data are known
        (`with_symbols`), and of an instrument that neither names, by name alone: its class and group say nothing."""
        if self._lookup is None or self._lookup.settings is not self.symbols:  # a changed copy keeps what was private
            self._lookup = SymbolLookup(self.symbols)
        return self._lookup.of(code, strategy)

    def with_symbols(self, lookup: SymbolLookup) -> DeskSettings:
        """The same settings, with instruments as the table and the reference data classify them."""
        found = self.model_copy()
        found._lookup = lookup
        return found

    def document(self) -> str:
        """All settings as canonical JSON, which `model_validate_json` reads back."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), sort_keys=True, separators=(",", ":"))

    def content_hash(self) -> str:
        """SHA-256 of `document`."""
        return hashlib.sha256(self.document().encode()).hexdigest()
