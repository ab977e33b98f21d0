"""Dead runs of pipelines/dead_runs.py: found by a process that was really killed.

The file is also the program of that process: `python test_dead_runs.py` starts a run in DAGSTER_HOME and waits.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from pipelines.dead_runs import HOST_TAG, LAUNCHED_TAG, PID_TAG, STARTED_TAG, process_tags, reap, reap_launched  # noqa: E402

STARTED, FAILED = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE


@dg.op
def wait() -> None:
    """Say that the run has begun, and stay in it."""
    sys.stdout.write("waiting\n")
    sys.stdout.flush()
    threading.Event().wait()


@dg.job
def close() -> None:
    """A job that never ends."""
    wait()


def started(instance: dg.DagsterInstance, tags: dict[str, str], status: dg.DagsterRunStatus = STARTED) -> str:
    """The id of a new run that Dagster believes to be running, or as far as `status`."""
    run = instance.create_run_for_job(close, tags=tags, status=status)
    return str(run.run_id)


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    """What Dagster believes of a run."""
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home that this process and its children use."""
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of the home."""
    with dg.DagsterInstance.get() as made:
        yield made


@pytest.fixture
def child(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A process inside a run, killed at the latest when the test ends."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_killed_run_is_marked_failed_once(child: subprocess.Popen[str], instance: dg.DagsterInstance) -> None:
    (run,) = instance.get_runs()
    assert reap(instance) == []
    assert status(instance, run.run_id) is STARTED
    child.kill()
    child.wait()
    assert reap(instance) == [run.run_id]
    assert status(instance, run.run_id) is FAILED
    assert reap(instance) == []


def test_a_killed_process_nobody_waited_for_is_dead(child: subprocess.Popen[str], instance: dg.DagsterInstance) -> None:
    """Killed and not yet collected by its parent, a process is a zombie: its pid still exists."""
    (run,) = instance.get_runs()
    assert child.stdout is not None
    child.kill()
    assert child.stdout.read() == ""
    assert reap(instance) == [run.run_id]


def test_the_runs_of_this_process_live(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, process_tags())
    assert reap(instance) == []
    assert status(instance, run_id) is STARTED


def test_a_pid_used_again_is_another_process(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, {**process_tags(), STARTED_TAG: "long ago"})
    assert reap(instance) == [run_id]


@pytest.mark.parametrize("reached", ["NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_run_is_dead_wherever_it_was_killed(instance: dg.DagsterInstance, reached: str) -> None:
    run_id = started(instance, {**process_tags(), STARTED_TAG: "long ago"}, dg.DagsterRunStatus(reached))
    assert reap(instance) == [run_id]
    assert status(instance, run_id) is FAILED


@pytest.mark.parametrize("ended", ["SUCCESS", "FAILURE", "CANCELED"])
def test_a_run_that_ended_stays_as_it_ended(instance: dg.DagsterInstance, ended: str) -> None:
    run_id = started(instance, {**process_tags(), STARTED_TAG: "long ago"}, dg.DagsterRunStatus(ended))
    assert reap(instance) == []
    assert status(instance, run_id).value == ended


def test_runs_of_the_ui_and_of_other_hosts_are_left_alone(instance: dg.DagsterInstance) -> None:
    gone = {PID_TAG: str(2**22 + 1), STARTED_TAG: "long ago"}
    runs = [started(instance, {}), started(instance, {**gone, HOST_TAG: "another.example"})]
    assert reap(instance) == []
    assert [status(instance, run_id) for run_id in runs] == [STARTED, STARTED]


def test_the_tags_name_this_process() -> None:
    assert process_tags()[PID_TAG] == str(os.getpid())
    assert process_tags() == process_tags()


if __name__ == "__main__":
    with dg.DagsterInstance.get() as here:
        close.execute_in_process(instance=here, tags=process_tags())


def test_a_run_that_the_ui_executes_again_has_old_tags_and_lives(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, {**process_tags(), STARTED_TAG: "long ago", LAUNCHED_TAG: "{}"})
    assert reap(instance) == []
    assert status(instance, run_id) == STARTED


def test_runs_of_a_ui_that_ended_are_marked_failed_and_others_are_not(instance: dg.DagsterInstance) -> None:
    its, another = started(instance, {LAUNCHED_TAG: "{}"}), started(instance, process_tags())
    assert reap_launched(instance) == [its]
    assert [status(instance, run_id) for run_id in (its, another)] == [FAILED, STARTED]
