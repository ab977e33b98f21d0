"""Every rule: passes on clean rows, fails on an injected fault, and is not applicable without its column.

`CASES` is the table the issue asks for: a rule without an entry fails the last test.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest

from trading.book.attribution import COLUMNS
from trading.config.symbol_fields import SymbolSettings
from trading.frames import DATASETS
from trading.market.instruments import Instrument
from trading.market.sessions import SessionCalendar
from trading.quality import rules
from trading.quality.examination import RuleResult, all_rules, examine
from trading.quality.rule import RuleContext

FIRST, LAST = date(2024, 3, 4), date(2024, 3, 8)  # a Monday and a Friday
DAYS = [date(2024, 3, day) for day in range(4, 9)]
NOW = datetime(2024, 3, 9, tzinfo=UTC)
INFINITE = float("inf")
CORN = Instrument("CORN", "Corn", "CBOT", "USD", 50.0, 0.25, "Ags", "Grain", "US")
CRUDE = Instrument("CRUDE_W", "Crude oil", "NYMEX", "USD", 1000.0, 0.01, "Energy", "Oil", "US")
INSTRUMENTS = {"CORN": CORN, "CRUDE_W": CRUDE}

Change = Callable[[pd.DataFrame], pd.DataFrame]


def arrival(stamp: pd.Timestamp) -> dict[str, Any]:
    return {
        "vendor": "v", "label": str(stamp), "occurrence": 0, "stamp": stamp, "event_at": stamp.tz_localize("UTC"),
        "session": stamp.normalize(), "known_at": stamp.tz_localize("UTC"), "loaded_at": stamp.tz_localize("UTC"),
    }  # fmt: skip


def bars() -> pd.DataFrame:
    series = {"instrument": "CORN", "contract": 20240500, "frequency": "daily"}
    moves = [{"open": 4.0 + place / 8, "high": 5.0, "low": 3.0, "close": 4.5, "volume": 7.0} for place in range(5)]
    stamps = map(pd.Timestamp, DAYS)
    return pd.DataFrame([{**arrival(stamp), **series, **move} for stamp, move in zip(stamps, moves, strict=True)])


def multiple() -> pd.DataFrame:
    """Eight rows a day for a week: 7 from 09:00 to 21:00, and the settlement at 23:00; 1 point up, 1 point down."""
    stamps = [pd.Timestamp(day) + pd.Timedelta(hours=hour) for day in DAYS for hour in (9, 11, 13, 15, 17, 19, 21, 23)]
    contracts = {"price_contract": 20240500, "carry_contract": 20240700, "forward_contract": 20240700}
    return pd.DataFrame(
        [
            {**arrival(stamp), "instrument": "CORN", "price": 400.0 + place % 2, "carry": 405.0, "forward": 405.0}
            | contracts
            for place, stamp in enumerate(stamps)
        ]
    )


def fx() -> pd.DataFrame:
    return pd.DataFrame(
        [{**arrival(pd.Timestamp(day)), "pair": "EURUSD", "rate": 1.1 + place / 1000} for place, day in enumerate(DAYS)]
    )


def daily() -> pd.DataFrame:
    raw = multiple().drop_duplicates("session", keep="last")
    return raw[[name for name in DATASETS["daily_prices"].schema.names if name in raw]].assign(volume=1.0)


def weeks_ago(count: int) -> pd.DataFrame:
    """The same five prices of a week before."""
    return daily().assign(session=lambda rows: rows["session"] - pd.Timedelta(weeks=count))


def by_session(*rows: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{"session": pd.Timestamp(LAST), **row} for row in rows])


CONTRACT = {"strategy": "trend", "instrument": "CORN", "contract": 20240500}
VOLATILITY = by_session({"instrument": "CORN", "ewma_points": 2.0, "mixed_points": 2.0, "robust_points": 2.5})
PAIRS = by_session(
    {"instrument_a": "CORN", "instrument_b": "CORN", "correlation": 1.0, "covariance": 400.0},
    {"instrument_a": "CORN", "instrument_b": "CRUDE_W", "correlation": -0.3, "covariance": -50.0},
)
FORECASTS = by_session({"strategy": "trend", "instrument": "CORN", "rule": "combined", "forecast": 20.0})
TARGETS = by_session({**CONTRACT, "forecast": 3.0, "target_contracts": 10})
FILLS = by_session(
    {**CONTRACT, "fill_id": "f1", "order_id": "o1", "quantity_contracts": 5, "commission_local": 2.5},
    {**CONTRACT, "fill_id": "f2", "order_id": "o1", "quantity_contracts": -2, "commission_local": 0.0},
)
ORDERS = by_session({**CONTRACT, "order_id": "o1"})
POSITIONS = by_session({**CONTRACT, "quantity_contracts": 3})
PNL = by_session(
    {**CONTRACT, "held_base": 100.0, "traded_base": -20.0, "commission_base": -2.5, "total_base": 77.5},
    {**CONTRACT, "contract": 20240700, "held_base": 0.0, "traded_base": 0.0, "commission_base": 0.0, "total_base": 0.0},
)
EQUITY = by_session(
    {"currency": "USD", "change_base": 87.5, "booked_base": -5.0},
    {"currency": "EUR", "change_base": -10.0, "booked_base": 0.0},
)
# 95 - 20 + 5 - 2.5 = 77.5, what fills and marks changed the account by; a fee of 5 was booked beside it.
ATTRIBUTION = by_session(
    {**CONTRACT, **dict.fromkeys(COLUMNS, 0.0), "price_base": 95.0, "carry_base": -20.0, "fx_base": 5.0,
     "commission_base": -2.5, "explained_base": 77.5, "total_base": 77.5, "residual_base": 0.0},
    {"strategy": "", "instrument": "", "contract": 0, **dict.fromkeys(COLUMNS, 0.0), "financing_base": -5.0,
     "explained_base": -5.0, "total_base": -5.0, "residual_base": 0.0},
)  # fmt: skip
# 1000, then + 7 + 1 + 2 - 2 = 1008, then - 3 = 1005: a wrong middle breaks with both neighbours.
ACCOUNT = pd.DataFrame(
    {
        "currency": ["USD", "USD", "EUR", "USD"],
        "session": pd.to_datetime(["2024-03-06", "2024-03-07", "2024-03-07", "2024-03-08"]),
        "account_base": [1000.0, 1008.0, 1008.0, 1005.0],
        "change_base": [0.0, 7.0, 1.0, -3.0],
        "booked_base": [0.0, 2.0, -2.0, 0.0],
    }
)
FX_RATES = by_session({"currency": "EUR", "rate": 1.1, "quoted_on": pd.Timestamp(2024, 2, 27)})
NO_BREAKS = by_session({"kind": "quantity", "item": "CORN/20240500", "message": "ours 3, theirs 2"}).iloc[:0]


def put(column: str, value: Any, row: int = 2) -> Change:
    """The fault: one value of one row."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = frame[column].astype("object") if isinstance(value, str) else frame[column].copy()
        values.iloc[row] = value
        return frame.assign(**{column: values})

    return change


