"""Decisions that were kept, judged again by other limits.

Belongs here: which of them turn, and by which rule. Does not belong here: reading decisions or settings
(`pipelines/risk_replay.py`), or measuring anything anew: values are those of then.

Each decision stands by itself: its values are of the book as it was, though an order that is turned would have left
another one behind. A value of the book that an order does not make larger stops it nowhere. Whether it did is known
where it was beyond a level: it was stopped there, or let through. Where it was within its levels nobody looked: it
counts as made larger, and a decision that turns by such values alone is told as one that is not certain to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import NamedTuple

import numpy as np

from trading.config.models import DeskSettings
from trading.market.instruments import Instrument
from trading.risk.decision import WORST, Judged, Outcome
from trading.risk.kept import Action, Kept
from trading.risk.limit_table import Axes, Limits, LimitTable, axes_of, limit_table, rules
from trading.risk.market import DIMENSIONS, Market, group
from trading.risk.roll_legs import into_limits, out_limits

Place = tuple[str, str, str]  # rule, axis, element
LIMITS: Mapping[Action, Limits] = {
    "check": limit_table, "reserve": limit_table, "roll_out": out_limits, "roll_in": into_limits,
}  # fmt: skip


class Level(NamedTuple):
    """What holds for one element of a rule. `judges`: for orders that only reduce a position too; `lenient`: what
    cannot be measured warns."""

    refuse: float
    warn: float
    judges: bool
    lenient: bool


class Turned(NamedTuple):
    """A decision that other limits turn: to what, and a sentence for each rule that makes it so. `certain`: it comes to
    the same if the order made no value larger of which that is not known."""

    kept: Kept
    becomes: Outcome
    because: tuple[str, ...]
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Levels:
    """Other limits of one session, by what they are of (orders, legs of rolls) and element. What reference data do not
    know any more stays as it was."""

    found: Mapping[Action, Mapping[Place, Level]]

    def judged(self, kept: Kept, larger: bool = True) -> tuple[Outcome, tuple[str, ...]]:
        """What a decision would have been by its rules alone, and why it is not what it was. `larger`: what the order
        made of values of which that is not known."""
        worst: Outcome = "pass"
        because, found = [], self.found[kept.about.action]
        for row, no_worse in zip(kept.rules, kept.no_worse or (None,) * len(kept.rules), strict=True):
            level = found.get((row.rule, row.axis, row.element))
            outcome = row.outcome if level is None else _outcome(row, level, kept.reduces, no_worse, larger)
            worst = max(worst, outcome, key=WORST.__getitem__)
            if level is not None and outcome != row.outcome:
                because.append(_said(row, level, outcome))
        return worst, tuple(because)


def levels_of(
    desk: DeskSettings, session: date, decisions: Iterable[Kept], instruments: Mapping[str, Instrument]
) -> Levels:
    """The limits of settings for everything that decisions of a session were measured by. Raises ConfigError where the
    limits mean nothing."""
    listed = list(decisions)
    market, strategies = _names(session, listed, instruments), sorted({each.asked.strategy for each in listed})
    axes = axes_of(market, strategies)
    found = {limits: _by_element(limits(desk, market, strategies, ""), axes) for limits in set(LIMITS.values())}
    return Levels({action: found[limits] for action, limits in LIMITS.items()})


def _by_element(table: LimitTable, axes: Axes) -> dict[Place, Level]:
    return {
        (slot.rule.name, slot.axis, name): _level(table, slot.first + number)
        for slot in table.slots
        for number, name in enumerate(axes.names[slot.axis])
    }


def turned(decisions: Sequence[Kept], levels: Callable[[date], Levels]) -> Iterator[Turned]:
    """Those that turn, in their order. Orders of one list go together: one that stood in the way of others, and does
    not any more, turns them too."""
    sure = {(each.kept.writer, each.kept.number): each.becomes for each in _turned(decisions, levels, larger=False)}
    for each in _turned(decisions, levels, larger=True):
        yield each._replace(certain=sure.get((each.kept.writer, each.kept.number)) == each.becomes)


def _turned(decisions: Sequence[Kept], levels: Callable[[date], Levels], larger: bool) -> Iterator[Turned]:
    judged = {
        (each.writer, each.number): levels(each.about.session).judged(each, larger) for each in decisions if each.rules
    }
    calls: dict[tuple[str, int], list[Kept]] = {}
    for each in decisions:
        calls.setdefault((each.writer, each.call), []).append(each)
    for each in decisions:
        if not each.rules:
            continue
        outcome, because = judged[each.writer, each.number]
        if any(reason.code == "list" for reason in each.reasons) and outcome != "refuse":
            beside = [other for other in calls[each.writer, each.call] if other is not each]
            held = any(judged.get((one.writer, one.number), ("refuse",))[0] == "refuse" for one in beside)
            outcome, because = ("refuse", ()) if held else (outcome, (*because, "list: nothing stands in its way now"))
        if outcome != each.outcome:
            yield Turned(each, outcome, because)


def _outcome(row: Judged, level: Level, reduces: bool, no_worse: bool | None, larger: bool) -> Outcome:
    if (reduces and not level.judges) or (math.isinf(level.refuse) and math.isinf(level.warn)):
        return "pass"
    if math.isnan(row.value):
        if math.isinf(row.limit) and math.isinf(row.warn):
            return row.outcome  # without a limit nothing was read for it: what it would have been is not known
        return "warn" if level.lenient else "refuse"
    outcome = _by_value(row.value, level.refuse, level.warn)
    known = _known(row, reduces) if no_worse is None else no_worse
    return "pass" if row.rule not in _alone() and (known or (known is None and not larger)) else outcome


def _known(row: Judged, reduces: bool) -> bool | None:
    """Whether an order made a value no larger, of a decision that does not say: it did not where it was let through
    beyond a level, and did where it was not."""
    beyond = _by_value(row.value, row.limit, row.warn) != "pass"
    let_through = row.outcome == "pass"
    return None if not beyond or (let_through and reduces) else let_through


@cache
def _alone() -> frozenset[str]:
    """Rules whose value stands for itself, whatever it was before: of orders, of what was lost, and of what an order
    adds or goes along with."""
    by_itself = ("marginal", "concentration")
    return frozenset(
        rule.name for rule in rules() if rule.form in ("ORDER", "STANDING") or rule.measure in by_itself
    )  # fmt: skip


def _by_value(value: float, refuse: float, warn: float) -> Outcome:
    return "refuse" if value > refuse else "warn" if value > warn else "pass"


def _said(row: Judged, level: Level, outcome: Outcome) -> str:
    unit = f" {row.unit}" if row.unit else ""
    value = "not measured" if math.isnan(row.value) else f"{row.value:,.6g}{unit}"
    was, now = (_levels(refuse, warn) for refuse, warn in ((row.limit, row.warn), (level.refuse, level.warn)))
    return f"{row.rule} of {row.element}: {value}, {row.outcome} under {was}, {outcome} under {now}"


def _levels(refuse: float, warn: float) -> str:
    told = [f"{word} {value:,.6g}" for word, value in (("refuse", refuse), ("warn", warn)) if math.isfinite(value)]
    return " and ".join(told) or "no limit"


def _level(table: LimitTable, place: int) -> Level:
    return Level(
        float(table.refuse[place]), float(table.warn[place]), bool(table.judges[place]), bool(table.lenient[place])
    )


def _names(session: date, decisions: Sequence[Kept], instruments: Mapping[str, Instrument]) -> Market:
    """A market of names alone: all that limits are looked up by, and no facts."""
    rows = [row for each in decisions for row in each.rules]
    contracts = sorted({(each.asked.instrument, each.asked.contract) for each in decisions
                        if each.asked.instrument in instruments})  # fmt: skip
    codes = sorted({code for code, _ in contracts})
    place = {code: number for number, code in enumerate(codes)}
    nothing, none = np.full(len(contracts), np.nan), np.full(len(codes), np.nan)
    factors, scenarios = (sorted({row.element for row in rows if row.axis == axis}) for axis in ("factor", "scenario"))
    components = max((int(row.element) for row in rows if row.axis == "component"), default=0)
    return Market(
        version="", session=session, instruments=tuple(codes), contracts=tuple(contracts),
        contract_instrument=np.array([place[code] for code, _ in contracts], dtype=np.int64), mark_points=nothing,
        mark_age_sessions=nothing, notional_base=nothing, roll_state=np.zeros(len(contracts), dtype=np.int64),
        volatility_base=none, median_volume=none, low_volume=none, spread_fraction=none, margin_base=none,
        groups={name: group([str(getattr(instruments[code], name)) for code in codes]) for name in DIMENSIONS},
        factors=tuple(factors), component_loadings=np.zeros((components, len(codes))), stress_names=tuple(scenarios),
    )  # fmt: skip
