"""Rule: positions are the fold of fills."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, finding, findings, rule

_KEY = ["strategy", "instrument", "contract"]


@rule(datasets=("positions",), companions=("fills",), needs=("quantity_contracts",), empty_is_good=True, blocking=True)
def positions_fold(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """On every session with positions or fills (and on the last, if none has), what the book holds of each
    contract is the sum of all fills through it."""
    fills = context.companions["fills"]
    rows: list[dict[str, object]] = []
    last = pd.Timestamp(context.last)
    traded = fills.loc[fills["session"].between(pd.Timestamp(context.first), last), "session"]
    unheld = {last} if frame.empty and _any_open(context) else set()
    for session in sorted({*frame["session"], *traded, *unheld}):
        rows += _differences(frame[frame["session"] == session], fills[fills["session"] <= session], session)
    return findings(rows)


def _any_open(context: RuleContext) -> bool:
    """Whether any exchange group is open on the last session: on a holiday of all there may be no positions written."""
    return not context.calendars or any(calendar.is_open(context.last) for calendar in context.calendars.values())


def _differences(held: pd.DataFrame, fills: pd.DataFrame, session: pd.Timestamp) -> list[dict[str, object]]:
    book = held.groupby(_KEY)["quantity_contracts"].sum()
    folded = fills.groupby(_KEY)["quantity_contracts"].sum()
    both = pd.concat([book, folded], axis=1, keys=["book", "folded"]).fillna(0)
    wrong = both[both["book"] != both["folded"]]
    said = "{}: the positions say {:g} contracts, the fills add up to {:g}. Rebuild positions from the journal."
    return [
        finding(
            name := "/".join(map(str, key)),
            session.date(),
            said.format(name, row["book"], row["folded"]),
            column="quantity_contracts",
            value=row["book"],
        )
        for key, row in zip(wrong.index, wrong.to_dict("records"), strict=True)
    ]