def without(*places: int) -> Change:
    return lambda frame: frame.drop(index=frame.index[list(places)])


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[0]]])


def flat(frame: pd.DataFrame) -> pd.DataFrame:
    """The intraday rows repeat; the settlement row of each session moves."""
    return frame.assign(price=frame["price"].where(frame["stamp"].dt.hour == 23, 400.0))


def one_session_old(frame: pd.DataFrame) -> pd.DataFrame:
    """From Thursday the market is 50 points higher, but Thursday's 23:00 row still has Wednesday's price."""
    moved = frame["price"] + 50.0 * (frame["session"] >= pd.Timestamp(DAYS[3]))
    return frame.assign(price=moved.mask(frame["stamp"] == pd.Timestamp("2024-03-07 23:00"), 400.0))


@dataclass(frozen=True)
class Case:
    """A rule's clean rows, its fault, how many findings that makes, and the columns it cannot do without."""

    dataset: str
    clean: pd.DataFrame
    fault: Change
    found: int = 1
    needs: tuple[str, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)
    fault_context: Mapping[str, Any] = field(default_factory=dict)  # of rules that judge what is around the rows


CASES: Mapping[str, Case] = {
    "schema": Case("raw_bars", bars(), put("label", None)),
    "price_range": Case("raw_multiple_prices", multiple(), put("price", INFINITE), needs=("price", "carry", "forward")),
    "price_sign": Case("raw_multiple_prices", multiple(), put("price", -1.0), needs=("price",)),
    "missing_price": Case("raw_fx_rates", fx(), put("rate", float("nan")), needs=("rate",)),
    "ohlc": Case("raw_bars", bars(), put("high", 4.2), needs=("high",)),
    "volume": Case("raw_bars", bars(), put("volume", -1.0), needs=("volume",)),
    "gaps": Case("daily_prices", daily(), without(2), needs=("instrument",)),
    "spikes": Case("raw_multiple_prices", multiple(), put("price", 450.0, 30), needs=("price",)),
    "jumps": Case("raw_multiple_prices", multiple(), put("price", 450.0, 39), needs=("price",)),
    "repeated_bar": Case("raw_bars", bars(), put("open", 4.125), needs=("volume",)),
    "stuck": Case("raw_multiple_prices", multiple(), flat, found=35, needs=("price",)),
    "stale": Case("raw_multiple_prices", multiple(), one_session_old, needs=("price",)),
    "duplicates": Case("raw_fx_rates", fx(), put("occurrence", 1), needs=("occurrence",)),
    "withdrawn": Case("raw_fx_rates", fx(), put("rate", float("nan")), needs=("known_at", "loaded_at")),
    "future": Case("raw_fx_rates", fx(), put("stamp", pd.Timestamp(2024, 8, 3)), needs=("stamp",)),
    "weekend_rows": Case("raw_fx_rates", fx(), put("stamp", pd.Timestamp(2024, 3, 10)), needs=("stamp",)),
    "freshness": Case("raw_bars", bars(), without(1, 2, 3, 4), needs=("instrument",)),
    "session_delivered": Case("raw_bars", bars(), without(4), needs=("instrument",)),
    "skipped_sessions": Case(
        "daily_prices", daily(), lambda frame: frame, needs=("instrument",), context={"earlier": weeks_ago(1)},
        fault_context={"earlier": weeks_ago(2)},
    ),
    "unknown_instrument": Case("raw_bars", bars(), put("instrument", "CRON"), needs=("instrument",)),
    "carry_contract": Case("multiple_prices", multiple(), put("carry_contract", 20240500), needs=("carry_contract",)),
    "fx_gaps": Case("raw_fx_rates", fx(), put("stamp", pd.Timestamp(2024, 2, 1), 0), needs=("rate",)),
    "stale_rate": Case("fx_rates", FX_RATES, put("quoted_on", pd.Timestamp(2024, 2, 26), 0), needs=("quoted_on",)),
    "unique_key": Case("daily_prices", daily(), twice),
    "finite": Case("volatility", VOLATILITY, put("mixed_points", INFINITE, 0)),
    "volatility_positive": Case(
        "volatility", VOLATILITY, put("robust_points", 0.0, 0), needs=("ewma_points", "mixed_points", "robust_points")
    ),
    "correlation_bounds": Case("correlation", PAIRS, put("correlation", -1.1, 1), needs=("correlation",)),
    "covariance_diagonal": Case("covariance", PAIRS, put("covariance", -1.0, 0), needs=("covariance",)),
    "forecast_cap": Case("forecasts", FORECASTS, put("forecast", -20.1, 0), needs=("forecast",)),
    "target_limit": Case(
        "targets", TARGETS, put("target_contracts", -11, 0), needs=("target_contracts",),
        context={"of": lambda code, strategy=None: SymbolSettings(max_position_contracts=10)},
    ),
    "positions_fold": Case(
        "positions", POSITIONS, put("quantity_contracts", 5, 0), needs=("quantity_contracts",),
        context={"companions": {"fills": FILLS}},
    ),
    "fills_have_orders": Case(
        "fills", FILLS, put("order_id", "o9", 0), needs=("order_id",), context={"companions": {"orders": ORDERS}}
    ),
    "pnl_rows": Case(
        "pnl", PNL, put("total_base", 77.5 + 1e-6, 0), needs=("total_base",), context={"companions": {"fills": FILLS}},
    ),
    "pnl_identity": Case(
        "equity", EQUITY, put("change_base", 87.5 + 1e-6, 0), needs=("change_base",),
        context={"companions": {"pnl": PNL}},
    ),
    "attribution_rows": Case(
        "attribution", ATTRIBUTION, put("price_base", 95.0 + 1e-6, 0), needs=("price_base", "residual_base"),
    ),
    "attribution_total": Case(
        "attribution", ATTRIBUTION, put("total_base", 77.5 + 1e-6, 0), context={"companions": {"equity": EQUITY}},
    ),
    "account_chain": Case(
        "equity", ACCOUNT, put("account_base", 1010.0, 1), found=2, needs=("account_base",),
    ),
    "broker_breaks": Case(
        "breaks", NO_BREAKS,
        lambda frame: by_session({"kind": "quantity", "item": "CORN/20240500", "message": "ours 3, theirs 2"}),
    ),
}  # fmt: skip


