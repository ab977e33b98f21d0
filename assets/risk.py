"""The risk of the standing book: exposures, value at risk with its backtest, stresses, and headroom under every limit.

Belongs here: going through the sessions that were closed, writing the datasets, and their pictures. Does not belong
here: reading (`risk_inputs.py`), or calculating anything (`trading/risk/`).

They are one multi-asset because they are made of the same facts: a range of sessions reads everything once.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pandas as pd

from assets.layers import Sources
from assets.materialized import by_session, described, facts, session_result
from assets.partitions import session_range
from assets.pictures import image
from assets.risk_inputs import risk_books, risk_facts
from trading.config.models import DeskSettings
from trading.errors import DatasetNotFound
from trading.frames import (
    DAILY_PRICES,
    EQUITY,
    EXPOSURES,
    FX_RATES,
    HEADROOM,
    PNL,
    POSITIONS,
    ROLL_GAPS,
    STRESS_LOSSES,
    VALUE_AT_RISK,
    Dataset,
    day,
    empty,
    to_pandas,
    to_table,
)
from trading.ports import FrameStore, Ledger, ReferenceStore, Span
from trading.reports import drawings
from trading.risk.book import Book
from trading.risk.market import Market
from trading.risk.session_rows import (
    Forecast,
    Past,
    Row,
    exposure_rows,
    headroom_rows,
    losses_of,
    stress_rows,
    value_at_risk_rows,
)

DATASETS: tuple[Dataset, ...] = (EXPOSURES, VALUE_AT_RISK, STRESS_LOSSES, HEADROOM)
_NEEDS = [dataset.name for dataset in (POSITIONS, EQUITY, PNL, DAILY_PRICES, ROLL_GAPS, FX_RATES)]


def measured(sessions: Sequence[date], sources: Sources, ledger: Ledger) -> dict[str, list[Row]]:
    """Rows of every dataset for those of the sessions that were closed, in order."""
    first, last, desk = sessions[0], sessions[-1], sources.desk
    known = risk_facts(sources.frames, sources.reference, desk, first, last)
    books = risk_books(sources.frames, ledger, desk, last)
    past = forecasts_before(sources.frames, first, desk)
    rows: dict[str, list[Row]] = {dataset.name: [] for dataset in DATASETS}
    closed = [session for session in sessions if session in books.closed]
    for session, book in zip(closed, books.books(closed), strict=True):
        held = [(instrument, contract) for _, instrument, contract in (*book.positions, *book.opening)]
        market = known.market(session, held)
        gained = books.held_gains.get(session, 0.0)
        rows[EXPOSURES.name] += exposure_rows(market, book)
        losses = losses_of(market, book, desk.risk.model)
        rows[VALUE_AT_RISK.name] += value_at_risk_rows(session, losses, gained, past, desk.risk.model)
        rows[STRESS_LOSSES.name] += stress_rows(market, book)
        rows[HEADROOM.name] += headroom_rows(standing(desk, market, book), session)
    return rows


def standing(desk: DeskSettings, market: Market, book: Book) -> Any:
    """What the book comes to under every rule of a desk."""
    from trading.risk.engine import RiskEngine  # which loads compiled loops

    return RiskEngine(desk, market, book).standing()


def forecasts_before(frames: FrameStore, first: date, desk: DeskSettings) -> Past:
    """What was forecast and gained before a session, as far back as is looked."""
    since = first - timedelta(days=desk.risk.model.sessions * 7 // 5 + 7)
    try:
        rows = to_pandas(frames.history(VALUE_AT_RISK, through=first - timedelta(days=1), since=since))
    except DatasetNotFound:
        return {}
    columns = ["session", "value_at_risk_base", "forecast_base", "gain_base"]
    return {
        str(method): [Forecast(day(row[0]), *row[1:]) for row in own[columns].itertuples(index=False)]
        for method, own in rows.sort_values("session", kind="stable").groupby("method")
    }


def _spec(dataset: Dataset) -> dg.AssetSpec:
    return dg.AssetSpec(**described(dataset, deps=_NEEDS))


@dg.multi_asset(specs=[_spec(dataset) for dataset in DATASETS], can_subset=False, **by_session())
def risk(
    context: dg.AssetExecutionContext,
    frames: dg.ResourceParam[FrameStore],
    ledger: dg.ResourceParam[Ledger],
    reference: dg.ResourceParam[ReferenceStore],
    desk: dg.ResourceParam[DeskSettings],
    clock: dg.ResourceParam[Any],
):
    """The risk of every session of the run's range that was closed."""
    first, last = session_range(context)
    sessions = [date.fromisoformat(key) for key in context.partition_keys]
    rows = measured(sessions, Sources(frames, reference, desk, clock()), ledger)
    for dataset in DATASETS:
        own = rows[dataset.name]
        table = to_table(pd.DataFrame(own), dataset) if own else empty(dataset)
        version = frames.replace(dataset, table, Span(first, last))
        unit = desk.capital.base_currency
        more = _SHOWN[dataset.name](pd.DataFrame(own), frames, last, unit) if own else {}
        yield session_result(context, facts(table, version, more), dataset.name)


# --- what is shown ----------------------------------------------------------------------------------------------------
def _newest(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["session"] == frame["session"].max()]


def _show_exposures(frame: pd.DataFrame, frames: FrameStore, last: date, unit: str) -> Mapping[str, Any]:
    newest = _newest(frame)
    groups = newest[newest["axis"].isin(["sector", "currency", "asset_class"])]
    return {"exposures": image(drawings.group_bars(groups, unit=unit), "net exposure by group")}


def _show_value_at_risk(frame: pd.DataFrame, frames: FrameStore, last: date, unit: str) -> Mapping[str, Any]:
    stored = to_pandas(frames.history(VALUE_AT_RISK, through=last, since=last - timedelta(days=730)))
    picture = drawings.value_at_risk(stored[stored["method"] == "historical"], unit)
    columns = ["days", "exceedances", "expected_exceedances", "unconditional_p", "independence_p", "conditional_p"]
    records = [
        dg.TableRecord({"method": row["method"], **{name: _told(row[name]) for name in columns}})
        for row in _newest(frame).to_dict("records")
    ]
    return {"value at risk": image(picture, "value at risk and P&L"), "backtest": dg.MetadataValue.table(records)}


def _told(value: Any) -> str:
    return "" if value is None or value != value else f"{value:.4g}"


def _show_stresses(frame: pd.DataFrame, frames: FrameStore, last: date, unit: str) -> Mapping[str, Any]:
    gains = _newest(frame).set_index("scenario")["gain_base"]
    return {"stresses": image(drawings.stress_bars(gains, unit), "gain of the book by scenario")}


def _show_headroom(frame: pd.DataFrame, frames: FrameStore, last: date, unit: str) -> Mapping[str, Any]:
    newest = _newest(frame)
    shown: dict[str, Any] = {"headroom": image(drawings.limit_bars(newest), "limits used")}
    passed = newest[newest["outcome"] != "pass"]
    shown["limits passed"] = len(passed)
    return shown


_SHOWN = {
    EXPOSURES.name: _show_exposures,
    VALUE_AT_RISK.name: _show_value_at_risk,
    STRESS_LOSSES.name: _show_stresses,
    HEADROOM.name: _show_headroom,
}
ASSETS = [risk]
