"""How much of the best of many backtests is luck.

Belongs here: what is said of a whole search, from the Sharpe ratios and block moments of its variants. Does not belong
here: the figures of one curve (`performance.py`), or running a search.

Sharpe ratios here are of one row (a session) and not annual, unless said: divide an annual one by 16. A sweep holds no
curves: of each variant it keeps `block_moments` (a few hundred bytes), and adds its `standardised` curve to one sum.

Sources: Bailey and Lopez de Prado, "The Sharpe ratio efficient frontier", Journal of Risk 15(2), 2012 (PSR); the same,
"The deflated Sharpe ratio", Journal of Portfolio Management 40(5), 2014 (DSR); Bailey, Borwein, Lopez de Prado and
Zhu, "The probability of backtest overfitting", Journal of Computational Finance 20(4), 2016 (PBO).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from trading.analytics.performance import summary
from trading.errors import UsageError

Floats = npt.NDArray[np.float64]

EULER = 0.5772156649015329
BLOCKS = 16
MOST_BLOCKS = 20  # 184,756 splits
ALIKE = 1e-20  # a variance below this share of the squared mean is the rounding of values that are all alike
NAN = math.nan


def probabilistic_sharpe(
    sharpe: float, rows: int, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Probability that the true Sharpe ratio is above a benchmark, given the one observed over `rows` returns.

    Z((sharpe - benchmark) sqrt(rows - 1) / sqrt(1 - skew sharpe + (kurtosis - 1) / 4 sharpe^2)), 2012.
    `kurtosis` of a normal distribution is 3. NaN in, or fewer than 2 rows, NaN out. Raises UsageError on a kurtosis
    that no distribution of this skew has.
    """
    if kurtosis < skew * skew + 1 - 1e-9:
        raise UsageError(
            f"no returns have a skew of {skew} and a kurtosis of {kurtosis}: it is at least skew squared + 1. "
            "Give the kurtosis of which a normal distribution has 3, not the excess over it."
        )
    if rows < 2:
        return NAN
    error = math.sqrt(max(1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe * sharpe, 0.0))
    above = (sharpe - benchmark) * math.sqrt(rows - 1)
    return NormalDist().cdf(above / error if error else above * math.inf if above else 0.0)


def expected_maximum_sharpe(trials: float, deviation: float) -> float:
    """Expected best Sharpe ratio of independent trials without any skill, whose ratios have a standard deviation.

    deviation ((1 - g) Z^-1(1 - 1/trials) + g Z^-1(1 - 1/(trials e))), g Euler's constant, 2014, equation 1; in the
    unit of `deviation`. `trials` may be a fraction, see `independent_trials`; of one trial nothing is expected: 0.
    """
    if trials < 1 or deviation < 0:
        raise UsageError(f"{trials} trials with a deviation of {deviation}: give at least one trial, and none below 0.")
    if trials == 1:
        return 0.0
    normal = NormalDist()
    one, other = normal.inv_cdf(1 - 1 / trials), normal.inv_cdf(1 - 1 / (trials * math.e))
    return deviation * max((1 - EULER) * one + EULER * other, 0.0)


def deflated_sharpe(
    sharpe: float, rows: int, trials: float, deviation: float, skew: float = 0.0, kurtosis: float = 3.0
) -> float:
    """Probability that the best of many trials has any skill: `probabilistic_sharpe` above the best of pure luck.

    `deviation` is of the Sharpe ratios of all trials, `trials` how many of them are independent. 2014, equation 2.
    """
    return probabilistic_sharpe(sharpe, rows, skew, kurtosis, expected_maximum_sharpe(trials, deviation))


def deflated_sharpe_of(values: Floats, sharpes: Floats, trials: float | None = None) -> float:
    """The deflated Sharpe ratio of the chosen curve, `(n_sessions,)`, among the Sharpe ratios of all, `(n_variants,)`.

    `trials`: how many are independent; without it all of them, which is the strictest. NaN ratios (a variant that
    never traded) count as trials and not in the deviation. NaN where the curve has no Sharpe ratio.
    """
    found = summary(values)
    known = sharpes[~np.isnan(sharpes)]
    if not found.n > 1 or not found.std > 0:
        return NAN
    variance = found.second / found.n
    skew, kurtosis = found.third / found.n / variance**1.5, found.fourth / found.n / variance**2
    deviation = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    count = float(len(sharpes)) if trials is None else trials
    return deflated_sharpe(found.mean / found.std, int(found.n), count, deviation, skew, kurtosis)


def independent_trials(trials: float, correlation: float) -> float:
    """How many independent trials `trials` of an average correlation are worth: c + (1 - c) trials, 2014, appendix.

    A negative average correlation counts as none.
    """
    held = min(max(correlation, 0.0), 1.0)
    return held + (1 - held) * trials


def standardised(values: Floats) -> Floats:
    """A curve less its mean over its deviation, `(n_sessions,)`; 0 where a row is missing or all are alike.

    Add those of all variants up, in any order or process, for `average_correlation`.
    """
    found = summary(values)
    deviation = math.sqrt(found.second / found.n) if found.n else 0.0
    return np.nan_to_num((values - found.mean) / deviation) if deviation else np.zeros(len(values))


