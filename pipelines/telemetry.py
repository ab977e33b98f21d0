"""What happened, for machines to read: a structured log and a metrics file in the home.

Belongs here: one JSON line an event in `<home>/logs/daybook.jsonl`, each with run and session, and the last figures in
`<home>/logs/metrics.prom` in Prometheus' text format. Does not belong here: the journal (the ledger keeps it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def structured_log(home: Path, **bound: Any) -> Iterator[Any]:
    """A logger whose every line carries `bound`; lines are appended whole."""
    import structlog

    file = home / "logs" / "daybook.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8", buffering=1) as stream:
        chain = [
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(default=str),
        ]
        yield structlog.wrap_logger(structlog.WriteLogger(stream), processors=chain).bind(**bound)


def write_metrics(home: Path, job: str, figures: Mapping[str, float]) -> None:
    """Replaces the figures of a job in the metrics file; those of other jobs stay."""
    file = home / "logs" / "metrics.prom"
    file.parent.mkdir(parents=True, exist_ok=True)
    mine = f'{{job="{job}"}}'
    lines = file.read_text().splitlines() if file.exists() else []
    kept = [line for line in lines if mine not in line]
    kept += [f"daybook_{name}{mine} {value:g}" for name, value in sorted(figures.items())]
    draft = file.with_suffix(".new")
    draft.write_text("\n".join(sorted(kept)) + "\n")
    draft.replace(file)
