"""Importing the code location is quick: what is heavy is imported where it is used. Our packages are who they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

HEAVY = (
    "great_expectations", "numba", "exchange_calendars", "matplotlib", "deltalake", "duckdb", "redis", "pymongo",
    "scipy", "jinja2", "dagster_graphql", "playwright", "pytest",
)  # fmt: skip
PACKAGES = ("trading", "resources", "assets", "checks", "pipelines")
PROBE = "import json, sys, {module}; print(json.dumps(sorted(name for name in {heavy} if name in sys.modules)))"


def loaded_by(module: str, folder: Path, heavy: tuple[str, ...]) -> list[str]:
    """Which of the heavy packages a fresh process has after importing a module."""
    environment = {**os.environ, "DAYBOOK_HOME": str(folder / "home")}
    probe = PROBE.format(module=module, heavy=heavy)
    answer = subprocess.run(
        [sys.executable, "-c", probe], cwd=folder, capture_output=True, text=True, timeout=120, env=environment
    )
    assert answer.returncode == 0, answer.stderr
    found: list[str] = json.loads(answer.stdout.splitlines()[-1])
    return found


def test_the_code_location_loads_nothing_heavy(tmp_path: Path) -> None:
    assert loaded_by("pipelines.definitions", tmp_path, HEAVY) == []
    assert not (tmp_path / "home").exists(), "loading code must not make a home"


def test_the_command_line_starts_without_the_framework(tmp_path: Path) -> None:
    assert loaded_by("pipelines.cli", tmp_path, (*HEAVY, "dagster", "pandas", "pyarrow")) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_ours_wherever_python_starts(package: str, tmp_path: Path, root: Path) -> None:
    probe = f"import importlib.util as u; print(u.find_spec({package!r}).origin)"
    answer = subprocess.run([sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert Path(answer.stdout.strip()) == root / package / "__init__.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_installed_distribution_has_a_package_of_our_name(package: str) -> None:
    claimed = set(packages_distributions().get(package, [])) - {"daybook"}
    assert not claimed, f"{claimed} installs a top-level package {package}: one of the two would hide the other"
