"""What is measured of a configuration in force, as a value. Does not belong here: figures for a scraper
(`resources/config_metrics.py`), or what reading it costs (`pipelines/configuration_status.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Measured:
    """A configuration that came into force: its number and hash, when that was (UTC), its environment, and its compiled
    snapshot: bytes of the file, and symbols in it."""

    number: int
    configuration: str
    since: datetime
    environment: str
    snapshot_bytes: int = 0
    symbols: int = 0
