"""Attribution of a desk's days, in Dagster with adapters in memory: trades, a roll, a bust, a correction, an
adjustment, a fee; then datasets that somebody damaged, the check that stops the close, and who may let it pass.

Does not belong here: single causes (`tests/domain/test_attribution.py`), or ten years of it (`tests/golden/`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest

from assets.attribution import attribution
from assets.book import book
from assets.partitions import SESSIONS
from checks.attribution import pnl_explained
from checks.examined import checks_of
from resources.brokers.paper import PaperBroker
from resources.brokers.quotes import DailyQuotes
from resources.memory import MemoryFrames, MemoryLedger, MemoryReference
from resources.risk_memory import MemoryDecisionLog
from trading.book.booking import Entered
from trading.book.fills import fill_of
from trading.book.journal import Event
from trading.book.orders import Fill
from trading.config.models import DeskSettings
from trading.config.strategies import PortfolioSettings, RuleSettings, StrategySettings
from trading.config.symbols import SymbolDefaults, SymbolsSettings
from trading.config.trading import Capital, TradingSettings
from trading.frames import (
    ATTRIBUTION,
    DAILY_PRICES,
    EQUITY,
    FILLS,
    FX_RATES,
    OPTIMAL_POSITIONS,
    POSITIONS,
    ROLL_GAPS,
    Dataset,
    to_pandas,
    to_table,
)
from trading.market.instruments import Instrument
from trading.ports import Span

FIRST, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = (day.date() for day in pd.bdate_range("2022-02-28", "2022-03-04"))
DAYS = [FIRST, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY]
NOW = datetime(2022, 3, 5, tzinfo=UTC)
APR, JUN, MAR = 20220400, 20220600, 20220300
GOLD = Instrument(
    "GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US",
    slippage_points=0.05, commission_per_contract_local=2.0,
)  # fmt: skip
BUND = Instrument("BUND", "Bund", "EUREX", "EUR", 1000.0, 0.01, "rates", "bonds", "DE", slippage_points=0.005)
STRATEGY = StrategySettings(
    name="trend",
    rules={"fast": RuleSettings(rule="ewmac", parameters={"fast": 2, "slow": 8}, scalar=10.6, weight=1.0)},
    portfolio=PortfolioSettings(multiplier=1.5),
)
DESK = DeskSettings(
    trading=TradingSettings(capital=Capital(capital_base=5_000_000.0)),
    symbols=SymbolsSettings(defaults=SymbolDefaults(max_position_contracts=5_000)),
    strategies=(STRATEGY,),
)
# Held price by session; April gold is 3 points under June, which is held from Thursday on.
PRICES = {"GOLD": [1900.0, 1910.0, 1904.0, 1909.0, 1901.0], "BUND": [168.0, 167.5, 167.8, 167.1, 167.4]}
RATES = [1.12, 1.11, 1.10, 1.105, 1.09]
WANTED = {"GOLD": [4.0, 4.0, 6.0, 6.0, 2.0], "BUND": [-3.0, -3.0, -2.0, -2.0, -2.0]}


def price_rows() -> list[dict[str, object]]:
    rows = []
    for place, session in enumerate(DAYS):
        stamp = pd.Timestamp(session) + pd.Timedelta(hours=23)
        gold, bund = PRICES["GOLD"][place], PRICES["BUND"][place]
        near = {"price": gold, "price_contract": APR, "forward": gold + 3.0, "forward_contract": JUN}
        far = {"price": gold + 3.0, "price_contract": JUN, "forward": None, "forward_contract": None}
        contracts = near if session < THURSDAY else far
        carry = {"carry": gold - 1.5 if session < THURSDAY else gold, "carry_contract": 20220200 if session < THURSDAY
                 else APR}  # fmt: skip
        rows.append({"instrument": "GOLD", "session": session, "stamp": stamp, "volume": None, **contracts, **carry})
        rows.append(
            {
                "instrument": "BUND", "session": session, "stamp": stamp, "volume": None, "price": bund,
                "price_contract": JUN, "carry": bund + 0.3, "carry_contract": MAR, "forward": None,
                "forward_contract": None,
            }
        )  # fmt: skip
    return rows


def stored() -> MemoryFrames:
    """What the layers before the book would have left."""
    frames, over = MemoryFrames(), Span(DAYS[0], DAYS[-1])
    gap = {
        "instrument": "GOLD", "stamp": pd.Timestamp(THURSDAY), "session": THURSDAY, "from_contract": APR,
        "to_contract": JUN, "price_before": 1904.0, "forward_before": 1907.0, "gap_points": 3.0,
    }  # fmt: skip
    rates = [
        {"currency": name, "session": session, "rate": rate, "quoted_on": session}
        for place, session in enumerate(DAYS)
        for name, rate in (("USD", 1.0), ("EUR", RATES[place]))
    ]
    wanted = [
        {
            "strategy": "trend", "instrument": code, "session": session, "forecast": 10.0, "average_contracts": 4.0,
            "daily_volatility_base": 900.0, "optimal_contracts": WANTED[code][place], "half_width_contracts": 0.0,
        }
        for place, session in enumerate(DAYS)
        for code in WANTED
    ]  # fmt: skip
    for dataset, rows in ((DAILY_PRICES, price_rows()), (ROLL_GAPS, [gap]), (FX_RATES, rates),
                          (OPTIMAL_POSITIONS, wanted)):  # fmt: skip
        frames.replace(dataset, to_table(pd.DataFrame(rows), dataset), over)
    return frames


@dg.asset(deps=["attribution"], partitions_def=SESSIONS, backfill_policy=dg.BackfillPolicy.single_run())
def afterwards() -> None:
    """What comes after attribution, in the real close: the state `explained`."""


class Desk:
    """Stores in memory, a paper broker, and the book, its attribution and its checks over some sessions."""

    def __init__(self, settings: DeskSettings = DESK) -> None:
        self.frames, self.ledger, self.settings = stored(), MemoryLedger(), settings
        self.reference = MemoryReference([GOLD, BUND])
        self.broker = PaperBroker(":memory:", DailyQuotes(self.frames), self.reference.instruments)

    def run(
        self, first: date, last: date | None = None, what: Sequence[dg.AssetsDefinition] = (book, attribution)
    ) -> dg.ExecuteInProcessResult:
        clock: Callable[[], datetime] = lambda: NOW  # noqa: E731
        served = {
            "frames": self.frames, "ledger": self.ledger, "broker": self.broker, "reference": self.reference,
            "desk": self.settings, "clock": clock, "decisions": MemoryDecisionLog(), "desk_orders": None,
        }  # fmt: skip
        return dg.materialize(
            [*what, afterwards, pnl_explained, checks_of(ATTRIBUTION)],
            resources={name: dg.ResourceDefinition.hardcoded_resource(value) for name, value in served.items()},
            tags={
                "dagster/asset_partition_range_start": first.isoformat(),
                "dagster/asset_partition_range_end": (last or first).isoformat(),
            },
            raise_on_error=False,
        )

    def again(self, first: date, last: date | None = None) -> dict[str, dg.AssetCheckEvaluation]:
        """Attributes once more what was closed, and returns the checks by name."""
        return checks(self.run(first, last, [attribution]))

    def rows(self, dataset: Dataset, first: date = FIRST, last: date = FRIDAY) -> pd.DataFrame:
        return to_pandas(self.frames.history(dataset, since=first, through=last))

    def fill(self, instrument: str, session: date) -> Fill:
        """The session's fill of an instrument."""
        (row,) = self.ledger.rows("fills", {"instrument": instrument, "session": session.isoformat()})
        return fill_of(row)

    @contextmanager
    def damaged(self, dataset: Dataset, column: str, by: float, session: date) -> Iterator[None]:
        """While it is open, a number of gold's rows in a stored session is another."""
        whole = self.frames.history(dataset, since=session, through=session)
        frame = to_pandas(whole)
        frame.loc[frame["instrument"] == "GOLD", column] += by
        self.frames.replace(dataset, to_table(frame, dataset), Span.session(session))
        yield
        self.frames.replace(dataset, whole, Span.session(session))


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def entered(session: date) -> Entered:
    return Entered(session, NOW, "ann")


