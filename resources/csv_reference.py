"""Reference data from CSV files in folders: instruments, roll parameters, currency pairs, exchange groups, sessions.

Belongs here: reading and checking `reference/*.csv`, and exchange calendars with our own overrides. Does not belong
here: what the values mean (`trading/market/instruments.py`).

Several folders lie over each other: a code that a later folder names is that folder's alone, all its dated rows.
A file may be missing from any folder but the first.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from resources.csv_tables import Row, read_rows
from resources.session_files import remembered
from trading.errors import ReferenceDataError
from trading.market.contracts import MONTH_LETTERS
from trading.market.instruments import ExchangeGroup, FxPair, Instrument, RollParameters
from trading.market.sessions import SessionCalendar

FILES = ("instruments.csv", "roll_parameters.csv", "fx_pairs.csv", "exchange_groups.csv", "session_overrides.csv")
INSTRUMENT_COLUMNS = (
    "code", "description", "exchange_group", "currency", "point_value_local", "tick_points", "asset_class", "sector",
    "country", "slippage_points", "commission_per_contract_local", "commission_per_trade_local",
    "commission_fraction", "effective_from",
)  # fmt: skip
ROLL_COLUMNS = (
    "instrument", "hold_cycle", "priced_cycle", "roll_offset_days", "expiry_offset_days", "carry_offset",
    "effective_from",
)  # fmt: skip
ALWAYS = date(1900, 1, 1)
KINDS = ("closed", "open", "early_close")
_CALENDAR_BLOCK = (date(1970, 1, 1), date(2030, 12, 31))
T = TypeVar("T")


class CsvReference:
    """Keeps the promises of `ReferenceStore`. Files are read once, on first use, and remembered by this instance;
    calendars are also kept in the folder `calendars`, where one is given."""

    def __init__(self, folders: Sequence[Path], calendars: Path | None = None) -> None:
        if not folders:
            raise ReferenceDataError("no folder of reference data was given. Name at least the project's reference/.")
        self._folders, self._calendars = tuple(Path(folder) for folder in folders), calendars
        self._read: dict[str, Any] = {}

    def instruments(self, on: date) -> Mapping[str, Instrument]:
        """Instruments in force on a date, by code."""
        return _in_force(self._instruments(), on)

    def roll_parameters(self, on: date) -> Mapping[str, RollParameters]:
        """Roll parameters in force on a date, by instrument code."""
        return _in_force(self._once("roll_parameters.csv", ROLL_COLUMNS, "instrument", _roll_parameters), on)

    def fx_pairs(self) -> Sequence[FxPair]:
        """Currency pairs, sorted by name."""
        pairs = self._once("fx_pairs.csv", ("pair", "base", "quote"), "pair", _fx_pair)
        return [pairs[name][-1] for name in sorted(pairs)]

    def exchange_groups(self) -> Mapping[str, ExchangeGroup]:
        """Exchange groups by name."""
        columns = ("name", "calendar", "timezone", "close_local", "description")
        groups = self._once("exchange_groups.csv", columns, "name", _exchange_group)
        return {name: rows[-1] for name, rows in groups.items()}

    def calendar(self, group: str, first: date, last: date) -> SessionCalendar:
        """Open sessions of a group between two dates: the named exchange calendar (or weekdays), then our overrides.

        Where the calendar library does not reach, before its first holiday or after its last, plain weekdays stand in.
        Raises ReferenceDataError on an unknown group or calendar name.
        """
        whole_first, whole_last = min(first, _CALENDAR_BLOCK[0]), max(last, _CALENDAR_BLOCK[1])
        key = f"calendar {group} {whole_first} {whole_last}"
        if key not in self._read:
            self._read[key] = self._whole_calendar(group, whole_first, whole_last)
        whole: SessionCalendar = self._read[key]
        early = frozenset(day for day in whole.early_closes if first <= day <= last)
        return SessionCalendar(group, first, last, whole.between(first, last), early)

    def content_hash(self) -> str:
        """SHA-256 over the names and bytes of all reference files, in folder order."""
        digest = hashlib.sha256()
        for name, content in self.files().items():
            digest.update(f"{name}:{len(content)}:".encode() + content)
        return digest.hexdigest()

    def files(self) -> Mapping[str, bytes]:
        """As the port: folders by number, in order, with line ends as in Unix."""
        paths = {f"{place}/{name}": folder / name for place, folder in enumerate(self._folders) for name in FILES}
        return {name: path.read_bytes().replace(b"\r\n", b"\n") for name, path in paths.items() if path.exists()}

    def _instruments(self) -> Mapping[str, list[Instrument]]:
        groups = self.exchange_groups()

        def parse(row: Row) -> Instrument:
            return _instrument(row, groups)

        return self._once("instruments.csv", INSTRUMENT_COLUMNS, "code", parse)

    def _once(self, name: str, columns: Sequence[str], key: str, parse: Callable[[Row], T]) -> Mapping[str, list[T]]:
        if name not in self._read:
            self._read[name] = self._layered(name, columns, key, parse)
        found: Mapping[str, list[T]] = self._read[name]
        return found

    def _layered(self, name: str, columns: Sequence[str], key: str, parse: Callable[[Row], T]) -> dict[str, list[T]]:
        """Parsed rows by key, ascending by `effective_from`; a later folder's rows of a key replace earlier ones."""
        layered: dict[str, list[T]] = {}
        for place, folder in enumerate(self._folders):
            if place and not (folder / name).exists():
                continue
            rows = read_rows(folder / name, columns)
            _refuse_repeats(rows, key)
            of_folder: dict[str, list[tuple[date, T]]] = {}
            for row in rows:
                of_folder.setdefault(row.fields[key], []).append((_effective_from(row), parse(row)))
            for code, dated in of_folder.items():
                layered[code] = [value for _, value in sorted(dated, key=lambda pair: pair[0])]
        return layered

    def _whole_calendar(self, group: str, first: date, last: date) -> SessionCalendar:
        groups = self.exchange_groups()
        if group not in groups:
            raise ReferenceDataError(
                f"exchange group {group} is not in exchange_groups.csv. Add a row for it; known groups are "
                f"{', '.join(sorted(groups))}."
            )
        chosen = groups[group]
        name = f"{chosen.calendar}-{first}-{last}-{version('exchange-calendars')}"
        sessions, early = remembered(self._calendars, name, lambda: _library_sessions(chosen, first, last))
        for kind, day in self._overrides(group):
            sessions.discard(day) if kind == "closed" else sessions.add(day)
            early.add(day) if kind == "early_close" else early.discard(day)
        inside = sorted(day for day in sessions if first <= day <= last)
        return SessionCalendar(group, first, last, tuple(inside), frozenset(early & set(inside)))

    def _overrides(self, group: str) -> list[tuple[str, date]]:
        columns = ("exchange_group", "date", "kind", "reason")
        found: list[tuple[str, date]] = []
        for folder in self._folders:
            if (folder / "session_overrides.csv").exists():
                rows = read_rows(folder / "session_overrides.csv", columns)
                found += [_override(row) for row in rows if row.fields["exchange_group"] == group]
        return found


