"""A data rule: one decorated function in one file of `rules/`, and what it is told.

Belongs here: the `Rule` value, its decorator, the context a rule sees, and how findings are built. Does not belong
here: any rule (`rules/`), running them (`examination.py`), or reading data.

A rule is called with the rows examined and a `RuleContext`, and returns findings: a frame with the columns of
FINDING_COLUMNS, one row a finding, built with `found` (about rows) or `findings` (about whole series).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import reduce

import pandas as pd

from trading.config.symbol_lookup import OfSymbol, as_shipped
from trading.frames import DATASETS, Dataset
from trading.market.instruments import Instrument
from trading.market.sessions import SessionCalendar
from trading.quality.violation import Layer, Severity

FINDING_COLUMNS = ("row", "series", "session", "label", "column_name", "value", "message")
WHOLE_SERIES = -1

_LAYERS: Mapping[str, Layer] = {
    "raw": "input",
    "clean": "processing",
    "continuous": "processing",
    "analytics": "processing",
}


@dataclass(frozen=True)
class RuleContext:
    """What a rule may know besides the rows: nothing is read by the rule itself.

    `first` to `last` are the sessions examined; `as_of` (UTC) is when they are looked at; `earlier` are rows of the
    same dataset in the weeks before `first`, or the newest of each series where those weeks have none; `companions`
    are other datasets through `last`, by name; `calendars` are by exchange group, and a group without one is taken as
    open from Monday to Friday. `of` gives the settings of an instrument, for a strategy or for none.
    """

    dataset: Dataset
    first: date
    last: date
    as_of: datetime
    instruments: Mapping[str, Instrument] = field(default_factory=dict)
    calendars: Mapping[str, SessionCalendar] = field(default_factory=dict)
    earlier: pd.DataFrame = field(default_factory=pd.DataFrame)
    companions: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    base_currency: str = "USD"
    forecast_cap: float = 20.0
    of: OfSymbol = as_shipped

    def open_sessions(self, code: str, first: date, last: date) -> tuple[date, ...]:
        """Sessions from `first` to `last` on which an instrument's exchange group is open."""
        instrument = self.instruments.get(code)
        calendar = self.calendars.get(instrument.exchange_group) if instrument else None
        if calendar is not None:
            return calendar.between(first, last)
        return tuple(day.date() for day in pd.bdate_range(first, last))


Judge = Callable[[pd.DataFrame, RuleContext], pd.DataFrame]


@dataclass(frozen=True)
class Rule:
    """A data rule.

    `needs`: columns that must all be there, with at least one value each; `any_of`: of these at least one must.
    Otherwise, and when there is nothing to judge, the rule is not applicable. `judges_absence` rules look at a session
    without rows as long as earlier rows exist; `empty_is_good` rules pass on a dataset written without rows.
    `quarantine` rules refuse the rows they find; `blocking` rules stop what comes after. `companions` are datasets it
    needs besides its own; without one of them it is not applicable.
    """

    name: str
    datasets: tuple[str, ...]
    description: str
    judge: Judge = field(repr=False)
    severity: Severity = "error"
    needs: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    quarantine: bool = False
    blocking: bool = False
    judges_absence: bool = False
    empty_is_good: bool = False
    companions: tuple[str, ...] = ()


def rule(
    *,
    datasets: Iterable[str],
    severity: Severity = "error",
    needs: tuple[str, ...] = (),
    any_of: tuple[str, ...] = (),
    quarantine: bool = False,
    blocking: bool = False,
    judges_absence: bool = False,
    empty_is_good: bool = False,
    companions: tuple[str, ...] = (),
) -> Callable[[Judge], Rule]:
    """Makes a function a Rule with the function's name, and its docstring as the description."""

    def decorate(judge: Judge) -> Rule:
        return Rule(
            name=judge.__name__,
            datasets=tuple(datasets),
            description=" ".join((judge.__doc__ or "").split()),
            judge=judge,
            severity=severity,
            needs=needs,
            any_of=any_of,
            quarantine=quarantine,
            blocking=blocking,
            judges_absence=judges_absence,
            empty_is_good=empty_is_good,
            companions=companions,
        )

    return decorate


def layer_of(dataset: Dataset) -> Layer:
    """Which of the three layers a dataset belongs to: what comes in, what is made of it, what goes out."""
    return _LAYERS.get(dataset.layer, "output")


def datasets_in(*layers: str) -> tuple[str, ...]:
    """Names of the datasets of some layers of `trading.frames`."""
    return tuple(name for name, dataset in DATASETS.items() if dataset.layer in layers)


def series_text(rows: pd.DataFrame, dataset: Dataset) -> pd.Series:
    """The series of each row: its series columns joined by a slash."""
    texts = [rows[name].astype("str").fillna("?") for name in dataset.series if name in rows]
    return reduce(lambda left, right: left + "/" + right, texts) if texts else pd.Series("?", index=rows.index)


def found(rows: pd.DataFrame, context: RuleContext, message: str, column: str | None = None) -> pd.DataFrame:
    """One finding for each of `rows`: rows of the examined frame, or of `ordered` (which carry their own `row`).

    `message` is one sentence on what is wrong and one on the cure; the column and its value are put before it.
    """
    values = rows[column].astype("str").fillna("missing") if column else None
    said = message if values is None else f"{column} is " + values + f": {message}"
    return pd.DataFrame(
        {
            "row": rows.get("row", rows.index),
            "series": series_text(rows, context.dataset),
            "session": rows["session"],
            "label": _label_text(rows),
            "column_name": column,
            "value": values,
            "message": said,
        }
    )


def finding(
    series: str, session: date, message: str, *, label: str = "", column: str | None = None, value: object = None
) -> dict[str, object]:
    """One finding about a whole series, for `findings`."""
    return {
        "row": WHOLE_SERIES,
        "series": series,
        "session": pd.Timestamp(session),
        "label": label,
        "column_name": column,
        "value": None if value is None else str(value),
        "message": message,
    }


def findings(rows: Iterable[Mapping[str, object]] = ()) -> pd.DataFrame:
    """Findings about whole series as a frame; none gives an empty frame with the right columns."""
    return pd.DataFrame(list(rows), columns=list(FINDING_COLUMNS))


def together(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Several frames of findings as one."""
    held = [part for part in parts if len(part)]
    return pd.concat(held, ignore_index=True) if held else findings()


def ordered(frame: pd.DataFrame, context: RuleContext, column: str | None = None) -> pd.DataFrame:
    """Rows (with a finite `column`, if one is named), the earlier ones too, by series and time: with `row` (position in
    `frame`, -1 for an earlier row) and `group` (one number a series)."""
    now = frame.assign(row=range(len(frame)))
    rows = pd.concat([context.earlier.assign(row=WHOLE_SERIES), now]) if len(context.earlier) else now
    rows = rows if column is None else rows[rows[column].abs() < float("inf")]
    keys = [*context.dataset.series, "stamp" if "stamp" in rows else "session"]
    rows = rows.sort_values(keys, kind="stable", ignore_index=True)
    return rows.assign(group=rows.groupby(list(context.dataset.series), sort=False).ngroup())


def _label_text(rows: pd.DataFrame) -> pd.Series | str:
    if "label" in rows:
        return rows["label"].astype("str").fillna("")
    return rows["stamp"].astype("str").fillna("") if "stamp" in rows else ""
