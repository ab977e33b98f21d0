"""What every Cluster promises (trading.ports.Cluster), run against each adapter, Dask a real LocalCluster.

Gaps, declared in the adapters: `in_process` does not stop an item that does not end, nor survive one that kills its
process; `dask` does not kill workers, which others may use too.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from resources.clusters.dask import DaskCluster
from resources.clusters.in_process import InProcess
from resources.clusters.processes import LocalProcesses
from trading.errors import (
    CalculationError,
    Cancelled,
    DeadlinePassed,
    MemoryCeilingPassed,
    StoreUnavailable,
    UsageError,
    WorkerLost,
    WorkStopped,
)
from trading.ports import Cluster, Limits, Task

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))  # workers must be able to import what they do

import cluster_tasks as tasks  # noqa: E402

KINDS = ["in_process", "processes", "fresh_processes", "dask"]
OWN_PROCESSES = ["processes", "fresh_processes"]


@pytest.fixture(scope="module")
def dask_address() -> Iterator[str]:
    """A scheduler with two worker processes of one thread, as a user would start them on another machine."""
    program = (
        "from distributed import LocalCluster\nif __name__ == '__main__':\n"
        " with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:\n"
        "  print(cluster.scheduler_address, flush=True)\n  input()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    command = [sys.executable, "-c", program]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as server:
        yield server.stdout.readline().strip()
        server.communicate("over\n", timeout=30)


@pytest.fixture(params=KINDS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Made(request) as one:
        yield one


class Made:
    """An adapter by its name; `fresh_processes` are the local ones of a process that has more than one thread."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.request, self.over = request, threading.Event()
        self.thread = threading.Thread(target=self.over.wait)

    def __enter__(self) -> Cluster:
        if self.request.param == "in_process":
            return InProcess()
        if self.request.param == "dask":
            return DaskCluster(self.request.getfixturevalue("dask_address"))
        if self.request.param == "fresh_processes":
            self.thread.start()
        return LocalProcesses(2)

    def __exit__(self, *problem: object) -> None:
        self.over.set()
        if self.thread.ident:
            self.thread.join()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, dask_address: str) -> Iterator[None]:
    """No process, no open file and no thread more than before."""
    server = {child.pid for child in psutil.Process().children()}
    files, threads = psutil.Process().num_fds(), threading.active_count()
    yield
    assert ended(lambda: {child.pid for child in psutil.Process().children()} <= server)
    if "dask" not in request.node.name:  # its client keeps an event loop for the next one
        assert ended(lambda: psutil.Process().num_fds() <= files)
        assert ended(lambda: threading.active_count() <= threads)


def ended(over: Callable[[], bool]) -> bool:
    """Whether something is so within five seconds."""
    deadline = time.monotonic() + 5
    while not over() and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    return over()


def test_every_item_comes_back_once_with_its_number(cluster: Cluster) -> None:
    shared = np.arange(500.0)
    task = Task(tasks.looked_up, shared, tasks.doubled)
    told: list[tuple[int, int]] = []
    found = list(cluster.map(task, range(500), progress=lambda done, total, what: told.append((done, total))))
    assert sorted(found) == [(number, 2.0 * number) for number in range(500)]
    assert told == [(done, 500) for done in range(1, 501)]


def test_nothing_to_do(cluster: Cluster) -> None:
    assert list(cluster.map(Task(tasks.looked_up, None, tasks.unprepared), [])) == []


def test_all_workers_work(cluster: Cluster) -> None:
    task = Task(tasks.whereabouts, None, tasks.same)
    assert len({where for _, where in cluster.map(task, range(64))}) == cluster.workers


def test_results_come_while_others_are_still_computed(cluster: Cluster) -> None:
    began = time.monotonic()
    results = cluster.map(Task(tasks.waited, None, tasks.same), [0.01, *[0.3] * 12])
    next(results)
    assert time.monotonic() - began < 1.5
    results.close()


def test_an_error_of_the_task_stops_the_work_and_is_its_own(cluster: Cluster) -> None:
    with pytest.raises(CalculationError, match="item seven has no price"):
        list(cluster.map(Task(tasks.refusing_seven, None, tasks.same), range(30)))


def test_an_error_of_preparing_is_its_own(cluster: Cluster) -> None:
    with pytest.raises(CalculationError, match="the panel is empty"):
        list(cluster.map(Task(tasks.refusing_seven, None, tasks.unprepared), range(30)))


def test_a_deadline_stops_the_work_and_what_was_done_is_given_out(cluster: Cluster) -> None:
    found: list[tuple[int, float]] = []
    began = time.monotonic()
    with pytest.raises(DeadlinePassed, match=r"deadline of 1\.5 s passed, after \d+ of 1,000 items") as stopped:
        found.extend(cluster.map(Task(tasks.waited, None, tasks.same), [0.02] * 1000, Limits(deadline_s=1.5)))
    assert time.monotonic() - began < 2.5
    assert stopped.value.done == len(found)
    assert 0 < len(found) < 200


def test_cancelling_stops_the_work(cluster: Cluster) -> None:
    found: list[Any] = []
    limits = Limits(cancelled=lambda: len(found) >= 5)
    began = time.monotonic()
    with pytest.raises(Cancelled):
        found.extend(cluster.map(Task(tasks.waited, None, tasks.same), [0.02] * 1000, limits))
    assert 5 <= len(found) < 200
    assert time.monotonic() - began < 8


def test_closing_the_iterator_stops_the_work(cluster: Cluster) -> None:
    results = cluster.map(Task(tasks.waited, None, tasks.same), [0.02] * 1000)
    next(results)
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 2


