"""What a backtest is: a frozen, validated value, the kinds of parts that can carry it out, and the key of its result.

Belongs here: the specification, the Protocols of its parts and the check that a part keeps them, overrides by dotted
path, and keys. Does not belong here: parts that exist (`registry.py`), computing (`engine.py`), files, or results.

Everything wrong with a specification is said when it is made, as one sentence each (WrongSpecification, exit code 2).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, field_validator, model_validator

from trading.backtest.panel import Floats, Panel
from trading.backtest.result import Result
from trading.config.refusals import did_you_mean, refusal
from trading.config.settings import Code, Name, Settings
from trading.config.strategies import StrategySettings, sees_the_future, value_at
from trading.errors import WrongSpecification

WeekendRows = Literal["session", "friday"]
FREE_KEYS = ("parameters", "multipliers", "weights")  # tables of a strategy whose keys are names, not settings
NOT_IN_KEY = ("description", "look_ahead")  # what does not change a number


# --- parts ------------------------------------------------------------------------------------------------------------
@runtime_checkable
class Strategy(Protocol):
    """Who decides positions, where it is not the rules of the strategy's own settings."""

    def positions(self, panel: Panel, strategy: StrategySettings, capital_base: float) -> Floats:
        """Contracts wanted with the close of each session, shape (n_sessions, n_instruments); NaN before there are."""
        ...


@runtime_checkable
class CostModel(Protocol):
    """What trades cost, where it is not as the strategy's own settings say."""

    def costs(self, panel: Panel, held: Floats, filled: Floats, strategy: StrategySettings) -> Floats:
        """Base currency by session and instrument, never positive. `held`: contracts held after each session;
        `filled`: contracts bought (+) or sold (-) in it. All of shape (n_sessions, n_instruments)."""
        ...


@runtime_checkable
class DataSource(Protocol):
    """Where panels come from. Raises UsageError (instrument unknown), BadInput, StoreError, VendorError."""

    def instruments(self) -> Sequence[str]:
        """Instrument codes it has, sorted."""
        ...

    def version(
        self, instruments: Sequence[str], base: str, weekend_rows: WeekendRows, through: date | None = None
    ) -> str:
        """Hash of the data a panel of these would be made of: equal data, equal version, wherever it lies."""
        ...

    def panel(
        self, instruments: Sequence[str], base: str, weekend_rows: WeekendRows, through: date | None = None
    ) -> Panel:
        """The panel through a session (None: all there is)."""
        ...


@runtime_checkable
class Engine(Protocol):
    """What turns a panel and a strategy into positions, curves and statistics."""

    def evaluate(
        self,
        panel: Panel,
        strategy: StrategySettings,
        capital_base: float,
        decided_by: Strategy | None = None,
        costs: CostModel | None = None,
        first: date | None = None,
        seed: int = 0,
    ) -> Result:
        """The history of the panel, from the session `first` on (None: all of it). `decided_by` and `costs`, None for
        the strategy's own rules and its own costs, are only given to engines with those capabilities."""
        ...


def shortcomings(part: object, kind: type) -> list[str]:
    """What `part` lacks to be a `kind`, one of the Protocols above, as phrases; empty if nothing."""
    found = [_shortcoming(part, name, declared) for name, declared in vars(kind).items() if _is_promise(name, declared)]
    return [phrase for phrase in found if phrase]


def require(part: object, kind: type, name: str) -> None:
    """Raises WrongSpecification, naming method and signature, unless `part` keeps the promises of `kind`."""
    found = shortcomings(part, kind)
    if found:
        raise WrongSpecification(
            f"{name} ({type(part).__name__}) is no {kind.__name__}: it {' and '.join(found)}. "
            f"Give it what trading.backtest.specification.{kind.__name__} asks for."
        )


def _is_promise(name: str, declared: object) -> bool:
    return inspect.isfunction(declared) and not name.startswith("_")


