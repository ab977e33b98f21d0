"""A stream of fills told twice, shuffled, corrected and busted gives the same book: 10,000 examples of each property.

The properties are those of `tests/domain/test_fill_streams.py`, which `make test` runs with fewer examples.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

EXAMPLES = 10_000
TESTS = Path(__file__).resolve().parents[1] / "tests" / "domain" / "test_fill_streams.py"


def main() -> None:
    """Runs them and prints what they came to."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "0", str(TESTS)]
    done = subprocess.run(
        command, env={**os.environ, "DAYBOOK_EXAMPLES": str(EXAMPLES)}, capture_output=True, text=True, check=False
    )
    print(f"{EXAMPLES:,} examples of each of four properties: {done.stdout.strip().splitlines()[-1]}")
    if done.returncode:
        raise SystemExit(done.stdout)


if __name__ == "__main__":
    main()
