"""Days of the risk assets: a book closed in memory, its risk measured after each session, and what the checks say.

Belongs here: what the datasets hold after some sessions, how often frames are read, facts of a cold and a warm cache.
Does not belong here: measuring (`tests/domain/risk/`).
"""

from __future__ import annotations

import base64
import io
import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from assets.layers import Sources
from assets.risk import DATASETS, measured, risk
from assets.risk_inputs import newest_facts, risk_books, risk_facts
from checks.examined import examined
from checks.risk_sums import result as shown_drift
from checks.risk_sums import sums_hold
from checks.standing_book import standing_book
from resources.memory import MemoryFrames, MemoryLedger, MemoryReference
from trading.book.journal import Event
from trading.config.models import DeskSettings
from trading.errors import StoreUnavailable
from trading.frames import (
    DAILY_PRICES,
    EQUITY,
    EXPOSURES,
    FILLS,
    FX_RATES,
    HEADROOM,
    ORDERS,
    PNL,
    STRESS_LOSSES,
    VALUE_AT_RISK,
    Dataset,
    to_pandas,
    to_table,
)
from trading.market.instruments import Instrument
from trading.ports import Span
from trading.risk.decision import Asked
from trading.risk.drift import drift_through, too_far
from trading.risk.engine import Drift, RiskEngine

SESSIONS = [day.date() for day in pd.bdate_range("2021-06-01", "2022-03-11")]
FIRST, LAST = SESSIONS[-30], SESSIONS[-1]
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US", slippage_points=0.05)
BUND = Instrument("BUND", "Bund", "EUREX", "EUR", 1000.0, 0.01, "rates", "bonds", "DE", slippage_points=0.005)
CONTRACT = 20220600


def prices() -> pd.DataFrame:
    """Two random walks."""
    draw, rows = np.random.default_rng(2), []
    for code, level, size in (("GOLD", 1800.0, 10.0), ("BUND", 170.0, 0.5)):
        walk = level + np.cumsum(draw.normal(0.0, size, len(SESSIONS)))
        for session, price in zip(SESSIONS, walk, strict=True):
            rows.append({"instrument": code, "session": session, "stamp": pd.Timestamp(session), "price": price,
                         "price_contract": CONTRACT, "carry": None, "carry_contract": None, "forward": None,
                         "forward_contract": None, "volume": 1000.0})  # fmt: skip
    return pd.DataFrame(rows)


