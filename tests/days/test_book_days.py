"""Days of the book: the multi-asset run in this process with adapters in memory and a paper broker.

Belongs here: sequences of sessions and what they leave behind. Does not belong here: single calculations.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest

from assets.book import DATASETS, book
from assets.layers import Sources
from assets.reconciliation import breaks
from assets.signals import DATASETS as SIGNALS
from assets.signals import signals
from checks import targets as agreement
from resources.brokers.paper import NO_FAULTS, PaperBroker, PaperFaults
from resources.brokers.quotes import DailyQuotes
from resources.frame_panels import FramePanels
from resources.memory import MemoryFrames, MemoryLedger, MemoryReference
from resources.risk_memory import MemoryDecisionLog, MemoryReservations
from trading.backtest.engine import bench_of, evaluate
from trading.book.booking import Entered
from trading.book.journal import Event
from trading.book.orders import Ended, Fill, Order
from trading.config.models import DeskSettings
from trading.config.risk import DecisionSettings, RiskLimit, RiskSettings
from trading.config.strategies import CostSettings, PortfolioSettings, RuleSettings, StrategySettings
from trading.config.symbols import SymbolDefaults, SymbolsSettings
from trading.config.trading import Capital, TradingSettings
from trading.errors import BrokerError, UsageError
from trading.frames import (
    BREAKS,
    CLEAN_FX_RATES,
    DAILY_PRICES,
    EQUITY,
    FILLS,
    FX_RATES,
    MULTIPLE_PRICES,
    OPTIMAL_POSITIONS,
    ORDERS,
    PNL,
    POSITIONS,
    ROLL_GAPS,
    TARGETS,
    to_pandas,
    to_table,
)
from trading.market.instruments import Instrument
from trading.ports import Correction, Span
from trading.risk.announced import DeskOrders
from trading.risk.book import Book
from trading.risk.halts import new_halt
from trading.risk.reservations import Base, Reserved, is_of_desk
from trading.strategies.closing import sizing

SESSIONS = [day.date() for day in pd.bdate_range("2022-01-03", "2022-03-11")]
ROLL_SESSION, HOLIDAY = date(2022, 3, 2), date(2022, 3, 3)
FIRST, LAST = date(2022, 2, 28), date(2022, 3, 9)
LEGS = [f"{ROLL_SESSION}:trend:GOLD:{month}:roll-20220400-20220600" for month in (20220400, 20220600)]

GOLD = Instrument(
    "GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US",
    slippage_points=0.05, commission_per_contract_local=2.0,
)  # fmt: skip
BUND = Instrument(
    "BUND", "Bund", "EUREX", "EUR", 1000.0, 0.01, "rates", "bonds", "DE",
    slippage_points=0.005, commission_per_trade_local=1.5,
)  # fmt: skip
CROSSOVER = RuleSettings(rule="ewmac", parameters={"fast": 2, "slow": 8}, scalar=10.6, weight=1.0)
STRATEGY = StrategySettings(name="trend", rules={"fast": CROSSOVER}, portfolio=PortfolioSettings(multiplier=1.5))
DESK = DeskSettings(
    trading=TradingSettings(capital=Capital(capital_base=5_000_000.0)),
    symbols=SymbolsSettings(defaults=SymbolDefaults(max_position_contracts=5_000)),
    strategies=(STRATEGY,),
)


def price_of(code: str, number: int) -> float:
    """A rising gold price and a falling bund, with a wave so that forecasts move."""
    wave = (number * 7 % 5) - 2
    return 1800.0 + 6.0 * number + 4.0 * wave if code == "GOLD" else 170.0 - 0.25 * number + 0.3 * wave


def daily_rows(code: str) -> list[dict[str, object]]:
    """Rows of daily_prices; gold rolls from 202204 to 202206 (3 points dearer) before ROLL_SESSION; the bund is closed
    on HOLIDAY."""
    rows = []
    for number, session in enumerate(SESSIONS):
        if code == "BUND" and session == HOLIDAY:
            continue
        rolled = code == "GOLD" and session >= ROLL_SESSION
        price, near, far = price_of(code, number), 20220400, 20220600
        rows.append(
            {
                "instrument": code, "session": session, "stamp": pd.Timestamp(session) + pd.Timedelta(hours=23),
                "price": price + 3.0 * rolled, "price_contract": far if rolled else near, "carry": None,
                "carry_contract": None, "forward": None if rolled else price + 3.0,
                "forward_contract": None if rolled else far, "volume": None,
            }
        )  # fmt: skip
    return rows


def stored(frames: MemoryFrames) -> MemoryFrames:
    """Prices, gaps and rates, as the earlier layers would leave them."""
    daily = pd.DataFrame([row for code in ("GOLD", "BUND") for row in daily_rows(code)])
    span = Span(SESSIONS[0], SESSIONS[-1])
    before = SESSIONS.index(ROLL_SESSION) - 1
    gap = {
        "instrument": "GOLD", "stamp": pd.Timestamp(ROLL_SESSION) + pd.Timedelta(hours=23), "session": ROLL_SESSION,
        "from_contract": 20220400, "to_contract": 20220600, "price_before": price_of("GOLD", before),
        "forward_before": price_of("GOLD", before) + 3.0, "gap_points": 3.0,
    }  # fmt: skip
    rates = [
        {"currency": name, "session": session, "rate": rate, "quoted_on": session}
        for session in SESSIONS
        for name, rate in (("USD", 1.0), ("EUR", 1.1 + 0.001 * session.day))
    ]
    quotes = [
        {"pair": "EURUSD", "stamp": pd.Timestamp(row["session"]), "session": row["session"], "rate": row["rate"]}
        for row in rates
        if row["currency"] == "EUR"
    ]
    for dataset, rows in (
        (DAILY_PRICES, daily),
        (ROLL_GAPS, pd.DataFrame([gap])),
        (FX_RATES, pd.DataFrame(rates)),
        (MULTIPLE_PRICES, daily),
        (CLEAN_FX_RATES, pd.DataFrame(quotes)),
    ):
        frames.replace(dataset, to_table(rows, dataset), span)
    return frames


class Desk:
    """One desk: its stores, its broker, and running its assets over sessions."""

    def __init__(self, settings: DeskSettings = DESK, faults: PaperFaults = NO_FAULTS) -> None:
        self.frames, self.ledger = stored(MemoryFrames()), MemoryLedger()
        self.decisions = MemoryDecisionLog()
        self.reference = MemoryReference([GOLD, BUND])
        self.settings = settings
        self.broker = self.paper(faults)
        self.shared: DeskOrders | None = None

    def paper(self, faults: PaperFaults = NO_FAULTS, path: str = ":memory:") -> PaperBroker:
        return PaperBroker(path, DailyQuotes(self.frames), self.reference.instruments, faults)

    def run(
        self,
        first: date,
        last: date | None = None,
        broker: object | None = None,
        ledger: object | None = None,
        checks: Sequence[dg.AssetChecksDefinition] = (),
    ) -> dg.ExecuteInProcessResult:
        clock: Callable[[], datetime] = lambda: datetime(2022, 3, 11, 22, tzinfo=UTC)  # noqa: E731
        return dg.materialize(
            [signals, book, breaks, *checks],
            resources={
                "frames": _as_is(self.frames), "ledger": _as_is(ledger or self.ledger),
                "broker": _as_is(broker or self.broker), "reference": _as_is(self.reference),
                "panels": _as_is(FramePanels(self.frames, self.reference)), "desk": _as_is(self.settings),
                "clock": _as_is(clock), "decisions": _as_is(self.decisions),
                "desk_orders": _as_is(self.shared),
            },
            tags={
                "dagster/asset_partition_range_start": first.isoformat(),
                "dagster/asset_partition_range_end": (last or first).isoformat(),
            },
        )  # fmt: skip

    def agreement(self, first: date = FIRST, last: date = LAST) -> dg.AssetCheckResult:
        """The check that targets are the backtest's."""
        sources = Sources(self.frames, self.reference, self.settings, datetime(2022, 3, 11, 22, tzinfo=UTC))
        panels = FramePanels(self.frames, self.reference)
        return agreement.result(agreement.compared(sources, panels, first, last), self.settings)

    def rows(self, dataset, session: date | None = None) -> pd.DataFrame:
        table = self.frames.history(dataset, through=session or LAST, since=session or FIRST)
        return to_pandas(table)

    def hashes(self) -> dict[str, str]:
        found = {dataset.name: self.frames.content_hash(dataset) for dataset in (*DATASETS, *SIGNALS, BREAKS)}
        return found | {"ledger": self.ledger.content_hash()}


