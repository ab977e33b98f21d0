"""Names in the section `risk` that nobody knows: under a misspelt name a limit would limit nothing.

Belongs here: which names the section holds, of what, and the sentence about one that is strange. Does not belong here:
where known names come from (`pipelines/configuration_names.py`), or entries that mean nothing whatever they name
(`trading/risk/limit_table.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from trading.config.documents import Path, dotted
from trading.config.risk import RiskSettings
from trading.config.symbol_fields import near
from trading.config.unknown_names import PlaceOf

OF_DATA = ("instrument", "sector", "asset_class", "country", "currency", "exchange_group")  # reference data name these
OF_SETTINGS = ("strategy", "rule", "factor", "component", "scenario")
WORDS = {"asset_class": "asset class", "exchange_group": "exchange group", "component": "principal component"}


class Named(NamedTuple):
    """A name in the section: where, of what kind, and which."""

    path: Path
    kind: str
    name: str

    def where(self) -> str:
        """The setting as people call it; entries of limits are counted from 1."""
        if self.path[:2] == ("risk", "limits"):
            return f"risk.limits entry {int(self.path[2]) + 1}"
        return dotted(self.path)


def strange_in_risk(risk: RiskSettings, known: Mapping[str, Collection[str]], place: PlaceOf) -> Iterator[str]:
    """A sentence for each name of a kind in `known` that is not among the names known of it."""
    for named in names_in(risk):
        if named.kind in known and named.name not in known[named.kind]:
            at, kind = place(named.path), WORDS.get(named.kind, named.kind)
            yield (
                f"{f'{at}: ' if at else ''}{named.where()} names the {kind} {named.name}, and there is none of that "
                f"name.{near(named.name, known[named.kind])} Correct it, or take it out: it would limit nothing."
            )


def idle_in_risk(risk: RiskSettings, traded: Collection[str], library: Collection[str]) -> Iterator[str]:
    """A sentence for each limit of a strategy that there is, but that does not trade."""
    for named in names_in(risk):
        if named.kind == "strategy" and named.name not in traded and named.name in library:
            yield (
                f"{named.where()} is of strategy {named.name}, which does not trade: trading.strategies does not name "
                f"it.{near(named.name, traded)}"
            )


def own_names(risk: RiskSettings) -> dict[str, Collection[str]]:
    """Names that the section itself gives, by kind."""
    model = risk.model
    components = [str(number + 1) for number in range(model.components)]
    return {"factor": model.factors, "scenario": model.scenarios, "component": components}


def names_in(risk: RiskSettings) -> Iterator[Named]:
    """Every name that the section holds, but those of the rules of its limits, which `limit_table.faults` judges."""
    kinds = (*OF_DATA, "strategy", "factor", "component", "scenario")
    for number, entry in enumerate(risk.limits):
        for kind in kinds:
            if (value := getattr(entry, kind)) is not None:
                yield Named(("risk", "limits", number, kind), kind, str(value))
    yield from _of_model(risk)
    for number, rule in enumerate(risk.decisions.halt_on):
        yield Named(("risk", "decisions", "halt_on", number), "rule", rule)
    for who, token in risk.service.tokens.items():
        for number, strategy in enumerate(token.strategies):
            yield Named(("risk", "service", "tokens", who, "strategies", number), "strategy", strategy)


def _of_model(risk: RiskSettings) -> Iterator[Named]:
    model: Path = ("risk", "model")
    for name, factor in risk.model.factors.items():
        for part, weights in (("basket", factor.basket), ("loadings", factor.loadings)):
            yield from (Named((*model, "factors", name, part, code), "instrument", code) for code in weights or ())
    for name, scenario in risk.model.scenarios.items():
        inner = (*model, "scenarios", name)
        yield from (Named((*inner, "asset_classes", sort), "asset_class", sort) for sort in scenario.asset_classes)
        yield from (Named((*inner, "instruments", code), "instrument", code) for code in scenario.instruments)
    yield from (Named((*model, "margins_local", code), "instrument", code) for code in risk.model.margins_local)
