"""Settings as typed, frozen values. Does not belong here: where they come from (`pipelines/settings.py`).

Unknown keys are refused, every field is described, and every size is bounded.
"""

from __future__ import annotations

import hashlib
import json
from datetime import time
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints, field_validator

from trading.config.settings import Code, Name, Settings
from trading.config.strategies import StrategySettings

OrNone = Annotated[str | None, BeforeValidator(lambda given: given or None)]  # TOML has no word for none: ""
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


class Capital(Settings):
    """What the desk trades with."""

    base_currency: Currency = Field("USD", description="currency of capital, limits and reports")
    capital_base: float = Field(1_000_000.0, gt=0, le=1e13, description="capital, base currency")
    volatility_target_percent: float = Field(20.0, gt=0, le=100, description="annual volatility target, % of capital")


class Market(Settings):
    """How prices become sessions and measures."""

    calendar: Literal["exchange", "weekdays"] = Field(
        "exchange", description="exchange sessions, or plain weekdays with weekend rows counted to Friday"
    )
    stitching: Literal["panama", "ratio"] = Field("panama", description="how adjusted prices are stitched")
    correlation_span_weeks: int = Field(75, ge=2, le=1000, description="span of the exponential correlation, weeks")
    correlation_min_weeks: int = Field(10, ge=2, le=1000, description="weekly returns needed before a correlation")


class Limits(Settings):
    """What no order and no position may pass. Fractions are of capital."""

    max_position_contracts: int = Field(500, ge=0, le=1_000_000, description="contracts of an instrument, either way")
    max_gross_exposure_fraction: float = Field(20.0, ge=0, le=1000, description="sum of |notional| / capital")
    max_daily_loss_fraction: float = Field(0.05, ge=0, le=1, description="session loss / capital that stops new orders")


class CsvColumns(Settings):
    """Which column of a contract file is which, for the csv_folder vendor."""

    time: str = Field("Time", description="time stamp column")
    open: OrNone = Field("Open", description="open column; empty: not delivered")
    high: OrNone = Field("High", description="high column; empty: not delivered")
    low: OrNone = Field("Low", description="low column; empty: not delivered")
    close: str = Field("Close", description="last or settlement price column")
    volume: OrNone = Field("Volume", description="volume column; empty: not delivered")
    time_format: str | None = Field(None, description="strftime pattern of the time stamps; none: ISO 8601")
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = Field(",", description="field separator")
    encoding: str = Field("utf-8", description="text encoding of the files")
    file_pattern: str = Field(
        r"(?P<instrument>[A-Za-z0-9_]+?)_(?P<contract>\d{8})\.csv",
        description="regular expression of a file name, with groups instrument and contract",
    )
    price_factor: float = Field(1.0, gt=0, description="prices are multiplied by this")
    frequency: Literal["daily", "intraday"] = Field("daily", description="what the bars are")


class VendorSettings(Settings):
    """Where market data comes from."""

    name: Literal["simulated", "pysystemtrade", "csv_folder"] = Field("simulated", description="which vendor")
    source: str | None = Field(None, description="folder, for vendors that read files")
    instruments: tuple[Code, ...] = Field((), max_length=5000, description="instruments to follow; empty: all it has")
    seed: int = Field(1, ge=0, description="seed of the simulated market")
    faults: tuple[Name, ...] = Field((), description="faults the simulated market injects")
    columns: CsvColumns = Field(default_factory=CsvColumns, description="mapping of the csv_folder vendor")


class RunSettings(Settings):
    """How runs share one desk."""

    wait_seconds: float = Field(
        30.0, ge=0, le=3600, description="how long a run waits for another one of the same desk, seconds"
    )


class LedgerSettings(Settings):
    """Where the journal is kept. Addresses of servers are read from the environment: MONGODB_URI, POSTGRES_URI."""

    store: Literal["sqlite", "mongodb", "postgresql"] = Field("sqlite", description="which database keeps the book")
    timeout_seconds: float = Field(10.0, gt=0, le=600, description="how long a server may take to answer, seconds")


class StatementColumns(Settings):
    """Which column of a broker's CSV statement is which; empty: the statement does not have it."""

    record: OrNone = Field("record", description="column that says position, trade or cash; empty: positions only")
    symbol: str = Field("symbol", description="the broker's name of the contract")
    contract: OrNone = Field("contract", description="contract month, as YYYYMM or YYYYMMDD")
    quantity: str = Field("quantity", description="signed contracts")
    price: OrNone = Field("price", description="average price of a position, price of a trade, points")
    currency: OrNone = Field("currency", description="currency of cash")
    amount: OrNone = Field("amount", description="cash, local")
    trade_id: OrNone = Field("trade_id", description="the broker's id of a trade")
    commission: OrNone = Field("commission", description="commission of a trade, local")
    executed_at: OrNone = Field("executed_at", description="time of a trade")
    order_reference: OrNone = Field(None, description="our order id, where the broker repeats it in its trades")
    settles_daily: bool = Field(
        True, description="cash holds the profit of open positions, as futures accounts do; false: trades in full"
    )
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = Field(",", description="field separator")
    encoding: str = Field("utf-8", description="text encoding")
    date_format: str = Field("%Y-%m-%d", description="how the session is written in file names")


