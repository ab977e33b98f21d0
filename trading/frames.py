"""The datasets: their columns, types, units and keys, and the few operations every frame shares.

Belongs here: what a dataset *is* (schema, key, layer, meaning of missing) and conversions between Arrow and pandas.
Does not belong here: how datasets are stored (`resources/`), calculated (`trading/`) or checked (`trading/quality/`).

Units are in the names: `_points` are price points of the instrument's own quotation, `_contracts` numbers of contracts,
`_base` money in the desk's base currency, `_local` money in the instrument's currency, `_percent` hundredths. Contract
ids are int32 YYYYMMDD with DD = 00 where only the month is known. A missing float is NaN in memory and null in a store.
`session` is the desk date (Monday to Friday) a row belongs to; `stamp` is the vendor's time as it came, without zone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

from trading.errors import SchemaMismatch

if TYPE_CHECKING:
    import pandas as pd

STAMP = pa.timestamp("us")
INSTANT = pa.timestamp("us", tz="UTC")
DAY = pa.date32()
TEXT = pa.string()
REAL = pa.float64()
COUNT = pa.int64()
CONTRACT = pa.int32()


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset. `series` name a series, `time` orders its rows; together they are the key (unique when clean).

    `append_only` datasets are never replaced: a correction is a new row. `session` is always a column.
    """

    name: str
    layer: str
    description: str
    schema: pa.Schema = field(repr=False)
    series: tuple[str, ...]
    time: tuple[str, ...] = ("session",)
    append_only: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """Columns that identify a row."""
        return self.series + self.time

    @property
    def content(self) -> tuple[str, ...]:
        """Columns that the content hash covers: all but `loaded_at`."""
        return tuple(name for name in self.schema.names if name != "loaded_at")


def column(name: str, kind: pa.DataType, description: str, *, required: bool = False) -> pa.Field:
    """A column with its meaning; `required` columns are never null."""
    return pa.field(name, kind, nullable=not required, metadata={"description": description})


def _raw(*values: pa.Field, series: tuple[pa.Field, ...]) -> pa.Schema:
    return pa.schema(
        [
            column("vendor", TEXT, "who delivered the row", required=True),
            *series,
            column("label", TEXT, "the vendor's time stamp, verbatim", required=True),
            column("occurrence", pa.int32(), "0 for the first row with this label in a delivery, 1 for the next ..."),
            column("stamp", STAMP, "the label as a time, zone as the vendor has it", required=True),
            column("event_at", INSTANT, "when it happened, UTC; null where the vendor's zone is unknown"),
            column("session", DAY, "desk date the row belongs to", required=True),
            column("known_at", INSTANT, "when the desk could have known the row", required=True),
            column("loaded_at", INSTANT, "when this row was written; not part of the content"),
            *values,
        ]
    )


INSTRUMENT = column("instrument", TEXT, "instrument code, as in the reference data", required=True)
SESSION = column("session", DAY, "desk date", required=True)
STRATEGY = column("strategy", TEXT, "strategy name, as in config/strategies", required=True)
_CONTRACT = column("contract", CONTRACT, "contract id YYYYMMDD, DD = 00 for a month", required=True)
_OHLCV = (
    column("open", REAL, "first price of the bar, points"),
    column("high", REAL, "highest price, points"),
    column("low", REAL, "lowest price, points"),
    column("close", REAL, "last (or settlement) price, points"),
    column("volume", REAL, "contracts traded; null where the vendor has none"),
)
_MULTIPLE = (
    column("price", REAL, "price of the held contract, points"),
    column("price_contract", CONTRACT, "the held contract"),
    column("carry", REAL, "price of the carry contract, points"),
    column("carry_contract", CONTRACT, "the contract compared for carry"),
    column("forward", REAL, "price of the contract rolled into next, points"),
    column("forward_contract", CONTRACT, "the contract rolled into next"),
)
_FREQUENCY = column("frequency", TEXT, "daily or intraday", required=True)
_STAMP = column("stamp", STAMP, "the vendor's time, without zone", required=True)
_ROLL = (
    column("current_contract", CONTRACT, "held up to and including this date", required=True),
    column("next_contract", CONTRACT, "held after it", required=True),
    column("carry_contract", CONTRACT, "compared for carry while `current` is held"),
)
_RAW_TIME = ("label", "occurrence", "known_at")

