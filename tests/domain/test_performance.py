"""Performance figures by hand, and against empyrical where its definitions are the same."""

from __future__ import annotations

import math

import empyrical
import numpy as np
import pandas as pd
import pytest

from trading.analytics.performance import (
    Floats,
    Frequency,
    at_frequency,
    cost_drag,
    curve_statistics,
    drawdowns,
    expected_shortfall,
    rolling_sharpe,
    sortino,
    statistics,
    tail_risk,
    value_at_risk,
)
from trading.errors import CalculationError, UsageError
from trading.kernels.curves import student_two_sided

NAN = math.nan
DAILY = np.array([NAN, 1.0, -2.0, 0.0, 4.0, -1.0])
DAYS = np.arange("2021-01-04", "2021-01-12", dtype="datetime64[D]")[[0, 1, 2, 3, 4, 7]]  # Monday to Friday, Monday


def curve(seed: int = 1, rows: int = 1500) -> Floats:
    """Fat-tailed returns in percent, losses and gains of different sizes."""
    return np.random.default_rng(seed).standard_t(4, rows) * 1.3 + 0.05


def weekdays(rows: int) -> np.ndarray:
    return np.busday_offset("2000-01-03", np.arange(rows))


def test_figures_by_hand() -> None:
    found = statistics(DAILY)
    # sum 2 over 6 rows; five values of mean 0.4: squared distances 0.36 + 5.76 + 0.16 + 12.96 + 1.96 = 21.2
    mean, std = 2 / 6 * 256, math.sqrt(21.2 / 4) * 16
    assert (found.rows, found.present) == (6, 5)
    assert found.annual_mean_percent == pytest.approx(mean)
    assert found.annual_std_percent == pytest.approx(std)
    assert found.sharpe == pytest.approx(mean / std)
    assert found.sortino == pytest.approx(mean / (0.5 * 16))  # losses -2 and -1: population deviation 0.5
    # cumulative 1, -1, -1, 3, 2 under highs 1, 1, 1, 3, 3
    assert found.average_drawdown_percent == pytest.approx(-1.0)
    assert found.worst_drawdown_percent == pytest.approx(-2.0)
    assert found.time_in_drawdown_fraction == pytest.approx(3 / 5)
    assert found.calmar == pytest.approx(mean / 2)
    # third powers: 0.216 - 13.824 - 0.064 + 46.656 - 2.744 = 30.24
    assert found.skew == pytest.approx(30.24 / 5 / (21.2 / 5) ** 1.5)
    assert found.hit_rate_fraction == pytest.approx(0.5)
    assert (found.average_gain_percent, found.average_loss_percent) == (2.5, -1.5)
    assert found.gain_to_loss == pytest.approx(2.5 / 1.5)
    assert found.profit_factor == pytest.approx(5 / 3)
    assert found.t_statistic == pytest.approx(0.4 / math.sqrt(21.2 / 4 / 5))


def test_the_rest_of_a_curve_by_hand() -> None:
    found = curve_statistics(DAILY, DAYS)
    assert (found["min"], found["max"], found["median"]) == (-2.0, 4.0, 0.0)
    assert (found["first_index"], found["last_index"]) == ("2021-01-04 00:00:00", "2021-01-11 00:00:00")
    assert found["number_of_years_in_data"] == 6 / 256
    # without the zero: -2, -1, 1, 4, mean 0.5; 1 % lies at 0.03 of the way from -2 to -1, 30 % at 0.9, and so on
    lower, upper = (-1.97 - 0.5) / (-1.1 - 0.5), (3.91 - 0.5) / (1.3 - 0.5)
    assert found["quant_ratio_lower"] == pytest.approx(lower / 4.436204, rel=1e-6)
    assert found["quant_ratio_upper"] == pytest.approx(upper / 4.436204, rel=1e-6)
    assert found["average_quant_ratio"] == pytest.approx((lower + upper) / 2 / 4.436204, rel=1e-6)


def test_a_first_loss_is_a_drawdown() -> None:
    values = np.array([NAN, -3.0, 1.0, 4.0])
    assert drawdowns(values)[1:].tolist() == [-3.0, -2.0, 0.0]
    assert drawdowns(values, "first_value")[1:].tolist() == [0.0, 0.0, 0.0]
    assert curve_statistics(values, weekdays(4))["worst_drawdown"] == -3.0
    reference = curve_statistics(values, weekdays(4), first_peak="first_value")
    assert (reference["worst_drawdown"], reference["time_in_drawdown"]) == (0.0, 0.0)
    assert np.isnan(drawdowns(values)[0])


