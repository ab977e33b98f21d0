"""Claim: ten years of the system of chapter 15, closed by the job of the backfill through the paper broker, are
explained within 1e-6 of base currency on every session, and explaining them is a small part of closing them.

Loads the six instruments, backfills ten years in one run with every check, then prints what each cause came to, the
largest residual of a session, how far the totals are from the account, and the seconds of the run beside those of
attribution alone. Ends with 1 where a session is not explained. Needs ../shared. Run:
`python benchmarks/ten_years_explained.py [--years 10]`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "futures"
SIX = ("CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X")
LAST = date(2022, 2, 25)
WITHIN_BASE = 1e-6


def loaded(home: Path) -> None:
    """A desk of its own that trades chapter 15 with its capital."""
    from pipelines import loading
    from pipelines.settings import place

    where = place(home, "local")
    found = loading.load(where, "pysystemtrade", SHARED, SIX, (None, None), "weekdays")
    if found["exit_code"]:
        sys.exit(f"the load failed: {found}")
    own = where.desk_file.read_text()
    ours = '[trading]\nstrategies = ["chapter15"]\n[trading.capital]\ncapital_base = 250000.0\n'
    where.desk_file.write_text(f"{own}\n{ours}")


def closed(home: Path, first: date) -> tuple[float, int]:
    """Seconds of the backfill, and sessions closed."""
    from pipelines import closing
    from pipelines.settings import place

    began = time.perf_counter()
    found = closing.backfill(place(home, "local"), first, LAST)
    if found["exit_code"]:
        sys.exit(f"the backfill failed: {found}")
    return time.perf_counter() - began, found["sessions"]


def attributed_alone(home: Path) -> float:
    """Seconds of attributing every closed session once more, nothing written."""
    from assets.attribution import attributed
    from assets.layers import Sources
    from pipelines.deployments import utc_now
    from pipelines.desk import Desk

    desk = Desk.open(str(home))
    held, sessions = desk.adapters, desk.closed_sessions()
    began = time.perf_counter()
    for _ in attributed(sessions, Sources(held.frames, held.reference, held.settings, utc_now()), held.ledger):
        pass
    return time.perf_counter() - began


def explained(home: Path, first: date) -> float:
    """Prints the causes and how far the two sides are apart; returns the worst session."""
    from pipelines import profit
    from pipelines.desk import Desk
    from trading.frames import EQUITY, to_pandas

    desk = Desk.open(str(home))
    for name, amount in desk.pnl_by("cause", first=first).itertuples(index=False):
        print(f"  {name:<14}{amount:18,.2f}")
    rows = profit.attribution(desk, profit.span(desk, first=first))
    residuals = rows["residual_base"].abs().groupby(rows["session"]).sum()
    equity = to_pandas(desk.adapters.frames.history(EQUITY, through=LAST, since=first))
    change = equity.groupby("session")["change_base"].sum()
    apart = (rows.groupby("session")["total_base"].sum().reindex(change.index, fill_value=0.0) - change).abs()
    print(f"largest residual of a session, signs taken off       {residuals.max():.1e} (bar {WITHIN_BASE:.0e})")
    print(f"largest distance of a session's total and the account {apart.max():.1e}")
    return float(max(residuals.max(), apart.max()))


def main() -> int:
    """Runs all and prints the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--years", type=int, default=10)
    given = words.parse_args()
    if not SHARED.is_dir():
        print("not run: the prices of ../shared are not here")
        return 0
    sys.path.insert(0, str(ROOT))
    first = LAST.replace(year=LAST.year - given.years)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        loaded(home)
        seconds, sessions = closed(home, first)
        alone = attributed_alone(home)
        worst = explained(home, first)
    print(f"closing {sessions} sessions in one run, every check   {seconds:8.1f} s")
    print(f"  attribution alone, calculated again         {alone:8.1f} s   {alone / seconds:.0%} of it")
    return 0 if worst < WITHIN_BASE else 1


if __name__ == "__main__":
    sys.exit(main())
