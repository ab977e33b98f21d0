"""Settings of data: what is followed, who delivers it, how it becomes sessions, and where it is kept.

Belongs here: the section `data` of a desk's settings. Does not belong here: what is computed from prices
(`features.py`), or what is traded (`trading.py`).
"""

from __future__ import annotations

import codecs
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from trading.config.ceilings import within
from trading.config.settings import (
    PRINTABLE,
    Code,
    Column,
    FilePath,
    Name,
    OrNone,
    Secret,
    StrictSettings,
    refuse_in_the_clear,
)

Delimiter = Annotated[str, StringConstraints(pattern=r"^[\t !#-~]$")]
Timeframe = Literal["daily", "intraday"]


def _encoding(given: str) -> str:
    try:
        return codecs.lookup(given).name
    except LookupError:
        raise ValueError("there is no such text encoding. Write utf-8, or latin-1") from None


def _file_pattern(given: str) -> str:
    try:
        groups = re.compile(given).groupindex
    except re.error as cause:
        raise ValueError(f"it is not a regular expression: {cause}") from None
    missing = sorted({"instrument", "contract"} - set(groups))
    if missing:
        raise ValueError(f"it has no group {' and no group '.join(missing)}. Write one as (?P<{missing[0]}>...)")
    return given


Encoding = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$"), AfterValidator(_encoding)]


class Universe(StrictSettings):
    """Which instruments the desk follows."""

    instruments: Annotated[tuple[Code, ...], within("symbols")] = Field(
        (), strict=False, description="instruments to follow; empty: all that the vendor has"
    )
    excluded: Annotated[tuple[Code, ...], within("symbols")] = Field(
        (), strict=False, description="instruments not to follow, of those"
    )

    @model_validator(mode="after")
    def _apart(self) -> Universe:
        both = sorted(set(self.instruments) & set(self.excluded))
        if both:
            raise ValueError(
                f"data.universe.instruments and data.universe.excluded both name {', '.join(both[:5])}. Take "
                "each out of one of them."
            )
        return self

    def follows(self, code: str) -> bool:
        """Whether an instrument is followed."""
        return code not in self.excluded and (not self.instruments or code in self.instruments)


class CsvColumns(StrictSettings):
    """Which column of a contract file is which, for the csv_folder vendor."""

    time: Column = Field("Time", description="time stamp column")
    open: Annotated[Column | None, OrNone] = Field("Open", description="open column; empty: not delivered")
    high: Annotated[Column | None, OrNone] = Field("High", description="high column; empty: not delivered")
    low: Annotated[Column | None, OrNone] = Field("Low", description="low column; empty: not delivered")
    close: Column = Field("Close", description="last or settlement price column")
    volume: Annotated[Column | None, OrNone] = Field("Volume", description="volume column; empty: not delivered")
    time_format: Column | None = Field(None, description="strftime pattern of the time stamps; none: ISO 8601")
    delimiter: Delimiter = Field(",", description="field separator")
    encoding: Encoding = Field("utf-8", description="text encoding of the files")
    file_pattern: Annotated[
        str,
        StringConstraints(max_length=300, pattern=PRINTABLE),
        AfterValidator(refuse_in_the_clear),
        AfterValidator(_file_pattern),
    ] = Field(
        r"(?P<instrument>[A-Za-z0-9_]+?)_(?P<contract>\d{8})\.csv",
        description="regular expression of a file name, with groups instrument and contract",
    )
    price_factor: float = Field(1.0, gt=0, le=1e9, description="prices are multiplied by this")
    frequency: Timeframe = Field("daily", description="what the bars are")


class VendorSettings(StrictSettings):
    """Where market data comes from."""

    name: Literal["simulated", "pysystemtrade", "csv_folder"] = Field("simulated", description="which vendor")
    source: FilePath | None = Field(None, description="folder, for vendors that read files")
    seed: int = Field(1, ge=0, le=2**63 - 1, description="seed of the simulated market")
    faults: tuple[Name, ...] = Field(
        (), max_length=100, strict=False, description="faults the simulated market injects"
    )
    columns: CsvColumns = Field(default_factory=CsvColumns, description="mapping of the csv_folder vendor")


class Prices(StrictSettings):
    """How prices become sessions and series."""

    calendar: Literal["exchange", "weekdays"] = Field(
        "exchange", description="exchange sessions, or plain weekdays with weekend rows counted to Friday"
    )
    stitching: Literal["panama", "ratio"] = Field("panama", description="how adjusted prices are stitched")