def test_nothing_has_no_figures() -> None:
    for empty in (pd.Series(dtype="float64"), pd.Series([NAN, NAN])):
        figures = statistics(empty).figures()
        assert figures.pop("rows") == len(empty)
        assert figures.pop("present") == 0
        assert all(math.isnan(value) or value == 0.0 for value in figures.values())
    found = curve_statistics(np.empty(0), np.empty(0, dtype="datetime64[D]"), "monthly")
    assert (found["n_rows"], found["first_index"]) == (0, "")
    assert math.isnan(found["sharpe"])
    assert math.isnan(found["median"])


def test_one_value_has_no_deviation() -> None:
    found = curve_statistics(np.array([1.5]), weekdays(1))
    assert (found["mean"], found["median"], found["max"], found["hitrate"]) == (1.5, 1.5, 1.5, 1.0)
    assert all(math.isnan(found[name]) for name in ("std", "sharpe", "t_stat", "p_value", "sortino", "avg_loss"))


def test_only_gains() -> None:
    found = statistics(np.array([1.0, 2.0]))
    assert found.hit_rate_fraction == 1.0
    assert math.isnan(found.profit_factor)
    assert math.isnan(found.calmar)


def test_values_all_alike_have_no_sharpe() -> None:
    # 0.1 three times: the mean is off by rounding, which must not become a deviation
    found = curve_statistics(np.full(3, 0.1), weekdays(3))
    assert found["std"] == 0.0
    assert math.isnan(found["sharpe"])
    assert math.isnan(found["t_stat"])
    flat = curve_statistics(np.zeros(5), weekdays(5))
    assert (flat["median"], flat["ann_mean"]) == (0.0, 0.0)
    assert math.isnan(flat["quant_ratio_lower"])
    assert math.isnan(flat["hitrate"])


@pytest.mark.parametrize(
    ("t", "degrees", "p"),
    [
        (1.0, 1.0, 0.5),  # Cauchy: 1 - 2/pi atan(t)
        (math.sqrt(3.0), 1.0, 1 / 3),
        (2.0, 2.0, 1 - 2 / math.sqrt(6)),  # two degrees: 1 - t / sqrt(2 + t^2)
        (-2.0, 2.0, 1 - 2 / math.sqrt(6)),
        (1.0, 4.0, 1 - 1.4 / math.sqrt(5)),  # four: 1 - sin(x) (1 + cos(x)^2 / 2), x = atan(t / 2)
        (0.0, 7.0, 1.0),
        (2.228138851964939, 10.0, 0.05),  # the printed tables
        (1.9600, 1e9, 0.04999579),  # the normal
    ],
)
def test_students_t(t: float, degrees: float, p: float) -> None:
    assert student_two_sided(t, degrees) == pytest.approx(p, rel=1e-6)


def test_students_t_of_nothing() -> None:
    assert math.isnan(student_two_sided(NAN, 5.0))
    assert math.isnan(student_two_sided(1.0, 0.0))


def test_weeks_months_and_years_by_hand() -> None:
    days = np.array(["2020-12-30", "2020-12-31", "2021-01-01", "2021-01-04", "2021-01-15"], dtype="datetime64[D]")
    values = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    expected: dict[Frequency, tuple[list[float], list[str]]] = {
        "weekly": ([7.0, 8.0, 16.0], ["2021-01-03", "2021-01-10", "2021-01-17"]),
        "monthly": ([3.0, 28.0], ["2020-12-31", "2021-01-31"]),
        "annual": ([3.0, 28.0], ["2020-12-31", "2021-12-31"]),
    }
    for frequency, (sums, labels) in expected.items():
        found, dates = at_frequency(values, days, frequency)
        assert found.tolist() == sums
        assert dates.astype(str).tolist() == labels


RULES: dict[Frequency, str] = {"daily": "B", "weekly": "W-SUN", "monthly": "ME", "annual": "YE"}