def _as_is(value: object) -> dg.ResourceDefinition:
    return dg.ResourceDefinition.hardcoded_resource(value)


def sessions_between(first: date, last: date) -> list[date]:
    return [session for session in SESSIONS if first <= session <= last]


@pytest.fixture(scope="module")
def whole() -> Desk:
    """A desk closed over the whole range in one run."""
    desk = Desk()
    assert desk.run(FIRST, LAST).success
    return desk


def test_first_session_has_orders_and_no_fills_and_the_next_fills_them(whole: Desk) -> None:
    assert whole.rows(POSITIONS, FIRST).empty
    assert set(whole.rows(ORDERS, FIRST)["status"]) == {"sent"}
    ordered = whole.rows(ORDERS, FIRST).set_index("instrument")["quantity_contracts"]
    held = whole.rows(POSITIONS, date(2022, 3, 1)).set_index("instrument")["quantity_contracts"]
    assert held.to_dict() == ordered.to_dict()
    assert held["GOLD"] > 0 > held["BUND"]  # the trends of the two made-up markets


def test_a_roll_moves_the_position_into_the_next_contract(whole: Desk) -> None:
    before = whole.rows(POSITIONS, date(2022, 3, 1)).set_index("instrument").loc["GOLD"]
    legs = whole.rows(ORDERS, ROLL_SESSION).query("reason == 'roll'").set_index("contract")["quantity_contracts"]
    assert legs.to_dict() == {20220400: -before.quantity_contracts, 20220600: before.quantity_contracts}
    after = whole.rows(POSITIONS, ROLL_SESSION).query("instrument == 'GOLD'")
    assert after["contract"].tolist() == [20220600]


def test_a_closed_instrument_keeps_its_mark_and_trades_on_its_next_session(whole: Desk) -> None:
    held = whole.rows(POSITIONS, HOLIDAY).set_index("instrument").loc["BUND"]
    assert held.marked_on.date() == ROLL_SESSION
    assert "BUND" not in set(whole.rows(ORDERS, HOLIDAY)["instrument"])


def test_profit_is_the_change_of_the_account(whole: Desk) -> None:
    for session in sessions_between(FIRST, LAST):
        pnl, equity = whole.rows(PNL, session), whole.rows(EQUITY, session)
        assert pnl["total_base"].sum() == pytest.approx(equity["change_base"].sum(), abs=1e-9)
    assert whole.rows(PNL)["total_base"].abs().sum() > 1_000  # it was not all zero


def test_positions_are_the_fold_of_the_journal(whole: Desk) -> None:
    projected = {
        (row["strategy"], row["instrument"], row["contract"]): row["quantity_contracts"]
        for row in whole.ledger.rows("positions")
        if row["quantity_contracts"]
    }
    last = whole.rows(POSITIONS, LAST).set_index(["strategy", "instrument", "contract"])["quantity_contracts"]
    assert last.to_dict() == projected


def test_an_unquoted_currency_leaves_its_instrument_without_a_size() -> None:
    desk = Desk()
    rates = to_pandas(desk.frames.history(FX_RATES, through=LAST))
    only_dollars = to_table(rates[rates["currency"] == "USD"], FX_RATES)
    desk.frames.replace(FX_RATES, only_dollars, Span(SESSIONS[0], SESSIONS[-1]))
    later = pd.DataFrame(
        [{"pair": "EURUSD", "stamp": pd.Timestamp(SESSIONS[-1]), "session": SESSIONS[-1], "rate": 1.1}]
    )
    desk.frames.replace(CLEAN_FX_RATES, to_table(later, CLEAN_FX_RATES), Span(SESSIONS[0], SESSIONS[-1]))
    assert desk.run(FIRST, LAST).success
    assert set(desk.rows(POSITIONS)["instrument"]) == {"GOLD"}


def test_the_broker_agrees(whole: Desk) -> None:
    assert whole.rows(BREAKS).empty


def test_one_run_and_a_run_a_session_leave_the_same(whole: Desk) -> None:
    desk = Desk()
    for session in sessions_between(FIRST, LAST):
        assert desk.run(session).success
    assert desk.hashes() == whole.hashes()


