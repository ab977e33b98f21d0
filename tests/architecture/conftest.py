"""What the architecture tests look at: every module of the project as a syntax tree, and every file in git.

Belongs here: reading sources. Does not belong here: a rule (one test file for each kind of rule).
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGES = ("trading", "resources", "assets", "checks", "pipelines")


@dataclass(frozen=True)
class Module:
    """A source file: its path below the project's folder, its dotted name, its text and its tree."""

    path: str
    name: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The top-level package."""
        return self.name.split(".")[0]

    def imports(self) -> Iterator[tuple[str, int]]:
        """Dotted names of what is imported anywhere in the file, with lines. `from a import b` gives `a` and `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield str(node.module), node.lineno
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def parsed(path: str, text: str) -> Module:
    """A module from its text."""
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Module(path, name, text, ast.parse(text))


@pytest.fixture(scope="session")
def modules(root: Path) -> list[Module]:
    """Every module of the five packages that is not empty, by path."""
    files = [file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))]
    found = [parsed(file.relative_to(root).as_posix(), file.read_text("utf-8")) for file in files]
    kept = [module for module in found if module.text.strip()]
    assert len(kept) > 100, "the project's sources were not found"
    return kept


@pytest.fixture(scope="session")
def module_from() -> object:
    """Makes a module from a path and a text, to show that a rule finds what it looks for."""
    return parsed


@pytest.fixture(scope="session")
def tracked(root: Path) -> list[Path]:
    """Files in git, below the project's folder; all files of the source tree where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git here: which files belong to the project is unknown")
    return [root / name for name in listed.stdout.split("\0") if name and (root / name).is_file()]
