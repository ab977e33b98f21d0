"""Which limit is in force for what: every level of every rule as arrays, out of a desk's settings, for one session.

Belongs here: what each rule is measured of (its elements), and which entry of `risk.limits` each of them gets. Does not
belong here: the entries (`trading/config/risk.py`), or comparing anything with a limit (`trading/kernels/`).

An entry that names more closely what it holds for goes before one that names less, level by level, as settings of
symbols do: nothing, then class, sector, country or currency, then exchange group, strategy, instrument. A level that
nothing sets is infinite: nothing passes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from itertools import combinations

import numpy as np
import numpy.typing as npt

import trading.risk.rules
from trading.config.documents import Path
from trading.config.models import DeskSettings
from trading.config.refusals import did_you_mean
from trading.config.risk import RiskLimit
from trading.config.symbol_fields import SymbolSettings
from trading.discovery import find
from trading.errors import ConfigError
from trading.risk.forms import GROUPS, RiskRule, Rolling
from trading.risk.market import Market

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint8]
Names = npt.NDArray[np.object_]
PlaceOf = Callable[[Path], str | None]

SCOPES = ("strategy", "instrument", *GROUPS, "factor", "component", "scenario")
_LEVELS: Mapping[str, int] = {"exchange_group": 2, "strategy": 3, "instrument": 5}  # others: 1
OF_INSTRUMENTS = ("instrument", *GROUPS)
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {  # by which an element of an axis can be named
    "portfolio": (),
    "instrument": OF_INSTRUMENTS,
    "contract": OF_INSTRUMENTS,
    "holding": ("strategy", *OF_INSTRUMENTS),
    **{axis: (axis,) for axis in ("strategy", *GROUPS, "factor", "component", "scenario")},
}
ROLLING: tuple[Rolling, ...] = ("cut", "warn", "skip", "stop")
_SET = ("refuse", "warn", "reducing", "missing", "rolling")  # what an entry can set
SYMBOL_SETTINGS: Mapping[str, Callable[[SymbolSettings], float]] = {  # those of a symbol that are levels
    "max_position_contracts": lambda symbol: symbol.max_position_contracts,
    "max_order_contracts": lambda symbol: symbol.max_order_contracts,
    "max_exposure_fraction": lambda symbol: symbol.max_exposure_fraction,
}


@cache
def rules() -> tuple[RiskRule, ...]:
    """Every risk rule there is, by name. Looked for once: the files of a process do not change."""
    return tuple(sorted(find(trading.risk.rules, RiskRule), key=lambda rule: rule.name))


@dataclass(frozen=True, slots=True)
class Slot:
    """A rule of one axis: `count` elements from `first` on in the arrays of the table."""

    rule: RiskRule
    axis: str
    first: int
    count: int

    @property
    def name(self) -> str:
        """Rule and axis, as `gross_exposure/sector`."""
        return f"{self.rule.name}/{self.axis}"


@dataclass(frozen=True, slots=True, eq=False)
class LimitTable:
    """Levels by place. `refuse` and `warn` are infinite where nothing is set; `judges`: 1 where orders that reduce are
    judged too; `lenient`: 1 where what cannot be measured warns instead of refusing; `rolling`: what it does to rolls,
    a place of `ROLLING`. `configuration` is the hash of the settings."""

    configuration: str
    session: date
    slots: tuple[Slot, ...]
    refuse: Floats
    warn: Floats
    judges: Flags
    lenient: Flags
    rolling: Flags

    def slot(self, rule: str, axis: str) -> Slot:
        """The slot of a rule's axis. Raises KeyError."""
        return next(slot for slot in self.slots if (slot.rule.name, slot.axis) == (rule, axis))

    def limited(self) -> frozenset[str]:
        """Names of rules that limit anything now: only what these are measured by has to be known."""
        set_ = np.isfinite(self.refuse) | np.isfinite(self.warn)
        return frozenset(slot.rule.name for slot in self.slots if set_[slot.first : slot.first + slot.count].any())


