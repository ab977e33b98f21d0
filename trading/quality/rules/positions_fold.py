"""Rule: positions are the fold of fills."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from trading.quality.rule import RuleContext, finding, findings, rule

_KEY = ["strategy", "instrument", "contract"]


@rule(datasets=("positions",), companions=("fills",), needs=("quantity_contracts",), empty_is_good=True, blocking=True)
def positions_fold(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """On every session with positions or fills (and on the last, if none has), what the book holds of each
    contract is the sum of all fills through it."""
    fills = context.companions["fills"]
    last = pd.Timestamp(context.last)
    traded = fills.loc[fills["session"].between(pd.Timestamp(context.first), last), "session"]
    unheld = {last} if frame.empty and _any_open(context) else set()
    sessions = pd.DatetimeIndex(sorted({*frame["session"], *traded, *unheld}))
    book = _by_session(frame).reindex(sessions)
    folded = _by_session(fills).cumsum().reindex(sessions, method="ffill")
    return findings(_differences(book, folded))


def _by_session(rows: pd.DataFrame) -> pd.DataFrame:
    """Contracts by session (rows) and key (columns), 0 where there are none."""
    sums = rows.groupby(["session", *_KEY])["quantity_contracts"].sum()
    return sums.unstack(_KEY, fill_value=0) if len(sums) else pd.DataFrame(index=pd.DatetimeIndex([]))


def _any_open(context: RuleContext) -> bool:
    """Whether any exchange group is open on the last session: on a holiday of all there may be no positions written."""
    return not context.calendars or any(calendar.is_open(context.last) for calendar in context.calendars.values())


def _differences(book: pd.DataFrame, folded: pd.DataFrame) -> Iterator[dict[str, object]]:
    keys = book.columns.union(folded.columns)
    held = book.reindex(columns=keys).fillna(0)
    summed = folded.reindex(columns=keys).fillna(0)
    said = "{}: the positions say {:g} contracts, the fills add up to {:g}. Rebuild positions from the journal."
    for row, column in zip(*(held.to_numpy() != summed.to_numpy()).nonzero(), strict=True):
        name, ours = "/".join(map(str, keys[column])), held.iat[row, column]
        yield finding(
            name,
            held.index[row].date(),
            said.format(name, ours, summed.iat[row, column]),
            column="quantity_contracts",
            value=ours,
        )
