"""Rule: positions are the fold of fills."""

from __future__ import annotations

import pandas as pd

from trading.quality.rule import RuleContext, finding, findings, rule

_KEY = ["strategy", "instrument", "contract"]


@rule(datasets=("positions",), companions=("fills",), needs=("quantity_contracts",), blocking=True)
def positions_fold(frame: pd.DataFrame, context: RuleContext) -> pd.DataFrame:
    """On every session with positions, what the book holds of each contract is the sum of all fills through it."""
    fills = context.companions["fills"]
    rows: list[dict[str, object]] = []
    for session, held in frame.groupby("session"):
        rows += _differences(held, fills[fills["session"] <= session], pd.Timestamp(str(session)))
    return findings(rows)


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
