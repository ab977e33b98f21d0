"""Contract ids and cycles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import CalculationError
from trading.market.contracts import (
    MONTH_LETTERS,
    contract_id,
    in_cycle,
    next_in_cycle,
    previous_in_cycle,
)

cycles = st.sets(st.sampled_from(MONTH_LETTERS), min_size=1).map("".join)
contracts = st.builds(contract_id, st.integers(1950, 2100), st.integers(1, 12))


def test_ids_and_cycles() -> None:
    assert contract_id(2022, 3) == 20220300
    assert [in_cycle(contract_id(2022, month), letter) for month, letter in zip((1, 3, 12), "FHZ", strict=True)] == [
        True, True, True,
    ]  # fmt: skip
    assert in_cycle(20220316, "H")
    assert not in_cycle(20220316, "FGJKMNQUVXZ")


@pytest.mark.parametrize(
    ("contract", "cycle", "following", "preceding"),
    [
        (20220300, "HMUZ", 20220600, 20211200),
        (20221200, "HMUZ", 20230300, 20220900),
        (20220100, "HMUZ", 20220300, 20211200),  # January is not in the cycle
        (20221200, "Z", 20231200, 20211200),
        (20220900, "FGHJKMNQUXVZ", 20221000, 20220800),  # letters out of order, as in some reference files
        (20220316, "HMUZ", 20220600, 20211200),  # the day does not matter
    ],
)
def test_neighbours_in_a_cycle(contract: int, cycle: str, following: int, preceding: int) -> None:
    assert next_in_cycle(contract, cycle) == following
    assert previous_in_cycle(contract, cycle) == preceding


@given(contracts, cycles)
def test_next_and_previous_are_inverse_within_the_cycle(contract: int, cycle: str) -> None:
    member = next_in_cycle(contract, cycle)
    assert in_cycle(member, cycle)
    assert member > contract
    assert previous_in_cycle(next_in_cycle(member, cycle), cycle) == member
    assert next_in_cycle(previous_in_cycle(member, cycle), cycle) == member


@given(contracts, cycles)
def test_nothing_of_the_cycle_lies_between_neighbours(contract: int, cycle: str) -> None:
    following = next_in_cycle(contract, cycle)
    between = contract
    while (between := next_in_cycle(between, MONTH_LETTERS)) < following:
        assert not in_cycle(between, cycle)


def test_a_wrong_month_or_cycle_is_named() -> None:
    with pytest.raises(CalculationError, match="20221300"):
        next_in_cycle(20221300, "HMUZ")
    with pytest.raises(CalculationError, match="'HAZ'"):
        next_in_cycle(20220300, "HAZ")
    with pytest.raises(CalculationError, match="month 0 of 2022"):
        contract_id(2022, 0)
