"""`daybook sweep`: from what was typed to a sweep, and from what it found to an answer, a table and a picture.

Belongs here: reading axes and space files, choosing the cluster, and writing tables and heat maps. Does not belong
here: running (`sweeping.py`), or printing (`commands/`).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import sweeping
from pipelines.backtest_request import Words, asked, write_table
from pipelines.settings import Place, read_section
from pipelines.sweeping import Found
from trading.backtest.sweeps import Sweep, drawn_axes
from trading.config.data import DataSettings
from trading.errors import UsageError
from trading.ports import Limits

RANGE = re.compile(r"(log:)?(-?[\d.eE+-]+?)\.\.(-?[\d.eE+-]+)")
TABLES = (".parquet", ".csv")
PICTURES = (".png", ".svg", ".pdf")
NO_MAP = "a heat map needs two axes with values. Give both as --axis PATH=v1,v2."


@dataclass(frozen=True, slots=True)
class SweepWords:
    """What was typed after `daybook sweep`, beside the words of a backtest."""

    axes: tuple[str, ...] = ()
    space: Path | None = None
    random: int | None = None
    optuna: int | None = None
    seed: int = 0
    rescale_weights: bool = False
    objective: str = "net_percent.sharpe"
    workers: int | None = None
    dask: str | None = None
    deadline_s: float | None = None
    memory_mb: float | None = None
    out: Path | None = None
    heat_map: Path | None = None


def run(where: Place, backtest: Words, words: SweepWords, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs what was typed and returns the answer, with `exit_code` 1 where some variants are left; writes the table
    and the heat map where files are named."""
    _refuse_format(words.out, TABLES)
    _refuse_format(words.heat_map, PICTURES)
    request = asked(where, backtest)
    sweep = made(request.backtest, words)
    _refuse_unwritable(words.out, words.heat_map)
    if words.heat_map is not None and len(drawn_axes(sweep)) < 2:
        raise UsageError(NO_MAP)
    at_once = read_section(where, DataSettings).parallelism
    limits = Limits(words.deadline_s, words.memory_mb or at_once.job_memory_mb)
    workers = words.workers if words.workers or words.dask else at_once.jobs or None
    cluster = sweeping.chosen_cluster(workers, words.dask)
    found = sweeping.run(where, sweep, request.source, cluster, limits, sweeping.told(say), request.plugins)
    if words.out is not None:
        write_table(words.out, table(found))
    if words.heat_map is not None:
        draw(words.heat_map, found)
    return answer(found, {"out": words.out, "heat_map": words.heat_map})


def made(backtest: Any, words: SweepWords) -> Sweep:
    """The sweep that was typed. Raises UsageError, WrongSpecification."""
    if words.random is not None and words.optuna is not None:
        raise UsageError("--random and --optuna are two ways to search. Choose one.")
    search = "random" if words.random is not None else "optuna" if words.optuna is not None else "grid"
    axes = [parsed_axis(text) for text in words.axes] + _space(words.space)
    if not axes:
        raise UsageError("nothing varies. Give --axis PATH=VALUES, or a file with --space.")
    return Sweep(
        backtest=backtest,
        axes=axes,
        search=search,
        trials=words.random or words.optuna or 0,
        seed=words.seed,
        rescale_weights=words.rescale_weights,
        objective=words.objective,
    )


def parsed_axis(text: str) -> dict[str, Any]:
    """An axis from `PATH=1,2,3`, `PATH=1..9`, `PATH=log:0.01..1`, `PATH+PATH=1:2,3:4` or `PATH+PATH=total:1`.

    A range from whole to whole number is of whole numbers. Raises UsageError.
    """
    path, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not path or not value:
        raise UsageError(f"axis {text!r} is not PATH=VALUES. Write it like buffer.fraction=0.05,0.1 or 0.05..0.2.")
    paths = [one.strip() for one in path.split("+")]
    ranged = RANGE.fullmatch(value)
    try:
        if ranged:
            low, high = ranged[2], ranged[3]
            whole = low.lstrip("-").isdigit() and high.lstrip("-").isdigit()
            return {"paths": paths, "low": float(low), "high": float(high), "log": bool(ranged[1]), "whole": whole}
        if value.startswith("total:"):
            return {"paths": paths, "total": float(value.removeprefix("total:"))}
    except ValueError as cause:
        raise UsageError(f"axis {text!r}: {cause}. Write a range like 0.05..0.2 and a total like total:1.") from cause
    return {"paths": paths, "values": [[_value(one) for one in group.split(":")] for group in value.split(",")]}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _space(file: Path | None) -> list[dict[str, Any]]:
    """Axes of a TOML file: `[[axes]]` with `paths`, and `values`, or `low` and `high` (`log`, `whole`), or `total`."""
    if file is None:
        return []
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise UsageError(f"--space {file} cannot be read: {cause}. Name a TOML file with [[axes]].") from cause
    axes = document.get("axes")
    if set(document) != {"axes"} or not isinstance(axes, list):
        raise UsageError(f"--space {file} holds {', '.join(document) or 'nothing'}: write [[axes]] and nothing else.")
    return [_spelled(axis) for axis in axes]


