"""What a run leaves behind for people and machines: a log line, metrics, and an entry in the journal."""

from __future__ import annotations

import getpass
import json
from datetime import date
from pathlib import Path

from pipelines.deployments import ledger
from pipelines.runs import Outcome, finished
from pipelines.settings import Place, place
from pipelines.telemetry import write_metrics

SPAN = (date(2024, 3, 4), date(2024, 3, 8))
FAILED = Outcome("run-1", False, 2.5, {"raw_bars": "the vendor does not answer"}, {"pnl/pnl_rows": "off"}, 1)


def somewhere(folder: Path) -> Place:
    return place(folder / "home", "local")


def test_a_run_leaves_one_line_with_run_and_session(tmp_path: Path) -> None:
    where = somewhere(tmp_path)
    finished(where, "close", FAILED, SPAN)
    finished(where, "close", Outcome("run-2", True, 1.0), SPAN)
    lines = [json.loads(line) for line in (where.home / "logs" / "daybook.jsonl").read_text().splitlines()]
    assert [(line["run"], line["session"], line["process"], line["state"]) for line in lines] == [
        ("run-1", "2024-03-08", "close", "failed"),
        ("run-2", "2024-03-08", "close", "done"),
    ]
    assert lines[0]["failed"] == {"raw_bars": "the vendor does not answer", "pnl/pnl_rows": "off"}


def test_the_journal_says_who_ran_what_and_how_it_ended(tmp_path: Path) -> None:
    where = somewhere(tmp_path)
    finished(where, "close", FAILED, SPAN)
    finished(where, "close", Outcome("run-2", True, 1.0), SPAN)
    entries = [entry.event for entry in ledger(where).entries(kinds=["process"])]
    assert [(event.actor, event.payload["run_id"], event.payload["state"]) for event in entries] == [
        (getpass.getuser(), "run-1", "failed"),
        (getpass.getuser(), "run-2", "done"),
    ]
    assert ledger(where).rows("process_state") == [
        {"process": "close", "session": "2024-03-08", "state": "done", "run_id": "run-2", "detail": ""}
    ]


def test_bad_input_is_the_end_of_a_run_and_no_event_of_the_book(tmp_path: Path) -> None:
    where = somewhere(tmp_path)
    finished(where, "load", Outcome("run-1", False, 0.1, {"history": "no number"}, {}, 2), SPAN)
    (entry,) = ledger(where).entries()
    assert (entry.stream, entry.event.payload["state"]) == ("processes", "failed")


def test_metrics_of_one_job_leave_those_of_another(tmp_path: Path) -> None:
    write_metrics(tmp_path, "close", {"run_seconds": 9.5, "run_ok": 1.0})
    write_metrics(tmp_path, "backup", {"run_ok": 0.0})
    write_metrics(tmp_path, "close", {"run_seconds": 8.0, "run_ok": 1.0})
    assert (tmp_path / "logs" / "metrics.prom").read_text().splitlines() == [
        'daybook_run_ok{job="backup"} 0',
        'daybook_run_ok{job="close"} 1',
        'daybook_run_seconds{job="close"} 8',
    ]
