"""A strategy that uses prices since a date is the strategy on files that begin on that date."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from pipelines.settings import place, strategy_file
from resources.csv_panels import csv_panel
from trading.backtest.engine import bench_of, evaluate
from trading.backtest.panel import Panel
from trading.config.strategies import StrategySettings
from trading.errors import UsageError
from trading.strategies.optimal import Sizing

pytestmark = pytest.mark.golden

CODES = ("CORN", "EUROSTX", "V2X")  # of two currencies; V2X begins after the date
SINCE = date(2005, 6, 1)
SIZING = Sizing(250_000.0, 20.0)


@pytest.fixture(scope="module")
def whole(shared: Path) -> Panel:
    return csv_panel(shared / "data" / "futures", CODES, "USD", "friday")


@pytest.fixture(scope="module")
def cut_files(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Panel:
    """The panel of files without the lines before the date; those of exchange rates are whole."""
    source, target = shared / "data" / "futures", tmp_path_factory.mktemp("cut")
    for folder in ("fx_prices_csv", "csvconfig"):
        (target / folder).symlink_to(source / folder)
    for folder in ("adjusted_prices_csv", "multiple_prices_csv"):
        (target / folder).mkdir()
        for code in CODES:
            head, *lines = (source / folder / f"{code}.csv").read_text().splitlines()
            kept = [line for line in lines if line >= SINCE.isoformat()]
            assert kept
            (target / folder / f"{code}.csv").write_text("\n".join([head, *kept]) + "\n")
    return csv_panel(target, CODES, "USD", "friday")


@pytest.fixture(scope="module")
def strategy() -> StrategySettings:
    portfolio = {"weights": dict.fromkeys(CODES, 1.0), "sum_of_weights": "any", "multiplier": 1.5}
    chapter15 = strategy_file("chapter15", place("nowhere")).model_dump()
    return StrategySettings.model_validate({**chapter15, "instruments": CODES, "portfolio": portfolio})


def test_the_strategy_is_the_same_to_the_last_digit(whole: Panel, cut_files: Panel, strategy: StrategySettings) -> None:
    later = strategy.model_copy(update={"prices_since": SINCE})
    ours = evaluate(bench_of(whole, later), later, SIZING)
    theirs = evaluate(bench_of(cut_files, strategy), strategy, SIZING)
    np.testing.assert_array_equal(ours.decisions.positions, theirs.decisions.positions)
    np.testing.assert_array_equal(ours.account.percent.net, theirs.account.percent.net)
    assert np.nanmax(np.abs(ours.decisions.positions)) > 0


def test_where_rows_begin_and_end(whole: Panel, cut_files: Panel) -> None:
    ours = whole.since(SINCE)
    assert ours.sessions[0] == np.datetime64(SINCE)
    assert ours.first_day == np.datetime64("2005-01-01")
    for name in ("sessions", "price", "held", "carry", "first", "last", "held_first", "held_last", "rate_midnight"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(cut_files, name), err_msg=name)


def test_a_date_before_all_prices_changes_nothing_and_one_after_them_is_refused(whole: Panel) -> None:
    assert whole.since(date(1900, 1, 1)) is whole
    with pytest.raises(UsageError, match="no prices from 2999-01-01 on"):
        whole.since(date(2999, 1, 1))