def judged(name: str, frame: pd.DataFrame, **context: Any) -> RuleResult:
    """One rule over rows of the week."""
    case = CASES[name]
    (rule,) = (rule for rule in all_rules() if rule.name == name)
    told = RuleContext(DATASETS[case.dataset], FIRST, LAST, NOW, INSTRUMENTS, **{**case.context, **context})
    return examine(DATASETS[case.dataset], frame, told, [rule]).results[0]


def test_commission_is_received_only_where_a_fill_gave_it_back() -> None:
    received = PNL.assign(commission_base=[22.5, 0.0], total_base=[102.5, 0.0])
    assert judged("pnl_rows", received).findings == 1
    back = by_session({**CONTRACT, "fill_id": "f1~busted", "order_id": "o1", "commission_local": -2.5})
    assert judged("pnl_rows", received, companions={"fills": back}).outcome == "passed"
    other = back.assign(contract=20240700)
    assert judged("pnl_rows", received, companions={"fills": other}).findings == 1


@pytest.mark.parametrize("name", CASES)
def test_clean_rows_pass(name: str) -> None:
    result = judged(name, CASES[name].clean)
    assert (result.outcome, result.findings, len(result.violations)) == ("passed", 0, 0)


@pytest.mark.parametrize("name", CASES)
def test_the_injected_fault_is_found(name: str) -> None:
    case = CASES[name]
    result = judged(name, case.fault(case.clean), **case.fault_context)
    assert (result.outcome, result.findings) == ("failed", case.found)
    violations = result.violations
    assert set(violations["rule"]) == {name}
    assert violations["session"].between(pd.Timestamp(FIRST), pd.Timestamp(LAST)).all()
    assert violations["message"].str.len().min() > 10


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.needs])
def test_without_its_column_or_its_values_a_rule_is_not_applicable(name: str) -> None:
    case = CASES[name]
    assert judged(name, case.clean.drop(columns=list(case.needs))).outcome == "not_applicable"
    assert judged(name, case.clean.assign(**dict.fromkeys(case.needs, None))).outcome == "not_applicable"


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("broker_breaks", "positions_fold")])
def test_without_rows_a_rule_is_not_applicable(name: str) -> None:
    assert judged(name, CASES[name].clean.iloc[:0]).outcome == "not_applicable"


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "companions" in case.context])
def test_without_its_companion_a_rule_is_not_applicable(name: str) -> None:
    assert judged(name, CASES[name].clean, companions={}).outcome == "not_applicable"