@pytest.mark.parametrize("frequency", RULES)
def test_bins_are_differences_of_the_cumulative_curve(frequency: Frequency) -> None:
    random = np.random.default_rng(13)
    for leading in (1, 3, 30, 300):
        values, days = random.standard_normal(900), weekdays(900)
        values[random.random(900) < 0.4] = NAN
        values[200:450] = NAN
        values[:leading] = NAN
        # as the reference says it: cumulate from 0 before the first value, last of each bin, fill, difference
        cumulative = pd.Series(values, index=days.astype("datetime64[us]")).cumsum()
        cumulative.iloc[int(np.argmax(~np.isnan(values))) - 1] = 0.0
        last = cumulative.resample(RULES[frequency]).last()
        expected = last.ffill().diff().where(last.notna())
        found, labels = at_frequency(values, days, frequency)
        assert found == pytest.approx(expected.to_numpy(), rel=1e-9, abs=1e-12, nan_ok=True)
        assert labels.tolist() == [stamp.date() for stamp in expected.index]


def test_bins_that_are_not_whole_or_have_nothing() -> None:
    days = np.array(["2021-01-07", "2021-01-08", "2021-01-11", "2021-01-25"], dtype="datetime64[D]")
    # the first week has a row before the first value; nothing at all happened in the third
    assert _same(at_frequency(np.array([NAN, 1.0, 2.0, 3.0]), days, "weekly")[0], [NAN, 2.0, NAN, 3.0])
    assert _same(at_frequency(np.array([NAN, NAN, 2.0, NAN]), days, "weekly")[0], [NAN, 2.0, NAN, NAN])
    assert _same(at_frequency(np.full(4, NAN), days, "monthly")[0], [NAN])


def test_daily_bins_are_weekdays() -> None:
    days = np.array(["2021-01-07", "2021-01-08", "2021-01-09", "2021-01-12"], dtype="datetime64[D]")
    found, dates = at_frequency(np.array([1.0, 2.0, 4.0, 8.0]), days, "daily")
    assert _same(found, [1.0, 6.0, NAN, 8.0])  # Saturday counts on Friday; Monday had no session
    assert dates.astype(str).tolist() == ["2021-01-07", "2021-01-08", "2021-01-11", "2021-01-12"]
    assert curve_statistics(np.array([1.0, 2.0, 4.0, 8.0]), days)["n_rows"] == 4


def _same(found: Floats, expected: list[float]) -> bool:
    return bool(np.array_equal(found, expected, equal_nan=True))


def test_what_is_not_a_curve_is_refused() -> None:
    days = weekdays(3)
    with pytest.raises(UsageError, match="no frequency 'hourly'"):
        curve_statistics(np.ones(3), days, "hourly")  # type: ignore[arg-type]
    with pytest.raises(CalculationError, match="2 values and 3 sessions"):
        curve_statistics(np.ones(2), days)
    with pytest.raises(CalculationError, match="2000-01-03 follows 2000-01-04"):
        curve_statistics(np.ones(2), days[[1, 0]], "weekly")
    with pytest.raises(CalculationError, match=r"not \(3, 2\)"):
        statistics(np.ones((3, 2)))
    with pytest.raises(UsageError, match="between 0 and 1"):
        value_at_risk(np.ones(3), 95)
    with pytest.raises(UsageError, match="window of 2 sessions or more, not 1"):
        rolling_sharpe(np.ones(3), 1)


def test_sharpe_and_deviation_are_empyricals() -> None:
    values = curve()
    found = curve_statistics(values, weekdays(len(values)))
    assert found["sharpe"] == pytest.approx(empyrical.sharpe_ratio(values, annualization=256), rel=1e-12)
    assert found["ann_std"] == pytest.approx(empyrical.annual_volatility(values, annualization=256), rel=1e-12)
    # empyrical divides by days with a value, the reference by rows: a tenth missing is a tenth less mean, not less risk
    values[::10] = NAN
    found = curve_statistics(values, weekdays(len(values)))
    assert found["sharpe"] == pytest.approx(empyrical.sharpe_ratio(values, annualization=256) * 0.9, rel=1e-12)


def test_drawdown_is_empyricals_of_the_compounding_twin() -> None:
    # empyrical compounds, this curve adds up: exp(x) - 1 compounds to exp of the sum, and exp keeps the order
    values = curve() / 100
    found = curve_statistics(values, weekdays(len(values)))
    assert found["worst_drawdown"] == pytest.approx(math.log1p(empyrical.max_drawdown(np.expm1(values))), rel=1e-9)
    lost = -np.abs(curve(2, 20)) / 100  # only losses: the first counts too
    worst = curve_statistics(lost, weekdays(20))["worst_drawdown"]
    assert worst == pytest.approx(math.log1p(empyrical.max_drawdown(np.expm1(lost))), rel=1e-9)


