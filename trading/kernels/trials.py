"""Many variants of a backtest compared on halves of their history, in machine code.

Belongs here: block moments, and the walk over symmetric halves. Does not belong here: what the findings mean
(`trading/analytics/overfitting.py`).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trading.kernels.compiled import compiled

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

TILE = 256  # variants whose blocks stay in the processor's nearest memory
BATCH = 8  # halves taken in one walk over all variants
ALIKE = 1e-20  # a variance below this share of the squared mean is the rounding of values that are all alike


@compiled
def block_moments(values: Floats, blocks: int) -> Floats:
    """Count, mean and sum of squared distances from that mean of each block, shape `(3, blocks)`; NaN rows left out.

    Blocks are consecutive; the first `n_rows % blocks` are one row longer. The mean of a block without values is 0.
    """
    found = np.zeros((3, blocks))
    size, longer = len(values) // blocks, len(values) % blocks
    last = 0
    for block in range(blocks):
        first, last = last, last + size + (1 if block < longer else 0)
        count, total = 0, 0.0
        for row in range(first, last):
            if not math.isnan(values[row]):
                count += 1
                total += values[row]
        mean, squares = total / max(count, 1), 0.0
        for row in range(first, last):
            if not math.isnan(values[row]):
                squares += (values[row] - mean) ** 2
        found[0, block], found[1, block], found[2, block] = count, mean, squares
    return found


@compiled
def add_half(blocks: Floats, half: Booleans, side: bool, first: int, last: int, sums: Floats) -> None:
    """Adds up, for variants `first` to `last`, the blocks where `half` is `side`; `sums` is `(3, TILE)`."""
    sums[:, : last - first] = 0.0
    for block in range(len(half)):
        if half[block] == side:
            for moment in range(3):
                row = blocks[moment, block]
                for variant in range(first, last):
                    sums[moment, variant - first] += row[variant]


@compiled
def sharpe_of(sums: Floats, centre: Floats, first: int, last: int, found: Floats) -> None:
    """Mean over deviation (n - 1) of variants `first` to `last` into `found`; NaN where there is no deviation."""
    for variant in range(first, last):
        n, off, squares = sums[0, variant - first], sums[1, variant - first], sums[2, variant - first]
        variance = (squares - off * off / n) / (n - 1.0)
        mean = centre[variant] + off / n
        enough = n > 1.5 and variance > ALIKE * mean * mean
        found[variant] = mean / math.sqrt(variance) if enough else math.nan


@compiled
def best_of(sharpes: Floats) -> int:
    """The first of the greatest; -1 where all are NaN."""
    best, at = -math.inf, -1
    for variant in range(len(sharpes)):
        if sharpes[variant] > best:
            best, at = sharpes[variant], variant
    return at


@compiled
def logit_of(sharpes: Floats, chosen: int) -> float:
    """ln(w / (1 - w)), w the rank of the chosen among the Sharpe ratios that are known over their number + 1.

    Equals share the middle of their ranks. NaN where the chosen has no Sharpe ratio.
    """
    value = sharpes[chosen]
    lower = equal = known = 0
    for variant in range(len(sharpes)):
        lower += sharpes[variant] < value
        equal += sharpes[variant] == value
        known += sharpes[variant] == sharpes[variant]
    if equal == 0:
        return math.nan
    share = (lower + (equal + 1) / 2) / (known + 1)
    return math.log(share / (1 - share))


@compiled
def judged(train: Floats, test: Floats, found: Floats) -> None:
    """Chooses on `train` and looks on `test`: Sharpe ratio on each, and logit, into `found`, `(3,)`."""
    chosen = best_of(train)
    if chosen >= 0:
        found[0], found[1], found[2] = train[chosen], test[chosen], logit_of(test, chosen)


@compiled
def symmetric_halves(blocks: Floats, centre: Floats, halves: Booleans) -> Floats:
    """The variant best on one half, on the other, for both directions of every split; shape `(2 * n_splits, 3)`.

    `blocks` is `(3, n_blocks, n_variants)`: count, sum, and sum of squares of the distances from `centre`,
    `(n_variants,)`. `halves` is `(n_splits, n_blocks)`; of each split the choice on its true blocks comes first. The
    answer's columns: Sharpe ratio of the chosen where it was chosen, where it was not, and its logit; NaN of none.
    """
    splits, variants = len(halves), blocks.shape[2]
    found = np.full((2 * splits, 3), np.nan)
    sums, sharpes = np.empty((3, TILE)), np.empty((BATCH, 2, variants))
    for begin in range(0, splits, BATCH):
        end = min(begin + BATCH, splits)
        for first in range(0, variants, TILE):
            last = min(first + TILE, variants)
            for split in range(begin, end):
                for side in range(2):
                    add_half(blocks, halves[split], side == 0, first, last, sums)
                    sharpe_of(sums, centre, first, last, sharpes[split - begin, side])
        for split in range(begin, end):
            one, other = sharpes[split - begin, 0], sharpes[split - begin, 1]
            judged(one, other, found[2 * split])
            judged(other, one, found[2 * split + 1])
    return found
