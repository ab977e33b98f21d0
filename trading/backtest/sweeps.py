"""Many variants of one backtest: what is varied, over which values, and the list of variants that follows.

Belongs here: the specification of a search and the variants of a grid or a random search. Does not belong here: running
them (`pipelines/sweeping.py`), or what is said of all of them together (`trading/analytics/overfitting.py`).

A variant is a set of overrides by dotted path, as `trading.backtest.specification.overridden` takes them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    Strict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from trading.backtest.specification import Backtest, canonical, overridden
from trading.config.refusals import refusal
from trading.config.settings import Settings
from trading.config.strategies import StrategySettings
from trading.errors import WrongSpecification

MOST_VARIANTS = 1_000_000
FIXED = ("name", "description", "instruments", "capital_base", "base_currency", "weekend_rows")  # not of a variant
_BLOCK = 1024  # random rows drawn at a time
_FUTILE = 1000  # drawn in vain for each one wanted, before a random search gives up

_TEXT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)

Overrides = dict[str, Any]


class Axis(Settings):
    """One thing that varies: one setting, or several that vary together, each by its dotted path.

    Either `values` (one value for each path), or the range `low` to `high` of one path, or `total`: random positive
    numbers with that sum, all such vectors alike (a flat Dirichlet), for weights. `*` in a path means every name there.
    """

    paths: tuple[str, ...] = Field(min_length=1, max_length=200, strict=False, description="dotted paths of settings")
    values: tuple[Annotated[tuple[Any, ...], Strict(False)], ...] = Field(
        (), max_length=MOST_VARIANTS, strict=False, description="one value for each path"
    )
    low: float | None = Field(None, allow_inf_nan=False, description="least value")
    high: float | None = Field(None, allow_inf_nan=False, description="largest value, included")
    log: bool = Field(False, description="even in the logarithm")
    whole: bool = Field(False, description="whole numbers only")
    total: float | None = Field(None, gt=0, allow_inf_nan=False, description="sum of the numbers of all paths")

    @property
    def name(self) -> str:
        """How tables name it."""
        return "+".join(self.paths)

    @property
    def width(self) -> int:
        """Random numbers that one choice takes."""
        return 1 if self.total is None else len(self.paths)

    def drawn(self, uniform: Sequence[float]) -> Overrides:
        """The choice that `width` numbers, even in [0, 1), stand for."""
        if self.total is not None:
            shares = [-math.log1p(-u) for u in uniform]
            whole = sum(shares)
            if not whole:
                shares, whole = [1.0] * len(shares), float(len(shares))
            return {path: self.total * share / whole for path, share in zip(self.paths, shares, strict=True)}
        if self.values:
            return self.chosen(int(uniform[0] * len(self.values)))
        return {self.paths[0]: self._between(uniform[0])}

    def chosen(self, place: int) -> Overrides:
        """One of the values."""
        return dict(zip(self.paths, self.values[place], strict=True))

    def _between(self, uniform: float) -> float | int:
        low, high = float(self.low or 0.0), float(self.high or 0.0)
        if self.whole:
            high += 1.0
        found = low * (high / low) ** uniform if self.log else low + (high - low) * uniform
        return min(int(found), int(high) - 1) if self.whole else found


class Sweep(Settings):
    """A search over variants of a backtest.

    `grid`: every combination of the axes' values, the last axis fastest. `random`: `trials` variants drawn with `seed`;
    the first n of more trials are those of n trials. `optuna`: `trials` variants, each batch chosen after the ones
    before (tree-structured Parzen estimator), for the highest `objective`.
    """

    backtest: Backtest = Field(description="what is varied")
    axes: tuple[Axis, ...] = Field(min_length=1, max_length=50, strict=False, description="what varies")
    search: Literal["grid", "random", "optuna"] = Field("grid", description="which variants")
    trials: int = Field(0, ge=0, le=MOST_VARIANTS, description="how many; a grid says so itself")
    seed: int = Field(0, ge=0, description="of random numbers")
    rescale_weights: bool = Field(False, description="weights of a variant are divided by their sum")
    objective: str = Field("net_percent.sharpe", description="curve and statistic that is best highest")

    @field_validator("axes")
    @classmethod
    def _spelled_out(cls, axes: tuple[Axis, ...], given: ValidationInfo) -> tuple[Axis, ...]:
        backtest = given.data.get("backtest")
        return axes if backtest is None else tuple(_named(axis, backtest.strategy) for axis in axes)

    @model_validator(mode="wrap")
    @classmethod
    def _sentences(cls, given: Any, handler: ModelWrapValidatorHandler[Sweep]) -> Sweep:
        try:
            made = handler(given)
        except ValidationError as cause:
            raise WrongSpecification(refusal(cause, cls, "sweep")) from cause
        strategy = made.backtest.strategy
        wrong = list(_findings(made))
        if wrong:
            raise WrongSpecification(f"sweep of {strategy.name}: {'; '.join(wrong)}.")
        return made

    @property
    def size(self) -> int:
        """How many variants it asks for."""
        return math.prod(len(axis.values) for axis in self.axes) if self.search == "grid" else self.trials

    def varied(self, overrides: Mapping[str, Any]) -> StrategySettings:
        """The strategy of a variant. Raises WrongSpecification where the values do not go together."""
        return overridden(self.backtest.strategy, overrides, rescale=self.rescale_weights)


# --- what is wrong with one -------------------------------------------------------------------------------------------
def _named(axis: Axis, strategy: StrategySettings) -> Axis:
    """The axis with every `*` in its paths replaced by the names there."""
    if not any("*" in path for path in axis.paths):
        return axis
    whole = strategy.model_dump()
    return axis.model_copy(update={"paths": tuple(name for path in axis.paths for name in _expanded(path, whole))})


def _expanded(path: str, whole: Mapping[str, Any]) -> list[str]:
    before, star, after = path.partition(".*")
    if not star:
        return [path]
    node: Any = whole
    for part in before.split("."):
        node = node.get(part) if isinstance(node, Mapping) else None
    names = list(node) if isinstance(node, Mapping) else []
    return [name for one in names for name in _expanded(f"{before}.{one}{after}", whole)] or [path]


def _findings(sweep: Sweep) -> Iterator[str]:
    """Phrases on what is wrong with a sweep whose fields are each right."""
    paths = [path for axis in sweep.axes for path in axis.paths]
    yield from (f"{path} is on two axes: name it once" for path in sorted({p for p in paths if paths.count(p) > 1}))
    yield from (f"{path} belongs to the data or the backtest: sweep each apart" for path in paths if path in FIXED)
    for axis in sweep.axes:
        yield from _of_axis(axis, sweep.search)
    if sweep.search != "grid" and not sweep.trials:
        yield f"a search of kind {sweep.search} needs the number of trials"
    if sweep.size > MOST_VARIANTS:
        yield f"{sweep.size:,} variants are more than {MOST_VARIANTS:,}: give fewer values, or search at random"
    if not any(path in FIXED for path in paths):
        yield from _of_values(sweep)


def _of_axis(axis: Axis, search: str) -> Iterator[str]:
    ranged = axis.low is not None or axis.high is not None
    if bool(axis.values) + ranged + (axis.total is not None) != 1:
        yield f"{axis.name}: give values, or a range (low and high), or a total; one of them"
        return
    if axis.values:
        yield from _of_choices(axis)
    elif search == "grid":
        yield f"{axis.name}: a grid needs values; ranges and totals are for random and optuna"
    elif ranged:
        yield from _of_range(axis)


def _of_choices(axis: Axis) -> Iterator[str]:
    wrong = [values for values in axis.values if len(values) != len(axis.paths)]
    if wrong:
        yield f"{axis.name}: {len(axis.paths)} paths need as many values each time, not {list(wrong[0])}"
    shown = [canonical(list(values)) for values in axis.values]
    twice = sorted({one for one in shown if shown.count(one) > 1}) if len(set(shown)) < len(shown) else []
    if twice:
        yield f"{axis.name}: {twice[0]} is there twice"


def _of_range(axis: Axis) -> Iterator[str]:
    if axis.low is None or axis.high is None or not axis.low < axis.high:
        yield f"{axis.name}: a range needs low and high, the first below the second, not {axis.low} to {axis.high}"
    elif len(axis.paths) > 1:
        yield f"{axis.name}: a range is of one path; several vary together by values or a total"
    elif axis.log and axis.low <= 0:
        yield f"{axis.name}: a range even in the logarithm starts above 0, not at {axis.low:g}"
    elif axis.whole and not (axis.low.is_integer() and axis.high.is_integer()):
        yield f"{axis.name}: a range of whole numbers ends in whole numbers, not {axis.low:g} and {axis.high:g}"


def _of_values(sweep: Sweep) -> Iterator[str]:
    """Tries the first and last choice of each axis alone, so that an unknown path or a wrong kind of value is said now
    and not by every variant."""
    for axis in sweep.axes:
        if not list(_of_axis(axis, sweep.search)):
            for overrides in (axis.drawn([0.0] * axis.width), axis.drawn([0.999999] * axis.width)):
                try:
                    sweep.varied(overrides)
                except WrongSpecification as cause:
                    yield f"{axis.name}: {str(cause).rstrip('.')}"
                    break


# --- variants ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Variants:
    """Overrides in their order, and how many combinations were left out because a fast span was not below a slow."""

    overrides: tuple[Overrides, ...]
    dropped: int


def variants(sweep: Sweep) -> Variants:
    """All variants of a grid or a random search; the same each time. Raises WrongSpecification where none is left."""
    kept, dropped, wanted = [], 0, sweep.size
    drawn = _grid(sweep.axes) if sweep.search == "grid" else islice(_random(sweep), _FUTILE * wanted)
    pairs = spans(sweep)
    for overrides in drawn:
        if crossed(pairs, overrides):
            dropped += 1
        else:
            kept.append(overrides)
            if len(kept) == wanted:
                break
    if not kept or (sweep.search == "random" and len(kept) < wanted):
        raise WrongSpecification(
            f"sweep of {sweep.backtest.strategy.name}: of {dropped + len(kept):,} combinations {len(kept)} have every "
            "fast span below its slow one. Give smaller fast or larger slow spans."
        )
    return Variants(tuple(kept), dropped)


def _grid(axes: Sequence[Axis]) -> Iterator[Overrides]:
    choices = [[axis.chosen(place) for place in range(len(axis.values))] for axis in axes]
    for combination in product(*choices):
        yield {path: value for one in combination for path, value in one.items()}


def _random(sweep: Sweep) -> Iterator[Overrides]:
    numbers = np.random.default_rng(sweep.seed)
    width = sum(axis.width for axis in sweep.axes)
    while True:
        for row in numbers.random((_BLOCK, width)).tolist():
            yield placed(sweep.axes, row)


def placed(axes: Sequence[Axis], uniform: Sequence[float]) -> Overrides:
    """The variant that a point of the unit cube stands for; an axis takes its `width` of the numbers, in order."""
    found: Overrides = {}
    start = 0
    for axis in axes:
        found |= axis.drawn(uniform[start : start + axis.width])
        start += axis.width
    return found


Spans = tuple[tuple[str, float, str, float], ...]


def spans(sweep: Sweep) -> Spans:
    """Rules with a fast and a slow span of which an axis changes one: path and value of both."""
    varied = {path for axis in sweep.axes for path in axis.paths}
    found = []
    for name, rule in sweep.backtest.strategy.rules.items():
        fast, slow = f"rules.{name}.parameters.fast", f"rules.{name}.parameters.slow"
        own = rule.parameters
        if varied & {fast, slow}:
            found.append((fast, float(own.get("fast", 0.0)), slow, float(own.get("slow", math.inf))))
    return tuple(found)


def crossed(pairs: Spans, overrides: Mapping[str, Any]) -> bool:
    """Whether a fast span of a variant is not below its slow one."""
    return any(overrides.get(fast, own) >= overrides.get(slow, other) for fast, own, slow, other in pairs)


def variant_text(overrides: Mapping[str, Any]) -> str:
    """A variant as JSON that depends on nothing but its values: its name among the results of its sweep."""
    if any(isinstance(value, list | tuple | dict) for value in overrides.values()):
        return canonical(overrides)
    plain = {path: _whole(value) for path, value in overrides.items()}
    return _TEXT.encode(plain)


def _whole(value: Any) -> Any:
    """16.0 as 16, as `canonical` has it."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


# --- what was found, by value -----------------------------------------------------------------------------------------
def drawn_axes(sweep: Sweep) -> list[Axis]:
    """The first two axes that have values, for a heat map; fewer where there are not two."""
    return [axis for axis in sweep.axes if len(axis.values) > 1][:2]


def means(
    axes: Sequence[Axis], found: Sequence[Mapping[str, Any]], objectives: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Mean objective of variants by the values of two axes, shape (n values of the first, n of the second); NaN where
    no variant has a finite one."""
    sums, counts = (np.zeros((len(axes[0].values), len(axes[1].values))) for _ in range(2))
    places = [{json.dumps(values): place for place, values in enumerate(axis.values)} for axis in axes]
    for overrides, value in zip(found, objectives, strict=True):
        if math.isfinite(value):
            cell = tuple(
                place[json.dumps([overrides[path] for path in axis.paths])]
                for place, axis in zip(places, axes, strict=True)
            )
            sums[cell] += value
            counts[cell] += 1
    with np.errstate(invalid="ignore"):
        return sums / counts