def test_every_rule_file_holds_one_rule_of_its_name_and_has_a_case() -> None:
    files = {module.name for module in pkgutil.iter_modules(rules.__path__)}
    assert {rule.name for rule in all_rules()} == files == set(CASES)


def test_rules_say_what_they_promise_and_judge_datasets_that_exist() -> None:
    for rule in all_rules():
        assert rule.description.endswith("."), rule.name
        assert rule.datasets, rule.name
        assert set(rule.datasets) | set(rule.companions) <= set(DATASETS), rule.name
        assert not (rule.blocking and rule.severity == "warning"), rule.name


# --- finer points of single rules -------------------------------------------------------------------------------------
def test_schema_finds_a_missing_column_and_a_wrong_type() -> None:
    assert "lacks the column volume" in judged("schema", bars().drop(columns="volume")).detail
    assert "not double" in judged("schema", bars().assign(close="4.5")).detail


def test_schema_knows_yes_and_no() -> None:
    """An open break has a column of that type; without it no day with a break could be closed, whoever let it pass."""
    one = {"kind": "quantity", "item": "CORN/20240500", "session": pd.Timestamp(LAST), "break_id": "quantity:CORN"}
    one |= {"opened": pd.Timestamp(LAST), "age_sessions": 0, "timing": False, "message": "10 here, 11 there"}
    context = RuleContext(DATASETS["breaks"], FIRST, LAST, NOW)
    rule = next(rule for rule in all_rules() if rule.name == "schema")
    frame = pd.DataFrame([one]).reindex(columns=DATASETS["breaks"].schema.names)
    assert examine(DATASETS["breaks"], frame, context, [rule]).results[0].outcome == "passed"
    said = examine(DATASETS["breaks"], frame.assign(timing="no"), context, [rule]).results[0]
    assert said.outcome == "failed"
    assert "not bool" in said.detail


