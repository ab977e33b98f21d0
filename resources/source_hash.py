"""The version of the code that computes: a hash of its source files.

Belongs here: reading sources. Does not belong here: what the version is used for (`trading/backtest/specification.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from trading.errors import ConfigError

COMPUTING = ("trading.backtest", "trading.strategies", "trading.analytics", "trading.kernels", "trading.config")


def source_hash(packages: Sequence[str] = COMPUTING) -> str:
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
    if found is None or found.origin is None:
        raise ConfigError(f"the sources of {package} are not there, so results have no code version. Install it again.")
    origin = Path(found.origin)
    if found.submodule_search_locations is None:
        return [(package, origin)]
    folder = origin.parent
    return [(f"{package}/{path.relative_to(folder).as_posix()}", path) for path in folder.rglob("*.py")]
