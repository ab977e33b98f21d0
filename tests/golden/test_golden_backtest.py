"""`daybook backtest chapter15` as a user types it, held to the reference's portfolio statistics."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli import main

pytestmark = pytest.mark.golden

CURVES = {"gross_percent": "percent_gross", "net_percent": "percent_net", "gross_currency": "currency_gross",
          "net_currency": "currency_net"}  # fmt: skip

# On one day the instruments' profits cancel: the reference's sum leaves 1e-10 there, which counts as a gain, ours 0.
OF_ONE_DAY_MORE = {"avg_gain", "gaintolossratio", "hitrate", "average_quant_ratio", "quant_ratio_lower",
                   "quant_ratio_upper"}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("golden_backtest")


@pytest.fixture(scope="module")
def run(shared: Path, home: Path):
    def command(*words: str) -> dict[str, Any]:
        given = ["--home", str(home), "backtest", "chapter15", "--vendor", "pysystemtrade", "--source",
                 str(shared / "data" / "futures"), "--json", *words]  # fmt: skip
        answer = CliRunner().invoke(main, given)
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    return command


@pytest.fixture(scope="module")
def found(run, home: Path) -> dict[str, Any]:
    return run("--curve", str(home / "curve.parquet"), "--positions", str(home / "positions.csv"))


@pytest.fixture(scope="module")
def theirs(chapter15: Path) -> dict[str, dict[str, Any]]:
    return json.loads((chapter15 / "portfolio" / "portfolio_stats.json").read_text())


@pytest.mark.parametrize("curve", CURVES)
def test_every_statistic_is_the_references(found, theirs, curve: str) -> None:
    ours, golden = found["statistics"][curve], theirs[CURVES[curve]]
    assert set(ours) == set(golden)
    for name, value in golden.items():
        if isinstance(value, str):
            assert str(ours[name])[:10] == value[:10], name
        else:
            assert ours[name] == pytest.approx(value, rel=5e-4 if name in OF_ONE_DAY_MORE else 1e-9), name


def test_turnover_and_rolling_sharpe(found, home: Path, chapter15: Path) -> None:
    theirs = json.loads((chapter15 / "instrument_meta.json").read_text())
    for code, turnover in found["statistics"]["turnover"].items():
        assert turnover == pytest.approx(theirs[code]["instrument_turnover"], rel=1e-9)
    kept = next((home / "results").rglob("*.parquet"))
    curves = pq.read_table(kept).to_pandas()
    net, rolling = (curves[f"curve {name}"] for name in ("net_percent", "rolling_sharpe"))
    year = net.rolling(256)
    np.testing.assert_allclose(rolling, 16.0 * year.mean() / year.std(), rtol=1e-7, atol=1e-7)


def test_with_both_costs_of_a_date_added_net_is_within_a_thousandth(run, theirs) -> None:
    added = run("--set", "costs.same_date=added")["statistics"]
    assert added["gross_percent"]["sharpe"] == pytest.approx(theirs["percent_gross"]["sharpe"], rel=1e-6)
    assert added["net_percent"]["sharpe"] == pytest.approx(theirs["percent_net"]["sharpe"], rel=1e-3)
    assert added["net_currency"]["sharpe"] == pytest.approx(theirs["currency_net"]["sharpe"], rel=1e-3)
    assert added["net_percent"]["sharpe"] < theirs["percent_net"]["sharpe"] - 1e-4  # more costs, and not the same


def test_the_curve_file_is_the_references_curve(found, home: Path, chapter15: Path) -> None:
    ours = pq.read_table(home / "curve.parquet").to_pandas().set_index("session")
    assert list(ours.columns) == ["gross_percent", "costs_percent", "net_percent"]
    for name in ("gross", "net"):
        golden = pd.read_csv(
            chapter15 / "portfolio" / f"portfolio_percent_{name}.csv.gz", index_col=0, parse_dates=True
        )
        mine = ours[f"{name}_percent"].set_axis(pd.DatetimeIndex(ours.index)).reindex(golden.index)
        np.testing.assert_allclose(mine.to_numpy(), golden.iloc[:, 0].to_numpy(), rtol=1e-9, atol=1e-9)


def test_the_positions_file_holds_the_references_positions(found, home: Path, chapter15: Path) -> None:
    ours = pd.read_csv(home / "positions.csv", index_col=0, parse_dates=True)
    for code in found["instruments"]:
        golden = pd.read_csv(chapter15 / code / "buffered_position_rounded.csv.gz", index_col=0, parse_dates=True)
        assert ours[code].reindex(golden.index).tolist() == golden.iloc[:, 0].tolist()


def test_the_same_again_is_not_computed_again(run, found) -> None:
    again = run()
    assert (found["cached"], again["cached"]) == (False, True)
    assert again["key"] == found["key"]
    assert again["statistics"] == found["statistics"]
    assert run("--fresh")["cached"] is False


def test_the_answer_comes_without_pandas_and_dagster(shared: Path, tmp_path: Path) -> None:
    words = ["--home", str(tmp_path), "backtest", "chapter15", "--vendor", "pysystemtrade", "--source",
             str(shared / "data" / "futures"), "--json"]  # fmt: skip
    program = (
        "import sys\nfrom pipelines.cli import main\n"
        f"try:\n    main({words!r})\nfinally:\n"
        "    print(sorted({'pandas', 'dagster', 'scipy', 'matplotlib'} & set(sys.modules)), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert json.loads(ran.stdout)["ok"] is True
    assert ran.stderr.strip().splitlines()[-1] in ("[]", "['scipy']")  # numba looks which SciPy there is
