"""Cutting a history into rows to choose on and rows to judge on.

Belongs here: walk-forward, purged k-fold and combinatorial purged splits, as ranges of row numbers. Does not belong
here: running anything on them, or judging a search (`trading/analytics/overfitting.py`).

Rows are sessions, numbered from 0. The outcome of a row may reach `horizon` rows past it: a position decided with the
close of row t is traded at t + 1 and earns up to t + 2, so its horizon is 2. A train row is left out where its outcome
reaches a test row, or a test row's outcome reaches it (purging); so are `embargo` more rows after each test, because
what is measured there (averages, volatility) still remembers it. Source: Lopez de Prado, "Advances in Financial Machine
Learning", 2018, chapters 7 (purging, embargo) and 12 (combinatorial splits and their paths).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb
from typing import Literal

import numpy as np
import numpy.typing as npt

from trading.errors import UsageError

Integers = npt.NDArray[np.int64]
MOST_SPLITS = 100_000


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to choose on and rows to judge on: increasing ranges that neither touch nor overlap within a side."""

    train: tuple[range, ...]
    test: tuple[range, ...]

    @property
    def train_rows(self) -> Integers:
        """Row numbers to choose on, increasing."""
        return _rows(self.train)

    @property
    def test_rows(self) -> Integers:
        """Row numbers to judge on, increasing."""
        return _rows(self.test)


def walk_forward(
    rows: int,
    *,
    train: int,
    test: int,
    window: Literal["expanding", "rolling"] = "expanding",
    horizon: int = 0,
    embargo: int = 0,
) -> tuple[Split, ...]:
    """Splits in which every test lies after its train rows; tests follow each other without a gap to the last row.

    The first test starts at row `train + horizon + embargo` and each has `test` rows, the last what remains. An
    expanding window chooses on all rows before, a rolling one on the last `train` of them; `horizon + embargo` rows
    before each test are left out. Raises UsageError on numbers that leave no test.
    """
    gap = _horizon(horizon, embargo)
    _at_least(1, rows=rows, train=train, test=test)
    if window not in ("expanding", "rolling"):
        raise UsageError(f"there is no window {window!r}. Known: expanding, rolling.")
    first = train + gap
    if first >= rows:
        raise UsageError(
            f"{rows} rows leave none to test after {train} to train on and {gap} left out. Give a smaller train."
        )
    starts = range(first, rows, test)
    return tuple(
        Split((range(0 if window == "expanding" else at - gap - train, at - gap),), (range(at, min(at + test, rows)),))
        for at in starts
    )


def k_fold(rows: int, *, folds: int, horizon: int = 0, embargo: int = 0) -> tuple[Split, ...]:
    """Each of `folds` consecutive parts once as the test, the others less purging and embargo to train on.

    Parts are of equal length; the first `rows % folds` have one row more. Raises UsageError where a part would be
    empty, or nothing would be left to train on.
    """
    _at_least(2, folds=folds)
    return combinatorial(rows, groups=folds, tests=1, horizon=horizon, embargo=embargo)


def combinatorial(rows: int, *, groups: int, tests: int = 2, horizon: int = 0, embargo: int = 0) -> tuple[Split, ...]:
    """Every choice of `tests` of `groups` consecutive parts as the test, in lexicographic order; the rest as `k_fold`.

    There are C(groups, tests) of them; `paths` puts their tests together. Errors as `k_fold`.
    """
    _horizon(horizon, embargo)
    _choice(groups, tests)
    _at_least(1, rows=rows)
    if rows < groups:
        raise UsageError(f"{rows} rows cannot be cut into {groups} parts. Give fewer parts.")
    edges = [part * (rows // groups) + min(part, rows % groups) for part in range(groups + 1)]
    parts = [range(first, last) for first, last in pairwise(edges)]
    return tuple(
        _purged(rows, _joined(parts[part] for part in chosen), horizon, embargo)
        for chosen in combinations(range(groups), tests)
    )


def paths(groups: int, tests: int = 2) -> tuple[tuple[int, ...], ...]:
    """The whole histories that the tests of `combinatorial` make: of each, which split judges which part.

    C(groups, tests) x tests / groups paths; `paths(6, 2)[1][3]` is the number of the split whose test on the fourth
    part belongs to the second path. Every split's test on a part is on one path. Errors as `combinatorial`.
    """
    _choice(groups, tests)
    chosen = list(combinations(range(groups), tests))
    judges = [[split for split, parts in enumerate(chosen) if part in parts] for part in range(groups)]
    return tuple(zip(*judges, strict=True))


def _purged(rows: int, test: tuple[range, ...], horizon: int, embargo: int) -> Split:
    """What is left to train on around the tests. Raises UsageError where nothing is."""
    train, first = [], 0
    for part in test:
        train.append(range(first, part.start - horizon))
        first = part.stop + horizon + embargo
    train.append(range(first, rows))
    left = tuple(part for part in train if len(part))
    if not left:
        raise UsageError(
            f"nothing is left of {rows} rows to train on beside the test {_named(test)}, a horizon of {horizon} and an "
            f"embargo of {embargo}. Give longer parts, or a shorter horizon or embargo."
        )
    return Split(left, test)


def _joined(parts: Iterable[range]) -> tuple[range, ...]:
    """Increasing ranges, those that touch made one."""
    found: list[range] = []
    for part in parts:
        if found and found[-1].stop == part.start:
            found[-1] = range(found[-1].start, part.stop)
        else:
            found.append(part)
    return tuple(found)


def _rows(parts: tuple[range, ...]) -> Integers:
    return np.concatenate([np.arange(part.start, part.stop, dtype=np.int64) for part in parts])


def _named(parts: tuple[range, ...]) -> str:
    return ", ".join(f"{part.start} to {part.stop - 1}" for part in parts)


def _horizon(horizon: int, embargo: int) -> int:
    _at_least(0, horizon=horizon, embargo=embargo)
    return horizon + embargo


def _choice(groups: int, tests: int) -> None:
    _at_least(2, groups=groups)
    _at_least(1, tests=tests)
    if tests >= groups:
        raise UsageError(f"{tests} of {groups} parts to test on leave none to train on. Give fewer tests.")
    if (many := comb(groups, tests)) > MOST_SPLITS:
        raise UsageError(f"{tests} of {groups} parts make {many:,} splits, over {MOST_SPLITS:,}. Give fewer parts.")


def _at_least(least: int, **numbers: int) -> None:
    """Raises UsageError on what is not a whole number, or is smaller."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | np.integer):
            raise UsageError(f"{name} is a whole number of rows or parts, not {number!r}.")
        if number < least:
            raise UsageError(f"{name} is {number}: give {least} or more.")
