"""Pictures of the desk's numbers: values in, a matplotlib Figure out.

Belongs here: what is drawn and how it looks. Does not belong here: reading the numbers, or where a picture is shown
(`html.py` beside this file for reports, `assets/pictures.py` for the Dagster UI).

One palette (Okabe and Ito, safe for colour-blind readers): blue is gain, long or the series itself, vermilion is loss,
short or drawdown. Units stand on the axes. matplotlib is imported on the first drawing only, without pyplot: there is
no global figure, and drawing is safe from any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd

INK = "#1b1f24"  # text and axes; reports replace it by the reader's own text colour
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#8a9099"
SERIES = (BLUE, "#E69F00", "#009E73", "#CC79A7", "#56B4E9", VERMILION)

MINUS = "\N{MINUS SIGN}"
CENT = 0.005
Figure = Any  # matplotlib.figure.Figure, which is not imported before something is drawn


def equity_curve(frame: pd.DataFrame | pd.Series, unit: str = "base currency", title: str = "Equity curve") -> Figure:
    """One line per column of `frame` (index: sessions; NaN breaks a line), its last value at the end."""
    wide = _wide(frame)
    figure, axes = _axes(7.2, 2.9, title, unit)
    for colour, name in zip(_colours(wide.shape[1]), wide.columns, strict=True):
        line = wide[name].dropna()
        axes.plot(line.index, line.to_numpy(float), color=colour, linewidth=1.4, label=str(name))
        if len(line):
            axes.plot(line.index[-1:], line.iloc[-1:].to_numpy(float), "o", color=colour, markersize=4)
    if wide.shape[1] > 1:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    _dates(axes, wide.index)
    return figure


def drawdown(curve: pd.DataFrame | pd.Series, unit: str = "base currency") -> Figure:
    """Distance below the highest value so far of a cumulated curve: zero or negative, in the curve's own unit."""
    wide = _wide(curve)
    line = wide.iloc[:, 0].dropna() if wide.shape[1] else pd.Series(dtype=float)
    below = line - line.cummax()
    figure, axes = _axes(7.2, 2.0, "Drawdown", unit)
    axes.fill_between(below.index, below.to_numpy(float), 0.0, color=VERMILION, alpha=0.35, linewidth=0)
    axes.plot(below.index, below.to_numpy(float), color=VERMILION, linewidth=1.0)
    _dates(axes, wide.index)
    return figure


def correlation_heat_map(matrix: pd.DataFrame, title: str = "Correlation of weekly returns") -> Figure:
    """A square matrix, rows and columns by instrument; numbers are written in up to 24 rows, NaN is left grey."""
    count = len(matrix)
    side = min(8.0, 2.2 + 0.30 * count)
    figure, axes = _axes(side + 0.9, side, title, "")
    values = np.ma.masked_invalid(matrix.to_numpy(float))
    mesh = axes.pcolormesh(
        values, cmap="RdBu", vmin=-1, vmax=1, edgecolors="white", linewidth=0.6, rasterized=count > 40
    )
    axes.set_facecolor("#d9dce0")
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.grid(visible=False)
    _labelled(axes.xaxis, matrix.columns, rotation=90)
    _labelled(axes.yaxis, matrix.index)
    if count == 0:
        _nothing(axes)
    if count <= 24:
        _numbers(axes, matrix.to_numpy(float))
    bar = figure.colorbar(mesh, ax=axes, shrink=0.7, pad=0.02)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)
    return figure


def volatility_bars(frame: pd.DataFrame) -> Figure:
    """Annual volatility of each instrument (columns `instrument`, `annual_percent`), largest first."""
    last = frame.groupby("instrument")["annual_percent"].last()
    return _bars(last.dropna().sort_values(ascending=False), "Volatility", "% a year", signed=False)


def pnl_bars(frame: pd.DataFrame, by: str = "instrument", unit: str = "base currency") -> Figure:
    """Sum of `total_base` of P&L rows by a column (instrument, strategy, asset_class), best first."""
    total = frame.groupby(by)["total_base"].sum().sort_values(ascending=False)
    return _bars(total, f"P&L by {by.replace('_', ' ')}", unit)


def waterfall(amounts: pd.Series, title: str = "P&L by cause", unit: str = "base currency") -> Figure:
    """From nothing to the total, one bar for each amount (index: what it is), each beginning where the one above ends;
    amounts that round to no cent are left out."""
    shown = amounts[amounts.abs() >= CENT]
    figure, axes = _axes(6.4, 1.2 + 0.26 * max(len(shown), 2), title, "")
    if not len(shown):
        _nothing(axes)
        return figure
    steps = shown.to_numpy(float)
    ends = np.cumsum(steps)
    starts = ends - steps
    lengths, places = np.append(steps, ends[-1]), range(len(steps) + 1)
    lefts = np.append(starts, 0.0)
    colours = [BLUE if step >= 0 else VERMILION for step in steps] + [GREY]
    bars = axes.barh(places, lengths, left=lefts, color=colours, height=0.7)
    texts = [f"{length:+,.0f}".replace("-", MINUS) for length in lengths]
    axes.bar_label(bars, texts, padding=3, fontsize=7.5, color=INK)
    for place, end in enumerate(ends):
        axes.plot([end, end], [place - 0.35, place + 1.35], color=INK, linewidth=0.6)
    _named(axes, [*(str(name) for name in shown.index), "total"], unit)
    return figure