RAW_BARS = Dataset(
    "raw_bars", "raw", "Price bars by contract, as delivered.",
    _raw(*_OHLCV, series=(INSTRUMENT, _CONTRACT, _FREQUENCY)),
    ("vendor", "instrument", "contract", "frequency"), _RAW_TIME, append_only=True,
)  # fmt: skip
RAW_MULTIPLE_PRICES = Dataset(
    "raw_multiple_prices", "raw", "Held, carry and forward prices of vendors that deliver them stitched together.",
    _raw(*_MULTIPLE, series=(INSTRUMENT,)), ("vendor", "instrument"), _RAW_TIME, append_only=True,
)  # fmt: skip
RAW_ADJUSTED_PRICES = Dataset(
    "raw_adjusted_prices", "raw", "The vendor's own back-adjusted prices, kept for comparison with ours.",
    _raw(column("price", REAL, "back-adjusted price, points"), series=(INSTRUMENT,)),
    ("vendor", "instrument"), _RAW_TIME, append_only=True,
)  # fmt: skip
RAW_FX_RATES = Dataset(
    "raw_fx_rates", "raw", "Spot exchange rates, as delivered.",
    _raw(column("rate", REAL, "units of the pair's second currency for one of its first"),
         series=(column("pair", TEXT, "six letters, e.g. EURUSD", required=True),)),
    ("vendor", "pair"), _RAW_TIME, append_only=True,
)  # fmt: skip
RAW_ROLL_CALENDARS = Dataset(
    "raw_roll_calendars", "raw", "The vendor's own roll calendars, as delivered.",
    _raw(*_ROLL, series=(INSTRUMENT,)), ("vendor", "instrument"), _RAW_TIME, append_only=True,
)  # fmt: skip

