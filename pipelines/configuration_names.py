"""Names in the files of a desk, and of them, that nobody knows: refused, or noted.

Belongs here: what each environment allows, and where known names come from. Does not belong here: finding them
(`trading/config/unknown_names.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pipelines.authored import Authored, strategy_files
from pipelines.place import Place
from pipelines.symbols import classifications, columns_of, table_of
from pipelines.unread_files import unread
from pipelines.wiring import reference, utc_now
from trading.config.documents import place_of
from trading.config.inheritance import idle
from trading.config.models import DeskSettings
from trading.config.risk_names import OF_DATA, idle_in_risk, names_in, own_names, strange_in_risk
from trading.config.unknown_names import (
    PlaceOf,
    idle_strategies,
    strange_rows,
    strange_strategies,
    strange_symbols,
    strange_universe,
)
from trading.errors import ConfigError


def noted(where: Place, found: Authored) -> tuple[str, ...]:
    """What is allowed in files, and perhaps not meant, a sentence each. Raises ConfigError with every name that nobody
    knows; in development what only reference data name (instruments followed, instruments and groups of limits) is
    only noted, since data may come later."""
    settings, place = found.settings, place_of(found.documents)
    symbols, known = settings.symbols, classifications(where)
    table, library = table_of(settings, found.table, where), strategy_files(where)
    traded = [strategy.name for strategy in settings.strategies]
    everything = known.keys() | set(table.symbols if table is not None else ())
    unknown = list(strange_universe(settings.data.universe, everything, place))
    if any(named.kind in OF_DATA for named in names_in(settings.risk)):
        unknown += strange_in_risk(settings.risk, _of_reference(where, everything), place)
    faults = list(strange_strategies(symbols, traded, library, place))
    faults += strange_symbols(symbols, everything, place)
    faults += strange_rows(table, known) if table is not None else ()
    faults += _of_limits(settings, {*traded, *library}, place)
    if settings.environment != "development":
        faults, unknown = faults + unknown, []
    if faults:
        raise ConfigError("\n".join(faults), faults)
    idles = (*idle_strategies(symbols, traded, library), *idle_in_risk(settings.risk, traded, library))
    return (*unread(where), *idle(symbols, table, known), *idles, *unknown)


def _of_limits(settings: DeskSettings, strategies: Collection[str], place: PlaceOf) -> Iterator[str]:
    """Limits that mean nothing, and names in the section `risk` that no setting or file knows."""
    risk, named = settings.risk, {"strategy": strategies}
    if risk.limits or risk.decisions.halt_on:
        from trading.risk.limit_table import faults, rules  # finds every rule, for those alone who limit anything

        yield from faults(settings, place)
        named["rule"] = [rule.name for rule in rules()]
    yield from strange_in_risk(risk, {**own_names(risk), **named}, place)


def _of_reference(where: Place, instruments: Collection[str]) -> dict[str, Collection[str]]:
    """Names of reference data of today, by kind."""
    known = reference(where).instruments(utc_now().date()).values()
    groups = {kind: {str(getattr(each, kind)) for each in known} - {""} for kind in OF_DATA if kind != "instrument"}
    return {**groups, "instrument": instruments}


def judged(where: Place, found: Authored) -> tuple[str, ...]:
    """As `noted`, and what reference data and the table of symbols contradict each other in. Raises ConfigError with
    all of it at once."""
    notes: tuple[str, ...] = ()
    faults: list[str] = []
    try:
        notes = noted(where, found)
    except ConfigError as cause:
        faults += cause.faults or (str(cause),)
    try:
        columns_of(found.settings, found.table, where)
    except ConfigError as cause:
        faults += _not_said(cause, faults)
    if faults:
        raise ConfigError("\n".join(faults), faults)
    return notes


def _not_said(cause: ConfigError, faults: list[str]) -> list[str]:
    """What is not among faults already, those with a place in front included."""
    return [said for said in cause.faults or (str(cause),) if not any(known.endswith(said) for known in faults)]
