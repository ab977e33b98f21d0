"""The sensor that watches for a broker's statement files, and reconciles the sessions they are of.

Belongs here: which files are new, and which sessions that makes worth another look. Does not belong here: reading
statements (`resources/brokers/`), reconciling (`assets/reconciliation.py`), or the job (`jobs.py`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

import dagster as dg

from assets.partitions import SESSIONS
from pipelines.brokers import FILES, statement_folder, statements_of
from pipelines.in_force import tags_of
from pipelines.jobs import RECONCILE
from pipelines.sensors import SETTLED_S
from trading.config.models import DeskSettings
from trading.errors import BadInput, BrokerError
from trading.frames import EQUITY
from trading.ports import FrameStore, Notice, Notifier, ReferenceStore

MOST_AT_ONCE = 20  # runs one tick asks for; what is left has its turn at the next


@dataclass(slots=True)
class Seen:
    """What the sensor knows: the fingerprint of each session's files (None before it saw any), and what it told of
    wrong ones."""

    marks: dict[str, str] | None = None
    told: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> "Seen":
        """From a cursor; knowing nothing at the very first tick."""
        return cls(**json.loads(cursor)) if cursor else cls()

    def text(self) -> str:
        """As a cursor."""
        return json.dumps(asdict(self))


def unsettled(folder: Path, now_s: float) -> list[str]:
    """Names of files that may still be written, sorted."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(path.name for path in files if now_s - _written_s(path, now_s) < SETTLED_S)


def _written_s(path: Path, now_s: float) -> float:
    """When a file was written; one that went away, or is a broken link, is for whoever reads it to say."""
    try:
        return path.stat().st_mtime
    except OSError:
        return now_s - SETTLED_S


def changed(found: Mapping[date, str], seen: Seen) -> list[date]:
    """Sessions whose files are new or not what they were, oldest first. At first only the newest: what was there before
    is history, which the close or a backfill reconciles."""
    if seen.marks is None:
        return sorted(found)[-1:]
    return [day for day in sorted(found) if seen.marks.get(day.isoformat()) != found[day]]


def is_closed(frames: FrameStore, session: date) -> bool:
    """Whether a session has a book to reconcile; one that has none yet is reconciled by its close."""
    if not SESSIONS.has_partition_key(session.isoformat()) or EQUITY.name not in frames.written():
        return False
    return frames.history(EQUITY, through=session, since=session).num_rows > 0


@dg.sensor(
    job=RECONCILE,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Reconciles a closed session again when a statement file of it arrives or changes "
    "(trading.broker.statements, or <home>/statements).",
)
def broker_statements(
    context: dg.SensorEvaluationContext,
    desk: dg.ResourceParam[DeskSettings],
    home: dg.ResourceParam[Path],
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    notifier: dg.ResourceParam[Notifier],
    clock: dg.ResourceParam[Callable[[], datetime]],
) -> list[dg.RunRequest] | dg.SkipReason:
    """One run for each settled state of a session's statement."""
    if desk.trading.broker.name not in FILES:
        return dg.SkipReason(f"broker {desk.trading.broker.name} gives no statement files.")
    folder, seen = statement_folder(home, desk.trading.broker), Seen.read(context.cursor)
    writing = unsettled(folder, clock().timestamp())
    if writing:
        return dg.SkipReason(f"{writing[0]} in {folder} may still be written.")
    try:
        found = statements_of(home, desk.trading.broker, reference).sessions()
    except (BadInput, BrokerError) as cause:
        context.update_cursor(_told(seen, str(cause), notifier).text())
        return dg.SkipReason(str(cause))
    fresh = changed(found, seen)
    asked = [day for day in fresh if is_closed(frames, day)][:MOST_AT_ONCE]
    left = {day for day in fresh if asked and day > asked[-1]} if len(asked) == MOST_AT_ONCE else set()
    context.update_cursor(_marks(found, left, seen).text())
    runs = [_run(day, found[day], desk) for day in asked]
    return runs or dg.SkipReason(f"nothing new of a closed session in {folder}.")


def _marks(found: Mapping[date, str], left: set[date], seen: Seen) -> Seen:
    """What is known now; sessions left for the next tick stay as they were."""
    before = seen.marks or {}
    kept = {day.isoformat(): before[day.isoformat()] for day in left if day.isoformat() in before}
    return Seen({day.isoformat(): mark for day, mark in found.items() if day not in left} | kept)


def _told(seen: Seen, message: str, notifier: Notifier) -> Seen:
    """People hear once of what is wrong with the files; what they did not take is told again."""
    notice = Notice("error", "a broker statement cannot be read", message)
    return Seen(seen.marks, message if seen.told == message or notifier.notify(notice) else "")


def _run(session: date, mark: str, desk: DeskSettings) -> dg.RunRequest:
    day = session.isoformat()
    return dg.RunRequest(run_key=f"{day}:{mark}", partition_key=day, tags={"daybook/statement": day, **tags_of(desk)})
