"""Runs every benchmark of this folder, one after the other: `make bench`, or `python -m benchmarks NAME ...`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def main() -> int:
    """Runs the named benchmarks, or all; returns how many failed."""
    files = sorted(file for file in FOLDER.glob("*.py") if not file.name.startswith("__"))
    asked = sys.argv[1:]
    chosen = [file for file in files if not asked or {file.stem, file.stem.removesuffix("_peer")} & set(asked)]
    failed = 0
    for file in chosen:
        print(f"== {file.stem}", flush=True)
        failed += subprocess.run([sys.executable, str(file)], check=False).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