def exposure_bars(frame: pd.DataFrame, by: str = "instrument", unit: str = "base currency") -> Figure:
    """Sum of `notional_base` of position rows by a column, longest first; flat ones are left out."""
    total = frame.groupby(by)["notional_base"].sum()
    return _bars(total[total != 0].sort_values(ascending=False), f"Notional exposure by {by}", unit)


def group_bars(frame: pd.DataFrame, unit: str = "base currency") -> Figure:
    """`net_volatility_base` of exposure rows by axis and element, longest first in each axis."""
    ordered = frame.sort_values(["axis", "net_volatility_base"], ascending=[True, False], kind="stable")
    names = ordered["axis"].str.replace("_", " ") + ": " + ordered["element"]
    values = pd.Series(ordered["net_volatility_base"].to_numpy(float), index=names)
    return _bars(values, "Net exposure by group, in volatility", f"{unit} a year")


def value_at_risk(frame: pd.DataFrame, unit: str = "base currency") -> Figure:
    """Gains of sessions (columns `session`, `gain_base`, `forecast_base`, `exceeded`) against what was forecast to be
    the most they lose; where more was lost, a mark."""
    ordered = frame.sort_values("session").set_index("session")
    figure, axes = _axes(7.2, 2.9, "Value at risk and what was gained", unit)
    axes.bar(ordered.index, ordered["gain_base"].to_numpy(float), color=GREY, width=1.0, label="gain")
    axes.step(ordered.index, -ordered["forecast_base"].to_numpy(float), color=BLUE, linewidth=1.2, where="mid",
              label="value at risk")  # fmt: skip
    beyond = ordered[ordered["exceeded"].fillna(value=False).astype(bool)]
    axes.plot(beyond.index, beyond["gain_base"].to_numpy(float), "v", color=VERMILION, markersize=5, label="exceeded")
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
    _dates(axes, ordered.index)
    return figure


def stress_bars(gains: pd.Series, unit: str = "base currency") -> Figure:
    """Gain of the book in each scenario (index: its name), in the order given."""
    return _bars(gains.dropna(), "Stresses", unit)


def limit_bars(frame: pd.DataFrame) -> Figure:
    """How much of its limit each row of headroom uses, in percent, the fullest 20; what is infinite, and more than ten
    times the limit, as ten times. NaN and no limits are left out."""
    limited = frame[frame["limit"].notna() & (frame["limit"] > 0) & frame["value"].notna()]
    used = (100.0 * limited["value"].astype(float) / limited["limit"].astype(float)).clip(upper=1000.0)
    names = limited["rule"] + ": " + limited["element"]
    fullest = pd.Series(used.to_numpy(float), index=names).sort_values(ascending=False, kind="stable")
    return _bars(fullest.iloc[:20], "Limits used", "% of the limit", signed=False)


