"""Luck in a search: the published worked examples, halves by hand, and what noise and skill look like."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from trading.analytics.overfitting import (
    Floats,
    average_correlation,
    backtest_overfitting,
    block_moments,
    deflated_sharpe,
    deflated_sharpe_of,
    expected_maximum_sharpe,
    independent_trials,
    probabilistic_sharpe,
    sharpe_ratios,
    standardised,
)
from trading.errors import UsageError

NAN = math.nan
A_YEAR = 250  # rows a year in the 2014 paper


def moments(curves: Floats, blocks: int = 16) -> Floats:
    """Block moments of curves, a column a variant."""
    return np.stack([block_moments(curve, blocks) for curve in curves.T])


def test_probabilistic_sharpe_of_the_2012_paper() -> None:
    # two years of months, Sharpe 0.458 a month: 0.982 were it normal, 0.913 with its skew and kurtosis
    assert probabilistic_sharpe(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    assert probabilistic_sharpe(0.458, 24, skew=-2.448, kurtosis=10.164) == pytest.approx(0.913, abs=5e-4)


def test_probabilistic_sharpe_by_hand() -> None:
    assert probabilistic_sharpe(0.1, 100, benchmark=0.1) == 0.5
    # no error but the normal one at a ratio of 0: Z(-0.1 * 10)
    assert probabilistic_sharpe(0.0, 101, benchmark=0.1) == pytest.approx(0.15865525393145707)
    assert math.isnan(probabilistic_sharpe(0.1, 1))
    assert math.isnan(probabilistic_sharpe(NAN, 100))
    # two equal outcomes a coin apart, skew 0 and kurtosis 1: the deviation is known and the error is 1
    assert probabilistic_sharpe(0.1, 101, kurtosis=1.0) == pytest.approx(0.8413447460685429)


def test_a_kurtosis_no_distribution_has_is_refused() -> None:
    with pytest.raises(UsageError, match="not the excess over it"):
        probabilistic_sharpe(0.1, 100, kurtosis=0.0)


def test_deflated_sharpe_of_the_2014_paper() -> None:
    # the paper's example: best annual ratio 2.5 of 100 trials whose annual ratios have variance 1/2, over 1250 days
    sharpe, deviation = 2.5 / math.sqrt(A_YEAR), math.sqrt(0.5 / A_YEAR)
    assert expected_maximum_sharpe(100, deviation) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(sharpe, 1250, 100, deviation, -3, 10) == pytest.approx(0.9004, abs=5e-5)
    assert deflated_sharpe(sharpe, 1250, 46, deviation, -3, 10) == pytest.approx(0.9505, abs=5e-5)
    assert deflated_sharpe(sharpe, 1250, 88, deviation) == pytest.approx(0.9505, abs=5e-5)


def test_expected_maximum_is_that_of_draws() -> None:
    drawn = np.random.default_rng(7).standard_normal((4000, 1000)).max(axis=1).mean()
    assert expected_maximum_sharpe(1000, 1.0) == pytest.approx(drawn, rel=0.01)
    assert expected_maximum_sharpe(1, 1.0) == 0.0
    assert expected_maximum_sharpe(1.2, 1.0) == 0.0
    assert 0 < expected_maximum_sharpe(2, 1.0) < expected_maximum_sharpe(3, 1.0)
    with pytest.raises(UsageError, match="at least one trial"):
        expected_maximum_sharpe(0, 1.0)


def test_deflated_sharpe_of_a_curve() -> None:
    values = np.array([NAN, 0.02, -0.01, 0.03, 0.0, NAN])
    sharpes = np.array([0.1, 0.3, NAN, 0.2])
    # mean 0.01, squares 1 + 4 + 4 + 1 (1e-4): deviation sqrt(1e-3 / 3), population variance 2.5e-4
    # third powers 1 - 8 + 8 - 1 = 0, fourth 1 + 16 + 16 + 1 = 34 (1e-8): kurtosis 8.5e-8 / 6.25e-8 = 1.36
    expected = deflated_sharpe(0.01 / math.sqrt(1e-3 / 3), 4, 4, 0.1, 0.0, 1.36)
    assert deflated_sharpe_of(values, sharpes) == pytest.approx(expected, rel=1e-9)
    fewer = deflated_sharpe(0.01 / math.sqrt(1e-3 / 3), 4, 2.5, 0.1, 0.0, 1.36)
    assert deflated_sharpe_of(values, sharpes, trials=2.5) == pytest.approx(fewer, rel=1e-9)
    assert math.isnan(deflated_sharpe_of(np.zeros(5), sharpes))


def test_luck_is_deflated_and_skill_is_not() -> None:
    curves = np.random.default_rng(11).standard_normal((2500, 200))
    sharpes = curves.mean(axis=0) / curves.std(axis=0, ddof=1)
    best = curves[:, sharpes.argmax()]
    assert probabilistic_sharpe(sharpes.max(), 2500) > 0.98  # alone it would convince
    assert 0.2 < deflated_sharpe_of(best, sharpes) < 0.9
    assert deflated_sharpe_of(best + 0.1, np.append(sharpes, sharpes.max() + 0.1)) > 0.99


def test_independent_trials() -> None:
    assert independent_trials(100, 0.0) == 100
    assert independent_trials(100, 1.0) == 1
    assert independent_trials(101, 0.5) == pytest.approx(51.0)
    assert independent_trials(100, -0.001) == 100


def test_average_correlation_is_that_of_all_pairs() -> None:
    common, own = np.random.default_rng(5).standard_normal((500, 1)), np.random.default_rng(6).standard_normal((500, 8))
    curves = common + own
    total = sum((standardised(curve) for curve in curves.T), np.zeros(500))
    pairs = np.corrcoef(curves.T)[np.triu_indices(8, 1)]
    assert average_correlation(total, 8) == pytest.approx(pairs.mean(), rel=1e-12)
    assert math.isnan(average_correlation(total, 1))


def test_standardised_curves() -> None:
    assert standardised(np.array([1.0, NAN, 3.0])).tolist() == [-1.0, 0.0, 1.0]
    assert standardised(np.full(3, 0.1)).tolist() == [0.0, 0.0, 0.0]
    assert standardised(np.full(2, NAN)).tolist() == [0.0, 0.0]


def test_block_moments_by_hand() -> None:
    found = block_moments(np.array([1.0, 3.0, NAN, 5.0, 8.0, NAN, NAN]), 4)
    # seven rows in four blocks: 1 3 | none 5 | 8 none | none
    assert found.tolist() == [[2, 1, 1, 0], [2, 5, 8, 0], [2, 0, 0, 0]]
    for blocks in (0, 3, 22):
        with pytest.raises(UsageError, match="cannot be cut into halves"):
            block_moments(np.zeros(100), blocks)


def test_moments_know_the_sharpe_ratio_of_the_whole() -> None:
    curves = np.random.default_rng(2).standard_normal((101, 3)) + 30.0
    found = sharpe_ratios(moments(np.column_stack([curves, np.zeros(101), np.full(101, 0.1), np.full(101, NAN)]), 8))
    assert found[:3] == pytest.approx(curves.mean(axis=0) / curves.std(axis=0, ddof=1), rel=1e-12)
    assert np.isnan(found[3:]).all()


def test_two_blocks_by_hand() -> None:
    # Sharpe ratios of blocks (a - b, a + b) are a / (b sqrt 2)
    first = np.array([[1.0, 3.0], [0.0, 2.0], [-2.0, 0.0]]).T  # 2, 1, -1 over sqrt 2
    second = np.array([[-4.0, -2.0], [3.0, 5.0], [0.0, 2.0]]).T  # -3, 4, 1 over sqrt 2
    found = backtest_overfitting(moments(np.vstack([first, second]), 2))
    root = math.sqrt(2)
    # chosen on the first block: variant 0, last of three on the second: rank 1 of 4. Back: variant 1, rank 2 of 4
    assert found.chosen == pytest.approx([2 / root, 4 / root])
    assert found.after == pytest.approx([-3 / root, 1 / root])
    assert found.logits == pytest.approx([math.log(1 / 3), 0.0])
    assert found.probability == 1.0  # the middle is no better than the median
    assert found.loss == 0.5
    assert found.slope == pytest.approx(2.0)


def plainly(curves: Floats, blocks: int) -> list[tuple[float, float, float]]:
    """The paper's procedure word for word on the curves themselves: slow, and no moments."""
    found = []
    parts = np.array_split(np.arange(len(curves)), blocks)
    for chosen in combinations(range(blocks), blocks // 2):
        rows = np.concatenate([parts[part] for part in chosen])
        train, test = curves[rows], np.delete(curves, rows, axis=0)
        one, other = (part.mean(axis=0) / part.std(axis=0, ddof=1) for part in (train, test))
        best = int(one.argmax())
        share = (int((other < other[best]).sum()) + 1) / (curves.shape[1] + 1)
        found.append((one[best], other[best], math.log(share / (1 - share))))
    return sorted(found)


@pytest.mark.parametrize(("rows", "variants", "blocks"), [(61, 5, 4), (200, 300, 6), (97, 2, 8)])
def test_moments_find_what_the_curves_themselves_do(rows: int, variants: int, blocks: int) -> None:
    curves = np.random.default_rng(rows).standard_normal((rows, variants)) + 50.0  # a mean far above the deviation
    found = backtest_overfitting(moments(curves, blocks))
    ours = sorted(zip(found.chosen, found.after, found.logits, strict=True))
    assert np.array(ours) == pytest.approx(np.array(plainly(curves, blocks)), rel=1e-9)
    assert len(ours) == math.comb(blocks, blocks // 2)


def test_noise_is_overfitted_half_the_time() -> None:
    # each search is one draw and scatters; their average does not
    random = np.random.default_rng(3)
    found = [backtest_overfitting(moments(random.standard_normal((800, 50)), 10)).probability for _ in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.08)


def test_one_good_strategy_is_no_accident() -> None:
    curves = np.random.default_rng(4).standard_normal((1600, 100))
    curves[:, 17] += 0.2  # about 3 a year
    found = backtest_overfitting(moments(curves))
    assert len(found.logits) == 12_870
    assert found.probability < 0.001
    assert found.loss < 0.001


def test_a_strategy_fitted_to_one_half_is_found_out() -> None:
    curves = np.random.default_rng(8).standard_normal((1600, 20)) * 0.1
    for variant in range(20):  # each is good in the blocks of its own half, and as bad in the others
        good = np.random.default_rng(variant).permutation(16)[:8]
        for block in range(16):
            curves[block * 100 : block * 100 + 100, variant] += 0.05 if block in good else -0.05
    found = backtest_overfitting(moments(curves))
    assert found.probability > 0.8
    assert found.slope < 0


def test_variants_that_never_trade_are_neither_chosen_nor_ranked() -> None:
    curves = np.random.default_rng(9).standard_normal((160, 5)) - 1.0
    with_idle = np.column_stack([np.zeros(160), curves, np.full(160, NAN), np.full(160, 0.1)])
    one, other = backtest_overfitting(moments(curves, 4)), backtest_overfitting(moments(with_idle, 4))
    assert other.logits == pytest.approx(one.logits)
    assert other.probability == one.probability
    idle = backtest_overfitting(moments(np.zeros((160, 3)), 4))
    assert math.isnan(idle.probability)
    assert np.isnan(idle.logits).all()


def test_equals_share_their_ranks() -> None:
    curve = np.random.default_rng(10).standard_normal(160)
    found = backtest_overfitting(moments(np.column_stack([curve] * 4), 4))
    assert found.logits == pytest.approx(np.zeros(6), abs=1e-12)
    assert found.probability == 1.0


def test_what_is_not_a_search_is_refused() -> None:
    with pytest.raises(UsageError, match="at least two variants"):
        backtest_overfitting(np.zeros((1, 3, 16)))
    with pytest.raises(UsageError, match="at least two variants"):
        backtest_overfitting(np.zeros((5, 16)))
    with pytest.raises(UsageError, match="5 blocks cannot be cut"):
        backtest_overfitting(np.zeros((5, 3, 5)))