CLEAN_BARS = Dataset(
    "clean_bars", "clean", "One bar per contract, frequency and time.",
    pa.schema([INSTRUMENT, _CONTRACT, _FREQUENCY, _STAMP, SESSION, *_OHLCV]),
    ("instrument", "contract", "frequency"), ("stamp",),
)  # fmt: skip
CLEAN_MULTIPLE_PRICES = Dataset(
    "clean_multiple_prices", "clean", "One row per instrument and time of vendors that deliver multiple prices.",
    pa.schema([INSTRUMENT, _STAMP, SESSION, *_MULTIPLE]), ("instrument",), ("stamp",),
)  # fmt: skip
CLEAN_FX_RATES = Dataset(
    "clean_fx_rates", "clean", "One rate per pair and time.",
    pa.schema([column("pair", TEXT, "six letters", required=True), _STAMP, SESSION,
               column("rate", REAL, "second currency for one of the first", required=True)]),
    ("pair",), ("stamp",),
)  # fmt: skip
QUARANTINE = Dataset(
    "quarantine", "clean", "Rows that a rule refused, whole, with the rule that did.",
    pa.schema([column("dataset", TEXT, "raw dataset of the row", required=True),
               column("series", TEXT, "its series, joined by /", required=True),
               column("label", TEXT, "its label", required=True), SESSION,
               column("rule", TEXT, "the rule that refused it", required=True),
               column("row", TEXT, "the whole row, as JSON", required=True)]),
    ("dataset", "series", "rule"), ("label", "row"),
)  # fmt: skip
MULTIPLE_PRICES = Dataset(
    "multiple_prices", "continuous", "Held, carry and forward price and contract at every time.",
    pa.schema([INSTRUMENT, _STAMP, SESSION, *_MULTIPLE]), ("instrument",), ("stamp",),
)  # fmt: skip
ROLL_CALENDAR = Dataset(
    "roll_calendar", "continuous",
    "When each contract stops being held, and what follows it; dated by the session in which that became known.",
    pa.schema([INSTRUMENT, SESSION, column("roll_at", STAMP, "last time `current` is held", required=True), *_ROLL]),
    ("instrument",), ("roll_at",),
)  # fmt: skip
ROLL_STATES = Dataset(
    "roll_states", "continuous", "Where each instrument stands in its roll, by session.",
    pa.schema([INSTRUMENT, SESSION, column("held_contract", CONTRACT, "contract held at the close", required=True),
               column("next_contract", CONTRACT, "contract rolled into next"),
               column("roll_on", DAY, "session in which the parameters want `held` rolled; null without"),
               column("days_to_roll", pa.int32(), "calendar days to `roll_on`"),
               column("state", TEXT, "hold, roll_soon or rolled_today", required=True)]),
    ("instrument",),
)  # fmt: skip
ROLL_GAPS = Dataset(
    "roll_gaps", "continuous", "The price step at each roll, from which adjusted prices are stitched on read.",
    pa.schema([INSTRUMENT, _STAMP, SESSION,
               column("from_contract", CONTRACT, "held before", required=True),
               column("to_contract", CONTRACT, "held from `stamp` on", required=True),
               column("price_before", REAL, "old contract at the last row before the roll, points", required=True),
               column("forward_before", REAL, "new contract at that same row, points", required=True),
               column("gap_points", REAL, "forward_before - price_before", required=True)]),
    ("instrument",), ("stamp",),
)  # fmt: skip
DAILY_PRICES = Dataset(
    "daily_prices", "continuous", "Last row of each session with a held price: unadjusted prices and contracts.",
    pa.schema([INSTRUMENT, SESSION, _STAMP, *_MULTIPLE,
               column("volume", REAL, "contracts traded in the held contract; null where unknown")]),
    ("instrument",),
)  # fmt: skip
FX_RATES = Dataset(
    "fx_rates", "continuous", "Value of one unit of each currency in base currency, by session.",
    pa.schema([column("currency", TEXT, "three letters", required=True), SESSION,
               column("rate", REAL, "base currency for one unit", required=True),
               column("quoted_on", DAY, "session of the quote used; earlier than `session` where carried forward")]),
    ("currency",),
)  # fmt: skip
VOLATILITY = Dataset(
    "volatility", "analytics", "Daily volatility of each instrument in price points, by method, and in percent a year.",
    pa.schema([INSTRUMENT, SESSION,
               column("price_points", REAL, "price of the held contract, unadjusted"),
               column("return_points", REAL, "change of the continuous price since the last session"),
               column("ewma_points", REAL, "exponentially weighted, span 35"),
               column("mixed_points", REAL, "30 % ten-year average, 70 % current"),
               column("robust_points", REAL, "with a floor at the 5 % quantile of the last 500"),
               column("annual_percent", REAL, "mixed_points x 16 / held price x 100")]),
    ("instrument",),
)  # fmt: skip
_PAIR = (
    column("instrument_a", TEXT, "first instrument, in alphabetical order", required=True),
    column("instrument_b", TEXT, "second instrument, in alphabetical order", required=True),
    SESSION,
)
CORRELATION = Dataset(
    "correlation", "analytics", "Exponentially weighted correlation of weekly returns, upper triangle with diagonal.",
    pa.schema([*_PAIR, column("correlation", REAL, "-1 to 1; NaN while history is too short")]),
    ("instrument_a", "instrument_b"),
)  # fmt: skip
COVARIANCE = Dataset(
    "covariance", "analytics", "Correlation times both annual volatilities, upper triangle with diagonal.",
    pa.schema([*_PAIR, column("covariance", REAL, "squared annual percent")]), ("instrument_a", "instrument_b"),
)  # fmt: skip
FORECASTS = Dataset(
    "forecasts", "signals", "Scaled, capped forecast of each rule: +10 is an average buy, 20 the most.",
    pa.schema([STRATEGY, INSTRUMENT, column("rule", TEXT, "rule name, or `combined`", required=True), SESSION,
               column("forecast", REAL, "between -20 and 20; NaN until the rule has history")]),
    ("strategy", "instrument", "rule"),
)  # fmt: skip
OPTIMAL_POSITIONS = Dataset(
    "optimal_positions", "signals", "What each strategy would hold if trading were free and contracts divisible.",
    pa.schema([STRATEGY, INSTRUMENT, SESSION,
               column("forecast", REAL, "combined forecast"),
               column("daily_volatility_base", REAL, "risk of one contract: base currency a day"),
               column("average_contracts", REAL, "position at an average forecast, in the portfolio"),
               column("optimal_contracts", REAL, "position, unrounded and signed, after the risk overlay"),
               column("half_width_contracts", REAL, "half the no-trade zone around it")]),
    ("strategy", "instrument"),
)  # fmt: skip
TARGETS = Dataset(
    "targets", "signals", "Positions each strategy wants after the session's close.",
    pa.schema([STRATEGY, INSTRUMENT, SESSION,
               column("contract", CONTRACT, "contract to hold", required=True),
               column("forecast", REAL, "combined forecast"),
               column("daily_volatility_base", REAL, "risk of one contract: base currency a day"),
               column("optimal_contracts", REAL, "unrounded position"),
               column("target_contracts", COUNT, "whole contracts after buffering", required=True)]),
    ("strategy", "instrument"),
)  # fmt: skip
POSITIONS = Dataset(
    "positions", "book", "What the book holds after the session, by strategy and contract, at its mark.",
    pa.schema([STRATEGY, INSTRUMENT, _CONTRACT, SESSION,
               column("quantity_contracts", COUNT, "long positive", required=True),
               column("mark_points", REAL, "price the position is valued at"),
               column("marked_on", DAY, "session of that price"),
               column("notional_base", REAL, "quantity x mark x point value x fx")]),
    ("strategy", "instrument", "contract"),
)  # fmt: skip
ORDERS = Dataset(
    "orders", "book", "Orders decided at the session's close, with the risk decision on each.",
    pa.schema([column("order_id", TEXT, "unique", required=True),
               column("parent_id", TEXT, "instrument order it is part of"), STRATEGY, INSTRUMENT, _CONTRACT, SESSION,
               column("quantity_contracts", COUNT, "bought positive", required=True),
               column("reason", TEXT, "target or roll", required=True),
               column("status", TEXT, "at its session's close, as in trading.book.order_life", required=True),
               column("reference_points", REAL, "price the decision was taken at"),
               column("reference_at", TEXT, "when that price was"),
               column("refusal", TEXT, "why risk refused it")]),
    ("order_id",),
)  # fmt: skip
FILLS = Dataset(
    "fills", "book", "Fills booked in the session.",
    pa.schema([column("fill_id", TEXT, "the broker's id, unique", required=True),
               column("order_id", TEXT, "order it belongs to", required=True), STRATEGY, INSTRUMENT, _CONTRACT, SESSION,
               column("quantity_contracts", COUNT, "bought positive", required=True),
               column("price_points", REAL, "price paid or received", required=True),
               column("commission_local", REAL, "in the instrument's currency", required=True),
               column("executed_at", TEXT, "when, UTC, where the broker says")]),
    ("fill_id",),
)  # fmt: skip
PNL = Dataset(
    "pnl", "book", "Profit and loss of the session by strategy, instrument and contract.",
    pa.schema([STRATEGY, INSTRUMENT, _CONTRACT, SESSION,
               column("asset_class", TEXT, "from the reference data", required=True),
               column("currency", TEXT, "of the instrument", required=True),
               column("held_base", REAL, "position before the session x change of the mark", required=True),
               column("traded_base", REAL, "the session's fills against the closing mark", required=True),
               column("commission_base", REAL, "paid: never positive", required=True),
               column("total_base", REAL, "held + traded + commission", required=True)]),
    ("strategy", "instrument", "contract"),
)  # fmt: skip
EQUITY = Dataset(
    "equity", "book", "The account, valued from cash and marks alone, by session and currency.",
    pa.schema([column("currency", TEXT, "of the cash and marks", required=True), SESSION,
               column("value_local", REAL, "cash of all fills and commissions + marks of positions", required=True),
               column("change_local", REAL, "since the session before", required=True),
               column("rate", REAL, "base currency for one unit", required=True),
               column("change_base", REAL, "change_local x rate", required=True),
               column("booked_base", REAL, "interest and fees booked x rate; null before they were kept"),
               column("account_base", REAL, "capital + all changes and all that was booked, all currencies",
                      required=True)]),
    ("currency",),
)  # fmt: skip
ATTRIBUTION = Dataset(
    "attribution", "book", "Profit and loss of the session by cause, each calculated on its own, against the account.",
    pa.schema([STRATEGY, INSTRUMENT, _CONTRACT, SESSION,
               column("asset_class", TEXT, "from the reference data; empty for cash", required=True),
               column("currency", TEXT, "of the instrument, or of the cash", required=True),
               column("price_base", REAL, "position before x move of the price beyond its carry", required=True),
               column("carry_base", REAL, "position before x what the curve said the days would bring", required=True),
               column("roll_base", REAL, "legs of rolls, from their reference price to the mark", required=True),
               column("trades_base", REAL, "new trades, from their reference price to the mark", required=True),
               column("slippage_base", REAL, "fills against their reference price", required=True),
               column("commission_base", REAL, "paid: never positive but for corrections", required=True),
               column("fx_base", REAL, "local profit of what was held x change of the rate", required=True),
               column("financing_base", REAL, "interest and fees booked", required=True),
               column("corrections_base", REAL, "busts, corrections and adjustments of earlier fills", required=True),
               column("explained_base", REAL, "sum of the causes", required=True),
               column("total_base", REAL, "change of the account: cash of all fills and marks alone", required=True),
               column("residual_base", REAL, "total - explained", required=True)]),
    ("strategy", "instrument", "contract", "currency"),
)  # fmt: skip
BREAKS = Dataset(
    "breaks", "reconciliation", "Differences between our book and the broker's statement that are open on the session.",
    pa.schema([column("kind", TEXT, "missing_here, missing_there, quantity, price, cash, trade_missing_here, "
                      "trade_missing_there, trade, strategy_total, withdrawn_filled, unknown_contract, stale, "
                      "statement_missing", required=True),
               column("item", TEXT, "instrument/contract, currency, fill, or broker", required=True), SESSION,
               column("break_id", TEXT, "the break, from its first session to its end"),
               column("opened", DAY, "session it was first found on"),
               column("age_sessions", COUNT, "sessions it is open, 0 on the first"),
               column("ours", REAL, "what the book says"), column("theirs", REAL, "what the broker says"),
               column("difference", REAL, "theirs - ours"),
               column("tolerance", REAL, "difference that would still agree"),
               column("owner", TEXT, "who looks after it"),
               column("timing", pa.bool_(), "a known difference in time that closes itself"),
               column("proposed_fix", TEXT, "what would close it"),
               column("message", TEXT, "the break as a sentence", required=True)]),
    ("kind", "item"),
)  # fmt: skip
EXPOSURES = Dataset(
    "exposures", "risk", "What the book is exposed to after the session, by group, instrument, factor and component.",
    pa.schema([column("axis", TEXT, "portfolio, sector, asset_class, country, currency, exchange_group, instrument, "
                      "factor or component", required=True),
               column("element", TEXT, "which of them", required=True), SESSION,
               column("gross_base", REAL, "sum of sizes, contracts x worth of one; null of factors"),
               column("net_base", REAL, "sum of contracts x worth of one; null of factors"),
               column("gross_volatility_base", REAL, "sum of sizes, contracts x volatility of one, of a year"),
               column("net_volatility_base", REAL, "sum of contracts x volatility of one, of a year"),
               column("one_deviation_base", REAL, "gain for one standard deviation of the factor, a day")]),
    ("axis", "element"),
)  # fmt: skip
VALUE_AT_RISK = Dataset(
    "value_at_risk", "risk", "What the book may lose on the session after, what was lost, and how good forecasts were.",
    pa.schema([column("method", TEXT, "historical or parametric", required=True), SESSION,
               column("value_at_risk_base", REAL, "loss not passed at risk.model.confidence on the next session"),
               column("expected_shortfall_base", REAL, "mean of the losses beyond it"),
               column("forecast_base", REAL, "value at risk as of the session before, for this one"),
               column("gain_base", REAL, "what was held into the session gained in it"),
               column("exceeded", pa.bool_(), "whether more was lost than forecast; null where nothing was"),
               column("days", COUNT, "sessions judged so far, of those looked back on", required=True),
               column("exceedances", COUNT, "of them", required=True),
               column("expected_exceedances", REAL, "how many there should be", required=True),
               column("unconditional_p", REAL, "Kupiec: chance of as many or as few, if the forecast is right"),
               column("independence_p", REAL, "Christoffersen: of as many in a row"),
               column("conditional_p", REAL, "Christoffersen: of both")]),
    ("method",),
)  # fmt: skip
STRESS_LOSSES = Dataset(
    "stress_losses", "risk", "What the book would lose in named scenarios, and in the worst days looked back on.",
    pa.schema([column("kind", TEXT, "named or historical", required=True),
               column("scenario", TEXT, "name, or so many-th worst day", required=True), SESSION,
               column("gain_base", REAL, "gain of the book in it"),
               column("loss_fraction", REAL, "its loss over capital; 0 where it gains"),
               column("worst_instrument", TEXT, "where most of it would be lost; null where nothing is"),
               column("worst_gain_base", REAL, "gain of that instrument")]),
    ("kind", "scenario"),
)  # fmt: skip
HEADROOM = Dataset(
    "headroom", "risk", "What the book comes to under every rule of risk, and what is left of each limit.",
    pa.schema([column("rule", TEXT, "rule of trading/risk/rules", required=True),
               column("axis", TEXT, "what it is measured of", required=True),
               column("element", TEXT, "which of these", required=True), SESSION,
               column("value", REAL, "null where it cannot be measured"),
               column("warn", REAL, "level that warns; null where none is set"),
               column("limit", REAL, "level that refuses; null where none is set"),
               column("headroom", REAL, "limit - value"),
               column("outcome", TEXT, "pass, warn or refuse", required=True),
               column("unit", TEXT, "of value and levels", required=True)]),
    ("rule", "axis", "element"),
)  # fmt: skip
VIOLATIONS = Dataset(
    "violations", "quality", "Findings of data rules.",
    pa.schema([column("dataset", TEXT, "where", required=True),
               column("layer", TEXT, "input, processing or output", required=True),
               column("rule", TEXT, "which rule", required=True),
               column("severity", TEXT, "error or warning", required=True),
               column("series", TEXT, "about which series, joined by /", required=True), SESSION,
               column("label", TEXT, "at which time; empty for a whole series", required=True),
               column("column_name", TEXT, "in which column"), column("value", TEXT, "the value found"),
               column("message", TEXT, "the finding and its cure as a sentence", required=True)]),
    ("dataset", "layer", "rule", "series"), ("session", "label"),
)  # fmt: skip
BACKTEST_RESULTS = Dataset(
    "backtest_results", "backtests",
    "One row a result: what was computed from what, and its statistics. Curves and positions lie beside, by key.",
    pa.schema([column("key", TEXT, "hash of specification, data, code and parts", required=True),
               column("session", DAY, "desk date it was computed on", required=True), STRATEGY,
               column("engine", TEXT, "engine and its version", required=True),
               column("sharpe", REAL, "Sharpe ratio of net percent returns"),
               column("statistics", TEXT, "all statistics by curve and name, as JSON", required=True),
               column("specification", TEXT, "the backtest, as JSON", required=True),
               column("data_version", TEXT, "hash of the data", required=True),
               column("code_version", TEXT, "hash of the sources", required=True),
               column("who", TEXT, "who asked", required=True),
               column("computed_at", INSTANT, "when it was computed", required=True),
               column("seconds", REAL, "what computing took", required=True)]),
    ("key",), append_only=True,
)  # fmt: skip
SWEEP_RESULTS = Dataset(
    "sweep_results", "backtests",
    "One row a variant of a sweep: statistics, and what the probability of overfitting needs of its curve.",
    pa.schema([column("sweep", TEXT, "key of the backtest that is varied", required=True),
               column("overrides", TEXT, "what the variant changes, as JSON", required=True),
               column("session", DAY, "last session of the data", required=True),
               column("error", TEXT, "why it could not be computed; null where it was"),
               column("statistics", TEXT, "statistics by name, as JSON"),
               column("moments", TEXT, "block moments of the net percent curve: 3 x 16 float64, base64")]),
    ("sweep", "overrides"), append_only=True,
)  # fmt: skip

