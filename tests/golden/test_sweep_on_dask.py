"""Chapter 15 swept by processes of this machine and by a real Dask cluster: the same table, to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines import sweep_request, sweeping
from pipelines.backtest_request import Words, asked
from pipelines.settings import Place
from resources.clusters.dask import DaskCluster
from resources.clusters.processes import LocalProcesses

AXES = (
    "rules.*.weight=total:1",
    "rules.ewmac16_64.parameters.fast=4..30",
    "buffer.fraction=0.0..0.5",
    "volatility_target_percent=5..30",
)
SERVER = (
    "from distributed import LocalCluster\nif __name__ == '__main__':\n"
    " with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:\n"
    "  print(cluster.scheduler_address, flush=True)\n  input()\n"
)


@pytest.fixture
def dask_address(root: Path) -> Iterator[str]:
    """A scheduler with two worker processes, as a user would start them."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, "-c", SERVER], env=environment, **pipes) as server:
        yield server.stdout.readline().strip()
        server.communicate("over\n", timeout=30)


def test_200_variants_are_the_same_table(shared: Path, tmp_path: Path, dask_address: str) -> None:
    tables = []
    for name in ("here", "there"):
        where = Place(tmp_path / name, "local", tmp_path / "backups")
        request = asked(where, Words("chapter15", "pysystemtrade", shared / "data" / "futures"))
        sweep = sweep_request.made(request.backtest, sweep_request.SweepWords(axes=AXES, random=200, seed=4))
        cluster = LocalProcesses(2) if name == "here" else DaskCluster(dask_address)
        found = sweeping.run(where, sweep, request.source, cluster)
        assert (found.computed, found.known, found.left) == (200, 0, 0)
        tables.append((sweep_request.table(found), found.odds))
    (here, here_odds), (there, there_odds) = tables
    assert here_odds == there_odds
    assert list(here) == list(there)
    for name, values in here.items():
        assert len(values) == 200
        np.testing.assert_array_equal(values, there[name], err_msg=name)
    assert len(set(here["net_percent.sharpe"])) == 200
