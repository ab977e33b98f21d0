"""Every kind of break with the broker. Does not belong here: brokers."""

from datetime import date

import pytest

from trading.book.reconciliation import reconcile
from trading.book.statements import Statement

FRI, JUN = date(2022, 2, 25), 20220600


def found(ours: dict, theirs: dict, cash: dict | None = None, their_cash: dict | None = None) -> dict:
    statement = Statement("paper", FRI, theirs, their_cash or {})
    return {item.kind: (item.item, item.ours, item.theirs) for item in reconcile(ours, cash or {}, statement, FRI)}


@pytest.mark.parametrize(("ours", "theirs", "expected"), [
    ({("US10", JUN): 3}, {("US10", JUN): 3}, {}),
    ({}, {("US10", JUN): 3}, {"missing_here": ("US10/20220600", 0.0, 3.0)}),
    ({("US10", JUN): 3}, {}, {"missing_there": ("US10/20220600", 3.0, 0.0)}),
    ({("US10", JUN): 3}, {("US10", JUN): -3}, {"quantity": ("US10/20220600", 3.0, -3.0)}),
])  # fmt: skip
def test_positions(ours: dict, theirs: dict, expected: dict) -> None:
    assert found(ours, theirs) == expected


def test_cash_agrees_to_a_cent_and_is_compared_over_both_sides_currencies() -> None:
    assert found({}, {}, {"USD": 100.0, "EUR": 0.005}, {"USD": 100.009}) == {}
    assert found({}, {}, {"USD": 100.0}, {"USD": 100.02}) == {"cash": ("USD", 100.0, 100.02)}
    assert found({}, {}, {}, {"EUR": 7.0}) == {"cash": ("EUR", 0.0, 7.0)}


def test_no_statement_is_a_break_and_not_a_flat_one() -> None:
    breaks = reconcile({}, {}, None, FRI, "paper")
    assert [(item.kind, item.item, item.ours) for item in breaks] == [("statement_missing", "paper", None)]
    assert "2022-02-25" in breaks[0].message