DATASETS: Mapping[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        RAW_BARS, RAW_MULTIPLE_PRICES, RAW_ADJUSTED_PRICES, RAW_FX_RATES, RAW_ROLL_CALENDARS, CLEAN_BARS,
        CLEAN_MULTIPLE_PRICES, CLEAN_FX_RATES, QUARANTINE, MULTIPLE_PRICES, ROLL_CALENDAR, ROLL_STATES, ROLL_GAPS,
        DAILY_PRICES, FX_RATES, VOLATILITY, CORRELATION, COVARIANCE, FORECASTS, OPTIMAL_POSITIONS, TARGETS, POSITIONS,
        ORDERS, FILLS, PNL, EQUITY, ATTRIBUTION, EXPOSURES, VALUE_AT_RISK, STRESS_LOSSES, HEADROOM, BREAKS, VIOLATIONS,
        BACKTEST_RESULTS, SWEEP_RESULTS,
    )
}  # fmt: skip


def empty(dataset: Dataset) -> pa.Table:
    """No rows of a dataset, with its columns."""
    return dataset.schema.empty_table()


def to_table(frame: pd.DataFrame, dataset: Dataset) -> pa.Table:
    """A pandas frame as rows of `dataset`: its columns in order, cast to its types, NaN to null.

    Columns the frame has beyond the dataset's are dropped. Raises SchemaMismatch naming a missing or unfit column.
    """
    missing = [name for name in dataset.schema.names if name not in frame.columns]
    if missing:
        raise SchemaMismatch(
            f"rows for {dataset.name} lack the column {missing[0]}. Give every column of trading.frames.{dataset.name}."
        )
    if frame.empty:
        return empty(dataset)
    try:
        return pa.Table.from_pandas(
            frame[dataset.schema.names], schema=dataset.schema, preserve_index=False, safe=False
        ).replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as cause:
        raise SchemaMismatch(f"rows for {dataset.name} do not fit its types: {cause}. Convert them first.") from cause


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """An Arrow table as pandas: dates become midnight timestamps, nulls NaN, text stays text."""
    days = [field_.name for field_ in table.schema if pa.types.is_date(field_.type)]
    for name in days:
        position = table.schema.get_field_index(name)
        table = table.set_column(position, name, table[name].cast(pa.timestamp("us")))
    frame: pd.DataFrame = table.to_pandas()
    return frame


