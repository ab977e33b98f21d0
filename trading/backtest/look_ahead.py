"""Whether a strategy's past depends on its future: the future is cut off, and every earlier number must stay.

Belongs here: cutting, comparing, and which option is to blame. Does not belong here: the engine, or where panels come
from: they are asked for through a session and must be made of that session's rows and earlier ones only, so that a cut
after a Friday has no row of Sunday.

What is compared: risk of a contract, forecasts, decided positions and each instrument's earnings bit for bit; optimal
positions to 1e-12 of themselves and the portfolio's P&L to 1e-12 of capital, since sums may be taken in another order.
What is looked at is the backtest itself. Of a cut history an instrument's rows go on to the cut, as the close has them,
unless it had its last row before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np

from trading.backtest.engine import bench_of, evaluate, portfolio_curves, sizing_of
from trading.backtest.panel import Days, Floats, Panel
from trading.backtest.parts.engines import Priced
from trading.backtest.specification import (
    Backtest,
    CostModel,
    DataSource,
    Strategy,
    WeekendRows,
    overridden,
    require_instruments,
)
from trading.config.strategies import SEES_THE_FUTURE, StrategySettings, is_set, sees_the_future
from trading.errors import CalculationError, WrongSpecification
from trading.strategies.closing import COMBINED, bench_through
from trading.strategies.optimal import Sizing
from trading.strategies.rule import ForecastRule
from trading.strategies.workbench import Workbench

PanelThrough = Callable[[WeekendRows, date | None], Panel]
PORTFOLIO = ""  # in place of an instrument
CLOSE = 1e-12
FRIDAY = 4
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Finding:
    """A number that changes when the future is cut off: its stage and instrument (empty: the portfolio), the first
    session of which it changes, the cut that shows it, and the options that alone make it so (none: a rule, or a
    strategy of its own, is to blame)."""

    stage: str
    instrument: str
    session: date
    cut: date
    options: tuple[str, ...]

    def sentence(self) -> str:
        """The finding and its cure."""
        cause = (
            f"Leave {' and '.join(self.options)} at the default."
            if self.options
            else "No option is to blame: a rule of the strategy uses later rows."
        )
        where = self.instrument or "the portfolio"
        return f"{self.stage} of {where} on {self.session} changes with what comes after {self.cut}. {cause}"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined. `known` are the rules there are (None: Daybook's own), `decided_by` decides positions in place
    of the strategy's rules, `model` replaces its costs."""

    strategy: StrategySettings
    sizing: Sizing
    known: Mapping[str, ForecastRule[Any]] | None = None
    decided_by: Strategy | None = None
    model: CostModel | None = None


def panels_of(source: DataSource, instruments: Sequence[str], base: str) -> PanelThrough:
    """Panels of some instruments of a source."""
    return lambda weekend_rows, through: source.panel(instruments, base, weekend_rows, through)


def of_backtest(
    source: DataSource,
    backtest: Backtest,
    count: int = 50,
    seed: int = 0,
    decided_by: Strategy | None = None,
    model: CostModel | None = None,
    known: Mapping[str, ForecastRule[Any]] | None = None,
) -> list[Finding]:
    """Findings on a backtest, its history cut after `count` sessions by chance.

    `decided_by` and `model` are the registered strategy and cost model that the backtest names, made, and `known` the
    rules there are (None: Daybook's own). Raises WrongSpecification where a part is not given, and on another engine
    than Daybook's.
    """
    _refuse_others(backtest, decided_by, model)
    codes = require_instruments(backtest, source.instruments())
    strategy, whole = backtest.resolved(), panels_of(source, codes, backtest.base_currency)

    def through(weekend_rows: WeekendRows, last: date | None) -> Panel:
        return whole(weekend_rows, last or backtest.last)

    subject = Subject(strategy, sizing_of(strategy, backtest.capital_base), known, decided_by, model)
    return look_ahead(through, subject, cuts(used_sessions(through, strategy), count, seed))