def cash(name: str, session: date, currency: str, amount: float, category: str) -> Event:
    payload = {
        "cash_id": name, "currency": currency, "amount_local": amount, "category": category,
        "session": session.isoformat(), "reason": "of the month",
    }  # fmt: skip
    return Event(f"cash:{name}", "cash_booked", session, NOW, "ann", payload)


def eventful() -> Desk:
    """The week: orders on Monday, filled on Tuesday. Wednesday gold's fill is corrected by half a point; Thursday gold
    rolls, a fee and a deposit are booked, and a bund's fill of Wednesday's orders is done; Friday that one is busted,
    and a gold contract is found and adjusted in."""
    desk = Desk()
    assert desk.run(FIRST, TUESDAY).success
    bought = desk.fill("GOLD", TUESDAY)
    desk.ledger.record([entered(WEDNESDAY).corrected(replace(bought, price_points=bought.price_points + 0.5), 1)])
    assert desk.run(WEDNESDAY).success
    desk.ledger.record([cash("c1", THURSDAY, "EUR", -40.0, "fee"), cash("c2", THURSDAY, "USD", 1e5, "deposit")])
    assert desk.run(THURSDAY).success
    covered = desk.fill("BUND", THURSDAY)
    friday = entered(FRIDAY)
    found = friday.adjusted("a1", ("trend", "GOLD", JUN), 1, 1910.0, "found at the clearer")
    desk.ledger.record([friday.busted(covered, "traded by mistake"), found])
    assert desk.run(FRIDAY).success
    return desk


