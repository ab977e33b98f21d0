"""The version of the code that computes: a hash of its source files, and of the versions of what it is compiled with.

Belongs here: reading sources. Does not belong here: what the version is used for (`trading/backtest/specification.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from trading.errors import ConfigError

# From rows to the arrays of a panel.
READERS = (
    "resources.arrow_arrays", "resources.csv_panels", "resources.csv_tables", "resources.frame_panels",
    "resources.frame_rows", "trading.backtest.market_days", "trading.backtest.panel", "trading.market.instruments",
)  # fmt: skip
# From a panel to positions, curves and statistics: every module of `trading` that an evaluation loads.
COMPUTING = (
    "trading.analytics", "trading.backtest", "trading.config", "trading.discovery", "trading.errors", "trading.kernels",
    "trading.risk", "trading.strategies",
)  # fmt: skip
LIBRARIES = ("arch", "numba", "numpy")  # whose release may change a digit
OWN = ("assets", "checks", "pipelines", "resources", "trading")


def code_version() -> str:
    """SHA-256 over everything of Daybook that a result depends on, from rows to statistics, and the versions of
    LIBRARIES."""
    lines = [source_hash((*COMPUTING, *READERS)), *(f"{name} {_installed(name)}" for name in LIBRARIES)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def closing_version() -> str:
    """SHA-256 over everything of Daybook that a close computes with: the domain, the assets, and the versions of the
    libraries below them. What a signature names as the code."""
    lines = [source_hash(("assets", "trading")), *(f"{name} {_installed(name)}" for name in (*LIBRARIES, "pandas"))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def readers_version() -> str:
    """SHA-256 over the modules that make panels; about a millisecond."""
    return source_hash(READERS)


def plugin_version(module: str) -> str:
    """SHA-256 over the whole top package of a user's module, or over the module where it stands alone; empty for
    Daybook's own, which `code_version` covers, and for what has no file (typed at a prompt)."""
    top = module.partition(".")[0]
    if top in (*OWN, "builtins"):
        return ""
    try:
        return source_hash((top,))
    except ValueError:  # Python knows no place of it: it was typed, or is the program itself
        return ""


def source_hash(packages: Sequence[str]) -> str:
    """SHA-256 over the Python files of packages or modules: names below them and contents, with line ends as in Unix;
    the same in a checkout and in an installed wheel. Raises ConfigError on a package that is not there."""
    digest = hashlib.sha256()
    for package in sorted(packages):
        for name, path in sorted(_files(package)):
            content = path.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{name}\n{len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()


def _files(package: str) -> Iterable[tuple[str, Path]]:
    found = find_spec(package)
    if found is None or (found.origin is None and found.submodule_search_locations is None):
        raise ConfigError(f"the sources of {package} are not there, so results have no code version. Install it again.")
    if found.submodule_search_locations is None:
        return [(package, Path(str(found.origin)))]
    folders = map(Path, found.submodule_search_locations)
    return [(f"{package}/{path.relative_to(folder).as_posix()}", path) for folder in folders
            for path in folder.rglob("*.py")]  # fmt: skip


def _installed(library: str) -> str:
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "absent"