Limits = Callable[[DeskSettings, Market, Sequence[str], str], LimitTable]  # as `limit_table`


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """What elements there are. `names` by axis; `attributes` by axis and scope: the name of each element there."""

    names: Mapping[str, tuple[str, ...]]
    attributes: Mapping[str, Mapping[str, Names]]


def axes_of(market: Market, strategies: Sequence[str]) -> Axes:
    """The elements of every axis, in the order the engine counts them: holdings by strategy, then instrument."""
    codes = np.array(market.instruments, dtype=object)
    by_instrument = {"instrument": codes} | {
        name: np.array(held.names, dtype=object)[held.codes] for name, held in market.groups.items()
    }
    of_contract = {name: values[market.contract_instrument] for name, values in by_instrument.items()}
    of_holding = {name: np.tile(values, len(strategies)) for name, values in by_instrument.items()}
    of_holding["strategy"] = np.repeat(np.array(strategies, dtype=object), len(codes))
    components = tuple(str(number + 1) for number in range(len(market.component_loadings)))
    names = {
        "portfolio": ("book",),
        "strategy": tuple(strategies),
        "instrument": market.instruments,
        "contract": tuple(f"{code}/{contract}" for code, contract in market.contracts),
        "holding": tuple(f"{strategy}/{code}" for strategy in strategies for code in market.instruments),
        **{name: held.names for name, held in market.groups.items()},
        "factor": market.factors,
        "component": components,
        "scenario": market.stress_names,
    }
    own = {axis: {axis: np.array(names[axis], dtype=object)} for axis in names if ATTRIBUTES[axis] == (axis,)}
    return Axes(
        names, {"portfolio": {}, **own, "instrument": by_instrument, "contract": of_contract, "holding": of_holding}
    )


def limit_table(desk: DeskSettings, market: Market, strategies: Sequence[str], configuration: str = "") -> LimitTable:
    """The limits of a desk in force for the market's session. Raises ConfigError as `faults` says."""
    wrong = faults(desk)
    if wrong:
        raise ConfigError(" ".join(wrong))
    axes = axes_of(market, strategies)
    slots, first = [], 0
    for rule in rules():
        for axis in rule.axes:
            slots.append(Slot(rule, axis, first, len(axes.names[axis])))
            first += slots[-1].count
    levels = {"refuse": np.full(first, np.inf), "warn": np.full(first, np.inf)}
    flags = {name: np.zeros(first, np.uint8) for name in ("judges", "lenient", "rolling")}
    entries = in_force(desk.risk.limits, market.session)
    for slot in slots:
        place = slice(slot.first, slot.first + slot.count)
        flags["judges"][place] = slot.rule.reducing == "judge"
        flags["rolling"][place] = ROLLING.index(slot.rule.rolling)
        _default(slot, place, levels["refuse"], desk, axes, strategies)
        for _, entry, named in entries_of(slot, entries, axes):
            _enter(entry, place, levels, flags, named)
    return LimitTable(
        configuration or desk.content_hash(), market.session, tuple(slots), levels["refuse"], levels["warn"],
        flags["judges"], flags["lenient"], flags["rolling"],
    )  # fmt: skip


def _default(
    slot: Slot, place: slice, refuse: Floats, desk: DeskSettings, axes: Axes, strategies: Sequence[str]
) -> None:  # fmt: skip
    if slot.rule.limit is not None:
        refuse[place] = slot.rule.limit
    setting = slot.rule.setting
    if setting is not None and setting in SYMBOL_SETTINGS:
        codes = axes.names["instrument"]
        whose = strategies if slot.axis == "holding" else (None,)
        read = SYMBOL_SETTINGS[setting]
        refuse[place] = [read(desk.symbol(code, name)) for name in whose for code in codes]
    elif setting is not None and slot.axis == "portfolio":
        found = desk.trading.orders if setting == "max_per_session" else desk.risk
        refuse[place] = getattr(found, setting)