class Streaming(StrictSettings):
    """Messages between processes, where a server carries them (Redis)."""

    max_connections: Annotated[int, within("connections")] = Field(
        16, ge=2, description="connections of a process to it, at most"
    )
    buffer_messages: Annotated[int, within("buffered_messages")] = Field(
        10_000, ge=1, description="writes that wait for it in a process, at most (write_behind); then the writer waits"
    )
    timeout_seconds: float = Field(0.5, gt=0, le=60, description="how long it may take to answer, seconds")
    reconnect_first_seconds: float = Field(5.0, gt=0, le=600, description="pause after a lost connection, seconds")
    reconnect_longest_seconds: float = Field(60.0, gt=0, le=3600, description="the pause doubles up to this, seconds")

    @model_validator(mode="after")
    def _grows(self) -> Streaming:
        if self.reconnect_first_seconds > self.reconnect_longest_seconds:
            raise ValueError(
                f"data.streaming.reconnect_first_seconds ({self.reconnect_first_seconds:g}) is above "
                f"data.streaming.reconnect_longest_seconds ({self.reconnect_longest_seconds:g}). Raise the second."
            )
        return self


class LedgerSettings(StrictSettings):
    """Where the journal is kept."""

    store: Literal["sqlite", "mongodb", "postgresql"] = Field("sqlite", description="which database keeps the book")
    address: Secret | None = Field(
        None, description="where its server is; none: the variable MONGODB_URI or POSTGRES_URI"
    )
    timeout_seconds: float = Field(10.0, gt=0, le=600, description="how long a server may take to answer, seconds")
    max_connections: Annotated[int, within("connections")] = Field(
        16, ge=1, description="connections of a process to that server, at most"
    )


class CacheSettings(StrictSettings):
    """What is kept hot in a process, before Redis where there is one."""

    max_entries: int = Field(2_000, ge=1, le=10_000_000, description="values kept, at most")
    max_bytes: int = Field(256_000_000, ge=1_000, le=2**40, description="bytes of values kept, at most")
    writes: Literal["write_through", "lazy", "write_behind"] = Field(
        "write_through", description="to both at once; to Redis, and here when read; here, and to Redis soon"
    )
    address: Secret | None = Field(None, description="where Redis is; none: the variable REDIS_URL")


class StorageSettings(StrictSettings):
    """The backends."""

    ledger: LedgerSettings = Field(default_factory=LedgerSettings, description="the book's database")
    cache: CacheSettings = Field(default_factory=CacheSettings, description="hot values")


class Parallelism(StrictSettings):
    """How much runs at once."""

    jobs: Annotated[int, within("jobs")] = Field(0, ge=0, description="worker processes of a sweep; 0: one a processor")
    job_memory_mb: float | None = Field(
        None, gt=0, le=1e7, description="memory at which a worker is stopped, MB; none: no limit"
    )


class RetentionSettings(StrictSettings):
    """What is kept of what piles up: snapshots of the home, and compiled configurations."""

    newest: int = Field(3, ge=1, le=10_000, description="snapshots kept: the newest ones")
    days: int = Field(14, ge=0, le=10_000, description="and the last one of each of so many days")
    weeks: int = Field(8, ge=0, le=10_000, description="and of so many weeks")
    months: int = Field(24, ge=0, le=10_000, description="and of so many months")
    configurations: int = Field(
        50, ge=2, le=100_000, description="compiled configurations kept; what they were compiled from always is"
    )


class DataSettings(StrictSettings):
    """Market data: what, from whom, as what, and where."""

    universe: Universe = Field(default_factory=Universe, description="what is followed")
    vendor: VendorSettings = Field(default_factory=VendorSettings, description="who delivers")
    timeframes: tuple[Timeframe, ...] = Field(
        ("daily", "intraday"), min_length=1, max_length=2, strict=False, description="bars of contracts that are kept"
    )
    prices: Prices = Field(default_factory=Prices, description="sessions and series")
    streaming: Streaming = Field(default_factory=Streaming, description="messages between processes")
    storage: StorageSettings = Field(default_factory=StorageSettings, description="backends")
    parallelism: Parallelism = Field(default_factory=Parallelism, description="what runs at once")
    retention: RetentionSettings = Field(default_factory=RetentionSettings, description="what is kept")

    @model_validator(mode="after")
    def _delivered(self) -> DataSettings:
        if self.vendor.name == "csv_folder" and self.vendor.columns.frequency not in self.timeframes:
            raise ValueError(
                f"data.vendor.columns.frequency is {self.vendor.columns.frequency}, and data.timeframes keeps only "
                f"{', '.join(self.timeframes)}: nothing would be kept. Add it to data.timeframes."
            )
        return self
