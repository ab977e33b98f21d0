"""The risk engine beside a plain reference that works everything out anew: the same decisions, the same values.

`benchmarks/risk_agreement.py` runs the seeded cases by the hundred thousand. Does not belong here: what values should
be (`risk_reference.py`), threads (`test_risk_concurrency.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from random_books import RULES, Seeded, Tally, random_case

CASES = 400
# What cannot be unknown (counts, states, positions), and what only stops or lets through at a limit of 0.
NEVER_MISSING = {
    "order_size", "order_rate", "trade_rate", "session_orders", "strategy_position", "position_size",
    "contract_position", "portfolio_position", "strategy_position_change", "position_change",
    "contract_position_change", "portfolio_position_change", "roll_state", "restricted", "trading_mode",
    "instrument_lock", "halt",
}  # fmt: skip
NEVER_WARNS = {"trading_mode", "instrument_lock", "halt"}


class Drawn:
    """Choices that hypothesis makes, so that a case which fails gets smaller."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))

    def integer(self, low: int, high: int) -> int:
        return int(self.data.draw(st.integers(low, high)))

    def chance(self, percent: int) -> bool:
        return bool(self.data.draw(st.integers(0, 99)) >= 100 - percent)

    def array(self, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        return self.generator.uniform(low, high, shape)


@given(st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_engine_says_what_the_reference_says(data: st.DataObject) -> None:
    random_case(Drawn(data), Tally())


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What seeded cases came to, all of them the same in engine and reference."""
    found = Tally()
    for seed in range(CASES):
        random_case(Seeded(seed), found)
    return found


def test_seeded_cases_agree(tally: Tally) -> None:
    assert tally.asked > 8 * CASES
    assert tally.values > 100_000
    assert tally.largest[0] <= 1e-9, tally.largest
    assert tally.edges <= tally.asked / 100


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_every_rule_is_seen_to_pass_warn_refuse_and_be_missing(tally: Tally, rule: str) -> None:
    wanted = {"pass", "refuse"} | ({"warn"} - ({"warn"} if rule in NEVER_WARNS else set()))
    wanted |= set() if rule in NEVER_MISSING else {"missing"}
    assert {outcome for name, outcome in tally.outcomes if name == rule} == wanted


def test_decisions_of_all_kinds_are_seen(tally: Tally) -> None:
    assert min(tally.decisions[outcome] for outcome in ("pass", "warn", "refuse")) > CASES / 4