@pytest.fixture(scope="module")
def week() -> Desk:
    return eventful()


def by(rows: pd.DataFrame, session: date) -> pd.DataFrame:
    """Rows of one session by instrument and contract."""
    return rows[rows["session"] == pd.Timestamp(session)].set_index(["instrument", "contract"]).sort_index()


# --- what the days left -----------------------------------------------------------------------------------------------
def test_every_session_of_the_week_is_explained_and_is_the_account(week: Desk) -> None:
    rows = week.rows(ATTRIBUTION)
    assert rows["residual_base"].abs().max() < 1e-8
    positions = rows[rows["instrument"] != ""].groupby("session")["total_base"].sum()
    changes = week.rows(EQUITY).groupby("session")["change_base"].sum()
    pd.testing.assert_series_equal(
        positions.reindex(changes.index, fill_value=0.0), changes, check_names=False, rtol=0, atol=1e-8
    )
    assert sorted(changes.index[changes != 0]) == list(pd.to_datetime(DAYS[1:]))


def test_a_trade_decided_on_monday_by_hand(week: Desk) -> None:
    """4 gold decided at 1900, filled at 1910.05: 40 points of slippage and 40 of trades, 2.00 a contract of commission;
    3 bunds sold at 167.5 - 0.005, decided at 168, the euro at 1.11."""
    tuesday = by(week.rows(ATTRIBUTION), TUESDAY)
    gold, bund = tuesday.loc[("GOLD", APR)], tuesday.loc[("BUND", JUN)]
    assert gold[["trades_base", "slippage_base", "commission_base"]].tolist() == pytest.approx([4000, -4020, -8])
    assert bund["trades_base"] == pytest.approx(-3 * -0.5 * 1000 * 1.11)
    assert bund["slippage_base"] == pytest.approx(-3 * (168.0 - 167.495) * 1000 * 1.11)
    assert (tuesday[["price_base", "carry_base", "fx_base", "corrections_base"]] == 0.0).all(axis=None)


def test_wednesday_by_hand(week: Desk) -> None:
    """Gold: April over February (two months), 1.5 points dearer: 9 a year against a long. The fill was half a point
    worse than told. Bund: June under March by 0.3, 1.2 a year for a long, and 3 are short."""
    wednesday = by(week.rows(ATTRIBUTION), WEDNESDAY)
    gold, bund = wednesday.loc[("GOLD", APR)], wednesday.loc[("BUND", JUN)]
    carried = -9.0 / 365.25
    assert gold["carry_base"] == pytest.approx(4 * carried * 100)
    assert gold["price_base"] == pytest.approx(4 * (-6.0 - carried) * 100)
    assert gold["corrections_base"] == pytest.approx(-4 * 0.5 * 100)
    carried = 1.2 / 365.25
    assert bund["carry_base"] == pytest.approx(-3 * carried * 1000 * 1.11)
    assert bund["price_base"] == pytest.approx(-3 * (0.3 - carried) * 1000 * 1.11)
    assert bund["fx_base"] == pytest.approx(-3 * 0.3 * 1000 * -0.01)


def test_the_roll_and_the_fee_of_thursday_by_hand(week: Desk) -> None:
    """4 gold sold at 1904 - 0.05 and bought at 1907 + 0.05; April is quoted as carry now: 1909. Two more of Wednesday's
    order, moved to June at 1907, are filled at 1912.05. 40 euros of fees at 1.105."""
    thursday = by(week.rows(ATTRIBUTION), THURSDAY)
    old, new, fee = thursday.loc[("GOLD", APR)], thursday.loc[("GOLD", JUN)], thursday.loc[("", 0)]
    assert old[["roll_base", "trades_base", "slippage_base"]].tolist() == pytest.approx([-2000, 0, -20])
    assert old["price_base"] + old["carry_base"] == pytest.approx(2000)
    assert new[["roll_base", "trades_base"]].tolist() == pytest.approx([2000, 2 * 5 * 100])
    assert new["slippage_base"] == pytest.approx(-4 * 0.05 * 100 - 2 * 5.05 * 100)
    assert (fee["financing_base"], fee["total_base"], fee["currency"]) == (
        pytest.approx(-44.2), pytest.approx(-44.2), "EUR"
    )  # fmt: skip
    assert thursday["financing_base"].sum() == pytest.approx(-44.2)  # the deposit is none


