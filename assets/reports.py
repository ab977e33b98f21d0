"""The reports layer: pages for people, made from the stored frames of a session.

Belongs here: reading the frames of a report, writing the page. Does not belong here: what the page says
(`trading/reports/`).
"""

import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from assets.materialized import OWNERS, by_session, session_result
from assets.partitions import session_range
from assets.pictures import image
from trading.config.models import DeskSettings
from trading.errors import DatasetNotFound, StoreUnavailable
from trading.frames import (
    ATTRIBUTION,
    BREAKS,
    CORRELATION,
    EQUITY,
    ORDERS,
    PNL,
    POSITIONS,
    ROLL_STATES,
    VIOLATIONS,
    VOLATILITY,
    Dataset,
    empty,
    to_pandas,
)
from trading.ports import BlobStore, FrameStore, ReferenceStore
from trading.reports import drawings
from trading.reports.daily import DailyReport, account_curve, render, summary
from trading.reports.html import number

SHOWN = (PNL, ATTRIBUTION, EQUITY, POSITIONS, ORDERS, BREAKS, VIOLATIONS, VOLATILITY, CORRELATION, ROLL_STATES)


def session_rows(frames: FrameStore, dataset: Dataset, session: date, since: date | None = None) -> pd.DataFrame:
    """Rows from `since` (default: the session itself) through the session; none where nothing was ever written."""
    try:
        return to_pandas(frames.history(dataset, through=session, since=since or session))
    except DatasetNotFound:
        return to_pandas(empty(dataset))


def read_report(frames: FrameStore, reference: ReferenceStore, desk: DeskSettings, session: date) -> DailyReport:
    """The daily report of a session, from what is stored now."""
    return DailyReport(
        session=session,
        base_currency=desk.capital.base_currency,
        pnl=session_rows(frames, PNL, session),
        month=session_rows(frames, PNL, session, since=session.replace(day=1)),
        equity=session_rows(frames, EQUITY, session, since=date.min),
        positions=session_rows(frames, POSITIONS, session),
        orders=session_rows(frames, ORDERS, session),
        breaks=session_rows(frames, BREAKS, session),
        violations=session_rows(frames, VIOLATIONS, session),
        volatility=session_rows(frames, VOLATILITY, session),
        correlation=session_rows(frames, CORRELATION, session),
        roll_states=session_rows(frames, ROLL_STATES, session),
        attribution=session_rows(frames, ATTRIBUTION, session, since=session.replace(day=1)),
        versions=tuple(_versions(frames, reference, desk)),
    )


def _versions(frames: FrameStore, reference: ReferenceStore, desk: DeskSettings) -> Iterator[tuple[str, str, str]]:
    yield "code", importlib.metadata.version("daybook"), ""
    yield "configuration", desk.environment, desk.content_hash()
    yield "reference data", "", reference.content_hash()
    written = set(frames.written())
    for dataset in SHOWN:
        if dataset.name in written:
            yield dataset.name, str(frames.versions(dataset)[-1].number), frames.content_hash(dataset)


def write_page(home: Path, session: date, page: bytes) -> Path:
    """<home>/reports/<session>.html, replaced as a whole. Raises StoreUnavailable naming the folder."""
    place = home / "reports" / f"{session.isoformat()}.html"
    begun = place.with_suffix(f".{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        begun.write_bytes(page)
        begun.replace(place)
    except OSError as cause:
        with suppress(OSError):  # what refused the page may refuse this too
            begun.unlink()
        raise StoreUnavailable(
            f"the report {place} could not be written: {cause.strerror}. Free space or fix the permissions of "
            f"{place.parent}, then run the session's daily_report again."
        ) from cause
    return place


def facts(report: DailyReport) -> dict[str, Any]:
    """The page's numbers and the account, as metadata; the assets of the other pictures show those themselves."""
    unit = report.base_currency
    rows = [dg.TableRecord({"what": name, "value": number(value, 0)}) for name, value in summary(report).items()]
    return {
        "summary": dg.MetadataValue.table(rows),
        "account": image(drawings.equity_curve(account_curve(report.equity), unit, "Account"), "account"),
    }


@dg.asset(
    description="The page a person reads after the close: P&L, positions, orders, breaks, violations, risk, rolls.",
    group_name="reports",
    owners=OWNERS,
    kinds={"python", "html"},
    tags={"daybook/layer": "reports"},
    deps=[dataset.name for dataset in SHOWN],
    **by_session(),
)
def daily_report(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    blobs: dg.ResourceParam[BlobStore],
    home: dg.ResourceParam[Path],
) -> dg.MaterializeResult[None]:
    first, last = session_range(context)
    report = read_report(frames, reference, desk, last)
    page = render(report).encode()
    place = write_page(home, last, page)
    metadata = {"report": dg.MetadataValue.path(place), "blob": blobs.put(page), "bytes": len(page), **facts(report)}
    if first != last:
        metadata["rendered"] = f"{last} only, the last session of the range {first} to {last}"
    return session_result(context, metadata)