class BrokerSettings(Settings):
    """Who executes, and where the broker's statements come from."""

    name: Literal["paper", "statement_file", "interactive_brokers"] = Field("paper", description="which broker")
    account: str | None = Field(None, description="the broker's name of our account")
    host: str = Field("127.0.0.1", description="gateway of interactive_brokers")
    port: int = Field(4002, ge=1, le=65535, description="port of that gateway")
    client_id: int = Field(1, ge=0, le=2**31 - 1, description="client id at that gateway")
    timeout_seconds: float = Field(20.0, gt=0, le=600, description="how long the gateway may take, seconds")
    timezone: str = Field("America/New_York", description="time zone of its days, and of Flex files")
    session_ends: Annotated[time | None, BeforeValidator(lambda given: given or None)] = Field(
        None, description="time of its day after which trades belong to the next session; empty: at midnight"
    )
    history_days: int = Field(
        1, ge=1, le=7, description="days of trades it tells, today included: 1, or as long as the trade log of TWS"
    )
    order_type: Literal["market", "limit"] = Field(
        "market", description="orders at it: at market, or limited to the reference price"
    )
    statements: str | None = Field(None, description="folder of statement files; none: <home>/statements")
    statement_format: Literal["csv", "flex"] = Field("csv", description="what statement files are")
    columns: StatementColumns = Field(default_factory=StatementColumns, description="mapping of CSV statements")
    symbols: dict[str, str] = Field(
        default_factory=dict, max_length=5000, description="broker's symbol to instrument code, where they differ"
    )


class ReconciliationSettings(Settings):
    """What still agrees with the broker, and who looks after what does not."""

    price_tolerance_fraction: float = Field(1e-4, ge=0, le=1, description="average price: difference / price")
    cash_tolerance_local: float = Field(0.01, ge=0, le=1e9, description="cash, local money")
    stale_after_hours: float = Field(30.0, gt=0, le=1000, description="age of a statement that is no answer any more")
    owner: str | None = Field(None, description="who looks after new breaks")


class CloseSettings(Settings):
    """What a close must come to before it is signed."""

    residual_tolerance_base: float = Field(
        0.01, ge=0, le=1e9, description="unexplained profit of a session, base currency"
    )


class NotifierSettings(Settings):
    """Who is told when something fails."""

    webhook_url: str | None = Field(None, description="address that gets a JSON document; none: log only")


class DeskSettings(Settings):
    """Everything a run needs to know. Its hash names the configuration a run used."""

    environment: Name = Field("local", description="name of the environment")
    capital: Capital = Field(default_factory=Capital, description="capital and target")
    market: Market = Field(default_factory=Market, description="calendar and measures")
    limits: Limits = Field(default_factory=Limits, description="risk limits")
    vendor: VendorSettings = Field(default_factory=VendorSettings, description="market data")
    runs: RunSettings = Field(default_factory=RunSettings, description="runs beside each other")
    ledger: LedgerSettings = Field(default_factory=LedgerSettings, description="the book's database")
    broker: BrokerSettings = Field(default_factory=BrokerSettings, description="execution and statements")
    reconciliation: ReconciliationSettings = Field(
        default_factory=ReconciliationSettings, description="tolerances against the broker"
    )
    close: CloseSettings = Field(default_factory=CloseSettings, description="tolerances of the close")
    notifier: NotifierSettings = Field(default_factory=NotifierSettings, description="notifications")
    trading: tuple[Name, ...] = Field(
        (), max_length=200, description="strategies that trade: names of files in config/strategies or the home's own"
    )
    strategies: tuple[StrategySettings, ...] = Field((), max_length=200, description="those strategies, as read")

    @field_validator("strategies")
    @classmethod
    def _capital_is_the_desks(cls, strategies: tuple[StrategySettings, ...]) -> tuple[StrategySettings, ...]:
        """A backtest's own profit is not the account's, so it cannot be what sizes targets."""
        for strategy in strategies:
            if strategy.compounding != "fixed":
                raise ValueError(
                    f"strategy {strategy.name} has compounding = '{strategy.compounding}' and cannot be traded: what "
                    "it trades with is the desk's capital, and that is set. Set its compounding to 'fixed', and "
                    "capital.capital_base of the desk to what the account holds when that changes."
                )
        return strategies

    def content_hash(self) -> str:
        """SHA-256 of the canonical JSON of all settings."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
