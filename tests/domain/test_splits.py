"""Walk-forward and purged splits by hand."""

from __future__ import annotations

from collections.abc import Callable
from math import comb

import pytest

from trading.backtest.splits import Split, combinatorial, k_fold, paths, walk_forward
from trading.errors import UsageError


def rows(*sides: tuple[tuple[int, int], ...]) -> Split:
    """A split of (first, one past the last) pairs."""
    train, test = (tuple(range(*pair) for pair in side) for side in sides)
    return Split(train, test)


def test_expanding_windows() -> None:
    assert walk_forward(10, train=4, test=2) == (
        rows(((0, 4),), ((4, 6),)),
        rows(((0, 6),), ((6, 8),)),
        rows(((0, 8),), ((8, 10),)),
    )


def test_rolling_windows_with_a_short_last_test() -> None:
    assert walk_forward(9, train=4, test=2, window="rolling") == (
        rows(((0, 4),), ((4, 6),)),
        rows(((2, 6),), ((6, 8),)),
        rows(((4, 8),), ((8, 9),)),
    )


@pytest.mark.parametrize("window", ["expanding", "rolling"])
def test_a_walk_leaves_horizon_and_embargo_out(window: str) -> None:
    found = walk_forward(12, train=4, test=3, window=window, horizon=2, embargo=1)  # type: ignore[arg-type]
    second = (0, 7) if window == "expanding" else (3, 7)
    assert found == (rows(((0, 4),), ((7, 10),)), rows((second,), ((10, 12),)))


def test_k_fold_purges_both_sides_and_embargoes_after() -> None:
    # ten rows in three parts: 0-3, 4-6, 7-9. Horizon 1 takes a row before and after each test, embargo one more after
    assert k_fold(10, folds=3, horizon=1, embargo=1) == (
        rows(((6, 10),), ((0, 4),)),
        rows(((0, 3), (9, 10)), ((4, 7),)),
        rows(((0, 6),), ((7, 10),)),
    )


def test_purging_is_what_overlap_of_outcomes_demands() -> None:
    horizon = 3
    for split in k_fold(60, folds=5, horizon=horizon):
        tests = set(split.test_rows.tolist())
        kept = {
            row
            for row in range(60)
            if row not in tests and not any(abs(row - other) <= horizon for other in tests)  # [t, t + 3] meet
        }
        assert set(split.train_rows.tolist()) == kept


def test_combinatorial_joins_parts_that_touch() -> None:
    found = combinatorial(8, groups=4, tests=2)
    assert len(found) == comb(4, 2)
    assert found[0] == rows(((4, 8),), ((0, 4),))
    assert found[1] == rows(((2, 4), (6, 8)), ((0, 2), (4, 6)))
    assert found[4] == rows(((0, 2), (4, 6)), ((2, 4), (6, 8)))
    assert found[1].test_rows.tolist() == [0, 1, 4, 5]


def test_combinatorial_purges_around_each_test() -> None:
    found = combinatorial(20, groups=4, tests=2, horizon=1, embargo=1)
    assert found[1] == rows(((7, 9), (17, 20)), ((0, 5), (10, 15)))


def test_paths_of_the_book() -> None:
    # the book's figure 12.1: six groups, two tests, fifteen splits, five paths
    found = paths(6, 2)
    assert len(found) == 5
    assert found[0] == (0, 0, 1, 2, 3, 4)
    assert found[1] == (1, 5, 5, 6, 7, 8)
    used = [(split, part) for path in found for part, split in enumerate(path)]
    assert len(set(used)) == len(used) == 30
    splits = combinatorial(60, groups=6, tests=2)
    assert all(part * 10 in splits[split].test_rows for split, part in used)


@pytest.mark.parametrize("embargo", [0, 4])
def test_no_train_row_is_tested(embargo: int) -> None:
    for split in combinatorial(103, groups=7, tests=3, horizon=2, embargo=embargo):
        train, test = set(split.train_rows.tolist()), set(split.test_rows.tolist())
        assert not train & test
        assert not {row + after for row in test for after in range(3 + embargo)} & train
        assert not {row - before for row in test for before in range(3)} & train


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: walk_forward(10, train=10, test=1), "10 rows leave none to test after 10 to train on and 0 left out"),
        (lambda: walk_forward(10, train=8, test=1, horizon=2), "after 8 to train on and 2 left out"),
        (lambda: walk_forward(10, train=0, test=1), "train is 0: give 1 or more"),
        (lambda: walk_forward(10, train=2, test=-1), "test is -1: give 1 or more"),
        (lambda: walk_forward(10, train=2.5, test=1), "train is a whole number of rows or parts, not 2.5"),  # type: ignore[arg-type]
        (lambda: walk_forward(10, train=2, test=1, window="sliding"), "no window 'sliding'"),  # type: ignore[arg-type]
        (lambda: walk_forward(10, train=2, test=1, embargo=-1), "embargo is -1: give 0 or more"),
        (lambda: k_fold(3, folds=4), "3 rows cannot be cut into 4 parts"),
        (lambda: k_fold(10, folds=1), "folds is 1: give 2 or more"),
        (lambda: k_fold(0, folds=2), "rows is 0: give 1 or more"),
        (lambda: combinatorial(10, groups=1), "groups is 1: give 2 or more"),
        (lambda: k_fold(10, folds=2, horizon=5), "nothing is left of 10 rows to train on beside the test 0 to 4"),
        (lambda: combinatorial(10, groups=3, tests=3), "3 of 3 parts to test on leave none to train on"),
        (lambda: combinatorial(100, groups=40, tests=20), "splits, over 100,000"),
        (lambda: paths(6, True), "tests is a whole number"),
    ],
)
def test_what_cannot_be_cut_is_said(ask: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        ask()
    assert sentence in str(raised.value)
