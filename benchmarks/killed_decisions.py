"""Claim: decisions that were acknowledged are all in the log after kill -9, in the middle of 10,000 of them.

A process judges orders and keeps each decision (or so many at once), and says so on a pipe after it is kept. It is
killed with SIGKILL at a random moment, several times. Then all acknowledged ones are
looked for in the log. Prints a line a kill, what was torn, and ends with an error if one is missing. Run:
`python benchmarks/killed_decisions.py [--kills 20] [--decisions 10000]`.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from resources.decision_log import DecisionFiles  # noqa: E402
from trading.config.models import DeskSettings  # noqa: E402
from trading.risk.book import WHOLE, Book, Standing  # noqa: E402
from trading.risk.decision import Asked  # noqa: E402
from trading.risk.engine import RiskEngine  # noqa: E402
from trading.risk.kept import About  # noqa: E402
from trading.risk.market import DIMENSIONS, Market, group  # noqa: E402

SESSION = date(2024, 2, 23)
OPEN, TICK = datetime(2024, 2, 23, 15, tzinfo=UTC), timedelta(milliseconds=1)
CODES = tuple(f"I{number:03}" for number in range(100))


def engine() -> RiskEngine:
    """A hundred instruments, of which two thirds are refused six contracts or more."""
    count, ones = len(CODES), np.ones(len(CODES))
    none = np.zeros((0, count))
    facts = Market(
        "facts", SESSION, CODES, tuple((code, 20240600) for code in CODES), np.arange(count), 100 * ones, 0 * ones,
        1e4 * ones, np.zeros(count, int), 100 * ones, 1e4 * ones, 5e3 * ones, 1e-4 * ones, 1e3 * ones,
        {name: group(["one"] * count) for name in DIMENSIONS}, (), none, none, (), none, np.zeros((20, count)),
        np.zeros((count, 1)), 1e4 * ones,
    )  # fmt: skip
    desk = DeskSettings.model_validate({"risk": {"limits": [{"rule": "contract_position", "refuse": 5, "warn": 3}]}})
    return RiskEngine(desk, facts, Book(1e7, 1e7, standing={WHOLE: Standing()}, strategies=("trend",)), "settings")


def keep(folder: Path, name: str, count: int, together: int) -> None:
    """Keeps decisions, and says of each that it is kept, after it is."""
    judging, log = engine(), DecisionFiles(folder, name, segment_bytes=1 << 20)
    for first in range(0, count, together):
        names = [f"{name}:{first + number}" for number in range(together)]
        orders = [Asked("trend", CODES[n % 100], 20240600, 1 + n % 9, None, names[n]) for n in range(together)]
        log.append([judging.check(order) for order in orders], About(OPEN + first * TICK, SESSION))
        os.write(1, "".join(f"{each}\n" for each in names).encode())


def killed(folder: Path, name: str, decisions: int, together: int, after: int) -> set[str]:
    """What a process acknowledged before it was killed, which is when so many lines of it were read."""
    words = ["--child", name, "--folder", str(folder), "--decisions", str(decisions), "--together", str(together)]
    child = subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE)
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(after)]
    os.kill(child.pid, signal.SIGKILL)
    said += child.stdout.readlines()
    child.wait()
    return {line.decode().strip() for line in said}


def main() -> int:
    """Runs it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--decisions", type=int, default=10_000)
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", default="")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.child:
        keep(given.folder, given.child, given.decisions, given.together)
        return 0
    drawn, acknowledged = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory() as place:
        missing, torn = set[str](), []
        for number in range(given.kills):
            folder = Path(place) / str(number)
            together, after = drawn.choice((1, 1, 50)), drawn.randrange(1, given.decisions * 9 // 10)
            found = killed(folder, "writer", given.decisions, together, after)
            kept = {one.asked.order_id for one in DecisionFiles(folder).read()}
            torn += DecisionFiles(folder).torn()
            missing |= found - kept
            acknowledged += len(found)
            print(f"kill {number + 1}: {together} at once, {len(found)} acknowledged, {len(kept)} kept, "
                  f"{len(found - kept)} missing")  # fmt: skip
    lost = sum(one.lost_bytes for one in torn)
    print(f"{given.kills} kills: {acknowledged} decisions acknowledged, {len(missing)} missing; {len(torn)} torn tails "
          f"of never acknowledged bytes ({lost})")  # fmt: skip
    return 1 if missing else 0


if __name__ == "__main__":
    raise SystemExit(main())