def _library_sessions(group: ExchangeGroup, first: date, last: date) -> tuple[set[date], set[date]]:
    """Sessions and early closes of a named calendar; weekdays where the library does not reach."""
    if group.calendar == "weekdays":
        return set(_weekdays(first, last)), set()
    import exchange_calendars

    try:
        whole, start, end = _reached(group.calendar, first, last)
    except exchange_calendars.errors.InvalidCalendarName as cause:
        raise ReferenceDataError(
            f"exchange group {group.name} names the calendar {group.calendar}, which the calendar library does not "
            "know. Correct it in exchange_groups.csv, or use weekdays."
        ) from cause
    sessions = {day for day in whole.sessions.date if day.weekday() < 5}
    sessions.update(_weekdays(first, start - timedelta(days=1)), _weekdays(end + timedelta(days=1), last))
    return sessions, set(whole.early_closes.date)


def _reached(name: str, first: date, last: date) -> tuple[Any, date, date]:
    """The library's calendar over as much of the dates as it knows, and the first and last date it knows of them."""
    from exchange_calendars import get_calendar

    try:
        return get_calendar(name, start=first, end=last), first, last
    except ValueError:  # it refuses dates beyond its bounds, which only an instance can tell
        known = get_calendar(name)
        start = max(filter(None, (first, _day(known.bound_min()))))
        end = min(filter(None, (last, _day(known.bound_max()))))
        return get_calendar(name, start=start, end=end), start, end


def _day(instant: Any) -> date | None:
    return None if instant is None else instant.date()


def _weekdays(first: date, last: date) -> list[date]:
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [day for day in days if day.weekday() < 5]


def _in_force(dated: Mapping[str, Sequence[Any]], on: date) -> dict[str, Any]:
    """Of each key the last value whose `effective_from` is not after the date; keys with none are left out."""
    found = {}
    for code in sorted(dated):
        valid = [value for value in dated[code] if value.effective_from <= on]
        if valid:
            found[code] = valid[-1]
    return found


