"""Every setting has a reader outside `trading/config`: nothing can be set that changes nothing.

How it is shown: in a copy of the sources every setting (not the sections they stand in) is given another name where it
is declared. Whatever read it by its old name is then an error of the type checker, which names model and setting. Does
not belong here: what a reader does with it (its own tests).
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from trading.config.models import DeskSettings
from trading.config.strategies import StrategySettings
from trading.config.symbol_fields import SymbolSettings

PACKAGES = ("trading", "resources", "assets", "checks", "pipelines")
DECLARED = re.compile(r"^    ([a-z][a-z_0-9]*)(: .*)$", re.MULTILINE)
MODEL = re.compile(r"^class (\w+)\((?:Settings|StrictSettings|NamedTuple)\):.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
MISSING = re.compile(r'^(?P<file>[^:]+):\d+: error: "(?P<model>\w+)" has no attribute "(?P<name>\w+)"', re.MULTILINE)
LARGE = ("pandas", "numpy", "scipy", "matplotlib", "pyarrow", "numba", "great_expectations", "exchange_calendars",
         "duckdb", "deltalake", "pymongo", "psycopg", "sqlalchemy", "optuna", "distributed", "ib_async")  # fmt: skip
# What only decides whether a file is taken: nobody needs it afterwards.
ELSEWHERE = {
    "DeskSettings.schema_version": "trading/config/migrations.py reads it off a file before there are settings",
    "ForecastSettings.sum_of_weights": "whether weights that do not sum to 1 are a mistake",
    "StrategySettings.description": "for people, who read the file, and the documentation of it",
    "PortfolioSettings.sum_of_weights": "the same, of instruments",
}


def models_below(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The models of a settings model and of everything within it, by name."""
    found = {model.__name__: model}
    for field in model.model_fields.values():
        for kind in _kinds(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ not in found:
                found |= models_below(kind)
    return found


def _kinds(annotation: object) -> list[object]:
    inner = [kind for part in get_args(annotation) for kind in _kinds(part)]
    return [annotation, *inner]


def settings() -> set[str]:
    """Every setting as `Model.field`, those of single instruments as what is in force for one."""
    found = {**models_below(DeskSettings), **models_below(StrategySettings)}
    levels = [name for name in found if name in ("SymbolDefaults", "SymbolOverrides", "GroupOverrides")]
    names = {
        f"{name}.{field}"
        for name, model in found.items()
        if name not in levels
        for field, about in model.model_fields.items()
        if not any(isinstance(kind, type) and issubclass(kind, BaseModel) for kind in _kinds(about.annotation))
    }
    return names | {f"SymbolSettings.{field}" for field in SymbolSettings._fields}


def _renamed(model: re.Match[str]) -> str:
    """The source of a model, its settings under other names."""
    leaves = {name.partition(".")[2] for name in settings() if name.startswith(f"{model[1]}.")}

    def renamed(line: re.Match[str]) -> str:
        return f"    {line[1]}_renamed{line[2]}" if line[1] in leaves else line[0]

    return DECLARED.sub(renamed, model.group(0))


@pytest.fixture(scope="module")
def read(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Files outside trading/config that read each setting, as the type checker finds them."""
    from mypy import api

    copy = tmp_path_factory.mktemp("renamed")
    for package in PACKAGES:
        shutil.copytree(root / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in (copy / "trading" / "config").glob("*.py"):
        file.write_text(MODEL.sub(_renamed, file.read_text()))
    (copy / "mypy.ini").write_text("[mypy]\n" + "".join(f"[mypy-{name}.*]\nfollow_imports = skip\n" for name in LARGE))
    before = Path.cwd()
    os.chdir(copy)
    try:
        said, wrong, _ = api.run(
            ["--ignore-missing-imports", "--no-error-summary", "--check-untyped-defs", "--explicit-package-bases",
             "--hide-error-codes", "--no-pretty", "--python-version", "3.11", *PACKAGES]
        )  # fmt: skip
    finally:
        os.chdir(before)
    assert not wrong, wrong
    found: dict[str, set[str]] = {}
    for match in MISSING.finditer(said):
        if not match["file"].startswith("trading/config/"):
            found.setdefault(f"{match['model']}.{match['name']}", set()).add(match["file"])
    return found


@pytest.mark.timeout(300)
def test_every_setting_has_a_reader(read: dict[str, set[str]]) -> None:
    without = sorted(settings() - set(read) - set(ELSEWHERE))
    assert not without, f"nothing outside trading/config reads {', '.join(without)}: read them, or take them out"


def test_what_is_read_elsewhere_still_is_a_setting(read: dict[str, set[str]]) -> None:
    assert not set(ELSEWHERE) - settings()
    assert not set(ELSEWHERE) & set(read), "it has a reader now: take it out of ELSEWHERE"


def test_the_method_finds_readers_where_they_are(read: dict[str, set[str]]) -> None:
    assert "resources/notifiers/webhook.py" not in read.get("NotifierSettings.timeout_seconds", set())
    assert read["NotifierSettings.timeout_seconds"] == {"pipelines/wiring.py"}
    assert "Nothing.at_all" not in read