def _enter(
    entry: RiskLimit,
    place: slice,
    levels: Mapping[str, Floats],
    flags: Mapping[str, Flags],
    named: npt.NDArray[np.bool_],
) -> None:
    for name, value in (("refuse", entry.refuse), ("warn", entry.warn)):
        if value is not None:
            levels[name][place][named] = value
    if entry.reducing is not None:
        flags["judges"][place][named] = entry.reducing == "judge"
    if entry.missing is not None:
        flags["lenient"][place][named] = entry.missing == "warn"
    if entry.rolling is not None:
        flags["rolling"][place][named] = ROLLING.index(entry.rolling)


def _named(entry: RiskLimit, attributes: Mapping[str, Names], count: int) -> npt.NDArray[np.bool_]:
    named = np.ones(count, dtype=np.bool_)
    for scope, wanted in scopes(entry).items():
        named &= attributes[scope] == str(wanted)
    return named


def scopes(entry: RiskLimit) -> dict[str, str | int]:
    """What an entry names, by scope."""
    named: dict[str, str | int | None] = {
        "strategy": entry.strategy, "instrument": entry.instrument, "sector": entry.sector,
        "asset_class": entry.asset_class, "country": entry.country, "currency": entry.currency,
        "exchange_group": entry.exchange_group, "factor": entry.factor, "component": entry.component,
        "scenario": entry.scenario,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value is not None}


def in_force(entries: Iterable[RiskLimit], session: date) -> list[tuple[int, RiskLimit]]:
    """Entries of a session with their numbers, from 0, the least closely named first."""
    held = [
        (number, entry)
        for number, entry in enumerate(entries)
        if (entry.effective_from or date.min) <= session <= (entry.effective_until or date.max)
    ]
    return sorted(held, key=lambda pair: _closeness(pair[1]))


def entries_of(
    slot: Slot, entries: Iterable[tuple[int, RiskLimit]], axes: Axes
) -> Iterator[tuple[int, RiskLimit, npt.NDArray[np.bool_]]]:
    """Those of a slot, each with the elements it holds for, (slot.count,): what a later one sets goes before."""
    for number, entry in entries:
        if entry.rule == slot.rule.name and _axis(entry, slot.rule) == slot.axis:
            yield number, entry, _named(entry, axes.attributes[slot.axis], slot.count)


def idle(desk: DeskSettings, market: Market, strategies: Sequence[str]) -> list[str]:
    """Sentences about entries in force in the market's session that hold for nothing there is, so that they limit
    nothing: a name that settings cannot know to be wrong, or facts that were not loaded."""
    axes, known = axes_of(market, strategies), {rule.name: rule for rule in rules()}
    return [
        _said_idle(number, entry, axis, market.session)
        for number, entry in sorted(in_force(desk.risk.limits, market.session), key=lambda pair: pair[0])
        if entry.rule in known
        and (axis := _axis(entry, known[entry.rule])) in known[entry.rule].axes
        and set(scopes(entry)) <= set(ATTRIBUTES[axis])
        and not _named(entry, axes.attributes[axis], len(axes.names[axis])).any()
    ]


def _said_idle(number: int, entry: RiskLimit, axis: str, session: date) -> str:
    named = ", ".join(f"{scope.replace('_', ' ')} {name}" for scope, name in scopes(entry).items())
    what = f"{entry.rule} of {named or f'every {axis}'}"
    return (
        f"risk.limits entry {number + 1}, {what}, limits nothing: of what the desk has on {session}, nothing is called "
        "so. Correct the name, load its data, or take the entry out."
    )


def _closeness(entry: RiskLimit) -> int:
    """How closely an entry names what it holds for. A strategy's instrument is closer than either."""
    return sum(_LEVELS.get(name, 1) if name in ("strategy", "instrument") else 0 for name in scopes(entry)) + max(
        (_LEVELS.get(name, 1) for name in scopes(entry) if name not in ("strategy", "instrument")), default=0
    )


