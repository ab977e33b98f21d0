"""Pictures of any length of history are drawn without a warning. Does not belong here: what a page says of them."""

from __future__ import annotations

import gc
import io
import warnings

import pandas as pd
import pytest

from trading.reports import drawings


@pytest.mark.parametrize("months", [1, 6, 13, 18, 23, 60])
def test_panels_of_any_length_are_drawn_without_a_warning(months: int) -> None:
    days = pd.bdate_range("2020-01-01", periods=21 * months)
    wide = pd.DataFrame({"US10": range(len(days)), "GOLD": range(len(days))}, index=days)
    gc.collect()  # what other tests left behind warns as it goes, and not here
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawings.price_lines(wide).savefig(io.BytesIO(), format="png")


def drawn(figure: object) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = io.BytesIO()
        figure.savefig(content, format="png")  # type: ignore[attr-defined]
    return content.getvalue()


@pytest.mark.parametrize("days", [1, 2, 300])
def test_gains_beyond_the_value_at_risk_are_marked(days: int) -> None:
    sessions = pd.bdate_range("2024-01-02", periods=days)
    exceeded = pd.Series([None, *([True] * (days - 1))], dtype=object)  # the first day had no forecast
    frame = pd.DataFrame({"session": sessions, "gain_base": -5.0, "forecast_base": 3.0, "exceeded": exceeded})
    gc.collect()
    figure = drawings.value_at_risk(frame.assign(forecast_base=frame["forecast_base"].where(frame.index > 0)))
    marks = figure.axes[0].get_lines()[-1]
    assert len(marks.get_xdata()) == days - 1
    assert drawn(figure)


def test_limits_are_drawn_by_how_much_of_them_is_used() -> None:
    frame = pd.DataFrame({
        "rule": ["a", "b", "c", "d"], "element": ["book"] * 4, "value": [1.0, 3.0, 5.0, float("nan")],
        "limit": [4.0, 4.0, float("nan"), 1.0],
    })  # fmt: skip
    axes = drawings.limit_bars(frame).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["b: book", "a: book"]
    assert [bar.get_width() for bar in axes.patches] == [75.0, 25.0]


def test_exposures_and_stresses_are_drawn_longest_first_and_without_anything() -> None:
    rows = {"axis": ["sector", "sector"], "element": ["oil", "gold"], "net_volatility_base": [-2.0, 7.0]}
    labels = drawings.group_bars(pd.DataFrame(rows)).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["sector: gold", "sector: oil"]
    assert drawn(drawings.group_bars(pd.DataFrame(rows).iloc[:0]))
    assert drawn(drawings.stress_bars(pd.Series({"crash": -5.0, "unknown": float("nan")})))