def _spelled(axis: Any) -> Any:
    """An axis of a file as the model wants it: `path` for one path, and its values without a list around each."""
    if not isinstance(axis, Mapping) or "path" not in axis:
        return axis
    values = {"values": [[value] for value in axis["values"]]} if isinstance(axis.get("values"), list) else {}
    rest = {key: value for key, value in axis.items() if key not in ("path", "values")}
    return {**rest, "paths": [axis["path"]], **values}


# --- what was found ---------------------------------------------------------------------------------------------------
def answer(found: Found, files: Mapping[str, Path | None]) -> dict[str, Any]:
    """What `--json` prints; `exit_code` is 1 where it ended early, and `partial` says so."""
    best, statistics = found.best(), found.best_statistics()
    errors = [row[0] for row in found.rows if row is not None and row[0] is not None]
    return {
        "strategy": found.sweep.backtest.strategy.name,
        "key": found.key,
        "search": found.sweep.search,
        "variants": len(found.variants),
        "computed": found.computed,
        "known": found.known,
        "left": found.left,
        "dropped": found.dropped,
        "failed": len(errors),
        "partial": found.stopped is not None,
        "seconds": round(found.seconds, 3),
        **({"message": str(found.stopped)} if found.stopped else {}),
        **({"first_failure": errors[0]} if errors else {}),
        "objective": found.sweep.objective,
        "best": None if best is None else {"overrides": found.variants[best], "statistics": statistics},
        **found.odds,
        **{name: str(file) for name, file in files.items() if file is not None},
        "exit_code": int(found.stopped is not None),
    }


def table(found: Found) -> dict[str, Any]:
    """Columns: the number of the variant, what it changes, its statistics, and why it could not be computed. A row for
    each variant that was computed, in the order of the variants."""
    there = [number for number, row in enumerate(found.rows) if row is not None]
    paths = list(dict.fromkeys(path for overrides in found.variants for path in overrides))
    columns: dict[str, Any] = {"variant": there}
    columns |= {path: _column([found.variants[number].get(path) for number in there]) for path in paths}
    columns |= {name: _column(values) for name, values in _statistics(found).items()}
    return {**columns, "error": np.array([row[0] or "" for row in found.rows if row is not None], dtype=str)}


def _statistics(found: Found) -> dict[str, list[Any]]:
    """Values by name, None where a variant has none, of the variants that were computed."""
    columns: dict[str, list[Any]] = {}
    rows = 0
    for row, own in zip(found.rows, found.told(), strict=True):
        if row is not None:
            for name in [name for name in own if name not in columns]:
                columns[name] = [None] * rows
            for name, values in columns.items():
                values.append(own.get(name))
            rows += 1
    return columns


def _column(values: Sequence[Any]) -> Any:
    """Numbers as float64 with NaN for missing; anything else as text."""
    if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return np.array([value if isinstance(value, str) else json.dumps(value) for value in values], dtype=str)


def draw(file: Path, found: Found) -> None:
    """The heat map of the first two axes that have few values: the mean objective over all others."""
    from trading.reports.heat_maps import sweep_map

    figure = sweep_map(found.sweep, found.variants, found.objectives())
    if figure is None:
        raise UsageError(NO_MAP)
    draft = file.with_name(f".{file.name}.new")
    try:
        figure.savefig(draft, format=file.suffix[1:], dpi=150, facecolor="white")
        draft.replace(file)
    except OSError as cause:
        draft.unlink(missing_ok=True)
        raise UsageError(f"{file} cannot be written: {cause.strerror or cause}. Name another file.") from cause


def _refuse_unwritable(*files: Path | None) -> None:
    """Raises UsageError, before anything is computed, where a file's folder is not there."""
    for file in files:
        if file is not None and not file.parent.is_dir():
            raise UsageError(f"{file} cannot be written: there is no folder {file.parent}. Make it, or name another.")


def _refuse_format(file: Path | None, known: Sequence[str]) -> None:
    if file is not None and file.suffix not in known:
        raise UsageError(f"{file}: unknown format {file.suffix!r}. Name a file that ends in {' or '.join(known)}.")