def _refuse_others(backtest: Backtest, decided_by: Strategy | None, model: CostModel | None) -> None:
    start = f"backtest of {backtest.strategy.name}: whether it sees the future"
    if backtest.engine.name != "daybook":
        raise WrongSpecification(
            f"{start} can only be told of the engine daybook, and {backtest.engine.name} is asked. Leave it out."
        )
    named = (("decided_by", backtest.decided_by, "rules", decided_by), ("costs", backtest.costs, "settings", model))
    for what, choice, own, given in named:
        if choice.name != own and given is None:
            raise WrongSpecification(
                f"{start} cannot be told without its {what}, {choice.name}: it was not given. Give the part, made."
            )


def used_sessions(through: PanelThrough, strategy: StrategySettings) -> Days:
    """The sessions a strategy uses prices of."""
    panel = through(strategy.weekend_rows, None)
    since = strategy.prices_since
    return panel.sessions if since is None else panel.sessions[panel.row(since) :]


def cuts(sessions: Days, count: int, seed: int = 0) -> tuple[date, ...]:
    """Sessions to cut after: `count` different ones by chance, of the last three quarters but the last session, at
    least a fifth of them Fridays where there are so many. Raises CalculationError where there are too few sessions."""
    places = np.arange(len(sessions) // 4, len(sessions) - 1)
    if len(places) < count:
        raise CalculationError(f"{len(sessions)} sessions are too few for {count} cuts. Load more, or cut less often.")
    chance = np.random.default_rng(seed)
    fridays = places[(sessions[places].astype(np.int64) + 3) % 7 == FRIDAY]
    some = chance.choice(fridays, min(len(fridays), -(-count // 5)), replace=False)
    rest = chance.choice(np.setdiff1d(places, some), count - len(some), replace=False)
    return tuple(day.item() for day in sessions[np.sort(np.concatenate([some, rest]))])


def look_ahead(panel_through: PanelThrough, subject: Subject, sessions: Sequence[date]) -> list[Finding]:
    """What of a strategy's past changes when the future after each of `sessions` is cut off; empty if nothing.

    Each option that is set to see the future is blamed for what changes with it alone, the others at their defaults.
    """
    changed = _changed(panel_through, subject, sessions)
    options = sees_the_future(subject.strategy) if changed else ()
    blame = {path: _changed(panel_through, _only(subject, path), sessions) for path in options}
    return [
        Finding(*key, *when, tuple(path for path, found in blame.items() if key in found))
        for key, when in changed.items()
    ]


def _only(subject: Subject, path: str) -> Subject:
    """The same with every option that may see the future, but one, at its sound default."""
    strategy = subject.strategy
    values = strategy.model_dump()
    sound = {other: _default(other) for other in SEES_THE_FUTURE if other != path and is_set(values, other)}
    return replace(subject, strategy=overridden(strategy, sound))


def _default(path: str) -> Any:
    model: Any = StrategySettings
    *above, leaf = path.split(".")
    for part in above:
        model = model.model_fields[part].annotation
    return model.model_fields[leaf].get_default(call_default_factory=True)


# --- comparing --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Stage:
    """Numbers by session and column, and how far apart equal ones may be: a share of themselves, and absolutely."""

    values: Floats
    relative: float = 0.0
    absolute: float = 0.0


@dataclass(frozen=True, slots=True)
class _Seen:
    panel: Panel
    stages: Mapping[str, _Stage]


def _changed(panel_through: PanelThrough, subject: Subject, sessions: Sequence[date]) -> dict[_Key, tuple[date, date]]:
    """First session that changed and the cut that showed it, by stage and instrument, in the order of the stages."""
    rows = subject.strategy.weekend_rows
    whole = _seen(bench_of(panel_through(rows, None), subject.strategy), subject)
    found: dict[_Key, tuple[date, date]] = {}
    for cut in sorted(sessions):
        early = _early(panel_through(rows, cut), whole.panel, subject.strategy)
        for key, session in _differences(whole, _seen(early, subject)).items():
            if key not in found or session < found[key][0]:
                found[key] = session, cut
    order = list(whole.stages)
    return dict(sorted(found.items(), key=lambda item: (order.index(item[0][0]), item[0][1])))


def _early(panel: Panel, whole: Panel, strategy: StrategySettings) -> Workbench:
    """What a backtest through a cut has. An instrument without a row there goes on, unless it had its last one of the
    whole history before. Raises CalculationError where the strategy has no prices yet."""
    bench = bench_through(panel, strategy)
    if bench is None:
        raise CalculationError(f"strategy {strategy.name} has no prices through a cut. Cut later.")
    cut, offset = bench.panel, _offset(whole, bench.panel)
    places = [whole.instruments.index(code) for code in cut.instruments]
    last, held_last = (
        np.minimum(getattr(cut, name), getattr(whole, name)[places] - offset) for name in ("last", "held_last")
    )
    return Workbench(replace(cut, last=last, held_last=held_last))


def _offset(whole: Panel, early: Panel) -> int:
    return whole.row(early.sessions[0].item())


def _differences(whole: _Seen, early: _Seen) -> dict[_Key, date]:
    """First session by stage and instrument in which a cut panel's number is another."""
    start = _offset(whole.panel, early.panel)
    rows = slice(start, start + len(early.panel.sessions))
    places = [whole.panel.instruments.index(code) for code in early.panel.instruments]
    found: dict[_Key, date] = {}
    for name, stage in early.stages.items():
        alone = stage.values.shape[1] == 1 and name in _OF_PORTFOLIO
        later = whole.stages[name].values[rows]
        apart = ~_alike(later if alone else later[:, places], stage)
        for column in np.flatnonzero(apart.any(axis=0)):
            code = PORTFOLIO if alone else early.panel.instruments[column]
            found[name, code] = early.panel.sessions[int(apart[:, column].argmax())].item()
    return found


def _alike(later: Floats, stage: _Stage) -> Any:
    with np.errstate(invalid="ignore"):
        near = np.abs(later - stage.values) <= stage.absolute + stage.relative * np.abs(later)
    return near | (later == stage.values) | (np.isnan(later) & np.isnan(stage.values))


# --- what is looked at ------------------------------------------------------------------------------------------------
_OF_PORTFOLIO = ("gross P&L", "costs", "net P&L")


def _seen(bench: Workbench, subject: Subject) -> _Seen:
    """Every stage of a backtest."""
    if subject.known is not None:
        known = dict(subject.known)
        bench.once("rules", lambda: known)
    return _Seen(bench.panel, _stages(bench, subject))


def _stages(bench: Workbench, subject: Subject) -> dict[str, _Stage]:
    own, sizing = subject.decided_by, subject.sizing
    positions = None if own is None else own.positions(bench.panel, subject.strategy, sizing.capital_base)
    model = None if subject.model is None else Priced(subject.model)
    made = evaluate(bench, subject.strategy, sizing, model, positions)
    optimal, money = made.decisions.optimal, portfolio_curves(made.account)
    forecasts = {**optimal.forecasts.capped, COMBINED: optimal.forecasts.combined}
    return {
        "risk of a contract": _Stage(optimal.value_volatility),
        **{f"forecast {name}": _Stage(values) for name, values in forecasts.items()},
        "optimal position": _Stage(optimal.notional, CLOSE),
        "position": _Stage(made.decisions.positions),
        "earnings": _Stage(made.account.earned),
        **{
            name: _Stage(money[curve][:, None], absolute=CLOSE * sizing.capital_base)
            for name, curve in zip(_OF_PORTFOLIO, ("gross_base", "costs_base", "net_base"), strict=True)
        },
    }