def test_an_adjustment_is_of_no_order() -> None:
    """What a person enters has no order id; a day with such an entry can be closed. A fill of a lost order cannot."""
    rule = next(rule for rule in all_rules() if rule.name == "fills_have_orders")
    orders = pd.DataFrame({"order_id": ["o1"]})
    context = RuleContext(DATASETS["fills"], FIRST, LAST, NOW, companions={"orders": orders})
    fills = by_session(*({**CONTRACT, "fill_id": f"f{n}", "order_id": of} for n, of in enumerate(["o1", "", "o2"])))
    result = examine(DATASETS["fills"], fills, context, [rule]).results[0]
    assert result.findings == 1
    assert "o2" in result.detail


def test_schema_leaves_an_optional_column_without_values_alone() -> None:
    assert judged("schema", bars().assign(volume=None)).outcome == "passed"


def test_negative_prices_are_ordinary_for_energy() -> None:
    negative = put("price", -37.63)(multiple()).assign(instrument="CRUDE_W")
    assert judged("price_sign", negative).outcome == "passed"
    assert judged("price_range", negative).outcome == "passed"


def test_an_exchange_rate_is_above_zero() -> None:
    case = replace(CASES["price_range"], dataset="raw_fx_rates", clean=fx())
    rule = next(rule for rule in all_rules() if rule.name == "price_range")
    context = RuleContext(DATASETS[case.dataset], FIRST, LAST, NOW)
    assert examine(DATASETS[case.dataset], put("rate", 0.0)(fx()), context, [rule]).results[0].findings == 1


def test_a_jump_that_stays_is_no_spike() -> None:
    rows = multiple()
    pegged_until = rows.index < 30
    assert (
        judged("spikes", rows.assign(price=rows["price"].where(pegged_until, rows["price"] + 80))).outcome == "passed"
    )


def test_a_row_known_before_it_happened_is_quarantined() -> None:
    early = put("event_at", pd.Timestamp("2024-03-06 00:01", tz="UTC"))(fx())
    assert judged("future", early).findings == 1
    assert judged("future", early.assign(event_at=pd.NaT)).outcome == "passed"


def test_a_bar_at_the_close_before_is_stale_if_contracts_traded() -> None:
    still = bars().assign(open=4.5, high=4.5, low=4.5, close=4.5)
    assert judged("repeated_bar", still).findings == 4
    assert judged("repeated_bar", still.assign(volume=0.0)).outcome == "passed"
    assert judged("repeated_bar", still.assign(frequency="intraday")).outcome == "passed"


def test_a_rate_below_zero_is_no_spike() -> None:
    rule = next(rule for rule in all_rules() if rule.name == "spikes")
    context = RuleContext(DATASETS["raw_fx_rates"], FIRST, LAST, NOW)
    alone = put("rate", -1.0, 0)(fx()).iloc[:1]
    assert examine(DATASETS["raw_fx_rates"], alone, context, [rule]).results[0].outcome == "passed"


def test_a_roll_is_no_spike() -> None:
    rows = multiple()
    there_and_back = rows.assign(price=rows["price"].mask(rows.index == 30, 450.0))
    rolled = put("price_contract", 20240700, 30)(there_and_back)
    assert judged("spikes", rolled).outcome == "passed"


def test_a_spike_at_the_end_of_a_session_is_found_by_the_session_that_comes_back() -> None:
    rows = put("price", 450.0, 31)(multiple())  # Thursday 23:00
    thursday, friday = rows.iloc[:32], rows.iloc[32:]
    assert judged("spikes", thursday).outcome == "passed"
    found = judged("spikes", friday, earlier=thursday).violations
    assert found[["label", "value"]].to_numpy().tolist() == [["2024-03-07 23:00:00", "450.0"]]
    assert found["session"].to_list() == [pd.Timestamp(DAYS[4])]


