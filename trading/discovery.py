"""Extensions found by type: every module of a package is imported, and its objects of one type are handed back.

Belongs here: the search. Does not belong here: a registry; nothing is remembered, and importing a rule registers
nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def modules(package: ModuleType) -> list[ModuleType]:
    """Every module below a package, imported, by name; none below what is no package. Raises what importing one of them
    raises."""
    prefix, folders = f"{package.__name__}.", getattr(package, "__path__", ())
    return [importlib.import_module(found.name) for found in pkgutil.walk_packages(folders, prefix)]


def find(package: ModuleType, kind: type[T]) -> tuple[T, ...]:
    """Objects of type `kind` that a module and those below it hold at top level, once each, in order of module and
    name."""
    held: dict[int, T] = {}
    for module in (package, *modules(package)):
        for _, value in sorted(vars(module).items()):
            if isinstance(value, kind):
                held.setdefault(id(value), value)
    return tuple(held.values())
