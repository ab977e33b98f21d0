"""Performance figures of the chapter 15 portfolio against the reference's own."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from trading.analytics.performance import statistics

pytestmark = pytest.mark.golden

NAMES = {
    "ann_mean": "annual_mean_percent",
    "ann_std": "annual_std_percent",
    "sharpe": "sharpe",
    "sortino": "sortino",
    "avg_drawdown": "average_drawdown_percent",
    "worst_drawdown": "worst_drawdown_percent",
    "time_in_drawdown": "time_in_drawdown_fraction",
    "calmar": "calmar",
    "skew": "skew",
    "hitrate": "hit_rate_fraction",
    "avg_gain": "average_gain_percent",
    "avg_loss": "average_loss_percent",
    "gaintolossratio": "gain_to_loss",
    "profitfactor": "profit_factor",
    "t_stat": "t_statistic",
    "n_rows": "rows",
    "n_not_nan": "present",
}


@pytest.mark.parametrize("kind", ["net", "gross"])
def test_figures_of_the_portfolio(kind: str, chapter15: Path) -> None:
    place = chapter15 / "portfolio"
    curve = pd.read_csv(place / f"portfolio_percent_{kind}.csv.gz", index_col=0, parse_dates=True).iloc[:, 0]
    theirs = json.loads((place / "portfolio_stats.json").read_text())[f"percent_{kind}"]
    ours = statistics(curve).figures()
    assert set(ours) == set(NAMES.values())
    for name, own in NAMES.items():
        assert ours[own] == pytest.approx(theirs[name], rel=1e-9), name