def test_closing_again_changes_nothing() -> None:
    desk = Desk()
    desk.run(FIRST, LAST)
    first = desk.hashes()
    desk.run(FIRST, LAST)
    desk.run(date(2022, 3, 2))  # an earlier session alone
    desk.run(LAST)  # the newest alone
    assert desk.hashes() == first


def test_a_missed_session_is_made_up_for_by_the_next(whole: Desk) -> None:
    """Nobody closed the session of the roll: the next one rolls, and the profit of both days is in it."""
    desk = Desk()
    desk.run(FIRST, date(2022, 3, 1))
    short = desk.rows(POSITIONS, date(2022, 3, 1)).set_index("instrument").loc["BUND", "quantity_contracts"]
    assert short < -20
    desk.run(HOLIDAY)
    held = desk.rows(POSITIONS, HOLIDAY).set_index("instrument")["contract"].to_dict()
    assert held == {"GOLD": 20220600, "BUND": 20220400}
    pnl, equity = desk.rows(PNL, HOLIDAY), desk.rows(EQUITY, HOLIDAY)
    assert pnl["total_base"].sum() == pytest.approx(equity["change_base"].sum(), abs=1e-9)
    bund = pnl.set_index("instrument").loc["BUND"]
    # Short from 159.75 on Tuesday to 160.10, its last price on Wednesday, at Thursday's 1.103; nothing was traded.
    assert bund["held_base"] == pytest.approx(short * 0.35 * 1000 * 1.103)
    assert desk.rows(BREAKS, HOLIDAY).empty


def test_pictures_are_where_people_look(whole: Desk) -> None:
    desk = Desk()
    desk.run(FIRST, LAST)
    result = desk.run(LAST, LAST)
    shown = {event.asset_key.to_user_string(): set(event.materialization.metadata)
             for event in result.get_asset_materialization_events()}  # fmt: skip
    assert "profit and loss" in shown["pnl"]
    assert "exposure" in shown["positions"]
    assert all("dagster/row_count" in names for names in shown.values())


def test_pictures_of_a_range_are_kept_once(whole: Desk) -> None:
    result = Desk().run(FIRST, LAST)
    each = [event.materialization.metadata for event in result.get_asset_materialization_events()]
    seen = [event.asset_observation_data.asset_observation for event in result.get_asset_observation_events()]
    once = [found for found in seen if found.asset_key.to_user_string() == "pnl"]
    assert [found.partition for found in once] == [LAST.isoformat()]
    assert "profit and loss" in once[0].metadata
    assert any("account" in found.metadata for found in seen if found.asset_key.to_user_string() == "equity")
    assert not any("profit and loss" in metadata or "dagster/row_count" in metadata for metadata in each)


class Dying:
    """A broker or ledger that stops the process after some calls, as a kill would."""

    name = "paper"

    def __init__(self, port: object, calls: int) -> None:
        self._port, self._left = port, calls

    def __getattr__(self, name: str):
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return getattr(self._port, name)


@pytest.mark.parametrize("port", ["broker", "ledger"])
@pytest.mark.parametrize("calls", [1, 2, 5, 9])
def test_killed_anywhere_and_run_again_leaves_the_same(whole: Desk, port: str, calls: int) -> None:
    desk = Desk()
    with pytest.raises(KeyboardInterrupt):
        desk.run(FIRST, LAST, **{port: Dying(getattr(desk, port), calls)})
    assert desk.run(FIRST, LAST).success
    assert desk.hashes() == whole.hashes()


def test_what_a_dead_run_left_is_closed_again_before_anything_later() -> None:
    desk = Desk()
    with pytest.raises(KeyboardInterrupt):
        desk.run(FIRST, LAST, broker=Dying(desk.broker, 12))
    with pytest.raises(UsageError, match="2022-03-01 that were never valued"):
        desk.run(LAST)


def test_a_lost_fill_is_a_break_and_no_answer_stops_the_close() -> None:
    desk = Desk(faults=PaperFaults(drop_fill=frozenset({"GOLD"})))
    desk.run(FIRST, date(2022, 3, 1))
    kinds = desk.rows(BREAKS, date(2022, 3, 1)).set_index("item")["kind"].to_dict()
    assert kinds["GOLD/20220400"] == "missing_here"
    with pytest.raises(BrokerError):
        desk.run(date(2022, 3, 2), broker=desk.paper(PaperFaults(unavailable=True)))


def test_an_instrument_with_an_open_break_takes_no_orders_until_it_is_overridden_or_healed() -> None:
    desk = Desk(faults=PaperFaults(drop_fill=frozenset({"GOLD"})))
    desk.run(FIRST)
    desk.run(date(2022, 3, 1))
    half = TradingSettings(capital=Capital(capital_base=2_500_000.0))  # wants other positions
    desk.settings = DESK.model_copy(update={"trading": half})
    desk.run(date(2022, 3, 2))
    orders = desk.rows(ORDERS, date(2022, 3, 2)).set_index("instrument")
    assert orders["status"].to_dict() == {"GOLD": "refused", "BUND": "sent"}
    assert "GOLD" in orders.loc["GOLD", "refusal"]
    said = Event("override:1", "override_set", date(2022, 3, 3), datetime(2022, 3, 3, tzinfo=UTC), "ann",
                 {"override_id": "1", "scope": "instrument", "item": "GOLD", "session": None,
                  "reason": "the broker confirmed by phone"})  # fmt: skip
    desk.ledger.record([said])
    desk.run(date(2022, 3, 3))
    freed = desk.rows(ORDERS, date(2022, 3, 3)).set_index("instrument")
    assert freed.loc["GOLD", "status"] == "sent"


