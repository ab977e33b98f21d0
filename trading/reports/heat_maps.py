"""The picture of a sweep over two axes: values in, a matplotlib Figure out.

Belongs here: heat maps of a figure over two axes. Does not belong here: running the sweep, or where the picture goes
(`pipelines/sweep_request.py`, `assets/sweeps.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trading.backtest.sweeps import Sweep, drawn_axes, means

INK = "#1b1f24"
MISSING = "#d9dce0"
WRITTEN = 144  # cells whose numbers are written into them, at most


def sweep_map(sweep: Sweep, variants: Sequence[Mapping[str, Any]], objectives: Sequence[float]) -> Any | None:
    """A matplotlib Figure of the mean objective over the first two axes of a sweep that have values; None where there
    are not two."""
    axes = drawn_axes(sweep)
    if len(axes) < 2:
        return None
    down, across = ([_shown(values) for values in axis.values] for axis in axes)
    return heat_map(means(axes, variants, objectives), down, across, (axes[0].name, axes[1].name), sweep.objective)


def _shown(values: Sequence[Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def heat_map(
    values: npt.NDArray[np.float64], down: Sequence[str], across: Sequence[str], names: tuple[str, str], what: str
) -> Any:
    """A matplotlib Figure of `values`, shape (len(down), len(across)); NaN is grey. `names` are of the two axes, `what`
    the figure shown. Colours (viridis) are told apart by colour-blind readers and in print."""
    from matplotlib.figure import Figure

    width, height = min(14.0, 2.6 + 0.55 * len(across)), min(12.0, 1.8 + 0.4 * len(down))
    figure = Figure(figsize=(max(width, 4.5), max(height, 3.2)), layout="constrained")
    axes = figure.add_subplot()
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap="viridis", edgecolors="white", linewidth=0.6)
    axes.set_facecolor(MISSING)
    axes.invert_yaxis()
    axes.set_xticks(np.arange(len(across)) + 0.5, across, rotation=90 if max(map(len, across), default=0) > 4 else 0)
    axes.set_yticks(np.arange(len(down)) + 0.5, down)
    axes.tick_params(labelsize=8, length=0, colors=INK)
    axes.set_ylabel(names[0], fontsize=8, color=INK)
    axes.set_xlabel(names[1], fontsize=8, color=INK)
    axes.set_title(what, loc="left", fontsize=10, fontweight="bold", color=INK)
    if values.size <= WRITTEN:
        _write(axes, values)
    figure.colorbar(mesh, ax=axes).ax.tick_params(labelsize=8)
    return figure


def _write(axes: Any, values: npt.NDArray[np.float64]) -> None:
    """Each number in its cell: white on dark, dark on light."""
    known = values[np.isfinite(values)]
    middle = float((known.min() + known.max()) / 2) if known.size else 0.0
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "white" if value < middle else INK
            axes.text(column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=7, color=colour)