def _shortcoming(part: object, name: str, declared: Any) -> str | None:
    wanted = list(inspect.signature(declared).parameters.values())[1:]
    shown = f"{name}({', '.join(str(one.name) for one in wanted)})"
    method = getattr(part, name, None)
    if not callable(method) or isinstance(part, type):
        return f"has no method {shown}"
    try:
        own = inspect.signature(method)
    except (TypeError, ValueError):  # written in C: it says nothing of its parameters
        return None
    if _takes(own, wanted):
        return None
    return f"has {name}{own} where {shown} is called"


def _takes(own: inspect.Signature, wanted: Sequence[inspect.Parameter]) -> bool:
    """Whether a method can be called with the wanted parameters: in their order, and each by its name."""
    names = [parameter.name for parameter in wanted]
    try:
        placed = own.bind(*names).arguments
        own.bind(**dict.fromkeys(names))
    except TypeError:
        return False
    return all(name not in placed or placed[name] == name for name in names)


# --- the specification ------------------------------------------------------------------------------------------------
class Choice(Settings):
    """A registered part by its name, and its parameters."""

    name: Name = Field(description="as `daybook backtest --list` names it")
    parameters: dict[Name, Any] = Field(default_factory=dict, max_length=50, description="as the part says")


class Backtest(Settings):
    """One backtest, wholly: equal values, equal result on equal data and code.

    `strategy` holds overrides already applied (see `overridden`). Dates bound the curve and the statistics; all history
    before `first` warms up, and nothing after `last` is read.
    """

    strategy: StrategySettings = Field(description="the strategy, overrides applied")
    instruments: tuple[Code, ...] = Field((), max_length=2000, description="some of the strategy's; empty: all of them")
    first: date | None = Field(None, description="first session of the curve; none: the first there is")
    last: date | None = Field(None, description="last session; none: the last there is")
    capital_base: float = Field(gt=0, le=1e13, strict=True, description="capital, base currency")
    base_currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="currency of capital and curve")
    decided_by: Choice = Field(
        Choice(name="rules"), description="`rules`: the strategy's own; or a registered strategy"
    )
    costs: Choice = Field(Choice(name="settings"), description="`settings`: the strategy's own; or a registered model")
    engine: Choice = Field(Choice(name="daybook"), description="a registered engine, and its options")
    seed: int = Field(0, ge=0, strict=True, description="of whatever draws random numbers")
    look_ahead: str = Field("allowed", pattern="^(allowed|refused)$", description="options that see the future")
    description: str = Field("", max_length=500, description="for people")

    @model_validator(mode="wrap")
    @classmethod
    def _sentences(cls, given: Any, handler: ModelWrapValidatorHandler[Backtest]) -> Backtest:
        try:
            made = handler(given)
        except ValidationError as cause:
            raise WrongSpecification(refusal(cause, cls, "backtest")) from cause
        wrong = findings(made)
        if wrong:
            raise WrongSpecification(f"backtest of {made.strategy.name}: {'; '.join(wrong)}.")
        return made

    @field_validator("instruments")
    @classmethod
    def _sorted(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(given))

    def universe(self) -> tuple[str, ...]:
        """Instruments asked for, sorted; empty: all the source has."""
        return self.instruments or tuple(sorted(self.strategy.instruments))

    def resolved(self) -> StrategySettings:
        """The strategy as engines get it: with this backtest's instruments, capital and currency, names in order. Of a
        part of the strategy's instruments, only the ratios of their weights count."""
        whole = self.strategy.model_dump()
        if set(self.instruments) != set(self.strategy.instruments) and self.instruments:
            _keep_only(whole, self.instruments)
        own = {"instruments": self.universe(), "capital_base": self.capital_base, "base_currency": self.base_currency}
        return StrategySettings.model_validate(_in_order({**whole, **own}))

    def content(self) -> dict[str, Any]:
        """What the key covers, as plain values: all but NOT_IN_KEY, here and in the strategy, and the strategy's name:
        they change no number."""
        whole = self.model_dump(mode="json", exclude=set(NOT_IN_KEY))
        strategy = self.resolved().model_dump(mode="json", exclude={"name", *NOT_IN_KEY})
        return {**whole, "instruments": list(self.universe()), "strategy": strategy}

    def key(self, data_version: str, code_version: str, parts: Mapping[str, str] | None = None) -> str:
        """SHA-256 of data version, code version, versions of registered `parts`, and `content`."""
        whole = {"backtest": self.content(), "data": data_version, "code": code_version, "parts": dict(parts or {})}
        return hashlib.sha256(canonical(whole).encode()).hexdigest()


