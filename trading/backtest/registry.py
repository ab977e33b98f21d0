"""Parts a backtest can be made of: engines, cost models, data sources and strategies, each one decorated function.

Belongs here: what a part declares, the decorators, and finding parts in modules. Does not belong here: any part
(`parts/`, `pipelines/panel_sources.py`, or a user's own module), or remembering them: nothing registers on import.

    @engine(version="1", capabilities=("cost_model",), parameters=MyOptions)
    def mine(options: MyOptions) -> Engine:
        '''What it does, in one sentence.'''
        return MyEngine(options)

`version` goes into the key of every result, and so does the hash of the package that a part of a user's own is in:
changing either makes old results be computed anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal, cast

from pydantic import ValidationError

from trading import discovery
from trading.backtest.specification import Choice, CostModel, DataSource, Engine, Strategy, require
from trading.config.refusals import did_you_mean, refusal
from trading.config.settings import Settings
from trading.errors import WrongSpecification

Kind = Literal["engine", "cost_model", "data_source", "strategy"]
PROTOCOLS: Mapping[Kind, type] = {
    "engine": Engine,
    "cost_model": CostModel,
    "data_source": DataSource,
    "strategy": Strategy,
}
Make = Callable[[Any], object]
Declare = Callable[[Make], "Part"]


class Nothing(Settings):
    """A part without parameters."""


@dataclass(frozen=True, slots=True)
class Part:
    """One registered part. `make` turns its checked parameters into an object that keeps the Protocol of its kind."""

    kind: Kind
    name: str
    version: str
    description: str
    capabilities: tuple[str, ...]
    parameters: type[Settings]
    make: Make = field(repr=False)
    module: str

    def made(self, given: Mapping[str, Any]) -> object:
        """The part itself. Raises WrongSpecification where a parameter is wrong, or where what its function returns
        does not keep the promises of its kind."""
        try:
            checked = self.parameters.model_validate(dict(given))
        except ValidationError as cause:
            raise WrongSpecification(refusal(cause, self.parameters, f"{self.kind} {self.name}")) from cause
        found = self.make(checked)
        require(found, PROTOCOLS[self.kind], f"{self.kind} {self.name}")
        return found

    def listing(self) -> dict[str, Any]:
        """What it is and takes, as plain values; `parameters` is JSON schema."""
        return {
            "kind": self.kind,
            "name": self.name,
            "version": self.version,
            "description": self.description,
            "capabilities": list(self.capabilities),
            "parameters": self.parameters.model_json_schema(),
            "module": self.module,
        }


def part(
    kind: Kind, *, version: str, parameters: type[Settings] = Nothing, capabilities: Iterable[str] = ()
) -> Callable[[Make], Part]:
    """Makes a function a Part with the function's name, and its docstring as the description."""
    if not version.strip():
        raise WrongSpecification(f"a {kind} needs a version, which goes into the keys of results. Give it one, as '1'.")

    def decorate(make: Make) -> Part:
        words = " ".join((make.__doc__ or "").split())
        name = make.__name__
        return Part(kind, name, version, words, tuple(sorted(capabilities)), parameters, make, make.__module__)

    return decorate


def engine(*, version: str, parameters: type[Settings] = Nothing, capabilities: Iterable[str] = ()) -> Declare:
    """Makes a function an engine: it returns an `Engine`. Capabilities: `strategy` (takes `decided_by`), `cost_model`
    (takes `costs`), `rules` (takes `rules`, forecasting rules by name, those of plugins among them)."""
    return part("engine", version=version, parameters=parameters, capabilities=capabilities)


def cost_model(*, version: str, parameters: type[Settings] = Nothing) -> Declare:
    """Makes a function a cost model: it returns a `CostModel`."""
    return part("cost_model", version=version, parameters=parameters)


def data_source(*, version: str, parameters: type[Settings] = Nothing) -> Declare:
    """Makes a function a data source: it returns a `DataSource`."""
    return part("data_source", version=version, parameters=parameters)


def strategy(*, version: str, parameters: type[Settings] = Nothing) -> Declare:
    """Makes a function a strategy: it returns a `Strategy`."""
    return part("strategy", version=version, parameters=parameters)


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts by kind and name."""

    held: Mapping[tuple[Kind, str], Part]

    def named(self, kind: Kind, name: str) -> Part:
        """Raises WrongSpecification naming the known ones."""
        found = self.held.get((kind, name))
        if found is None:
            known = sorted(other for of, other in self.held if of == kind)
            raise WrongSpecification(
                f"{kind} {name} is unknown.{did_you_mean(name, known)} Known: {', '.join(known) or 'none'}. "
                "Name the module that has it with --plugin."
            )
        return found

    def make(self, kind: Kind, choice: Choice) -> object:
        """The part a choice means, made and checked."""
        return self.named(kind, choice.name).made(choice.parameters)

    def engine(self, choice: Choice) -> Engine:
        """The engine."""
        return cast(Engine, self.make("engine", choice))

    def listing(self) -> list[dict[str, Any]]:
        """All of them, by kind and name."""
        return [self.held[key].listing() for key in sorted(self.held)]


def parts_of(modules: Sequence[ModuleType]) -> Parts:
    """Parts that modules hold at top level, and modules below them where they are packages.

    Raises WrongSpecification where two parts of a kind have one name.
    """
    held: dict[tuple[Kind, str], Part] = {}
    for module in modules:
        for searched in [module, *discovery.modules(module)]:
            for value in vars(searched).values():
                if isinstance(value, Part):
                    other = held.setdefault((value.kind, value.name), value)
                    if other is not value:
                        raise WrongSpecification(
                            f"{value.kind} {value.name} is in {other.module} and in {value.module}. Rename one of them."
                        )
    return Parts(held)