def test_sortino_is_empyricals() -> None:
    values = curve()
    assert sortino(values) == pytest.approx(empyrical.sortino_ratio(values, annualization=256), rel=1e-12)
    values[5:50] = NAN
    assert sortino(values) == pytest.approx(empyrical.sortino_ratio(values, annualization=256), rel=1e-12)
    assert math.isnan(sortino(np.array([1.0, 2.0])))


@pytest.mark.parametrize("rows", [1, 2, 19, 20, 21, 101, 1500])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_tails_are_empyricals(rows: int, level: float) -> None:
    values = curve(3, rows)
    holes = np.append(np.insert(values, [0, rows // 2], NAN), NAN)
    cutoff = 1 - level
    for given in (values, holes):
        assert value_at_risk(given, level) == pytest.approx(empyrical.value_at_risk(values, cutoff), rel=1e-12)
        expected = empyrical.conditional_value_at_risk(values, cutoff)
        assert expected_shortfall(given, level) == pytest.approx(expected, rel=1e-12)


def test_tails_by_hand() -> None:
    values = np.arange(-50.0, 51.0)  # 101 values: 5 % lies on the sixth, 1 % on the second
    assert tail_risk(values[::-1]) == {
        "value_at_risk_95": pytest.approx(-45.0),
        "value_at_risk_99": pytest.approx(-49.0),
        "expected_shortfall_95": pytest.approx(-47.5),
        "expected_shortfall_99": pytest.approx(-49.5),
    }
    assert all(math.isnan(value) for value in tail_risk(np.full(3, NAN)).values())


def test_rolling_sharpe_is_empyricals() -> None:
    values = curve(4, 400)
    found = rolling_sharpe(values, 60)
    assert np.isnan(found[:59]).all()
    assert found[59:] == pytest.approx(np.asarray(empyrical.roll_sharpe_ratio(values, 60, annualization=256)), rel=1e-9)


def test_rolling_sharpe_by_hand() -> None:
    found = rolling_sharpe(np.array([1e9, 1.0, 3.0, 3.0, 3.0, NAN, 1.0, 3.0]), 2)
    # means 2 and deviations sqrt 2; the great first value leaves nothing behind; alike and missing rows have none
    ratio = math.sqrt(2) * 16
    assert _same(np.round(found[2:] / ratio, 12), [1.0, NAN, NAN, NAN, NAN, 1.0])


def test_cost_drag_by_hand() -> None:
    gross, net = np.array([NAN, 2.0, 4.0, 9.0]), np.array([NAN, 1.5, 3.5, NAN])
    found = cost_drag(gross, net)
    assert found["annual_cost"] == pytest.approx(0.5 * 256)
    assert found["sharpe_cost"] == pytest.approx(0.5 / math.sqrt(2) * 16)
    assert found["share_of_gross"] == pytest.approx(0.5 / 3)
    assert math.isnan(cost_drag(-gross, -gross)["share_of_gross"])
    with pytest.raises(CalculationError, match="gross has 4 sessions and net 3"):
        cost_drag(gross, net[:3])


def test_figures_do_not_depend_on_the_unit_or_on_zeros_between() -> None:
    values, days = curve(5, 300), weekdays(300)
    one, thousand = curve_statistics(values, days), curve_statistics(values * 1000, days)
    for name in ("sharpe", "sortino", "calmar", "skew", "hitrate", "p_value", "quant_ratio_upper"):
        assert one[name] == pytest.approx(thousand[name], rel=1e-9)  # type: ignore[literal-required]
    quiet = np.column_stack([values, np.zeros(300)]).ravel()
    with_zeros = curve_statistics(quiet, weekdays(600))
    for name in ("quant_ratio_lower", "quant_ratio_upper", "hitrate", "profitfactor", "worst_drawdown"):
        assert with_zeros[name] == pytest.approx(one[name], rel=1e-9)  # type: ignore[literal-required]


def test_drawdowns_and_figures_agree() -> None:
    values = curve(6)
    values[::7] = NAN
    for peak in ("start", "first_value"):
        below = drawdowns(values, peak)  # type: ignore[arg-type]
        found = curve_statistics(values, weekdays(len(values)), first_peak=peak)  # type: ignore[arg-type]
        assert found["avg_drawdown"] == pytest.approx(np.nanmean(below), rel=1e-12)
        assert found["worst_drawdown"] == pytest.approx(np.nanmin(below), rel=1e-12)
        assert np.nanmax(below) <= 0