def canonical(value: Any) -> str:
    """JSON that depends on nothing but the values: keys sorted, 16 and 16.0 the same. Raises WrongSpecification on NaN
    and infinity."""
    return json.dumps(_plain(value, ""), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, f"{path}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{path}.{place}") for place, inner in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise WrongSpecification(f"{path.lstrip('.')} is {value}, which is no number. Give a finite one.")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value


def _in_order(value: Any) -> Any:
    """Tables with their keys sorted, so that sums over them are taken in one order."""
    return {key: _in_order(value[key]) for key in sorted(value)} if isinstance(value, dict) else value


def _keep_only(whole: dict[str, Any], instruments: Sequence[str]) -> None:
    """Leaves what a strategy says of other instruments out of its tables."""
    for section, table in (("portfolio", "weights"), ("forecasts", "weights"), ("forecasts", "multipliers")):
        own = whole[section][table]
        whole[section][table] = {code: own[code] for code in instruments if code in own}
    whole["portfolio"]["sum_of_weights"] = "any"


# --- what is wrong with one -------------------------------------------------------------------------------------------
def findings(backtest: Backtest) -> list[str]:
    """What is wrong with a specification whose fields are each right, as phrases."""
    return [*_of_numbers(backtest), *_of_universe(backtest), *_of_dates(backtest), *_of_look_ahead(backtest)]


def _of_numbers(backtest: Backtest) -> Iterator[str]:
    whole = backtest.model_dump()
    bad = [(path, value) for path, value in _leaves(whole) if isinstance(value, float) and not math.isfinite(value)]
    yield from (f"{path} is {value}, which is no number: give a finite one" for path, value in bad)
    if backtest.strategy.volatility_target_percent is None:
        yield "strategy.volatility_target_percent is not set: give it in the strategy, or the desk's capital"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _of_universe(backtest: Backtest) -> Iterator[str]:
    own, asked = set(backtest.strategy.instruments), backtest.instruments
    twice = sorted({code for code in asked if asked.count(code) > 1})
    if twice:
        yield f"instruments name {twice[0]} twice: name each once"
    foreign = sorted(set(asked) - own) if own else []
    if foreign:
        yield f"instrument {foreign[0]} is not one of the strategy's: choose of {_listed(own)}"


def _of_dates(backtest: Backtest) -> Iterator[str]:
    first, last = backtest.first, backtest.last
    if first is not None and last is not None and first > last:
        yield f"first ({first}) is after last ({last}): exchange them"


def _of_look_ahead(backtest: Backtest) -> Iterator[str]:
    if backtest.look_ahead == "refused":
        for path in sees_the_future(backtest.strategy):
            value = value_at(backtest.strategy.model_dump(), path)
            yield f"strategy.{path} = {value!r} sees the future: leave it out, or set look_ahead to 'allowed'"


def _listed(names: Any, most: int = 12) -> str:
    found = sorted(names)
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")


def require_instruments(backtest: Backtest, known: Sequence[str]) -> tuple[str, ...]:
    """The instruments a backtest is run on, given those its source has.

    Raises WrongSpecification on one the source does not have, and where there is none at all.
    """
    universe = backtest.universe() or tuple(sorted(known))
    missing = sorted(set(universe) - set(known))
    if missing:
        raise WrongSpecification(
            f"backtest of {backtest.strategy.name}: there is no data of {_listed(missing)}. "
            f"Load it, or leave it out with --instruments. There is data of {_listed(known) or 'nothing'}."
        )
    if not universe:
        raise WrongSpecification(
            f"backtest of {backtest.strategy.name}: the source has no instrument. Load prices, or name another source."
        )
    return universe