class Counted(MemoryFrames):
    """Frames that count what is read of which dataset, and may be out of reach."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[str] = Counter()
        self.down = False

    def history(self, dataset: Dataset, **given: Any) -> Any:
        self.reads[dataset.name] += 1
        if self.down:
            raise StoreUnavailable("the disk is gone")
        return super().history(dataset, **given)

    def versions(self, dataset: Dataset) -> Any:
        if self.down:
            raise StoreUnavailable("the disk is gone")
        return super().versions(dataset)


class Desk:
    """Frames and journal of a book of 10 gold and -5 bunds, bought on the first session."""

    def __init__(self, **risk_settings: Any) -> None:
        self.frames, self.ledger = Counted(), MemoryLedger()
        self.reference = MemoryReference([GOLD, BUND])
        self.settings = DeskSettings.model_validate(
            {"trading": {"capital": {"capital_base": 1_000_000.0}}, "risk": risk_settings}
        )
        self._store()
        self.frames.reads.clear()

    def _store(self) -> None:
        daily, span = prices(), Span(SESSIONS[0], SESSIONS[-1])
        rates = [{"currency": name, "session": session, "rate": rate, "quoted_on": session}
                 for session in SESSIONS for name, rate in (("USD", 1.0), ("EUR", 1.25))]  # fmt: skip
        self.ledger.record([_fill("GOLD", 10, daily), _fill("BUND", -5, daily)])
        wide = daily.pivot(index="session", columns="instrument", values="price").loc[FIRST:]
        held = wide.diff().fillna(0.0) * [-5 * 1000.0 * 1.25, 10 * 100.0]
        self.gains = held.sum(axis=1)
        for dataset, rows in ((DAILY_PRICES, daily), (FX_RATES, pd.DataFrame(rates)), (PNL, _pnl(held)),
                              (EQUITY, _equity(self.gains))):  # fmt: skip
            self.frames.replace(dataset, to_table(rows, dataset), span)

    @property
    def sources(self) -> Sources:
        return Sources(self.frames, self.reference, self.settings, datetime(2022, 3, 11, 22, tzinfo=UTC))

    def run(self, first: date, last: date, *more: dg.AssetChecksDefinition) -> dg.ExecuteInProcessResult:
        clock: Callable[[], datetime] = lambda: datetime(2022, 3, 11, 22, tzinfo=UTC)  # noqa: E731
        ports = {"frames": self.frames, "ledger": self.ledger, "reference": self.reference, "desk": self.settings}
        return dg.materialize(
            [risk, standing_book, *more],
            resources={name: dg.ResourceDefinition.hardcoded_resource(port)
                       for name, port in (ports | {"clock": clock}).items()},
            tags={"dagster/asset_partition_range_start": first.isoformat(),
                  "dagster/asset_partition_range_end": last.isoformat()},
        )  # fmt: skip

    def rows(self, dataset: Dataset, session: date | None = None) -> pd.DataFrame:
        return to_pandas(self.frames.history(dataset, through=session or LAST, since=session or FIRST))


def _fill(code: str, contracts: int, daily: pd.DataFrame) -> Event:
    price = float(daily[(daily["instrument"] == code) & (daily["session"] == FIRST)]["price"].iloc[0])
    payload = {"fill_id": f"f-{code}", "order_id": f"o-{code}", "strategy": "trend", "instrument": code,
               "contract": CONTRACT, "session": FIRST.isoformat(), "quantity_contracts": contracts,
               "price_points": price, "commission_local": 0.0, "executed_at": None}  # fmt: skip
    return Event(f"fill:{code}", "fill", FIRST, datetime(2022, 3, 1, tzinfo=UTC), "test", payload)


def _pnl(held: pd.DataFrame) -> pd.DataFrame:
    long = held.stack().rename("held_base").reset_index()
    return long.assign(strategy="trend", contract=CONTRACT, asset_class="any", currency="USD", traded_base=0.0,
                       commission_base=0.0, total_base=long["held_base"])  # fmt: skip


def _equity(gains: pd.Series) -> pd.DataFrame:
    return pd.DataFrame({
        "currency": "USD", "session": gains.index, "value_local": 0.0, "change_local": gains.to_numpy(), "rate": 1.0,
        "change_base": gains.to_numpy(), "booked_base": 0.0, "account_base": 1e6 + gains.cumsum().to_numpy(),
    })  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> Desk:
    """The risk of thirty sessions, in one run."""
    scenarios = {"rates_up": {"asset_classes": {"rates": -0.02}}, "gold_up": {"instruments": {"GOLD": 0.1}}}
    limits = [{"rule": "value_at_risk", "refuse": 0.001}, {"rule": "net_exposure", "refuse": 50.0, "warn": 0.5}]
    desk = Desk(limits=limits, model={"scenarios": scenarios})
    result = desk.run(FIRST, LAST)
    assert result.success
    desk.result = result  # type: ignore[attr-defined]
    return desk


def test_everything_is_read_in_five_reads_however_many_sessions() -> None:
    desk = Desk()
    risk_facts(desk.frames, desk.reference, desk.settings, FIRST, LAST)
    risk_books(desk.frames, desk.ledger, desk.settings, LAST)
    assert desk.frames.reads.total() == 5
    assert max(desk.frames.reads.values()) == 1


def test_exposures_are_of_what_is_held(whole: Desk) -> None:
    last = whole.rows(DAILY_PRICES, LAST).set_index("instrument")["price"]
    gold, bund = 10 * 100 * last["GOLD"], -5 * 1000 * 1.25 * last["BUND"]
    found = whole.rows(EXPOSURES, LAST).set_index(["axis", "element"])
    assert found.loc[("portfolio", "book"), "gross_base"] == pytest.approx(gold - bund)
    assert found.loc[("portfolio", "book"), "net_base"] == pytest.approx(gold + bund)
    assert found.loc[("currency", "EUR"), "net_base"] == pytest.approx(bund)
    assert found.loc[("sector", "precious"), "gross_base"] == pytest.approx(gold)
    assert found.loc[("instrument", "GOLD"), "gross_volatility_base"] == pytest.approx(16 * 1000 * 10, rel=0.35)
    assert found.loc[("component", "1"), "one_deviation_base"] != 0.0


def test_value_at_risk_is_held_against_what_was_gained_afterwards(whole: Desk) -> None:
    rows = whole.rows(VALUE_AT_RISK).query("method == 'historical'").set_index("session")
    assert len(rows) == 30
    assert rows["forecast_base"].iloc[1:].tolist() == rows["value_at_risk_base"].iloc[:-1].tolist()
    assert rows["gain_base"].tolist() == pytest.approx(whole.gains.tolist())
    exceeded = (-rows["gain_base"] > rows["forecast_base"]).iloc[1:]
    assert rows["exceeded"].iloc[1:].astype(bool).tolist() == exceeded.tolist()
    assert pd.isna(rows["exceeded"].iloc[0])
    last = rows.iloc[-1]
    assert (last["days"], last["exceedances"]) == (29, int(exceeded.sum()))
    assert last["expected_exceedances"] == pytest.approx(0.29)


def test_stresses_are_the_named_ones_and_the_worst_days(whole: Desk) -> None:
    last = whole.rows(DAILY_PRICES, LAST).set_index("instrument")["price"]
    found = whole.rows(STRESS_LOSSES, LAST).set_index("scenario")
    assert found.loc["rates_up", "gain_base"] == pytest.approx(0.02 * 5 * 1000 * 1.25 * last["BUND"])
    assert found.loc["rates_up", "loss_fraction"] == 0.0
    assert found.loc["gold_up", "gain_base"] == pytest.approx(0.1 * 10 * 100 * last["GOLD"])
    worst = found[found["kind"] == "historical"]["gain_base"]
    assert list(worst.index) == [f"worst day {place}" for place in range(1, 6)]
    assert worst.is_monotonic_increasing
    shortfall = whole.rows(VALUE_AT_RISK, LAST).set_index("method").loc["historical", "expected_shortfall_base"]
    assert shortfall == pytest.approx(-worst.iloc[:3].mean())  # 3 of 203 days


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_rows_keep_the_rules_of_their_datasets(dataset: Dataset, whole: Desk) -> None:
    found = examined(whole.sources, dataset, FIRST, LAST)
    assert {each.rule.name: each.outcome for each in found.results} == {"schema": "passed", "unique_key": "passed"}


def test_headroom_tells_what_is_left_and_the_check_what_is_not(whole: Desk) -> None:
    rows = whole.rows(HEADROOM, LAST).set_index(["rule", "axis", "element"])
    held = rows.loc[("value_at_risk", "portfolio", "book")]
    assert held["outcome"] == "refuse"
    assert held["headroom"] == pytest.approx(0.001 - held["value"])
    assert rows.loc[("net_exposure", "portfolio", "book"), "outcome"] == "warn"
    assert rows.loc[("position_size", "instrument", "GOLD"), "value"] == 10.0
    checks = {each.check_name: each for each in whole.result.get_asset_check_evaluations()}  # type: ignore[attr-defined]
    assert not checks["limits_hold"].passed
    assert checks["limits_hold"].severity == dg.AssetCheckSeverity.WARN
    assert "value_at_risk of the book" in (checks["limits_hold"].description or "")
    assert checks["value_at_risk_holds"].passed


PICTURES = {
    "exposures": ("exposures", "net exposure by group"), "value_at_risk": ("value at risk", "value at risk and P&L"),
    "stress_losses": ("stresses", "gain of the book by scenario"), "headroom": ("headroom", "limits used"),
}  # fmt: skip


@pytest.mark.parametrize(("asset", "shown"), PICTURES.items(), ids=list(PICTURES))
def test_each_asset_has_its_picture_on_the_last_session(asset: str, shown: tuple[str, str], whole: Desk) -> None:
    """Of a range once, on its last session: a drawing, and not the word that it is too large."""
    observed = [
        event.asset_observation_data.asset_observation
        for event in whole.result.all_events  # type: ignore[attr-defined]
        if event.event_type_value == "ASSET_OBSERVATION"
    ]
    (found,) = [each for each in observed if each.asset_key == dg.AssetKey(asset)]
    assert found.partition == LAST.isoformat()
    name, alt = shown
    text = str(found.metadata[name].value)
    assert text.startswith(f"![{alt}](data:image/png;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(text.rpartition(",")[2].rstrip(")"))))
    assert min(picture.size) > 100
    assert len(picture.convert("RGB").getcolors() or []) > 2, "something is drawn on it"


def test_value_at_risk_that_is_passed_every_day_is_rejected_by_the_check(whole: Desk) -> None:
    """Twenty-nine sessions of which each lost a hundred times what had been forecast for it."""
    desk = Desk()
    before = whole.rows(VALUE_AT_RISK).query("session < @pd.Timestamp(@LAST)")
    lost = before.assign(value_at_risk_base=1.0, forecast_base=1.0, gain_base=-100.0)
    desk.frames.replace(VALUE_AT_RISK, to_table(lost, VALUE_AT_RISK), Span(FIRST, SESSIONS[-2]))
    checked = {each.check_name: each for each in desk.run(LAST, LAST).get_asset_check_evaluations()}
    found = checked["value_at_risk_holds"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert int(str(found.metadata["tests that reject it"].value)) >= 4  # how many, and both, of either method
    judged = int(str(found.metadata["sessions judged"].value))
    assert 29 <= judged <= 30
    assert f"of {judged} sessions, {judged / 100:.1f} were to be expected" in (found.description or "")


def test_sums_that_are_kept_through_a_session_are_held_against_a_recompute() -> None:
    """Two fills of the last session, an order that was sent and one that was refused."""
    desk = Desk()
    of_all = {"strategy": "trend", "contract": CONTRACT, "session": LAST}
    fills = [{"fill_id": f"f{number}", "order_id": "o", "instrument": code, "quantity_contracts": contracts,
              "price_points": 1.0, "commission_local": 0.0}
             for number, (code, contracts) in enumerate([("GOLD", 3), ("BUND", -7)])]  # fmt: skip
    orders = [{"order_id": status, "instrument": "GOLD", "quantity_contracts": -4, "reason": "target", "status": status}
              for status in ("sent", "refused")]  # fmt: skip
    for dataset, rows in ((FILLS, fills), (ORDERS, orders)):
        whole = [dict.fromkeys(dataset.schema.names) | of_all | row for row in rows]
        desk.frames.replace(dataset, to_table(pd.DataFrame(whole), dataset), Span.session(LAST))
    checked = {each.check_name: each for each in desk.run(LAST, LAST, sums_hold).get_asset_check_evaluations()}
    found = checked["sums_hold"]
    assert found.passed, found.description
    assert found.asset_key == dg.AssetKey(HEADROOM.name)
    assert found.metadata["fills and orders"].value == 3
    assert int(str(found.metadata["sums"].value)) > 100
    assert float(str(found.metadata["largest"].value)) <= 1e-9


def test_a_session_of_many_changes_does_not_drift() -> None:
    desk, draw = Desk(), np.random.default_rng(6)
    book = risk_books(desk.frames, desk.ledger, desk.settings, LAST).book(LAST)
    market = risk_facts(desk.frames, desk.reference, desk.settings, LAST, LAST).market(LAST)
    codes, sizes = draw.choice(["GOLD", "BUND"], 2000), draw.integers(1, 999, 2000) * draw.choice([-1, 1], 2000)
    moves = [
        Asked("trend", str(code), CONTRACT, int(size), None, f"o{number}")
        for number, (code, size) in enumerate(zip(codes, sizes, strict=True))
    ]
    engine = RiskEngine(desk.settings, market, book)
    found = drift_through(engine, moves[:1000], moves[1000:])
    assert 0.0 < found.largest <= 1e-9
    assert not engine.working()
    assert not too_far(found)


@pytest.mark.parametrize(("largest", "passed"), [(0.0, True), (1e-9, True), (1.1e-9, False), (math.nan, False)])
def test_sums_that_are_apart_or_no_number_fail_the_check(largest: float, passed: bool) -> None:
    found = shown_drift((Drift(largest, 7), 3))
    assert (found.passed, found.severity) == (passed, dg.AssetCheckSeverity.ERROR)
    assert ("stop orders" in (found.description or "")) is not passed


def test_a_limit_that_holds_for_nothing_is_told_by_the_check_and_needs_no_override() -> None:
    desk = Desk(limits=[{"rule": "gross_exposure", "sector": "precius", "refuse": 9.0}])
    checked = {each.check_name: each for each in desk.run(LAST, LAST).get_asset_check_evaluations()}["limits_hold"]
    assert (checked.passed, checked.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (checked.description or "").startswith(
        "risk.limits entry 1, gross_exposure of sector precius, limits nothing"
    )
    assert checked.metadata["limits of nothing"].value == 1
    right = Desk(limits=[{"rule": "gross_exposure", "sector": "precious", "refuse": 9.0}])
    checked = {each.check_name: each for each in right.run(LAST, LAST).get_asset_check_evaluations()}["limits_hold"]
    assert (checked.passed, checked.metadata["limits of nothing"].value) == (True, 0)


def test_a_run_a_session_and_one_run_leave_the_same(whole: Desk) -> None:
    desk = Desk(**whole.settings.risk.model_dump(mode="json", exclude_defaults=True))
    for session in SESSIONS[-4:]:
        desk.frames.replace(  # as the sessions before left it
            VALUE_AT_RISK, whole.frames.history(VALUE_AT_RISK, through=session - timedelta(days=1)),
            Span(FIRST, session - timedelta(days=1)),
        )  # fmt: skip
        rows = measured([session], desk.sources, desk.ledger)
        for dataset in DATASETS:
            alone = to_pandas(to_table(pd.DataFrame(rows[dataset.name]), dataset)).sort_values(list(dataset.key))
            together = whole.rows(dataset, session).sort_values(list(dataset.key))
            pd.testing.assert_frame_equal(alone.reset_index(drop=True), together.reset_index(drop=True), rtol=1e-9)


def test_a_session_that_was_not_closed_has_no_rows() -> None:
    desk = Desk()
    desk.frames.replace(EQUITY, to_table(_equity(desk.gains.iloc[:-1]), EQUITY), Span(SESSIONS[0], LAST))
    rows = measured(SESSIONS[-2:], desk.sources, desk.ledger)
    assert {row["session"] for row in rows[EXPOSURES.name]} == {SESSIONS[-2]}


def test_an_empty_home_has_nothing_and_all_is_within_limits() -> None:
    desk = Desk()
    desk.frames = Counted()
    result = desk.run(FIRST, FIRST)
    assert result.success
    assert all(each.passed for each in result.get_asset_check_evaluations())


def test_what_cannot_be_measured_is_told_as_a_warning() -> None:
    desk = Desk(limits=[{"rule": "gross_exposure", "warn": 9.0}])
    old = prices()
    stopped = old[(old["instrument"] != "BUND") | (old["session"] < SESSIONS[-6])]
    desk.frames.replace(DAILY_PRICES, to_table(stopped, DAILY_PRICES), Span(SESSIONS[0], LAST))
    result = desk.run(LAST, LAST)
    check = {each.check_name: each for each in result.get_asset_check_evaluations()}["limits_hold"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "cannot be measured" in (check.description or "")
    assert desk.rows(VALUE_AT_RISK, LAST)["value_at_risk_base"].isna().all()


# --- of the newest session -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("priced", [None, SESSIONS[-20], LAST])
def test_facts_of_the_newest_session_are_three_reads_and_those_of_its_own(priced: date | None) -> None:
    desk = Desk()
    found, newest = newest_facts(desk.frames, desk.reference, desk.settings, priced=priced)
    assert newest == LAST
    assert desk.frames.reads.total() == 3
    own = risk_facts(desk.frames, desk.reference, desk.settings, LAST, LAST)
    assert found.market(LAST).version == own.market(LAST).version


def test_facts_of_an_earlier_session_are_those_without_later_prices() -> None:
    desk = Desk()
    found, newest = newest_facts(desk.frames, desk.reference, desk.settings, FIRST)
    assert newest == LAST
    own = risk_facts(desk.frames, desk.reference, desk.settings, FIRST, FIRST)
    assert found.market(FIRST).version == own.market(FIRST).version


def test_prices_that_were_withdrawn_since_are_looked_for_before() -> None:
    """A book was closed long after the newest price that is still there."""
    desk = Desk()
    found, newest = newest_facts(desk.frames, desk.reference, desk.settings, priced=date(2031, 3, 11))
    assert newest == LAST
    assert np.isfinite(found.market(LAST).notional_base).all()


def test_a_desk_without_prices_has_no_newest_session() -> None:
    desk = Desk()
    assert newest_facts(Counted(), desk.reference, desk.settings)[1] is None
