"""Modules of users that bring parts of backtests and forecasting rules: named one by one, or declared by packages.

Belongs here: importing them, and the rules that they hold. Does not belong here: parts (`backtesting.py` finds them in
these modules), or checking a strategy against rules (`trading/strategies/rule.py`).

A plugin is code and runs as whoever runs Daybook: name only modules that are trusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from trading.errors import ConfigError, WrongSpecification
from trading.strategies.rule import ForecastRule, rules

GROUP = "daybook.backtest"  # entry points of installed packages that bring parts or rules
Rules = dict[str, ForecastRule[Any]]


def plugin_modules(plugins: Sequence[str] = (), *, installed: bool = False) -> list[ModuleType]:
    """The modules `plugins`, and, with `installed`, those that installed packages declare; each once.

    Raises WrongSpecification where one cannot be imported.
    """
    names = [*plugins]
    if installed:
        from importlib import metadata

        names += [found.value for found in metadata.entry_points(group=GROUP)]
    return [_module(name) for name in dict.fromkeys(names)]


def _module(name: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as cause:
        raise WrongSpecification(
            f"the module {name} cannot be imported: {cause}. Correct --plugin, or run where it can be found."
        ) from cause


def known_rules(plugins: Sequence[str] = (), wanted: Iterable[str] = ()) -> Rules:
    """Every forecasting rule by name: Daybook's own and those of `plugins`. Installed packages are only searched, which
    takes a moment, where one of `wanted` is missing without them.

    Raises WrongSpecification on a module that cannot be imported, ConfigError where two rules have one name.
    """
    found = rules_of(plugin_modules(plugins))
    return found if found.keys() >= set(wanted) else rules_of(plugin_modules(plugins, installed=True))


def rules_of(modules: Iterable[ModuleType]) -> Rules:
    """Daybook's own rules, and those of modules. Raises ConfigError where two have one name."""
    found = rules()
    for module in modules:
        for name, rule in rules([module]).items():
            if found.setdefault(name, rule) is not rule:
                raise ConfigError(
                    f"rule {name} of the module {module.__name__} has the name of another rule, of "
                    f"{found[name].forecast.__module__}. Rename one of them."
                )
    return found
