"""The desk in plain Python: the same ports a run gets, for a notebook, a script and the command line.

    from pipelines.desk import Desk
    desk = Desk.open()                      # DAYBOOK_HOME, or ./var
    desk.prices("US10"), desk.pnl(), desk.sql("select * from violations")
    desk.open("2022-02-25").positions()     # as that session was signed

Belongs here: reading. Does not belong here: anything that changes the desk (`runs.py` does, through jobs).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from typing import Any, ClassVar, Literal, get_args

import pandas as pd
import pyarrow as pa

from assets.book_inputs import CLOSING
from assets.stitched import stitched
from pipelines.deployments import Adapters, adapters
from pipelines.settings import Place, place
from pipelines.wiring import utc_now
from trading.analytics import correlation
from trading.config.models import DeskSettings
from trading.errors import DatasetNotFound, NotASession, UsageError
from trading.frames import (
    BREAKS,
    CLEAN_BARS,
    CORRELATION,
    DAILY_PRICES,
    DATASETS,
    EQUITY,
    MULTIPLE_PRICES,
    PNL,
    POSITIONS,
    VIOLATIONS,
    VOLATILITY,
    Dataset,
    to_pandas,
)
from trading.ports import PriceVendor, ReferenceStore

Kind = Literal["adjusted", "multiple", "daily", "intraday"]
SEARCHED_DAYS = 15  # how far around a date the sessions before and after it are looked for
FAR = date(9999, 12, 31)


class _Open:
    """`Desk.open(where)` opens a desk, and `desk.open(session)` a day of it as it was signed."""

    def __get__(self, desk: Desk | None, kind: type[Desk]) -> Callable[..., Desk]:
        return functools.partial(_desk_of, kind) if desk is None else functools.partial(_as_signed, desk)


def _desk_of(kind: type[Desk], where: Place | str | None = None) -> Desk:
    """The desk of a place, or of a home folder (default: as the environment says)."""
    found = where if isinstance(where, Place) else place(where)
    return kind(found, adapters(found))


def _as_signed(desk: Desk, session: date | str, version: int | None = None) -> Desk:
    """The desk as a session was signed: prices, positions, P&L, journal, configuration and reference data of then. The
    newest signature of the session, or that of `version`.

    Raises UsageError where it was not signed, SignatureError naming what is not what was signed.
    """
    from pipelines.deployments import as_signed
    from pipelines.signed_days import Stores, signature_row, verified

    day = _date(session) if isinstance(session, str) else session
    ports = desk.adapters
    row = signature_row(ports.ledger, day, version)
    document = verified(row, Stores(ports.frames, ports.ledger, ports.signed, ports.signer))
    return replace(desk, adapters=as_signed(desk.place, ports, document))


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as cause:
        raise UsageError(f"{text!r} is not a session. Write it like 2022-02-25.") from cause


@dataclass(frozen=True, slots=True)
class Desk:
    """One desk, open for reading. `Desk.open()` opens it, `desk.open("2022-02-25")` a day of it as it was signed."""

    place: Place
    adapters: Adapters

    open: ClassVar[_Open] = _Open()

    # --- prices -----------------------------------------------------------------------------------------------------
    def prices(
        self, instrument: str, kind: Kind = "adjusted", *, since: date | None = None, until: date | None = None
    ) -> pd.DataFrame:
        """Prices of an instrument. `adjusted` is stitched through `until` at the vendor's own times; `daily` and
        `intraday` are bars by contract where the vendor delivers them, else one row a session (`daily`).

        Raises UsageError on another kind, and where nothing of that instrument is held.
        """
        if kind not in get_args(Kind):
            raise UsageError(f"prices have no kind {kind!r}. Choose one of: {', '.join(get_args(Kind))}.")
        through = until or FAR
        if kind in ("intraday", "daily"):
            rows = self._history(CLEAN_BARS, through, since, [instrument])
            rows = rows[rows["frequency"] == kind]
            if kind == "daily" and rows.empty:
                rows = self._history(DAILY_PRICES, through, since, [instrument])
        else:
            rows = self._continuous(instrument, kind, through)
            rows = rows if since is None else rows[rows["session"] >= pd.Timestamp(since)]
        if rows.empty:
            self._refuse_unknown(instrument)
        return rows.reset_index(drop=True)

    def _continuous(self, instrument: str, kind: str, through: date) -> pd.DataFrame:
        if kind == "multiple":
            return self._history(MULTIPLE_PRICES, through, None, [instrument])
        method = self.adapters.settings.data.prices.stitching
        return stitched(self.adapters.frames, self.adapters.cache, instrument, through, method)

    def _refuse_unknown(self, instrument: str) -> None:
        try:
            held = self.adapters.frames.latest(DAILY_PRICES, through=FAR)["instrument"].to_pylist()
        except DatasetNotFound:
            raise UsageError(
                f"this desk ({self.place.home}) holds no prices yet. Run `daybook load` or `daybook demo` first."
            ) from None
        if instrument not in held:
            near = get_close_matches(instrument.upper(), held, 3, 0.5) or sorted(held)
            raise UsageError(f"this desk holds no prices of {instrument}. Did you mean {' or '.join(near)}?")

    # --- one session ------------------------------------------------------------------------------------------------
    def volatility(self, session: date | None = None) -> pd.DataFrame:
        """Volatility of each instrument on a session (default: the latest closed)."""
        return self._session(VOLATILITY, session)

    def correlation(self, session: date | None = None) -> pd.DataFrame:
        """Correlation on a session as a matrix, with a column `instrument` naming each row."""
        matrix = correlation.matrix(self._session(CORRELATION, session))
        return matrix.rename_axis(columns=None).rename_axis("instrument").reset_index()

    def positions(self, session: date | None = None) -> pd.DataFrame:
        """Positions after a session that are not flat."""
        rows = self._session(POSITIONS, session)
        return rows[rows["quantity_contracts"] != 0].reset_index(drop=True)

    def pnl(self, session: date | None = None) -> pd.DataFrame:
        """Profit and loss of a session."""
        return self._session(PNL, session)

    def pnl_by(
        self,
        by: str = "cause",
        session: date | None = None,
        *,
        first: date | None = None,
        last: date | None = None,
        month_to_date: bool = False,
    ) -> pd.DataFrame:
        """Profit by cause, strategy, instrument, asset_class or session: of a session (default: the latest closed), of
        its month to date, or of all closed sessions from `first` to `last`."""
        from pipelines import profit

        return profit.pnl_by(self, by, profit.span(self, session, first, last, month_to_date=month_to_date))

    def slippage(
        self,
        by: str = "instrument",
        session: date | None = None,
        *,
        first: date | None = None,
        last: date | None = None,
        month_to_date: bool = False,
    ) -> pd.DataFrame:
        """What fills cost against the reference price of their orders, by instrument, strategy, reason or fill; over
        the sessions that `pnl_by` would take."""
        from pipelines import profit

        return profit.slippage_by(self, by, profit.span(self, session, first, last, month_to_date=month_to_date))

    def breaks(self, session: date | None = None) -> pd.DataFrame:
        """Breaks with the broker after a session."""
        return self._session(BREAKS, session)

    def violations(self, session: date | None = None) -> pd.DataFrame:
        """Findings of data rules on a session, closed or only loaded; without one those of the latest closed, or all
        where nothing is closed yet (then with a column `session`)."""
        day = session or next(reversed(self.closed_sessions()), None)
        if day is None:
            return self._history(VIOLATIONS, FAR)
        self.refuse_non_session(day)
        return self._history(VIOLATIONS, day, day).drop(columns="session")

    def sql(self, query: str, as_of: str | None = None) -> pd.DataFrame:
        """Rows of a read-only query over every dataset and ledger projection."""
        try:
            instant = datetime.fromisoformat(as_of) if as_of else None
        except ValueError as cause:
            raise UsageError(
                f"--as-of {as_of!r} is not an instant. Write it like 2022-02-25T22:00:00+00:00."
            ) from cause
        return to_pandas(self.adapters.sql.query(query, instant))

    # --- sessions ---------------------------------------------------------------------------------------------------
    def closed_session(self, session: date | None = None) -> date:
        """The session asked for, or the latest closed one. Raises NotASession, UsageError if it was not closed."""
        closed = self.closed_sessions()
        if session is None:
            if not closed:
                raise UsageError(f"no session of {self.place.home} is closed yet. Run `daybook close` first.")
            return closed[-1]
        self.refuse_non_session(session)
        if session not in closed:
            near = [day for day in closed if day < session][-1:] or closed[:1]
            known = f"The nearest closed one is {near[0]}." if near else "None is closed yet."
            raise UsageError(f"{session} is not closed. {known} Run `daybook close --session {session}`.")
        return session

    def closed_sessions(self) -> list[date]:
        """Sessions the book was closed on, ascending."""
        if not self._written(EQUITY):
            return []
        rows = self.adapters.frames.history(EQUITY, through=FAR, columns=["session"])
        return sorted(set(rows["session"].to_pylist()))

    def book_sessions(self) -> list[date]:
        """Sessions of which the journal has orders or fills, ascending."""
        return sorted({entry.event.session for entry in self.adapters.ledger.entries(kinds=sorted(CLOSING))})

    def refuse_non_session(self, day: date) -> None:
        """Raises NotASession on a weekend, and on a day on which no followed exchange group trades."""
        reason = self._closed_because(day)
        if reason is None:
            return
        ahead = (day + timedelta(days=n) for n in range(1, SEARCHED_DAYS))
        behind = (day - timedelta(days=n) for n in range(1, SEARCHED_DAYS))
        before = next((other for other in behind if self.is_session(other)), None)
        after = next((other for other in ahead if self.is_session(other)), None)
        raise NotASession(day, reason, before, after)

    def refuse_skipping(self, first: date, last: date) -> None:
        """Raises UsageError where sessions before `first` were never taken in: their moves and rolls would be lost."""
        newest = self._newest_price() if self._written(DAILY_PRICES) else None
        if newest is None or newest >= first:
            return
        between = [newest + timedelta(days=n) for n in range(1, (first - newest).days)]
        start = next((day for day in between if self.is_session(day)), None)
        if start is None:
            return
        end = next(day for day in reversed(between) if self.is_session(day))
        raise UsageError(
            f"sessions from {start} to {end} were never taken in: the newest prices of this desk are of {newest}. "
            f"Run `daybook backfill --from {start} --to {last}`."
        )

    def is_session(self, day: date) -> bool:
        """Whether the desk can close that day: a weekday on which some followed exchange group trades."""
        return self._closed_because(day) is None

    def _closed_because(self, day: date) -> str | None:
        if day.weekday() >= 5:
            return "it is a " + ("Saturday" if day.weekday() == 5 else "Sunday")
        if self.adapters.settings.data.prices.calendar == "weekdays":
            return "it is New Year's Day" if (day.month, day.day) == (1, 1) else None
        reference = self.adapters.reference
        around = (day - timedelta(days=2 * SEARCHED_DAYS), day + timedelta(days=2 * SEARCHED_DAYS))
        groups = self.exchange_groups(day)
        if not groups:
            return self._follows_nothing()
        if any(reference.calendar(group, *around).is_open(day) for group in groups):
            return None
        return f"every exchange group of this desk is closed ({', '.join(sorted(groups))})"

    def _follows_nothing(self) -> str:
        vendor = self.adapters.settings.data.vendor
        folder = f" in {vendor.source}" if vendor.source else ""
        return (
            f"this desk follows no instrument, so that no exchange says when there is one: vendor {vendor.name} has "
            f"none{folder}, or none that the reference data know and data.universe allows. Put its files there, or "
            "correct data.vendor.source or data.universe"
        )

    def exchange_groups(self, on: date) -> set[str]:
        """Exchange groups of the instruments the desk follows."""
        return followed_groups(on, self.adapters.reference, self.adapters.settings, self.adapters.vendor)

    def next_session(self) -> date:
        """What `daybook close` closes when nothing is said: the latest session there can be prices for."""
        today = utc_now().date()
        days = [today - timedelta(days=n) for n in range(1, SEARCHED_DAYS)]
        if self.adapters.settings.data.vendor.name != "simulated":
            newest = self._newest_price()
            days = [newest - timedelta(days=n) for n in range(SEARCHED_DAYS)]
        found = next((day for day in days if self.is_session(day)), None)
        if found is None:
            raise UsageError(
                f"no session lies in the {SEARCHED_DAYS} days to {days[0]} ({self._closed_because(days[0])}). Name one "
                "with --session."
            )
        return found

    def _newest_price(self) -> date:
        if not self._written(DAILY_PRICES):
            raise UsageError(f"this desk ({self.place.home}) holds no prices yet. Run `daybook load` first.")
        rows = self.adapters.frames.latest(DAILY_PRICES, through=FAR)
        return max(rows["session"].to_pylist())

    # --- everything -------------------------------------------------------------------------------------------------
    def status(self) -> dict[str, Any]:
        """Settings, what every dataset holds, and how far the book was closed."""
        settings, closed = self.adapters.settings, self.closed_sessions()
        return {
            "home": str(self.place.home),
            "deployment": self.place.deployment,
            "vendor": settings.data.vendor.name,
            "source": settings.data.vendor.source,
            "calendar": settings.data.prices.calendar,
            "configuration": settings.content_hash(),
            "reference_data": self.adapters.reference.content_hash(),
            "sessions_closed": len(closed),
            "last_closed": str(closed[-1]) if closed else None,
            "last_close": self._last_close(),
            "ledger_sequence": self.adapters.ledger.sequence(),
            "processes": self.adapters.ledger.rows("process_state"),
            "datasets": self.extents(),
        }

    def _last_close(self) -> str | None:
        """The newest session whose close was begun, and where it stands."""
        rows = self.adapters.ledger.rows("closes")
        newest = max(rows, key=lambda row: str(row["session"]), default=None)
        return None if newest is None else f"{newest['session']} {newest['state']}"

    def extents(self) -> list[dict[str, Any]]:
        """Rows, sessions and version of every dataset that was ever written."""
        return [self._extent(DATASETS[name]) for name in self.adapters.frames.written()]

    def _extent(self, dataset: Dataset) -> dict[str, Any]:
        rows = self.adapters.frames.history(dataset, through=FAR, columns=["session"])["session"]
        newest = self.adapters.frames.versions(dataset)[-1]
        ends = (rows.to_numpy().min(), rows.to_numpy().max()) if len(rows) else ("", "")
        return {
            "dataset": dataset.name,
            "rows": len(rows),
            "first": str(ends[0]),
            "last": str(ends[1]),
            "version": newest.number,
            "written": newest.written_at.isoformat(timespec="seconds"),
        }

    def _written(self, dataset: Dataset) -> bool:
        return bool(self.adapters.frames.versions(dataset))

    def _history(
        self, dataset: Dataset, through: date, since: date | None = None, series: list[str] | None = None
    ) -> pd.DataFrame:
        try:
            return to_pandas(self.adapters.frames.history(dataset, through=through, since=since, series=series))
        except DatasetNotFound:
            return to_pandas(dataset.schema.empty_table())

    def _session(self, dataset: Dataset, session: date | None) -> pd.DataFrame:
        day = self.closed_session(session)
        return self._history(dataset, day, day).drop(columns="session")


def followed_groups(on: date, reference: ReferenceStore, desk: DeskSettings, vendor: PriceVendor) -> set[str]:
    """Exchange groups of the instruments a desk follows: those its settings name, else all its vendor has."""
    instruments = reference.instruments(on)
    universe = desk.data.universe
    codes = [code for code in universe.instruments or vendor.instruments() if universe.follows(code)]
    return {instruments[code].exchange_group for code in codes if code in instruments}


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values: dates and times as ISO text, missing as None."""
    return [{str(key): _plain(value) for key, value in row.items()} for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    if isinstance(value, pd.Timestamp):
        return value.date().isoformat() if value == value.normalize() else value.isoformat(sep=" ")
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, pa.Scalar):
        return value.as_py()
    return value.item() if hasattr(value, "item") else value