def test_interest_and_fees_are_the_accounts_and_no_price_moved_for_them(whole: Desk) -> None:
    desk, day = Desk(), date(2022, 3, 2)
    for number, (currency, amount, category) in enumerate([("EUR", 50.0, "interest"), ("EUR", -8.0, "fee"),
                                                           ("USD", 9_000.0, "deposit")]):  # fmt: skip
        payload = {"cash_id": str(number), "currency": currency, "amount_local": amount, "category": category,
                   "session": day.isoformat(), "reason": "monthly statement"}  # fmt: skip
        at = datetime(2022, 3, 2, tzinfo=UTC)
        desk.ledger.record([Event(f"cash:{number}", "cash_booked", day, at, "ann", payload)])
    desk.run(FIRST, LAST)
    mine, theirs = (found.rows(EQUITY).set_index(["currency", "session"]).sort_index() for found in (desk, whole))
    assert (mine["change_base"] == theirs["change_base"]).all()
    booked = mine["booked_base"]
    assert booked[booked != 0.0].to_dict() == {("EUR", pd.Timestamp(day)): pytest.approx(42.0 * 1.102)}
    after = mine["account_base"] - theirs["account_base"]
    assert after.xs("USD")[LAST.isoformat()] == pytest.approx(42.0 * 1.102)
    assert after.xs("USD")["2022-03-01"] == 0.0


def paid(day: date) -> Event:
    payload = {"cash_id": "late", "currency": "USD", "amount_local": 1_000.0, "category": "interest",
               "session": day.isoformat(), "reason": "monthly statement"}  # fmt: skip
    return Event("cash:late", "cash_booked", day, datetime(2022, 3, 4, tzinfo=UTC), "ann", payload)


@pytest.mark.parametrize("day", [date(2022, 2, 28), date(2022, 3, 1), date(2022, 3, 2)], ids=["old", "last", "skipped"])
def test_cash_entered_late_or_for_a_skipped_session_is_never_lost(day: date) -> None:
    desk = Desk()
    desk.run(FIRST, date(2022, 3, 1))
    desk.ledger.record([paid(day)])
    with pytest.raises(UsageError, match=f"fills or cash of {day} that were never valued"):
        desk.run(date(2022, 3, 3))
    desk.run(day, date(2022, 3, 3))
    assert desk.rows(EQUITY)["booked_base"].sum() == 1_000.0


def test_contracts_entered_late_at_the_mark_are_noticed() -> None:
    """They are worth nothing new on their day, and would be in the positions of no session."""
    desk, day = Desk(), date(2022, 3, 1)
    desk.run(FIRST, day)
    gold = desk.rows(POSITIONS, day).set_index("instrument").loc["GOLD"]
    entry = Entered(day, datetime(2022, 3, 2, tzinfo=UTC), "ann")
    key = ("trend", "GOLD", int(gold["contract"]))
    desk.ledger.record([entry.adjusted("a1", key, 3, float(gold["mark_points"]), "given up to us")])
    with pytest.raises(UsageError, match=r"of 2022-03-01 were corrected since it was closed.*GOLD"):
        desk.run(date(2022, 3, 2))
    desk.run(day)
    desk.run(date(2022, 3, 2))
    assert desk.rows(POSITIONS, day).set_index("instrument").loc["GOLD", "quantity_contracts"] == (
        gold["quantity_contracts"] + 3
    )


class Rejecting:
    """A broker that never takes orders for GOLD, and says so in the session after."""

    name = "paper"

    def __init__(self, broker: PaperBroker) -> None:
        self._broker = broker

    def place(self, orders: Sequence[Order]) -> None:
        self._broker.place([order for order in orders if order.instrument != "GOLD"])

    def ended(self, order_ids: Sequence[str], session: date) -> list[Ended]:
        return [Ended(name, "rejected", "no permission") for name in order_ids if ":GOLD:" in name]

    def __getattr__(self, name: str):
        return getattr(self._broker, name)


def test_an_order_that_the_broker_rejected_is_at_work_no_longer_and_decided_anew() -> None:
    desk, second = Desk(), date(2022, 3, 1)
    for session in (FIRST, second, second):  # the second one twice: it records nothing new
        desk.run(session, broker=Rejecting(desk.broker))
    events = [entry.event for entry in desk.ledger.entries(kinds=["order_rejected"])]
    assert [(event.session, event.payload["refusal"]) for event in events] == [(second, "no permission")]
    rows = {row["session"]: row for row in desk.ledger.rows("orders", {"instrument": "GOLD", "level": "contract"})}
    assert [rows[str(day)]["status"] for day in (FIRST, second)] == ["rejected", "sent"]
    assert desk.rows(POSITIONS, second)["instrument"].tolist() == ["BUND"]


class Correcting:
    """A broker that tells its fills of GOLD anew in the session after, a point dearer, and again in the next."""

    name = "paper"

    def __init__(self, broker: PaperBroker) -> None:
        self._broker = broker

    def corrections(self, session: date) -> list[Correction]:
        later = {date(2022, 3, 2): 1, date(2022, 3, 3): 1}.get(session)
        fills = self._broker.fills(date(2022, 3, 1)) if later else []
        return [Correction(replace(f, price_points=f.price_points + 1.0), 1) for f in fills if f.instrument == "GOLD"]

    def __getattr__(self, name: str):
        return getattr(self._broker, name)


def test_a_fill_told_anew_moves_the_book_in_the_session_it_is_told_in(whole: Desk) -> None:
    """A point dearer costs 100 USD a contract, once; what the session before earned stays what it was."""
    desk = Desk()
    desk.run(FIRST, LAST, broker=Correcting(desk.broker))
    day = date(2022, 3, 2)
    (bought,) = [fill for fill in desk.broker.fills(date(2022, 3, 1)) if fill.instrument == "GOLD"]
    for session in (date(2022, 3, 1), day):
        change = [d.rows(EQUITY, session).set_index("currency").loc["USD", "change_local"] for d in (desk, whole)]
        assert change[0] - change[1] == pytest.approx(-100.0 * bought.quantity_contracts if session == day else 0.0)
    assert set(desk.rows(FILLS, day)["fill_id"]) >= {f"{bought.fill_id}~1-", f"{bought.fill_id}~1"}
    corrected = [entry.event for entry in desk.ledger.entries(kinds=["fill_corrected"])]
    assert [(event.session, event.payload["version"]) for event in corrected] == [(day, 1)]
    assert desk.rows(POSITIONS, LAST)["quantity_contracts"].equals(whole.rows(POSITIONS, LAST)["quantity_contracts"])


def test_orders_over_a_limit_are_refused_and_recorded() -> None:
    desk = Desk(DESK.model_copy(update={"symbols": SymbolsSettings(defaults=SymbolDefaults(max_position_contracts=3))}))
    desk.run(FIRST, LAST)
    refused = desk.rows(ORDERS, FIRST).query("status == 'refused'")
    assert refused["refusal"].str.contains("passes the limit of 3").all()
    assert len(refused) == 2
    assert desk.rows(POSITIONS).empty
    assert {row["status"] for row in desk.ledger.rows("orders")} == {"refused"}