def average_correlation(total: Floats, trials: int) -> float:
    """Average correlation of pairs of variants, of the sum of their `standardised` curves, `(n_sessions,)`.

    The variance of a sum of `trials` such curves is trials + trials (trials - 1) times it; exact where all curves have
    values on all rows, too low where they do not. NaN of fewer than two trials.
    """
    if trials < 2:
        return NAN
    return (float(np.mean(total * total)) - trials) / (trials * (trials - 1))


def block_moments(values: Floats, blocks: int = BLOCKS) -> Floats:
    """All that `backtest_overfitting` needs of a variant: shape `(3, blocks)`, count, mean, squared distances from it.

    Blocks are consecutive, of equal length but for one row. Rows that are NaN are left out of their block.
    """
    from trading.kernels import trials

    return trials.block_moments(np.ascontiguousarray(values, dtype=np.float64), _even(blocks))


def sharpe_ratios(moments: Floats) -> Floats:
    """Sharpe ratio of each variant over its whole history, `(n_variants,)`, of `(n_variants, 3, n_blocks)` moments.

    Of one row, over the rows with a value; NaN where there is no deviation. These are the `sharpes` of
    `deflated_sharpe_of`.
    """
    (counts, off, squares), centre = _centred(moments)
    n = counts.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = (squares.sum(axis=0) - off.sum(axis=0) ** 2 / n) / (n - 1)
        known = (n > 1) & (variance > ALIKE * centre * centre)
        found: Floats = np.where(known, centre / np.sqrt(variance), np.nan)
    return found


@dataclass(frozen=True, slots=True)
class Overfitting:
    """What choosing the best variant on half the history says of the other half; 2016.

    `probability`: share of splits on which the variant chosen does no better than the median of all. `loss`: share on
    which it loses. `slope`: of its Sharpe ratio where it was not chosen on the one where it was; below 1 is decay.
    `chosen`, `after` and `logits` have a row a split, Sharpe ratios of one row and ln(rank / (1 - rank)); NaN where
    the variant chosen had no deviation on the other half: such splits count nowhere.
    """

    probability: float
    loss: float
    slope: float
    chosen: Floats
    after: Floats
    logits: Floats


def backtest_overfitting(moments: Floats) -> Overfitting:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation, judged by Sharpe ratio.

    `moments` is `(n_variants, 3, n_blocks)`, `block_moments` of each variant over the same sessions; a variant without
    a Sharpe ratio on a half is neither chosen nor ranked there. Every half of the blocks is once the one to choose on:
    12,870 splits of 16 blocks. Sharpe ratios within a half do not see the order of its blocks, so this is not a
    walk-forward. Raises UsageError on fewer than two variants or an odd number of blocks.
    """
    from trading.kernels import trials

    if moments.ndim != 3 or moments.shape[1] != 3 or len(moments) < 2:
        raise UsageError(
            f"block moments have shape (n_variants, 3, n_blocks) and at least two variants, not {moments.shape}."
        )
    found = trials.symmetric_halves(*_centred(moments), _halves(_even(moments.shape[2])))
    known = found[~np.isnan(found[:, 2])]
    chosen, after, logits = (np.ascontiguousarray(column) for column in found.T)
    if not len(known):
        return Overfitting(NAN, NAN, NAN, chosen, after, logits)
    probability, loss = float(np.mean(known[:, 2] <= 0)), float(np.mean(known[:, 1] < 0))
    return Overfitting(probability, loss, _slope(known[:, 0], known[:, 1]), chosen, after, logits)


def _centred(moments: Floats) -> tuple[Floats, Floats]:
    """Counts, sums and sums of squares of distances from each variant's own mean, a row a block; and those means.

    Distances, so that squares of a large mean do not swallow a small deviation.
    """
    counts, means, squares = (np.ascontiguousarray(moments[:, moment, :].T) for moment in range(3))
    centre = (counts * means).sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    off = means - centre
    return np.stack([counts, counts * off, squares + counts * off * off]), centre


def _halves(blocks: int) -> npt.NDArray[np.bool_]:
    """Every way to cut the blocks into two halves, once, `(n_splits, blocks)`: true on the first block's side."""
    others = list(combinations(range(1, blocks), blocks // 2 - 1))
    halves = np.zeros((len(others), blocks), dtype=np.bool_)
    halves[:, 0] = True
    for split, rest in enumerate(others):
        halves[split, list(rest)] = True
    return halves


def _slope(one: Floats, other: Floats) -> float:
    off = one - one.mean()
    spread = float(off @ off)
    return float(off @ other) / spread if spread else NAN


def _even(blocks: int) -> int:
    if blocks % 2 or not 2 <= blocks <= MOST_BLOCKS:
        raise UsageError(f"{blocks} blocks cannot be cut into halves: give an even number from 2 to {MOST_BLOCKS}.")
    return blocks