def content_hash(table: pa.Table, dataset: Dataset, without: Collection[str] = ()) -> str:
    """SHA-256 over a dataset's rows in key order, without `loaded_at`: equal rows, equal hash, however stored.

    NaN and null are the same; -0.0 and 0.0 are the same. Columns `without` are left out too, but order rows.
    """
    ordered = table.select(list(dataset.content)).cast(
        pa.schema([dataset.schema.field(name) for name in dataset.content])
    )
    ordered = ordered.sort_by([(name, "ascending") for name in dataset.key])
    digest = hashlib.sha256(dataset.name.encode())
    digest.update(str(ordered.num_rows).encode())
    for name in (name for name in ordered.schema.names if name not in without):
        digest.update(name.encode())
        for buffer in _canonical(ordered[name].combine_chunks()):
            digest.update(buffer)
    return digest.hexdigest()


def _canonical(values: pa.Array) -> list[memoryview]:
    """Bytes of a column that depend on nothing but its values."""
    import pyarrow.compute as pc  # 0.03 s, which a command that hashes nothing need not wait for

    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        values = pc.if_else(pc.equal(values, 0.0), pa.scalar(0.0, values.type), values)
    present = pc.is_valid(values).cast(pa.uint8()).to_numpy(zero_copy_only=False)
    if pa.types.is_string(values.type):
        lengths = pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False)
        text = "".join(pc.fill_null(values, "").to_pylist()).encode()
        return [memoryview(present), memoryview(lengths.copy()), memoryview(text)]
    filled = pc.fill_null(values.cast(_plain(values.type)), 0)
    return [memoryview(present), memoryview(filled.to_numpy(zero_copy_only=False).copy())]


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_date(kind):
        return pa.int32()
    if pa.types.is_boolean(kind):
        return pa.int8()
    if pa.types.is_boolean(kind):
        return pa.uint8()
    return pa.int64() if pa.types.is_timestamp(kind) else kind


def day(value: object) -> date:
    """A session from a date, a timestamp or ISO text."""
    import pandas as pd

    return pd.Timestamp(value).date()  # type: ignore[arg-type]