def limited(*limits: dict[str, object]) -> DeskSettings:
    risk = DeskSettings.model_validate({"risk": {"limits": list(limits)}}).risk
    return DESK.model_copy(update={"risk": risk})


def test_the_close_measures_volatility_from_returns_through_its_session() -> None:
    """The same limit refuses everything or nothing, and never because something could not be measured."""
    tight = Desk(limited({"rule": "portfolio_volatility", "refuse": 0.0001}))
    tight.run(FIRST)
    refused = tight.rows(ORDERS, FIRST).query("status == 'refused'")
    assert len(refused) == 2
    assert refused["refusal"].str.contains("times the volatility target passes the limit of 0.0001").all()
    wide = Desk(limited({"rule": "portfolio_volatility", "refuse": 1000.0}))
    wide.run(FIRST)
    assert wide.rows(ORDERS, FIRST)["status"].tolist() == ["sent", "sent"]


def test_a_fall_from_the_peak_counts_over_sessions_and_stops_new_orders() -> None:
    free = Desk()
    free.run(FIRST, LAST)
    worth = free.rows(EQUITY).groupby("session")["account_base"].last()
    peak = worth.cummax().clip(lower=5_000_000.0)
    falls = 1.0 - worth / peak
    stopped = falls[falls > 0.0].index[0]
    desk = Desk(limited({"rule": "drawdown", "refuse": float(falls[stopped]) / 2}))
    desk.run(FIRST, LAST)
    refused = desk.rows(ORDERS).query("status == 'refused'")
    assert len(refused) > 0
    assert refused["refusal"].str.startswith("drawdown of the book").all()
    assert pd.Timestamp(refused["session"].min()) >= pd.Timestamp(stopped), "not before it fell so far"


def test_a_strategy_that_lost_too_much_in_a_week_is_stopped_by_name() -> None:
    desk = Desk(limited({"rule": "weekly_loss", "by": "strategy", "strategy": "trend", "refuse": 0.0}))
    free = Desk()
    for each in (desk, free):
        each.run(FIRST, LAST)
    week = free.rows(PNL).groupby("session")["total_base"].sum()
    assert week.min() < 0.0, "it lost in some session"
    refused = desk.rows(ORDERS).query("status == 'refused'")
    assert refused["refusal"].str.startswith("weekly_loss of trend").any()


def test_a_correction_before_the_fill_replaces_the_order_and_after_it_does_not() -> None:
    desk = Desk()
    desk.run(FIRST)
    desk.settings = DESK.model_copy(update={"trading": TradingSettings(capital=Capital(capital_base=2_500_000.0))})
    desk.run(FIRST)
    statuses = desk.rows(ORDERS, FIRST).set_index("order_id")["status"].to_dict()
    assert statuses["2022-02-28:trend:GOLD:20220400:target"] == "cancelled"
    assert statuses["2022-02-28:trend:GOLD:20220400:target:2"] == "sent"
    desk.run(date(2022, 3, 1))
    held = desk.rows(POSITIONS, date(2022, 3, 1))
    desk.settings = DESK
    desk.run(FIRST)
    desk.run(date(2022, 3, 1))
    assert desk.rows(POSITIONS, date(2022, 3, 1)).equals(held)
    assert desk.rows(BREAKS, date(2022, 3, 1)).empty


class Cut:
    """A broker to whom cancels do not come through: they kill the run (`dies`), or get lost on the way."""

    name = "paper"

    def __init__(self, broker: PaperBroker, dies: bool) -> None:
        self._broker, self._dies = broker, dies

    def cancel(self, order_ids: list[str]) -> None:
        if order_ids and self._dies:
            raise KeyboardInterrupt

    def __getattr__(self, name: str):
        return getattr(self._broker, name)


def decided_anew(dies: bool) -> tuple[Desk, object]:
    """A desk that decided, then decided half of it anew with a broker that never heard of the cancels."""
    desk = Desk()
    desk.run(FIRST)
    desk.settings = DESK.model_copy(update={"trading": TradingSettings(capital=Capital(capital_base=2_500_000.0))})
    return desk, Cut(desk.broker, dies)


def test_a_run_killed_before_the_broker_heard_of_a_cancel_is_made_up_for() -> None:
    desk, cut = decided_anew(dies=True)
    with pytest.raises(KeyboardInterrupt):
        desk.run(FIRST, broker=cut)
    desk.run(FIRST)
    orders = desk.rows(ORDERS, FIRST).query("status == 'sent'").set_index("instrument")["quantity_contracts"]
    desk.run(date(2022, 3, 1))
    held = desk.rows(POSITIONS, date(2022, 3, 1)).set_index("instrument")["quantity_contracts"]
    assert held.to_dict() == orders.to_dict()
    assert len(held) == 2
    assert desk.rows(BREAKS, date(2022, 3, 1)).empty


def test_a_fill_of_a_withdrawn_order_is_a_break() -> None:
    desk, deaf = decided_anew(dies=False)
    desk.run(FIRST, broker=deaf)
    desk.run(date(2022, 3, 1), broker=deaf)
    found = desk.rows(BREAKS, date(2022, 3, 1)).set_index("item")
    assert set(found["kind"]) == {"withdrawn_filled"}
    assert set(found.index) == {
        "2022-02-28:trend:GOLD:20220400:target",
        "2022-02-28:trend:BUND:20220400:target",
    }
    assert "Agree with the broker whose trade it is" in found["message"].iloc[0]


def test_a_point_value_that_changes_is_no_break() -> None:
    desk = Desk()
    changed = replace(GOLD, point_value_local=50.0, effective_from=date(2022, 3, 4))
    desk.reference = MemoryReference([GOLD, changed, BUND])
    desk.broker = desk.paper()
    assert desk.run(FIRST, LAST).success
    assert desk.rows(POSITIONS, LAST).set_index("instrument").loc["GOLD", "quantity_contracts"].any()
    assert desk.rows(BREAKS).empty
    for session in sessions_between(FIRST, LAST):
        pnl, equity = desk.rows(PNL, session), desk.rows(EQUITY, session)
        assert pnl["total_base"].sum() == pytest.approx(equity["change_base"].sum(), abs=1e-9)


