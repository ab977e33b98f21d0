"""Settings compiled: the one place that says what a snapshot of a desk holds.

Belongs here: sections and facts out of settings. Does not belong here: the columns of symbols (`symbols.py`), how a
snapshot lies in memory (`trading/config/compiled.py`), or putting one in force (`configuration.py`).
"""

from __future__ import annotations

import json

from trading.config.compiled import compiled
from trading.config.models import DeskSettings
from trading.config.snapshot_facts import Fact
from trading.config.symbol_columns import SymbolColumns


def compiled_settings(settings: DeskSettings, columns: SymbolColumns) -> bytes:
    """The bytes of a snapshot: equal settings and columns give equal bytes. Every section of the settings is in it as
    canonical JSON, under its name; symbols in as many shards as the settings say. Raises ConfigError."""
    document = settings.model_dump(mode="json", by_alias=True)
    sections = {name: json.dumps(section, sort_keys=True, separators=(",", ":")).encode()
                for name, section in document.items()}  # fmt: skip
    return compiled(columns, sections, facts_of(settings), settings.operations.changes.shards)


def facts_of(settings: DeskSettings) -> dict[str, Fact]:
    """What holds for the whole of a configuration, as snapshots have it."""
    capital, risk = settings.trading.capital, settings.risk
    return {
        "configuration_hash": settings.content_hash(),
        "environment": settings.environment,
        "base_currency": capital.base_currency,
        "capital_base": capital.capital_base,
        "max_gross_exposure_fraction": risk.max_gross_exposure_fraction,
        "max_daily_loss_fraction": risk.max_daily_loss_fraction,
    }
