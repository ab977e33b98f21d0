"""Runs whose process died without a word: kill -9 and a loss of power leave a Dagster run STARTED for ever.

Belongs here: the tags by which a run names its process, and marking as failed those whose process is gone. Does not
belong here: when that is done (`runs.py` before each command, `web.py` around the UI).
"""

import os
import socket
import subprocess
from pathlib import Path

import dagster as dg

PID_TAG = "daybook/pid"
HOST_TAG = "daybook/host"
STARTED_TAG = "daybook/process_started"
DIED_TAG = "daybook/died"  # on runs marked as failed here
LAUNCHED_TAG = ".dagster/grpc_info"  # Dagster's own, on runs that its launcher started

# Not started too: a process killed while it planned a long backfill leaves its run there, its partitions in progress.
ALIVE_FOR_DAGSTER = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def process_tags() -> dict[str, str]:
    """The run tags that name this process: its pid, its host, and when it started, since pids are used again."""
    pid = os.getpid()
    return {PID_TAG: str(pid), HOST_TAG: socket.gethostname(), STARTED_TAG: _started(pid) or "unknown"}


def reap(instance: dg.DagsterInstance) -> list[str]:
    """Mark as failed the runs of this host whose process no longer lives; returns their ids, oldest first.

    Left alone: runs without our tags (the UI's), of another host, and of a living process, this one included.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=ALIVE_FOR_DAGSTER))
    dead = [run for run in reversed(runs) if _is_ours(run) and not _lives(run)]
    for run in dead:
        instance.add_run_tags(run.run_id, {DIED_TAG: "yes"})
        instance.report_run_failed(run, f"The process of this run ({run.tags[PID_TAG]}) died. Run the command again.")
    return [run.run_id for run in dead]


def reap_launched(instance: dg.DagsterInstance) -> list[str]:
    """Mark as failed the runs that a UI or its daemon launched and that have not ended; returns their ids.

    Only for when no UI of this home runs: its runs are its processes, and ended with it. Queued runs stay queued.
    """
    runs = instance.get_runs(filters=dg.RunsFilter(statuses=ALIVE_FOR_DAGSTER))
    dead = [run for run in reversed(runs) if LAUNCHED_TAG in run.tags]
    for run in dead:
        instance.add_run_tags(run.run_id, {DIED_TAG: "yes"})
        instance.report_run_failed(run, "The UI that this run belonged to ended before it. Launch it again.")
    return [run.run_id for run in dead]


def _is_ours(run: dg.DagsterRun) -> bool:
    """A run of one of our commands on this host; one executed again from the UI has its tags, and is the UI's."""
    mine = PID_TAG in run.tags and run.tags.get(HOST_TAG) == socket.gethostname()
    return mine and LAUNCHED_TAG not in run.tags


def _lives(run: dg.DagsterRun) -> bool:
    """Whether the process that wrote the tags runs now; a pid taken over by another process is not it."""
    return _started(int(run.tags[PID_TAG])) == run.tags.get(STARTED_TAG)


def lives(pid: int) -> bool:
    """Whether any process of this host has that pid now."""
    return pid > 0 and _started(pid) is not None


def _started(pid: int) -> str | None:
    """When a living process started, in the system's own words; None when it does not live (a zombie does not)."""
    if Path("/proc/self/stat").exists():
        return _started_by_proc(pid)
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def _started_by_proc(pid: int) -> str | None:
    """Boot and clock ticks since boot (proc(5): field 22 of stat; the program's name, field 2, may hold spaces)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"