def test_the_bust_and_the_adjustment_of_friday_by_hand(week: Desk) -> None:
    """One bund bought back on Thursday at 167.105 and taken back at that price, now 167.4, the euro at 1.09; one gold
    found at 1910, now 1904."""
    friday = by(week.rows(ATTRIBUTION), FRIDAY)
    assert friday.loc[("BUND", JUN), "corrections_base"] == pytest.approx(-(167.4 - 167.105) * 1000 * 1.09)
    assert friday.loc[("GOLD", JUN), "corrections_base"] == pytest.approx((1904.0 - 1910.0) * 100)


def test_one_run_of_the_week_says_what_a_run_a_day_said_to_the_last_bit(week: Desk) -> None:
    before = week.frames.content_hash(ATTRIBUTION)
    assert week.again(FIRST, FRIDAY)["pnl_explained"].passed
    assert week.frames.content_hash(ATTRIBUTION) == before


# --- a damaged book ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def quiet() -> Desk:
    """The week to Thursday, without corrections. Whoever damages it mends it."""
    desk = Desk()
    assert desk.run(FIRST, THURSDAY).success
    return desk


@pytest.mark.parametrize(
    ("dataset", "column", "by", "session", "amount"),
    [
        (FILLS, "price_points", 0.25, TUESDAY, 4 * 0.25 * 100),
        (FILLS, "quantity_contracts", 1.0, TUESDAY, (1910.05 - 1910.0) * 100),
        (FILLS, "commission_local", 3.0, TUESDAY, 3.0),
        (POSITIONS, "mark_points", 0.5, WEDNESDAY, -4 * 0.5 * 100),
    ],
)
def test_a_damaged_row_stops_the_close_and_says_where_and_how_much(
    quiet: Desk, dataset: Dataset, column: str, by: float, session: date, amount: float
) -> None:
    with quiet.damaged(dataset, column, by, session):
        result = quiet.run(session, session, [attribution])
    found = checks(result)["pnl_explained"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert f"trend/GOLD/{APR} {amount:+,.2f} USD" in str(found.description)
    assert not result.success  # blocking: what comes after did not run
    assert not [event for event in result.all_events if event.step_key == "afterwards" and event.is_step_success]


def test_a_lost_row_of_positions_shows_on_the_session_after_it(quiet: Desk) -> None:
    """4 gold fell from 1910 to 1904 on Wednesday, and who reads only what is left of Tuesday does not know of them."""
    whole = quiet.frames.history(POSITIONS, since=TUESDAY, through=TUESDAY)
    kept = to_pandas(whole).query("instrument != 'GOLD'")
    quiet.frames.replace(POSITIONS, to_table(kept, POSITIONS), Span.session(TUESDAY))
    found = quiet.again(TUESDAY, WEDNESDAY)["pnl_explained"]
    quiet.frames.replace(POSITIONS, whole, Span.session(TUESDAY))
    assert found.metadata["found"].value == 1
    assert f"of {WEDNESDAY} has no cause (accepted: 0.01): trend/GOLD/{APR} -2,400.00 USD. Co" in str(found.description)


def test_a_name_and_a_reason_let_one_session_pass_and_no_other(quiet: Desk) -> None:
    """Wednesday's mark is wrong, which is wrong on Thursday too, where it is the mark before."""
    allowed = {
        "override_id": "o1", "scope": "check", "item": "attribution/pnl_explained", "session": WEDNESDAY.isoformat(),
        "reason": "the exchange settles late",
    }  # fmt: skip
    quiet.ledger.record([Event("override:o1", "override_set", WEDNESDAY, NOW, "ann", allowed)])
    with quiet.damaged(POSITIONS, "mark_points", 0.5, WEDNESDAY):
        result = quiet.run(WEDNESDAY, WEDNESDAY, [attribution])
        both = quiet.again(WEDNESDAY, THURSDAY)["pnl_explained"]
    found = checks(result)["pnl_explained"]
    assert result.success
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "overridden by ann: the exchange settles late" in str(found.description)
    assert (both.passed, both.severity, both.metadata["found"].value) == (False, dg.AssetCheckSeverity.ERROR, 2)


def test_the_asset_shows_its_causes_as_a_picture(week: Desk) -> None:
    (made,) = week.run(FRIDAY, FRIDAY, [attribution]).asset_materializations_for_node("attribution")
    assert "data:image/png;base64," in str(made.metadata["waterfall"].value)
    shown = {record.data["cause"]: record.data["USD"] for record in made.metadata["by cause"].records}
    rows = by(week.rows(ATTRIBUTION), FRIDAY)
    assert shown["total"] == pytest.approx(rows["total_base"].sum(), abs=0.005)
    assert shown["corrections"] == pytest.approx(-921.55)  # 0.295 x 1000 x 1.09, and 600