def _axis(entry: RiskLimit, rule: RiskRule) -> str:
    """What an entry is about: `by`, else the axis that its scope names, else the rule's first."""
    if entry.by is not None:
        return entry.by
    named = [axis for axis in rule.axes if ATTRIBUTES[axis] == (axis,) and axis in scopes(entry)]
    return named[0] if named and rule.axes[0] == "portfolio" else rule.axes[0]


# --- what limits need -------------------------------------------------------------------------------------------------
FACTS = frozenset({
    "volatility", "margin", "factor", "component", "stress", "marginal", "concentration", "value_at_risk",
    "expected_shortfall", "participation", "low_participation", "exit",
})  # fmt: skip


def needs_facts(desk: DeskSettings) -> bool:
    """Whether a limit of a desk is measured by more than marks: by returns or volumes."""
    measures = {rule.name: rule.measure for rule in rules()}
    return any(measures.get(entry.rule) in FACTS for entry in desk.risk.limits)


# --- what is wrong ----------------------------------------------------------------------------------------------------
def nowhere(path: Path) -> str | None:
    """The place of a setting, for who has no files."""
    return None


def faults(desk: DeskSettings, place: PlaceOf = nowhere) -> list[str]:
    """Sentences about limits that mean nothing, or two things at once; each begins with its `place`, if that has one
    (`trading.config.documents.place_of`)."""
    known = {rule.name: rule for rule in rules()}
    entries = desk.risk.limits
    found = [text for number, entry in enumerate(entries) for text in _wrong(number, entry, known, place)]
    return [*found, *_twice(entries, known, place), *_unheard(desk, known, place)]


def _at(place: PlaceOf, number: int, name: str) -> str:
    """Where an entry's setting stands, and which entry it is."""
    found = place(("risk", "limits", number, name))
    return f"{found}: risk.limits entry {number + 1}" if found else f"risk.limits entry {number + 1}"


def _wrong(number: int, entry: RiskLimit, known: Mapping[str, RiskRule], place: PlaceOf) -> Iterator[str]:
    where = partial(_at, place, number)
    rule = known.get(entry.rule)
    if rule is None:
        meant = did_you_mean(entry.rule, known)
        yield f"{where('rule')}: there is no rule {entry.rule}.{meant} docs/reference/risk-engine.md lists them."
        return
    axis = _axis(entry, rule)
    if axis not in rule.axes:
        by = where("by" if entry.by else "rule")
        yield f"{by}: {rule.name} is not measured by {axis}, but by {', '.join(rule.axes)}. Set by to one of these."
        return
    for name in scopes(entry):
        if name not in ATTRIBUTES[axis]:
            allowed = ", ".join(ATTRIBUTES[axis]) or "nothing"
            yield f"{where(name)}: {rule.name} by {axis} can be named by {allowed}, not by {name}. Take {name} out."
    if rule.limit is not None:
        yield (
            f"{where('rule')}: {rule.name} is always in force, for every order, so it takes no refuse, warn, reducing, "
            "missing or rolling. Take the entry out."
        )
    if entry.rolling is not None and rule.limit is None and rule.rolling in ("skip", "stop"):
        yield f"{where('rolling')}: {rule.name} is not asked how far a roll may go. Leave rolling out."
    if entry.refuse is not None and rule.setting and (rule.setting in SYMBOL_SETTINGS or axis == "portfolio"):
        at = where("refuse")
        yield f"{at}: what {rule.name} refuses at is the setting {rule.setting}. Set that, and leave refuse out."


def _twice(entries: Sequence[RiskLimit], known: Mapping[str, RiskRule], place: PlaceOf) -> Iterator[str]:
    """Two entries about the same of which both would hold."""
    alike: dict[object, list[tuple[int, RiskLimit]]] = {}
    for number, entry in enumerate(entries):
        if entry.rule in known:
            key = (entry.rule, _axis(entry, known[entry.rule]), *sorted(scopes(entry).items(), key=str))
            alike.setdefault(key, []).append((number, entry))
    for held in alike.values():
        for (one, first), (other, second) in combinations(held, 2):
            both = [name for name in _SET if _both(name, first, second)]
            if both and _overlap(first, second):
                yield (
                    f"{_at(place, other, both[0])}: entry {one + 1} sets {both[0]} of {first.rule} for the same. Take "
                    "one out, or give them dates that do not overlap."
                )


