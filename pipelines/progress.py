"""What a person at the shell sees while a run works: one line a step on standard error.

Belongs here: turning Dagster's events into short lines. Does not belong here: results (standard output).
"""

import logging
import sys
import time
from typing import TextIO

import dagster as dg

from pipelines.mishaps import CHECK_STOPPED, root_cause


class StepLines(logging.Handler):
    """Prints a line when a step ends, a check fails, or an asset says something."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr
        self._began: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Reads the Dagster event that a log record carries."""
        event = (getattr(record, "dagster_meta", None) or {}).get("dagster_event")
        if event is None:
            self._said(record)
            return
        kind, step = event.event_type_value, event.step_key or ""
        if kind == "STEP_START":
            self._began[step] = time.monotonic()
        elif kind == "STEP_SUCCESS":
            self._line(f"  {step:<28}{self._elapsed(step)}")
        elif kind == "STEP_FAILURE":
            self._line(f"  {step:<28}{self._elapsed(step)}  {_reason(event)}")
        elif kind == "ASSET_CHECK_EVALUATION":
            self._check(event.asset_check_evaluation_data)

    def _said(self, record: logging.LogRecord) -> None:
        """What an asset says; not the line Dagster writes for each step that a failed one keeps from running."""
        meta = getattr(record, "dagster_meta", None) or {}
        text = meta.get("orig_message") or record.getMessage()  # the latter begins with job, run and step
        if record.levelno < logging.INFO or text.startswith("Dependencies for step"):
            return
        self._line(("  ! " if record.levelno >= logging.WARNING else "    ") + text)

    def _check(self, evaluation: dg.AssetCheckEvaluation) -> None:
        if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
            self._line(f"  check failed: {name}: {evaluation.description or 'no description'}")

    def _elapsed(self, step: str) -> str:
        began = self._began.pop(step, None)
        return "" if began is None else f"{time.monotonic() - began:7.2f} s"

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


def _reason(event: dg.DagsterEvent) -> str:
    name, message = root_cause(event.step_failure_data.error)
    return "stopped by its check" if name == CHECK_STOPPED else f"FAILED: {message}"


@dg.logger(config_schema={}, description="One line a step on standard error.")
def step_lines(context: dg.InitLoggerContext) -> logging.Logger:
    """The logger that `daybook` runs its jobs with."""
    logger = logging.Logger("daybook.steps", level=logging.DEBUG)
    logger.addHandler(StepLines())
    return logger
