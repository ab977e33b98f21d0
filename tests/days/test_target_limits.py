"""The check that targets, held all at once, are within limits. Does not belong here: orders, or the standing book."""

from datetime import UTC, date, datetime
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from assets.layers import Sources
from checks.target_limits import judged, result, targets_of
from resources.memory import MemoryFrames, MemoryLedger, MemoryReference
from trading.book.booking import Entered
from trading.book.orders import Fill
from trading.config.models import DeskSettings
from trading.frames import DAILY_PRICES, EQUITY, FX_RATES, TARGETS, Dataset, to_table
from trading.market.instruments import Instrument
from trading.ports import Span

FRI, JUN = date(2022, 2, 25), 20220600
GOLD = Instrument("GOLD", "Gold", "COMEX", "USD", 100.0, 0.1, "metals", "precious", "US")
OTHER = Instrument("COPPER", "Copper", "COMEX", "USD", 250.0, 0.1, "metals", "base", "US")


def put(frames: MemoryFrames, dataset: Dataset, *rows: dict[str, Any]) -> None:
    whole = [dict.fromkeys(dataset.schema.names) | {"session": FRI} | row for row in rows]
    frames.replace(dataset, to_table(pd.DataFrame(whole), dataset), Span.session(FRI))


@pytest.fixture
def frames() -> MemoryFrames:
    """Gold at 1,800 a point of 100 dollars (180,000 a contract), copper at 4 of 250 (1,000); a hundred gold wanted."""
    found = MemoryFrames()
    priced = {"stamp": pd.Timestamp("2022-02-25 23:00"), "price_contract": JUN}
    put(found, DAILY_PRICES, {"instrument": "GOLD", "price": 1800.0, **priced},
        {"instrument": "COPPER", "price": 4.0, **priced})  # fmt: skip
    put(found, FX_RATES, {"currency": "USD", "rate": 1.0, "quoted_on": FRI})
    put(found, EQUITY, {"currency": "USD", "value_local": 0.0, "change_local": 0.0, "rate": 1.0, "change_base": 0.0,
                        "booked_base": 0.0, "account_base": 1_000_000.0})  # fmt: skip
    return found


def want(frames: MemoryFrames, **contracts: int) -> None:
    put(frames, TARGETS, *[{"strategy": "trend", "instrument": code, "contract": JUN, "target_contracts": count}
                           for code, count in contracts.items()])  # fmt: skip


def looked(frames: MemoryFrames, desk: DeskSettings, ledger: MemoryLedger | None = None) -> dg.AssetCheckResult:
    sources = Sources(frames, MemoryReference([GOLD, OTHER]), desk, datetime(2022, 2, 25, 22, tzinfo=UTC))
    targets = targets_of(sources.rows(TARGETS, FRI, FRI).to_pylist())
    return result(judged(sources, ledger or MemoryLedger(), FRI, targets), FRI, desk)


def test_targets_within_limits_pass(frames: MemoryFrames) -> None:
    want(frames, GOLD=100, COPPER=-5)  # 18 times the capital, and 20 is the limit
    found = looked(frames, DeskSettings())
    assert (found.passed, found.description) == (True, "within all limits")


def test_targets_that_together_pass_a_limit_are_told_in_money(frames: MemoryFrames) -> None:
    want(frames, GOLD=100, COPPER=-2_001)  # 18,000,000 and 2,001,000
    found = looked(frames, DeskSettings.model_validate({"symbols": {"defaults": {"max_position_contracts": 5000}}}))
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert "20.001 times capital passes the limit of 20 (20,001,000 of 20,000,000)" in str(found.description)


def test_what_is_held_now_does_not_count_beside_the_targets(frames: MemoryFrames) -> None:
    ledger = MemoryLedger()
    entry = Entered(FRI, datetime(2022, 2, 25, 22, tzinfo=UTC), "test")
    ledger.record([entry.filled(Fill("f", "o", "trend", "GOLD", JUN, FRI, 100, 1800.0))])
    want(frames, GOLD=90)
    assert looked(frames, DeskSettings(), ledger).passed


def test_a_close_can_be_made_to_fail_by_it(frames: MemoryFrames) -> None:
    want(frames, GOLD=501)
    strict = DeskSettings.model_validate({"risk": {"decisions": {"fail_on_targets": True}}})
    found = looked(frames, strict)
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert "position_size of GOLD: 501 contracts passes the limit of 500." in str(found.description)


def test_losses_of_the_account_are_not_the_targets(frames: MemoryFrames) -> None:
    put(frames, EQUITY, {"currency": "USD", "value_local": 0.0, "change_local": 0.0, "rate": 1.0, "change_base": 0.0,
                         "booked_base": 0.0, "account_base": 100_000.0})  # fmt: skip
    want(frames, GOLD=1)
    assert looked(frames, DeskSettings()).passed