def corrected_gold(desk: Desk, session: date) -> None:
    """The vendor corrects a session's price of gold by 10 points."""
    rows = to_pandas(desk.frames.history(DAILY_PRICES, through=session, since=session))
    rows.loc[rows["instrument"] == "GOLD", "price"] += 10
    desk.frames.replace(DAILY_PRICES, to_table(rows, DAILY_PRICES), Span(session, session))


def test_after_a_correction_of_a_closed_session_the_next_one_waits_until_it_is_closed_again() -> None:
    friday, monday = date(2022, 3, 4), date(2022, 3, 7)
    desk = Desk()
    desk.run(FIRST, friday)
    corrected_gold(desk, friday)
    entries = desk.ledger.sequence()
    with pytest.raises(UsageError, match=r"worth something else now \(USD\). Close 2022-03-04 again first"):
        desk.run(monday)
    assert desk.ledger.sequence() == entries
    desk.run(friday)
    desk.run(monday)
    dollars = (
        to_pandas(desk.frames.history(EQUITY, through=monday))
        .query("currency == 'USD'")
        .set_index("session")
        .sort_index()
    )
    moved = dollars["value_local"].diff().iloc[1:]
    assert moved.tolist() == pytest.approx(dollars["change_local"].iloc[1:].tolist(), abs=1e-6)


def test_a_strategy_that_is_no_longer_configured_is_closed() -> None:
    desk = Desk()
    desk.run(FIRST, date(2022, 3, 4))
    desk.settings = DESK.model_copy(update={"strategies": (STRATEGY.model_copy(update={"name": "other"}),)})
    desk.run(date(2022, 3, 7))  # still fills the orders of the session before
    held = desk.rows(POSITIONS, date(2022, 3, 7)).set_index("instrument")["quantity_contracts"]
    orders = desk.rows(ORDERS, date(2022, 3, 7)).query("strategy == 'trend'").set_index("instrument")
    assert orders["quantity_contracts"].to_dict() == {"GOLD": -held["GOLD"], "BUND": -held["BUND"]}
    desk.run(date(2022, 3, 8))
    assert set(desk.rows(POSITIONS, date(2022, 3, 8))["strategy"]) == {"other"}
    assert desk.rows(BREAKS, date(2022, 3, 8)).empty


def test_the_backtest_holds_what_the_close_holds() -> None:
    """Two roads to the same positions: the backtest's own, and orders, fills and journal of the book."""
    desk = Desk()
    assert desk.run(SESSIONS[5], SESSIONS[-1]).success
    panel = FramePanels(desk.frames, desk.reference).panel(["BUND", "GOLD"], "USD")
    tested = evaluate(bench_of(panel, STRATEGY), STRATEGY, sizing(STRATEGY, DESK.capital)).account.holdings.held
    positions = to_pandas(desk.frames.history(POSITIONS, through=SESSIONS[-1]))
    held = positions.groupby(["session", "instrument"])["quantity_contracts"].sum().unstack(fill_value=0)
    compared = held.reindex(pd.DatetimeIndex(SESSIONS[6:], name="session"), fill_value=0)
    expected = pd.DataFrame(tested[6:], index=compared.index, columns=["BUND", "GOLD"])
    assert compared.astype(float).to_dict() == expected.to_dict()
    assert compared.diff().abs().gt(0).sum().gt(10).all()  # both markets were traded all along


def test_targets_are_the_backtests_and_what_is_not_is_said(whole: Desk) -> None:
    found = whole.agreement()
    assert found.passed
    assert found.metadata["optimal positions"].value == 2 * len(sessions_between(FIRST, LAST))
    desk = Desk()  # it begins with the history, and so holds what the backtest holds
    desk.run(SESSIONS[5], SESSIONS[-1])
    assert desk.agreement(SESSIONS[5], SESSIONS[-1]).metadata["targets"].value > 60


def test_prices_since_a_date_and_what_sees_the_future() -> None:
    """The close cuts prices off where the backtest does, and the check says what no backtest is evidence of."""
    since = STRATEGY.model_copy(
        update={"prices_since": SESSIONS[15], "costs": CostSettings(deflator="final_volatility")}
    )
    desk = Desk(DESK.model_copy(update={"strategies": (since,)}))
    desk.run(FIRST, LAST)
    found = desk.agreement()
    assert found.passed
    assert "The backtest of trend sees the future by costs.deflator" in str(found.description)
    whole = DESK.model_copy(update={"strategies": (STRATEGY,)})
    desk.settings = whole
    assert "daily_volatility_base is" in str(desk.agreement().description)


def changed(desk: Desk, dataset, column: str, by: float) -> None:
    """Somebody changes the newest row of gold."""
    rows = to_pandas(desk.frames.history(dataset, through=LAST, since=LAST))
    rows.loc[rows["instrument"] == "GOLD", column] += by
    desk.frames.replace(dataset, to_table(rows, dataset), Span(LAST, LAST))


def test_a_target_that_is_not_the_backtests_is_found() -> None:
    desk = Desk()
    desk.run(SESSIONS[5], LAST)
    assert desk.agreement().passed
    changed(desk, TARGETS, "target_contracts", 1)
    found = desk.agreement()
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert f"trend GOLD {LAST}: the target is " in str(found.description)
    assert "Close the sessions again." in str(found.description)


def test_an_optimal_position_in_its_last_digit_is_found() -> None:
    desk = Desk()
    desk.run(SESSIONS[5], LAST)
    changed(desk, OPTIMAL_POSITIONS, "optimal_contracts", 1e-12)
    assert f"trend GOLD {LAST}: optimal_contracts is " in str(desk.agreement().description)


def test_prices_corrected_and_settings_changed_since_are_found() -> None:
    desk = Desk()
    desk.run(FIRST, LAST)
    desk.settings = DESK.model_copy(update={"trading": TradingSettings(capital=Capital(capital_base=2_500_000.0))})
    assert "optimal_contracts" in str(desk.agreement().description)
    desk.settings = DESK
    assert desk.agreement().passed
    corrected_gold(desk, date(2022, 3, 1))
    assert "trend GOLD 2022-03-01: forecast is " in str(desk.agreement().description)
    assert desk.agreement(FIRST, FIRST).passed  # what was known the day before is what it was


