"""Settings of trading: which strategies, with how much, through whom, and what must agree at the end of the day.

Belongs here: the section `trading` of a desk's settings. Does not belong here: limits (`risk.py`, and `symbols.py` for
single instruments), or strategies themselves (`strategies.py`).
"""

from __future__ import annotations

from datetime import time
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo

from trading.config.ceilings import within
from trading.config.data import Delimiter, Encoding
from trading.config.settings import (
    PRINTABLE,
    TIMEZONES,
    Code,
    Column,
    Currency,
    FilePath,
    Name,
    OrNone,
    StrictSettings,
    Text,
    refuse_in_the_clear,
)


def _timezone(given: str, info: ValidationInfo) -> str:
    is_known = (info.context or {}).get(TIMEZONES)
    if is_known is not None and not is_known(given):
        raise ValueError("there is no such time zone. Write one like America/New_York")
    return given


Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:-]{1,253}$")]
Account = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,60}$")]
Symbol = Annotated[
    str, StringConstraints(min_length=1, max_length=60, pattern=PRINTABLE), AfterValidator(refuse_in_the_clear)
]


class Capital(StrictSettings):
    """What the desk trades with, and how large positions are."""

    base_currency: Currency = Field("USD", description="currency of capital, limits and reports")
    capital_base: float = Field(1_000_000.0, gt=0, le=1e13, description="capital, base currency")
    volatility_target_percent: float = Field(20.0, gt=0, le=100, description="annual volatility target, % of capital")


class StatementColumns(StrictSettings):
    """Which column of a broker's CSV statement is which; empty: the statement does not have it."""

    record: Annotated[Column | None, OrNone] = Field(
        "record", description="column that says position, trade or cash; empty: positions only"
    )
    symbol: Column = Field("symbol", description="the broker's name of the contract")
    contract: Annotated[Column | None, OrNone] = Field("contract", description="contract month, as YYYYMM or YYYYMMDD")
    quantity: Column = Field("quantity", description="signed contracts")
    price: Annotated[Column | None, OrNone] = Field(
        "price", description="average price of a position, price of a trade, points"
    )
    currency: Annotated[Column | None, OrNone] = Field("currency", description="currency of cash")
    amount: Annotated[Column | None, OrNone] = Field("amount", description="cash, local")
    trade_id: Annotated[Column | None, OrNone] = Field("trade_id", description="the broker's id of a trade")
    commission: Annotated[Column | None, OrNone] = Field("commission", description="commission of a trade, local")
    executed_at: Annotated[Column | None, OrNone] = Field("executed_at", description="time of a trade")
    order_reference: Annotated[Column | None, OrNone] = Field(
        None, description="our order id, where the broker repeats it in its trades"
    )
    settles_daily: bool = Field(
        True, description="cash holds the profit of open positions, as futures accounts do; false: trades in full"
    )
    delimiter: Delimiter = Field(",", description="field separator")
    encoding: Encoding = Field("utf-8", description="text encoding")
    date_format: Column = Field("%Y-%m-%d", description="how the session is written in file names")


class BrokerSettings(StrictSettings):
    """Who executes, and where the broker's statements come from."""

    name: Literal["paper", "statement_file", "interactive_brokers"] = Field("paper", description="which broker")
    account: Account | None = Field(None, description="the broker's name of our account")
    host: Host = Field("127.0.0.1", description="gateway of interactive_brokers")
    port: int = Field(4002, ge=1, le=65535, description="port of that gateway")
    client_id: int = Field(1, ge=0, le=2**31 - 1, description="client id at that gateway")
    timeout_seconds: float = Field(20.0, gt=0, le=600, description="how long the gateway may take, seconds")
    timezone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+/-]{1,60}$"), AfterValidator(_timezone)] = Field(
        "America/New_York", description="time zone of its days, and of Flex files"
    )
    session_ends: Annotated[time | None, OrNone] = Field(
        None,
        strict=False,
        description="time of its day after which trades belong to the next session; empty: at midnight",
    )
    history_days: int = Field(
        1, ge=1, le=7, description="days of trades it tells, today included: 1, or as long as the trade log of TWS"
    )
    statements: FilePath | None = Field(None, description="folder of statement files; none: <home>/statements")
    statement_format: Literal["csv", "flex"] = Field("csv", description="what statement files are")
    columns: StatementColumns = Field(default_factory=StatementColumns, description="mapping of CSV statements")
    symbols: Annotated[dict[Symbol, Code], within("symbols")] = Field(
        default_factory=dict, description="broker's symbol to instrument code, where they differ"
    )


class OrderLimits(StrictSettings):
    """What one session may ask of the market."""

    max_per_session: int = Field(10_000, ge=0, le=1_000_000, description="orders of a session, reducing ones apart")


class ReconciliationSettings(StrictSettings):
    """What still agrees with the broker, and who looks after what does not."""

    price_tolerance_fraction: float = Field(1e-4, ge=0, le=1, description="average price: difference / price")
    cash_tolerance_local: float = Field(0.01, ge=0, le=1e9, description="cash, local money")
    stale_after_hours: float = Field(30.0, gt=0, le=1000, description="age of a statement that is no answer any more")
    owner: Text | None = Field(None, description="who looks after new breaks")


class CloseSettings(StrictSettings):
    """What a close must come to before it is signed."""

    residual_tolerance_base: float = Field(
        0.01, ge=0, le=1e9, description="unexplained profit of a session, base currency"
    )


class TradingSettings(StrictSettings):
    """Strategies, sizes, execution, and what must agree."""

    strategies: Annotated[tuple[Name, ...], within("strategies")] = Field(
        (), strict=False, description="strategies that trade: names of files in config/strategies or the home's own"
    )
    capital: Capital = Field(default_factory=Capital, description="capital and target")
    broker: BrokerSettings = Field(default_factory=BrokerSettings, description="execution and statements")
    orders: OrderLimits = Field(default_factory=OrderLimits, description="limits on orders")
    reconciliation: ReconciliationSettings = Field(
        default_factory=ReconciliationSettings, description="tolerances against the broker"
    )
    close: CloseSettings = Field(default_factory=CloseSettings, description="tolerances of the close")