def test_a_closed_exchange_leaves_no_gap() -> None:
    holiday = SessionCalendar("CBOT", FIRST, LAST, tuple(day for day in DAYS if day != DAYS[2]))
    frame = CASES["gaps"].fault(daily())
    assert judged("gaps", frame, calendars={"CBOT": holiday}).outcome == "passed"
    assert judged("gaps", frame).violations["session"].to_list() == [pd.Timestamp(DAYS[2])]


def test_a_session_without_rows_is_a_gap_where_there_were_rows_before() -> None:
    rows = daily()
    result = judged("gaps", rows.iloc[:0], earlier=rows.assign(session=rows["session"] - pd.Timedelta(days=7)))
    assert (result.outcome, result.findings) == ("failed", 5)


def test_a_closed_session_needs_no_delivery() -> None:
    closed = SessionCalendar("CBOT", FIRST, LAST, tuple(DAYS[:4]))
    frame = CASES["session_delivered"].fault(bars())
    assert judged("session_delivered", frame, calendars={"CBOT": closed}).outcome == "passed"


def test_one_skipped_session_is_found_where_the_exchange_was_open() -> None:
    until_thursday = weeks_ago(1).iloc[:4]
    friday = date(2024, 3, 1)
    opened = SessionCalendar("CBOT", friday, LAST, (friday, *DAYS))
    found = judged("skipped_sessions", daily(), earlier=until_thursday, calendars={"CBOT": opened})
    assert (found.outcome, found.findings) == ("failed", 1)
    assert "daybook backfill --from 2024-03-01 --to 2024-03-08" in found.violations["message"].iloc[0]
    holiday = SessionCalendar("CBOT", friday, LAST, tuple(DAYS))
    assert judged("skipped_sessions", daily(), earlier=until_thursday, calendars={"CBOT": holiday}).outcome == "passed"


def test_a_silent_pair_is_found_while_it_lasts() -> None:
    old = fx().assign(stamp=pd.to_datetime(fx()["stamp"]) - pd.Timedelta(days=20))
    result = judged("fx_gaps", fx().iloc[:0], earlier=old)
    assert (result.outcome, result.findings) == ("failed", 1)


def test_positions_that_are_gone_are_found() -> None:
    gone = judged("positions_fold", POSITIONS.iloc[:0])
    assert (gone.outcome, gone.findings) == ("failed", 1)
    assert judged("positions_fold", POSITIONS.iloc[:0], companions={"fills": FILLS.iloc[:0]}).outcome == "passed"


def test_the_pnl_identity_holds_to_1e_9_of_the_money_that_moved() -> None:
    assert judged("pnl_identity", put("change_base", 87.5 + 1e-8, 0)(EQUITY)).outcome == "passed"
    assert judged("pnl_identity", put("change_base", 87.5 + 3e-7, 0)(EQUITY)).outcome == "failed"


def test_a_residual_is_what_is_left_and_nothing_else() -> None:
    judged_so = judged("attribution_rows", put("residual_base", 1e-6, 0)(ATTRIBUTION))
    assert (judged_so.findings, judged_so.violations["column_name"].tolist()) == (1, ["residual_base"])
    unknown = judged("attribution_rows", put("fx_base", float("nan"), 0)(ATTRIBUTION))
    assert unknown.outcome == "failed"


def test_attributed_totals_are_the_change_of_the_account_to_1e_9() -> None:
    assert judged("attribution_total", put("total_base", 77.5 + 1e-8, 0)(ATTRIBUTION)).outcome == "passed"
    assert judged("attribution_total", put("total_base", float("nan"), 0)(ATTRIBUTION)).outcome == "failed"
    lost = judged("attribution_total", ATTRIBUTION.iloc[:0], earlier=ATTRIBUTION)
    assert (lost.outcome, lost.findings) == ("failed", 1)
    flat = {"equity": EQUITY.assign(change_base=0.0, booked_base=0.0)}
    assert judged("attribution_total", ATTRIBUTION.iloc[:0], earlier=ATTRIBUTION, companions=flat).outcome == "passed"


def test_a_session_with_equity_and_no_pnl_breaks_the_identity() -> None:
    assert judged("pnl_identity", EQUITY, companions={"pnl": PNL.iloc[:0]}).outcome == "failed"