def _refuse_repeats(rows: Sequence[Row], key: str) -> None:
    seen: dict[tuple[str, date], int] = {}
    for row in rows:
        here = (row.fields[key], _effective_from(row))
        if here in seen:
            raise row.wrong(key, f"the same {key} and date as line {seen[here]}", "Keep one of the two rows.")
        seen[here] = row.line


def _instrument(row: Row, groups: Mapping[str, ExchangeGroup]) -> Instrument:
    if row.fields["exchange_group"] not in groups:
        raise row.wrong("exchange_group", "not in exchange_groups.csv", "Add the group there, or correct the name.")
    return Instrument(
        code=_matching(row, "code", r"[A-Za-z0-9_-]{1,40}", "letters, digits, _ and - only"),
        description=row.fields["description"],
        exchange_group=row.fields["exchange_group"],
        currency=_matching(row, "currency", r"[A-Z]{3}", "a three-letter currency, e.g. USD"),
        point_value_local=_number(row, "point_value_local", positive=True),
        tick_points=_number(row, "tick_points", positive=True),
        asset_class=_matching(row, "asset_class", r"[a-z_]+", "an asset class in small letters"),
        sector=row.fields["sector"],
        country=row.fields["country"],
        slippage_points=_number(row, "slippage_points"),
        commission_per_contract_local=_number(row, "commission_per_contract_local"),
        commission_per_trade_local=_number(row, "commission_per_trade_local"),
        commission_fraction=_number(row, "commission_fraction"),
        effective_from=_effective_from(row),
    )


def _roll_parameters(row: Row) -> RollParameters:
    cycle = f"[{MONTH_LETTERS}]+"
    return RollParameters(
        instrument=row.fields["instrument"],
        hold_cycle=_matching(row, "hold_cycle", cycle, f"month letters out of {MONTH_LETTERS}"),
        priced_cycle=_matching(row, "priced_cycle", cycle, f"month letters out of {MONTH_LETTERS}"),
        roll_offset_days=_whole(row, "roll_offset_days"),
        expiry_offset_days=_whole(row, "expiry_offset_days"),
        carry_offset=int(_matching(row, "carry_offset", r"\+?1|-1", "1 or -1")),
        effective_from=_effective_from(row),
    )


def _fx_pair(row: Row) -> FxPair:
    base = _matching(row, "base", r"[A-Z]{3}", "a three-letter currency")
    quote = _matching(row, "quote", r"[A-Z]{3}", "a three-letter currency")
    if row.fields["pair"] != base + quote:
        raise row.wrong("pair", f"not {base}{quote}, the base and quote of the same row", "Make the three agree.")
    return FxPair(row.fields["pair"], base, quote)


def _exchange_group(row: Row) -> ExchangeGroup:
    try:
        ZoneInfo(row.fields["timezone"])
    except (ZoneInfoNotFoundError, ValueError) as cause:
        raise row.wrong("timezone", "unknown time zone", "Use an IANA name, e.g. America/Chicago.") from cause
    try:
        close = time.fromisoformat(row.fields["close_local"])
    except ValueError as cause:
        raise row.wrong("close_local", "not a time of day", "Write it as HH:MM.") from cause
    fields = row.fields
    return ExchangeGroup(fields["name"], fields["calendar"], fields["timezone"], close, fields["description"])


def _override(row: Row) -> tuple[str, date]:
    kind = row.fields["kind"]
    if kind not in KINDS:
        raise row.wrong("kind", "unknown kind of override", f"Use one of {', '.join(KINDS)}.")
    return kind, _date(row, "date")


def _matching(row: Row, column: str, pattern: str, wanted: str) -> str:
    if not re.fullmatch(pattern, row.fields[column]):
        raise row.wrong(column, "the value does not fit", f"Write {wanted}.")
    return row.fields[column]


def _number(row: Row, column: str, *, positive: bool = False) -> float:
    try:
        value = float(row.fields[column] or "nan") if positive else float(row.fields[column] or 0.0)
    except ValueError as cause:
        raise row.wrong(column, "not a number", "Write a decimal number.") from cause
    if not math.isfinite(value) or value < 0 or (positive and value == 0):
        raise row.wrong(column, "out of bounds", "Write a number above 0." if positive else "Write 0 or more.")
    return value


def _whole(row: Row, column: str) -> int:
    try:
        return int(row.fields[column])
    except ValueError as cause:
        raise row.wrong(column, "not a whole number", "Write days as a whole number.") from cause


def _effective_from(row: Row) -> date:
    return _date(row, "effective_from") if row.fields.get("effective_from") else ALWAYS


def _date(row: Row, column: str) -> date:
    try:
        return date.fromisoformat(row.fields[column])
    except ValueError as cause:
        raise row.wrong(column, "not a date", "Write it as YYYY-MM-DD.") from cause