def test_nothing_decided_is_not_agreement() -> None:
    desk = Desk(DESK.model_copy(update={"strategies": ()}))
    found = desk.agreement()
    assert (found.passed, found.metadata["outcome"].value) == (False, "not applicable")


def test_the_check_runs_with_the_book() -> None:
    desk = Desk()
    result = desk.run(FIRST, LAST, checks=[agreement.targets_as_backtest])
    (found,) = result.get_asset_check_evaluations()
    assert (found.check_name, found.passed) == ("targets_as_backtest", True)


# --- decisions ------------------------------------------------------------------------------------------------------
def decided(desk: Desk) -> list[tuple[date, str, str, str]]:
    """Decisions that were kept, the oldest first."""
    kept = sorted(desk.decisions.read(), key=lambda each: each.number)
    return [(each.about.session, each.asked.order_id, each.outcome, each.about.by) for each in kept]


def test_what_risk_says_of_every_order_is_kept_once() -> None:
    """Of legs of a roll, and of an order that a roll took along, too; also where the days are closed again, and where a
    refused order is decided anew."""
    desk = Desk()
    desk.run(FIRST, LAST)
    kept = decided(desk)
    rows = desk.ledger.rows("orders", {"level": "contract"})
    orders = {row["order_id"]: row["status"] for row in rows}
    judged = [name for _, name, *_ in kept]
    assert len(judged) == len(set(judged)) > 3
    assert set(orders) == set(judged)
    assert {"2022-03-01:trend:GOLD:20220600:target", *LEGS} <= set(orders)
    assert all((outcome == "refuse") == (orders[name] == "refused") for _, name, outcome, _ in kept)
    assert {by for *_, by in kept} == {"close"}
    actions = {each.asked.order_id: each.about.action for each in desk.decisions.read()}
    assert [actions[name] for name in LEGS] == ["roll_out", "roll_in"]
    desk.run(FIRST, LAST)
    assert decided(desk) == kept


def rolling_limit(contracts: int, rule: str = "contract_position") -> DeskSettings:
    """A limit on gold that begins with the session it rolls in."""
    limit = RiskLimit(rule=rule, instrument="GOLD", refuse=contracts, effective_from=ROLL_SESSION)
    return DESK.model_copy(update={"risk": RiskSettings(limits=(limit,))})


def gold(desk: Desk, session: date) -> dict[int, int]:
    """Contracts of gold after a session, by contract month."""
    rows = desk.rows(POSITIONS, session).query("instrument == 'GOLD'")
    return dict(zip(rows["contract"], rows["quantity_contracts"], strict=True))


def traded(desk: Desk) -> dict[str, int]:
    """Contracts of gold filled in the session it rolls in, by order."""
    rows = desk.rows(FILLS, ROLL_SESSION).query("instrument == 'GOLD'")
    return dict(zip(rows["order_id"], rows["quantity_contracts"], strict=True))


def test_a_roll_goes_as_far_as_limits_let_it_and_is_told_of() -> None:
    """Of what is held of gold before it rolls, 5 may be held of the next contract."""
    desk = Desk(rolling_limit(5))
    desk.run(FIRST, date(2022, 3, 1))
    (held,) = gold(desk, date(2022, 3, 1)).values()
    assert held > 5
    desk.run(ROLL_SESSION)
    assert gold(desk, ROLL_SESSION) == {20220600: 5}
    fills = desk.rows(FILLS, ROLL_SESSION).query("instrument == 'GOLD'")
    assert sorted(zip(fills["contract"], fills["quantity_contracts"], strict=True)) == [
        (20220400, -held),
        (20220600, 5),
    ]
    orders = desk.rows(ORDERS, ROLL_SESSION).set_index("order_id")
    (left,) = [name for name in orders.index if name.endswith(":rest")]
    assert (left, orders.loc[left, "status"]) == (f"{LEGS[1]}:rest", "refused")
    assert orders.loc[left, "quantity_contracts"] == held - 5
    assert str(orders.loc[left, "refusal"]).startswith("contract_position of GOLD/20220600")
    before = desk.ledger.sequence(), decided(desk)
    desk.run(ROLL_SESSION)
    assert (desk.ledger.sequence(), decided(desk)) == before
    desk.settings = DESK  # what rolled stands, whatever limits say later
    desk.run(ROLL_SESSION)
    assert {name: count for name, count in traded(desk).items() if name.startswith(str(ROLL_SESSION))} == {
        LEGS[0]: -held, LEGS[1]: 5
    }  # fmt: skip


def test_a_roll_leaves_nothing_where_nothing_may_be_traded() -> None:
    desk = Desk()
    desk.run(FIRST, date(2022, 3, 1))
    held = gold(desk, date(2022, 3, 1))
    halt = new_halt("instrument", "GOLD", "nothing", "anna", "a drill", datetime(2022, 3, 1, 23, tzinfo=UTC))
    desk.ledger.record([halt.set_event(ROLL_SESSION)])
    desk.run(ROLL_SESSION)
    assert gold(desk, ROLL_SESSION) == held
    legs = desk.ledger.rows("orders", {"level": "contract", "reason": "roll"})
    assert [(row["status"], str(row["refusal"])[:15]) for row in legs] == [("refused", "halt of trend/G")] * 2


def test_an_order_that_would_move_with_a_roll_is_judged_in_its_next_contract() -> None:
    """It was decided for the old one, and a halt came since: it is withdrawn there and not placed here, while what is
    held rolls."""
    desk = Desk()
    desk.run(FIRST, date(2022, 3, 1))
    (held,) = gold(desk, date(2022, 3, 1)).values()
    halt = new_halt("instrument", "GOLD", "reduce_only", "anna", "a drill", datetime(2022, 3, 1, 23, tzinfo=UTC))
    desk.ledger.record([halt.set_event(ROLL_SESSION)])
    desk.run(ROLL_SESSION)
    orders = desk.rows(ORDERS, ROLL_SESSION).set_index("order_id")
    moved = orders.loc["2022-03-01:trend:GOLD:20220600:target"]
    assert (moved["status"], str(moved["refusal"])[:18]) == ("refused", "halt of trend/GOLD")
    assert gold(desk, ROLL_SESSION) == {20220600: held}