def stacked_bars(table: pd.DataFrame, colours: Mapping[str, str], title: str) -> Figure:
    """Counts as upright bars: one bar a row of `table`, stacked by its columns, each with its number."""
    figure, axes = _axes(6.4, 2.4, title, "")
    axes.grid(visible=False)
    axes.set_yticks([])
    if not table.to_numpy().any():
        _nothing(axes)
        return figure
    below = np.zeros(len(table))
    for name in [name for name in table.columns if table[name].any()]:
        counts = table[name].to_numpy(float)
        bars = axes.bar(range(len(table)), counts, bottom=below, color=colours[name], label=name)
        texts = [f"{count:.0f}" if count else "" for count in counts]
        axes.bar_label(bars, texts, label_type="center", color="white", fontsize=8)
        below = below + counts
    axes.set_xticks(range(len(table)), [str(row) for row in table.index], fontsize=8)
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def price_lines(wide: pd.DataFrame, unit: str = "points", title: str = "Adjusted prices") -> Figure:
    """One small panel per column (index: sessions; each has its own scale), at most 24 panels."""
    names = list(wide.columns)[:24]
    across = min(4, max(1, len(names)))
    down = max(1, -(-len(names) // across))
    width, height = 2.3 * across + 0.4, 1.35 * down + 0.5
    figure = _figure(width, height, layout=None)  # fitting 24 panels to their labels takes longer than drawing them
    figure.subplots_adjust(0.45 / width, 0.3 / height, 1 - 0.1 / width, 1 - 0.55 / height, wspace=0.25, hspace=0.5)
    figure.suptitle(f"{title}, {unit}", x=0.01, ha="left", fontsize=10, fontweight="bold", color=INK)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for panel in panels:
        panel.set_visible(False)
    for panel, name in zip(panels, names, strict=False):
        panel.set_visible(True)
        _panel(panel, wide[name].dropna(), str(name))
    return figure


def _panel(panel: Any, line: pd.Series, name: str) -> None:
    panel.plot(line.index, line.to_numpy(float), color=BLUE, linewidth=0.9)
    panel.set_title(name, fontsize=8, loc="left", color=INK, pad=2)
    _plain(panel)
    panel.tick_params(labelsize=6)
    _dates(panel, line.index, ticks=3)


def _bars(values: pd.Series, title: str, unit: str, *, signed: bool = True) -> Figure:
    """Horizontal bars, each with its number; at most 40, the rest is said in the title."""
    shown = values if len(values) <= 40 else pd.concat([values.iloc[:20], values.iloc[-20:]])
    note = "" if len(shown) == len(values) else f" (20 highest and 20 lowest of {len(values)})"
    figure, axes = _axes(6.4, 0.9 + 0.22 * max(len(shown), 2), title + note, "")
    if not len(shown):
        _nothing(axes)
        return figure
    numbers = shown.to_numpy(float)
    colours = [BLUE if number >= 0 else VERMILION for number in numbers]
    bars = axes.barh(range(len(shown)), numbers, color=colours, height=0.7)
    texts = [f"{number:+,.0f}".replace("-", MINUS) if signed else f"{number:,.1f}" for number in numbers]
    axes.bar_label(bars, texts, padding=3, fontsize=7.5, color=INK)
    _named(axes, [str(name) for name in shown.index], unit)
    return figure


def _named(axes: Any, names: list[str], unit: str) -> None:
    """Horizontal bars from the top down, each with its name, money along x."""
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.16)
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(unit, fontsize=8, color=INK)
    axes.xaxis.set_major_locator(_locator(5))


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure on the Agg canvas, size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Drawn

    figure = Drawn(figsize=(width, height), layout=layout, facecolor="none")
    FigureCanvasAgg(figure)
    return figure


def _axes(width: float, height: float, title: str, unit: str) -> tuple[Figure, Any]:
    figure = _figure(width, height)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
    axes.set_ylabel(unit, fontsize=8, color=INK)
    _plain(axes)
    return figure, axes


def _plain(axes: Any) -> None:
    """No box, a light grid behind the data, thousands separated."""
    axes.set_facecolor("none")
    axes.set_axisbelow(True)
    axes.grid(color=GREY, alpha=0.25, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    from matplotlib.ticker import FuncFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", MINUS)))


def _dates(axes: Any, index: pd.Index, ticks: int = 6) -> None:
    """Dates along x, as sparse as they can be read; a few are named each, since hours between them mean nothing."""
    import matplotlib.dates as drawn_dates

    if len(index) == 0:
        _nothing(axes)
        return
    if len(index) <= ticks:
        axes.set_xticks(list(index), [f"{day:%b} {day.day}" for day in index])
        return
    locator: Any = drawn_dates.AutoDateLocator(minticks=2, maxticks=ticks)  # type: ignore[no-untyped-call]
    locator.intervald[drawn_dates.MONTHLY] = [1, 2, 3, 4, 6, 12]  # without the year it warns on 13 to 23 months
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(drawn_dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.xaxis.get_offset_text().set(color=INK, size=7)


def _nothing(axes: Any) -> None:
    """Says that there is nothing to draw, instead of an axis with made-up numbers."""
    axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
    axes.text(0.5, 0.5, "nothing to show", ha="center", va="center", fontsize=9, color=GREY, transform=axes.transAxes)


def _labelled(axis: Any, names: Iterable[object], rotation: int = 0) -> None:
    texts = [str(name) for name in names]
    axis.set_ticks(np.arange(len(texts)) + 0.5, texts, fontsize=7.5, rotation=rotation)


def _numbers(axes: Any, values: np.ndarray[Any, Any]) -> None:
    """Writes each value into its cell; white on dark cells."""
    for (row, place), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if abs(value) > 0.6 else "#1b1f25"
            text = f"{value:.2f}".replace("-0.00", "0.00").replace("1.00", "1").replace("0.", ".")
            axes.text(place + 0.5, row + 0.5, text, ha="center", va="center", fontsize=6, color=colour)


def _locator(count: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count)


def _colours(count: int) -> list[str]:
    return [SERIES[place % len(SERIES)] for place in range(count)]


def _wide(values: pd.DataFrame | pd.Series) -> pd.DataFrame:
    return values.to_frame() if isinstance(values, pd.Series) else values