def _both(name: str, first: RiskLimit, second: RiskLimit) -> bool:
    return getattr(first, name) is not None and getattr(second, name) is not None


def _overlap(first: RiskLimit, second: RiskLimit) -> bool:
    begin = max(first.effective_from or date.min, second.effective_from or date.min)
    return begin <= min(first.effective_until or date.max, second.effective_until or date.max)


# --- warnings that nobody would hear ----------------------------------------------------------------------------------
Entries = list[tuple[int, RiskLimit, dict[str, str | int]]]


def _unheard(desk: DeskSettings, known: Mapping[str, RiskRule], place: PlaceOf) -> Iterator[str]:
    """Entries that warn above what is refused of all that they name, for as long as they hold."""
    alike: dict[tuple[str, str], Entries] = {}
    for number, entry in enumerate(desk.risk.limits):
        if entry.rule in known:
            held = alike.setdefault((entry.rule, _axis(entry, known[entry.rule])), [])
            held.append((number, entry, scopes(entry)))
    for (name, axis), held in alike.items():
        held.sort(key=lambda each: _closeness(each[1]))
        for number, entry, named in held:
            if entry.warn is None or entry.refuse is not None:
                continue
            level, whence = _refused_at(desk, known[name], axis, entry, named, held)
            if entry.warn > level:
                yield (
                    f"{_at(place, number, 'warn')}: {name} is refused above {level:g} ({whence}), so nobody would be "
                    f"warned at {entry.warn:g}. Set warn lower."
                )


def _refused_at(
    desk: DeskSettings, rule: RiskRule, axis: str, entry: RiskLimit, named: Mapping[str, str | int], held: Entries
) -> tuple[float, str]:
    """The highest level at which anything that an entry names is refused while it holds, and where that is set. `held`
    are the entries of its rule and axis, the least closely named first: an entry that holds for all that this one names
    and as long hides those before it."""
    highest, whence = -math.inf, ""
    for number, other, own in reversed(held):
        apart = any(own[name] != named[name] for name in own.keys() & named.keys())
        if other.refuse is None or apart or not _overlap(entry, other):
            continue
        if other.refuse > highest:
            highest, whence = other.refuse, f"entry {number + 1}"
        if own.items() <= named.items() and _covers(other, entry):
            return highest, whence
    inherited = _setting(desk, rule, axis, entry)
    return (highest, whence) if highest > inherited else (inherited, f"the setting {rule.setting}")


def _covers(first: RiskLimit, second: RiskLimit) -> bool:
    """Whether one holds on every session that the other does."""
    return (first.effective_from or date.min) <= (second.effective_from or date.min) and (
        second.effective_until or date.max
    ) <= (first.effective_until or date.max)


def _setting(desk: DeskSettings, rule: RiskRule, axis: str, entry: RiskLimit) -> float:
    """The highest level that a setting gives what an entry names; infinite where none does, or a table might."""
    name = rule.setting
    if name is not None and name in SYMBOL_SETTINGS:
        return _of_symbols(desk, name, entry.instrument)
    if name is None or axis != "portfolio":
        return math.inf
    return float(getattr(desk.trading.orders if name == "max_per_session" else desk.risk, name))


def _of_symbols(desk: DeskSettings, name: str, instrument: str | None) -> float:
    given = desk.symbols
    if instrument in given.symbols and (own := getattr(given.symbols[instrument], name)) is not None:
        return float(own)
    if given.table is not None:
        return math.inf
    parts = (given.asset_classes, given.exchange_groups, given.strategies, {} if instrument else given.symbols)
    levels = [getattr(each, name) for part in parts for each in part.values()]
    return float(max([getattr(given.defaults, name), *(level for level in levels if level is not None)]))
