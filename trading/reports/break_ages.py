"""The picture of open breaks by age: values in, a matplotlib Figure out.

Belongs here: what is drawn. Does not belong here: how old a break is (`trading/book/breaks.py`), or where the picture
is shown (`assets/pictures.py`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from trading.book.breaks import AGES, age_group, stops

INK, GREY = "#1b1f24", "#8a9099"
COLOURS = {"stops the close": "#D55E00", "warns": "#0072B2", "known to be late": "#009E73"}


def counted(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `breaks` counted: one row a group of ages (index, youngest first), one column a meaning of COLOURS."""
    groups = [name for _, name in AGES]
    if rows.empty:
        return pd.DataFrame(0, index=groups, columns=list(COLOURS))
    means = [_meaning(row) for row in rows.to_dict("records")]
    ages = [age_group(int(age)) for age in rows["age_sessions"]]
    return pd.crosstab(pd.Series(ages), pd.Series(means)).reindex(index=groups, columns=list(COLOURS), fill_value=0)


def _meaning(row: dict[Any, Any]) -> str:
    if row["timing"]:
        return "known to be late"
    tolerance = None if pd.isna(row["tolerance"]) else row["tolerance"]
    return "stops the close" if stops(row["kind"], False, tolerance) else "warns"


def breaks_by_age(rows: pd.DataFrame) -> Any:
    """A matplotlib Figure: bars of open breaks by sessions since they were opened, stacked by what they mean."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    table = counted(rows)
    figure = Figure(figsize=(6.4, 2.6), layout="constrained", facecolor="none")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    below = pd.Series(0, index=table.index)
    for name, colour in COLOURS.items():
        if table[name].any():
            bars = axes.bar(table.index, table[name], bottom=below, color=colour, width=0.7, label=name)
            axes.bar_label(bars, [str(n) if n else "" for n in table[name]], label_type="center", color="white", size=8)
            below = below + table[name]
    _dress(axes, int(below.max()))
    return figure


def _dress(axes: Any, most: int) -> None:
    axes.set_title("Open breaks by age, sessions", loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_facecolor("none")
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.set_ylim(0, max(1, most) * 1.05)
    axes.set_yticks([])
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    if most:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
    else:
        axes.text(0.5, 0.5, "nothing is open", ha="center", color=GREY, fontsize=9, transform=axes.transAxes)
