"""Process control: which run started, where it was, how it ended, and which of them died.

Belongs here: the events of kind `process` of a run's beginning and end, and telling what became of runs that did not
say. Does not belong here: running a job (`runs.py`), the steps of a close (`assets/milestones.py`), or what Dagster
holds of dead runs (`dead_runs.py`).
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from pipelines.wiring import ledger, utc_now
from trading.book.journal import Event

if TYPE_CHECKING:
    import dagster as dg

    from pipelines.settings import Place
    from trading.ports import Ledger

OPEN = ("started", "step")
KEPT_DETAIL = 2000  # characters
TOLD = 20  # runs that `daybook runs` shows


@dataclass(frozen=True, slots=True)
class Process:
    """One run of a job on a session (the last of a range), as the journal knows it."""

    name: str
    run_id: str
    session: date

    def event(self, state: str, detail: str | None = None, found_by: str = "", **where: Any) -> Event:
        """An event of its life. `found_by`: who says so where it is not the run itself. `where`: host and pid, which
        stay as they were where they are not given."""
        payload = {"process": self.name, "session": self.session.isoformat(), "state": state, "run_id": self.run_id,
                   "detail": detail and detail[:KEPT_DETAIL], **where}  # fmt: skip
        event_id = f"process:{self.run_id}:{state}{found_by and ':'}{found_by}"
        cause = None if state == "started" else f"process:{self.run_id}:started"
        return Event(event_id, "process", self.session, utc_now(), getpass.getuser(), payload, cause, self.run_id)


def begin(where: Place, process: Process) -> None:
    """Records that a run starts in this process."""
    ledger(where).record([process.event("started", host=socket.gethostname(), pid=os.getpid())])


def end(where: Place, process: Process, state: str, detail: str) -> None:
    """Records how a run ended: done or failed."""
    ledger(where).record([process.event(state, detail)])


def settle(where: Place, instance: dg.DagsterInstance, dead: Collection[str]) -> list[dict[str, Any]]:
    """Records what became of runs that the journal holds as at work and that are not; returns those that died, oldest
    first. `dead`: runs that were just found dead."""
    book = ledger(where)
    events, crashed = [], []
    for row in sorted(book.rows("process_runs"), key=lambda row: str(row["started"])):
        state = _became(row, instance, dead) if row["state"] in OPEN else None
        if state is None:
            continue
        process = Process(str(row["process"]), str(row["run_id"]), date.fromisoformat(str(row["session"])))
        events.append(process.event(state, f"found by a later run, on {socket.gethostname()}", found_by="later"))
        crashed += [row] if state == "crashed" else []
    if events:
        book.record(events)
    return crashed


def end_elsewhere(book: Ledger, run: dg.DagsterRun, state: str) -> None:
    """Records how a run of the UI, a schedule or a sensor ended; commands of this package say it themselves, and a run
    that made no step of a close is not in the journal."""
    from pipelines.dead_runs import DIED_TAG

    rows = [row for row in book.rows("process_runs", {"run_id": run.run_id}) if row["state"] in OPEN]
    if not rows or is_a_command(run):
        return
    process = Process(str(rows[0]["process"]), run.run_id, date.fromisoformat(str(rows[0]["session"])))
    book.record([process.event("crashed" if DIED_TAG in run.tags else state, "as Dagster says", found_by="sensor")])


def is_a_command(run: dg.DagsterRun) -> bool:
    """Whether a `daybook` command carries the run out, and no launcher of Dagster's."""
    from pipelines.dead_runs import LAUNCHED_TAG, PID_TAG

    return PID_TAG in run.tags and LAUNCHED_TAG not in run.tags


def _became(row: dict[str, Any], instance: dg.DagsterInstance, dead: Collection[str]) -> str | None:
    """What a run that said nothing more came to; None while it may be at work, here or on another host."""
    from pipelines.dead_runs import DIED_TAG, lives

    run = instance.get_run_by_id(row["run_id"])
    if run is None:  # died before Dagster heard of it, or is Dagster's of another home
        return None if row["host"] != socket.gethostname() or lives(int(row["pid"] or 0)) else "crashed"
    if not run.is_finished:
        return None
    if row["run_id"] in dead or DIED_TAG in run.tags:
        return "crashed"
    return "done" if run.is_success else "failed"


def told(row: dict[str, Any]) -> str:
    """A crashed run, as a sentence for whoever starts the next."""
    came = f"after it was {row['step']}" if row["step"] else "before its first step"
    who = f"process {row['pid']} on {row['host']}, started by {row['actor']}"
    return f"run {str(row['run_id'])[:8]} ({row['process']} of {row['session']}) crashed {came}: {who}"


def listed(where: Place, limit: int = TOLD) -> list[dict[str, Any]]:
    """The latest runs, newest first. One at work whose process is gone is shown as crashed; the next run records it."""
    from pipelines.dead_runs import lives

    rows = sorted(ledger(where).rows("process_runs"), key=lambda row: str(row["started"] or row["ended"]), reverse=True)
    names = ("started", "ended", "process", "session", "state", "step", "actor", "host", "pid", "run_id", "detail")
    found = [{name: row[name] for name in names} for row in rows[:limit]]
    for row in found:
        if row["state"] in OPEN and row["host"] == socket.gethostname() and not lives(int(str(row["pid"] or 0))):
            row["state"] = "crashed"
    return found


def shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Runs for people: times to the second, the beginning of ids."""
    times = ("started", "ended")
    found = [row | {name: str(row[name] or "")[:19].replace("T", " ") for name in times} for row in rows]
    return [row | {"run_id": str(row["run_id"])[:8]} for row in found]
