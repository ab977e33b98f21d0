"""`daybook load`: points a home at a vendor and runs the ingest job.

Belongs here: binding a home to its vendor and its reference data, and undoing that when the load fails. Does not belong
here: the load itself (`assets/history.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.deployments import bring_reference, frame_store, reference, sole_run, vendor_of
from pipelines.desk import Desk
from pipelines.runs import aside, finished, run
from pipelines.settings import Place, authored, own_settings, read_settings, write_desk
from trading.errors import UsageError

Span = tuple[date | None, date | None]


def load(
    where: Place, vendor: str, source: Path | None, instruments: tuple[str, ...], span: Span, calendar: str | None
) -> dict[str, Any]:
    """Loads a span of a vendor's history into a home. Raises UsageError where the home belongs to another vendor."""
    _refuse_reversed(span)
    with sole_run(where, aside):
        return _load(where, vendor, source, instruments, span, calendar)


def _load(
    where: Place, vendor: str, source: Path | None, instruments: tuple[str, ...], span: Span, calendar: str | None
) -> dict[str, Any]:
    authored(where)  # a file that is wrong is refused as it was written, before anything is written into it
    _refuse_other_vendor(where, vendor)
    _refuse_other_calendar(where, calendar)
    data: dict[str, Any] = {"vendor": {"name": vendor}, "universe": {"instruments": list(instruments)}}
    if vendor != "simulated":
        data["vendor"]["source"] = str(_folder(source, vendor))
    if calendar is not None:
        data["prices"] = {"calendar": calendar}
    config = {"since": span[0].isoformat() if span[0] else "", "until": span[1].isoformat() if span[1] else ""}
    with _undone_on_failure(where) as kept:
        write_desk(where, {"data": data})
        if vendor == "pysystemtrade":
            bring_reference(where, Path(data["vendor"]["source"]))
        _refuse_instruments_it_has_not(where, instruments)
        outcome = run(where, "ingest", config={"ops": {"history": {"config": config}}}, alone=True, process="load")
        kept["exit_code"] = outcome.exit_code
    found = finished(where, "load", outcome, span)
    if outcome.exit_code != 2:
        found["datasets"] = Desk.open(where).extents()
    return found


def _refuse_reversed(span: Span) -> None:
    first, last = span
    if first and last and first > last:
        raise UsageError(f"--since {first} is after --until {last}. Give the earlier date first.")


def _refuse_other_vendor(where: Place, vendor: str) -> None:
    named = "name" in own_settings(where).get("data", {}).get("vendor", {})
    if not named and not _holds_prices(where):  # a mapping of columns alone binds a home to nobody
        return
    bound = read_settings(where).data.vendor.name
    if bound != vendor:
        raise UsageError(
            f"{where.home} holds prices of vendor {bound}; mixing vendors in one desk would mix their sessions. "
            f"Give another --home for {vendor}, or remove {where.home} if you do not need it."
        )


def _refuse_other_calendar(where: Place, calendar: str | None) -> None:
    """Rows keep the session they were stored with: two calendars in one home would count the same row differently."""
    if calendar is None or not _holds_prices(where):
        return
    bound = read_settings(where).data.prices.calendar
    if bound != calendar:
        raise UsageError(
            f"{where.home} holds prices by calendar {bound}; --calendar {calendar} would place the same rows in other "
            f"sessions. Give another --home for it, or leave --calendar out."
        )


def _holds_prices(where: Place) -> bool:
    return any(name.startswith("raw_") for name in frame_store(where).written())


def _refuse_instruments_it_has_not(where: Place, asked: tuple[str, ...]) -> None:
    vendor = vendor_of(where, read_settings(where), reference(where))
    has = vendor.instruments() if asked else []
    missing = sorted(set(asked) - set(has))
    if missing:
        raise UsageError(
            f"vendor {vendor.name} has nothing of {', '.join(missing)} (--instruments). It has: {', '.join(has)}."
        )


def _folder(source: Path | None, vendor: str) -> Path:
    if source is None:
        raise UsageError(f"vendor {vendor} reads files. Say where they are with --source DIR.")
    if not source.is_dir():
        raise UsageError(f"--source {source} is not a folder. Give the folder that holds the vendor's files.")
    return source.resolve()


@contextmanager
def _undone_on_failure(where: Place) -> Iterator[dict[str, int]]:
    """Puts desk.toml and the home's reference data back when what is inside raises or ends with bad input."""
    before = {file: file.read_bytes() if file.exists() else None for file in _bound_files(where)}
    ended = {"exit_code": 2}
    try:
        yield ended
    finally:
        if ended["exit_code"] == 2:
            for file, content in before.items():
                _put_back(file, content)


def _bound_files(where: Place) -> list[Path]:
    return [where.desk_file, *(where.home / "reference" / name for name in ("instruments.csv", "roll_parameters.csv"))]


def _put_back(file: Path, content: bytes | None) -> None:
    if content is None:
        file.unlink(missing_ok=True)
    elif file.read_bytes() != content:
        draft = file.with_name(f".{file.name}.old")
        draft.write_bytes(content)
        draft.replace(file)
