"""A forecasting rule: one decorated function in one file of `rules/`, and what it is told.

Belongs here: the `ForecastRule` value, its decorator, what a rule sees, and finding rules. Does not belong here: any
rule (`rules/`), or scaling, capping and mixing them (`mixture.py`).

A rule is called with the `Market` and its own parameters and returns raw forecasts, shape `(n_sessions,
n_instruments)`, NaN where it has none. The row of a session may use that row and earlier ones only. A rule's file
imports kernels inside the function, so that reading a strategy file does not load the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from trading.config.settings import Settings
from trading.discovery import find
from trading.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from trading.config.strategies import StrategySettings

    Floats = npt.NDArray[np.float64]

P = TypeVar("P", bound=Settings)


@dataclass(frozen=True, slots=True)
class Market:
    """What a rule sees, all of shape `(n_sessions, n_instruments)`: daily continuous `price` in points (NaN without a
    row), `volatility` of its daily change in points as estimated (NaN before it is known), the same carried forward
    (`scale`), and `carry`, the annualised roll in points a year."""

    price: Floats
    volatility: Floats
    scale: Floats
    carry: Floats


@dataclass(frozen=True)
class ForecastRule(Generic[P]):
    """A rule by name, its parameters as a typed value, and the function. `uses_carry`: it reads `Market.carry`, whose
    sessions then count as the rule's own."""

    name: str
    parameters: type[P]
    description: str
    forecast: Callable[[Market, P], Floats] = field(repr=False)
    uses_carry: bool = False

    def read(self, given: dict[str, Any], where: str) -> P:
        """The parameters as a checked value. Raises ConfigError naming the rule, the parameter and the known ones."""
        try:
            return self.parameters.model_validate(given)
        except ValidationError as cause:
            first = cause.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "parameters"
            known = ", ".join(self.parameters.model_fields) or "none"
            raise ConfigError(
                f"{where}: rule {self.name}: parameter {place}: {first['msg'].lower()} (given {first['input']!r}). "
                f"Its parameters are: {known}."
            ) from cause


def forecast_rule(
    parameters: type[P], *, uses_carry: bool = False
) -> Callable[[Callable[[Market, P], Floats]], ForecastRule[P]]:
    """Makes a function a ForecastRule with the function's name, and its docstring as the description."""

    def decorate(function: Callable[[Market, P], Floats]) -> ForecastRule[P]:
        return ForecastRule(function.__name__, parameters, function.__doc__ or "", function, uses_carry)

    return decorate


def rules(packages: Iterable[ModuleType] = ()) -> dict[str, ForecastRule[Any]]:
    """Every rule by name: Daybook's own, and those of other packages given."""
    from trading.strategies import rules as own

    found: dict[str, ForecastRule[Any]] = {}
    for package in (own, *packages):
        found |= {rule.name: rule for rule in find(package, ForecastRule)}
    return found


def rule_named(name: str, known: dict[str, ForecastRule[Any]]) -> ForecastRule[Any]:
    """The rule of a name. Raises ConfigError naming those there are."""
    if name not in known:
        raise ConfigError(rule_sentence(name, known))
    return known[name]


def check_rules(strategy: StrategySettings, known: dict[str, ForecastRule[Any]] | None = None) -> None:
    """Raises ConfigError, naming the strategy's rule, on a rule or a parameter that does not exist or is wrong."""
    there = rules() if known is None else known
    for name, given in strategy.rules.items():
        where = f"strategy {strategy.name}, rules.{name}"
        if given.rule not in there:
            raise ConfigError(f"{where}: {rule_sentence(given.rule, there)}")
        there[given.rule].read(dict(given.parameters), where)


def rule_sentence(name: str, known: dict[str, ForecastRule[Any]]) -> str:
    """That there is no rule of a name, and which there are."""
    near = get_close_matches(name, known, 1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"there is no rule {name!r}.{meant} Rules are: {', '.join(sorted(known))}."