def require_window(backtest: Backtest, panel: Panel) -> None:
    """Raises WrongSpecification where a panel has no session in the backtest's window, or an instrument no price."""
    start = f"backtest of {backtest.strategy.name}:"
    if not len(panel.sessions):
        raise WrongSpecification(f"{start} there are no prices through {backtest.last or 'the end'}. Load them first.")
    held = (panel.sessions[0].item(), panel.sessions[-1].item())
    for name, day in (("first", backtest.first), ("last", backtest.last)):
        outside = day is not None and ((name == "first" and day > held[1]) or (name == "last" and day < held[0]))
        if outside:
            raise WrongSpecification(
                f"{start} {name} is {day}, and there is data from {held[0]} to {held[1]}. Choose a date in between."
            )
    priced = (panel.price == panel.price).any(axis=0)
    without = [code for code, has in zip(panel.instruments, priced, strict=True) if not has]
    if without:
        raise WrongSpecification(
            f"{start} {_listed(without)} has no price through {held[1]}. Load its prices, or leave it out with "
            "--instruments."
        )


# --- overrides --------------------------------------------------------------------------------------------------------
def overridden(strategy: StrategySettings, changes: Mapping[str, Any], *, rescale: bool = False) -> StrategySettings:
    """A strategy with settings changed by dotted path, as {"rules.ewmac16_64.parameters.fast": 8}.

    `rescale` divides the weights of rules, and of instruments, by their sum afterwards. Raises WrongSpecification on an
    unknown path, naming the known ones, and on a value that does not fit.
    """
    whole = strategy.model_dump()
    for path, value in changes.items():
        _set(whole, path, value)
    if rescale:
        _rescale(whole)
    try:
        return StrategySettings.model_validate(whole)
    except ValidationError as cause:
        raise WrongSpecification(refusal(cause, StrategySettings, f"strategy {strategy.name}")) from cause


def parsed_overrides(texts: Sequence[str]) -> dict[str, Any]:
    """Overrides from texts like `buffer.fraction=0.2`; values are JSON, or else text. Raises WrongSpecification."""
    found: dict[str, Any] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise WrongSpecification(f"override {text!r} is not PATH=VALUE. Write it like buffer.fraction=0.2.")
        found[path.strip()] = parsed_value(value)
    return found


def parsed_value(text: str) -> Any:
    """A value as typed: JSON, or else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def _set(whole: dict[str, Any], path: str, value: Any) -> None:
    node, free, parts = whole, False, path.split(".")
    for place, part in enumerate(parts):
        if not isinstance(node, dict) or (part not in node and not free):
            raise _unknown(parts, place, node)
        if place + 1 < len(parts):
            node, free = node.setdefault(part, {}), free or part in FREE_KEYS
    node[parts[-1]] = value


def _unknown(parts: Sequence[str], place: int, node: Any) -> WrongSpecification:
    above = ".".join(parts[:place]) or "the strategy"
    what = f"{above} is a value with nothing under it"
    if isinstance(node, dict):
        what = f"Known under {above}: {_listed(node, 40)}"
    near = did_you_mean(parts[place], node if isinstance(node, dict) else ())
    return WrongSpecification(f"override {'.'.join(parts)}: {parts[place]!r} is unknown.{near} {what}.")


def _rescale(whole: dict[str, Any]) -> None:
    rules = whole["rules"].values()
    total = sum(float(rule["weight"]) for rule in rules)
    for rule in rules if total > 0 else ():
        rule["weight"] = float(rule["weight"]) / total
    shares = whole["portfolio"]["weights"]
    total = sum(map(float, shares.values()))
    whole["portfolio"]["weights"] = {code: float(share) / total for code, share in shares.items()} if total else shares