class Slow:
    """A broker that holds some fills back: those that `told` lets through are told."""

    def __init__(self, inner: PaperBroker, told: Callable[[Fill], bool]) -> None:
        self.inner, self.told, self.name = inner, told, inner.name

    def fills(self, session: date) -> list[Fill]:
        return [fill for fill in self.inner.fills(session) if self.told(fill)]

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def before_it_rolls(fill: Fill) -> bool:
    return fill.session < ROLL_SESSION


def statuses(desk: Desk, **wanted: str) -> dict[str, tuple[int, str]]:
    """Contracts and status of orders of gold, by id."""
    rows = desk.ledger.rows("orders", {"level": "contract", "instrument": "GOLD", **wanted})
    return {row["order_id"]: (row["quantity_contracts"], row["status"]) for row in rows}


def test_a_strategy_whose_fill_came_late_rolls_when_the_session_is_closed_again() -> None:
    """Beside one that rolled when it was closed first, and stands."""
    desk, day = Desk(), date(2022, 3, 1)
    desk.run(FIRST, ROLL_SESSION)
    rolled = traded(desk)
    late = Fill("late", "by hand", "manual", "GOLD", 20220400, day, 7, 1800.0, 2.0)
    desk.ledger.record([Entered(day, datetime(2022, 3, 3, 9, tzinfo=UTC), "anna").filled(late)])
    desk.run(day)
    desk.run(ROLL_SESSION)
    own = {name.replace("manual", "trend"): count for name, count in traded(desk).items() if ":manual:" in name}
    assert own == {LEGS[0]: -7, LEGS[1]: 7}
    assert {name: count for name, count in traded(desk).items() if ":manual:" not in name} == rolled


def test_a_leg_that_was_placed_anew_and_is_half_done_stands() -> None:
    """Cut to 5, whole after the limit was raised, and the old contract sold: closed again, the rest stays at work."""
    desk = Desk(rolling_limit(5))
    desk.run(FIRST, date(2022, 3, 1))
    (held,) = gold(desk, date(2022, 3, 1)).values()
    desk.run(ROLL_SESSION, broker=Slow(desk.broker, before_it_rolls))
    desk.settings = DESK
    desk.run(ROLL_SESSION, broker=Slow(desk.broker, before_it_rolls))
    half = Slow(desk.broker, lambda fill: before_it_rolls(fill) or fill.contract == 20220400)
    desk.run(ROLL_SESSION, broker=half)
    legs = {
        LEGS[0]: (-held, "filled"), LEGS[1]: (5, "cancelled"), f"{LEGS[1]}:2": (held, "sent"),
        f"{LEGS[1]}:rest": (held - 5, "refused"),
    }  # fmt: skip
    assert statuses(desk, reason="roll") == legs
    before = desk.ledger.sequence(), decided(desk)
    desk.run(ROLL_SESSION, broker=half)
    assert (desk.ledger.sequence(), decided(desk), statuses(desk, reason="roll")) == (*before, legs)


def test_what_rolled_is_not_told_to_stay_by_a_halt_that_came_later() -> None:
    """Neither its legs nor an order that moved with it and was filled."""
    desk = Desk()
    desk.run(FIRST, ROLL_SESSION)
    before, kept = statuses(desk, reason="roll"), decided(desk)
    halt = new_halt("instrument", "GOLD", "nothing", "anna", "a drill", datetime(2022, 3, 3, 1, tzinfo=UTC))
    desk.ledger.record([halt.set_event(ROLL_SESSION)])
    desk.run(ROLL_SESSION)
    assert statuses(desk, reason="roll") == before
    new = [name for _, name, outcome, _ in decided(desk)[len(kept) :] if outcome == "refuse"]
    assert [name for name in new if not name.startswith(f"{ROLL_SESSION}:trend:GOLD:20220600:target")] == []


def test_legs_that_are_still_at_work_after_the_close_are_left_alone() -> None:
    """A broker that takes longer than the session. What is left of the old contract is not sold a second time."""
    desk = Desk()
    desk.run(FIRST, date(2022, 3, 1))
    desk.run(ROLL_SESSION, broker=Slow(desk.broker, before_it_rolls))
    found = statuses(desk)
    assert {found[name][1] for name in LEGS} == {"sent"}
    assert f"{ROLL_SESSION}:trend:GOLD:20220400:target" not in found


def test_decisions_of_sessions_long_past_are_forgotten() -> None:
    desk = Desk(DESK.model_copy(update={"risk": RiskSettings(decisions=DecisionSettings(keep_days=2))}))
    desk.run(FIRST, LAST)
    assert {session for session, *_ in decided(desk)} == {date(2022, 3, 7), date(2022, 3, 8), date(2022, 3, 9)}


def test_a_halt_refuses_what_the_close_would_send() -> None:
    desk = Desk()
    halt = new_halt("everything", "", "nothing", "anna", "a drill", datetime(2022, 2, 25, 22, tzinfo=UTC))
    desk.ledger.record([halt.set_event(FIRST)])
    desk.run(FIRST)
    orders = [row for row in desk.ledger.rows("orders") if row["reason"] == "target"]
    assert orders
    assert {row["status"] for row in orders} == {"refused"}
    assert all(str(row["refusal"]).startswith("halt of trend/") for row in orders if row["contract"] is not None)
    (first, *_) = desk.decisions.read()
    assert [reason.code for reason in first.reasons] == ["halt"]


def test_a_session_with_a_roll_that_is_closed_again_adds_nothing_to_the_log_that_is_shared() -> None:
    """Its orders towards targets are in the log since it was closed first; legs of its roll are not announced."""
    desk, log = Desk(), MemoryReservations()
    log.begin(Base(log.mark(), FIRST, Book(5e6, 5e6, {}, {}, 0.2, {}, strategies=("trend",))), None)
    desk.shared = DeskOrders(lambda: log, DESK.risk, lambda: 1_000.0, lambda _: None)
    assert desk.run(FIRST, ROLL_SESSION).success
    before = log.since(None)
    units = [one for one in before.missed if isinstance(one, Reserved)]
    assert all(is_of_desk(unit.mark) for unit in units)
    named = {order.order_id for unit in units for order in unit.orders}
    rows = desk.ledger.rows("orders", {"level": "contract"})
    assert named == {row["order_id"] for row in rows if row["reason"] == "target"}
    assert {row["reason"] for row in rows if row["session"] == ROLL_SESSION.isoformat()} == {"roll", "target"}
    assert desk.run(ROLL_SESSION).success
    assert log.since(None).end == before.end