def test_a_memory_ceiling_stops_the_work(cluster: Cluster) -> None:
    with pytest.raises(MemoryCeilingPassed, match=r"a worker held [\d,]+ MB, more than the 700 MB allowed"):
        list(cluster.map(Task(tasks.hoarding, None, tasks.hoard), range(400), Limits(memory_mb=700)))


def test_under_its_ceiling_work_goes_on(cluster: Cluster) -> None:
    found = cluster.map(Task(tasks.refusing_seven, None, tasks.same), [1, 2, 3], Limits(memory_mb=5000))
    assert sorted(found) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize("cluster", ["processes", "fresh_processes", "dask"], indirect=True)
def test_items_of_a_worker_that_dies_are_given_out_again(cluster: Cluster, tmp_path: Path) -> None:
    items = [(number, str(tmp_path / "died")) for number in range(40)]
    found = list(cluster.map(Task(tasks.mortal, None, tasks.same), items))
    assert sorted(found) == [(number, number) for number in range(40)]
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("cluster", OWN_PROCESSES, indirect=True)
def test_items_that_kill_their_workers_twice_end_the_work(cluster: Cluster) -> None:
    with pytest.raises(WorkerLost, match=r"was killed by SIGKILL on items \d+ to \d+, as the one before it did"):
        list(cluster.map(Task(tasks.mortal, None, tasks.same), [(number, "") for number in range(40)]))


@pytest.mark.parametrize("cluster", OWN_PROCESSES, indirect=True)
def test_an_item_that_never_ends_is_killed(cluster: Cluster) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlinePassed, match="after 0 of 4 items"):
        list(cluster.map(Task(tasks.computed, None, tasks.same), [1.0] * 4, Limits(deadline_s=0.5)))
    assert time.monotonic() - began < 1.5


def test_items_may_be_named_while_workers_get_ready(cluster: Cluster) -> None:
    told: list[tuple[int, int]] = []
    task = Task(tasks.looked_up, np.arange(30.0), tasks.doubled)
    found = cluster.map(task, lambda: range(30), progress=lambda done, total, what: told.append((done, total)))
    assert sorted(found) == [(number, 2.0 * number) for number in range(30)]
    assert told == [(done, 30) for done in range(1, 31)]
    assert list(cluster.map(task, list)) == []
    with pytest.raises(ZeroDivisionError):
        list(cluster.map(task, lambda: [1 // 0]))


def test_getting_ready_does_not_use_up_a_deadline_for_so_long() -> None:
    task = Task(tasks.waited, 0.5, tasks.slowly)
    found: list[tuple[int, Any]] = []
    with pytest.raises(DeadlinePassed, match=r"deadline of 0\.3 s passed"):
        found.extend(LocalProcesses(2).map(task, [0.02] * 1000, Limits(deadline_s=0.3, starting_s=5.0)))
    assert found, "half a second to get ready is more than the deadline"
    began = time.monotonic()
    with pytest.raises(DeadlinePassed, match=r"after 0 of 1 items"):
        list(LocalProcesses(2).map(Task(tasks.same, 30.0, tasks.slowly), [1], Limits(deadline_s=0.1, starting_s=0.2)))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("cluster", OWN_PROCESSES, indirect=True)
def test_a_deadline_holds_while_workers_start(cluster: Cluster) -> None:
    began = time.monotonic()
    with pytest.raises(DeadlinePassed, match="after 0 of 1 items"):
        list(cluster.map(Task(tasks.same, 5.0, tasks.slowly), [1], Limits(deadline_s=0.1)))
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("cluster", ["fresh_processes", "dask"], indirect=True)
def test_what_cannot_be_sent_is_refused(cluster: Cluster) -> None:
    with pytest.raises(UsageError, match="cannot be sent to workers"):
        list(cluster.map(Task(lambda state, item: item, None, tasks.same), [1, 2]))


@pytest.mark.parametrize("kind", OWN_PROCESSES)
def test_workers_end_with_the_process_that_asked(kind: str) -> None:
    program = (
        f"import sys, threading; sys.path[:] = {sys.path!r}\n"
        "import cluster_tasks as tasks\n"
        "from resources.clusters.processes import LocalProcesses\nfrom trading.ports import Task\n"
        f"if {kind!r} == 'fresh_processes': threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "results = LocalProcesses(2).map(Task(tasks.first_then_never, None, tasks.same), range(2000))\n"
        "print(next(results)[1], flush=True)\nlist(results)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as asking:
        worker = psutil.Process(int(asking.stdout.readline()))
        everyone = psutil.Process(asking.pid).children(recursive=True)
        assert worker in everyone
        asking.kill()
    _, alive = psutil.wait_procs(everyone, timeout=5)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_without_a_dask_scheduler_there_is_no_work() -> None:
    with pytest.raises(StoreUnavailable, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        DaskCluster("tcp://127.0.0.1:1", connect_s=0.3)


def test_no_workers_are_refused() -> None:
    with pytest.raises(UsageError, match="0 workers can do nothing"):
        LocalProcesses(0)


def test_every_stop_tells_what_was_done() -> None:
    stopped = DeadlinePassed("the deadline of 1 s passed", 3, 10, "Give it more.")
    assert isinstance(stopped, WorkStopped)
    assert str(stopped) == "the deadline of 1 s passed, after 3 of 10 items. Give it more."
    assert pickle.loads(pickle.dumps(tasks.doubled)) is tasks.doubled
