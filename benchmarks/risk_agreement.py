"""Claim: the risk engine says what a plain reference says that works the whole book out anew for each question: the
same decisions, and values within 1e-9 of their scale.

Each case is a random book of 1 to 8 instruments with facts that are missing here and there; orders go to work, are
filled in part, cancelled or run out of time; then limits are drawn close around what a few orders come to, and these
are judged alone and as a list (all, prefix or scaling; netted or one after another). Every value, outcome, reason and
contract granted is compared, and sums kept with a full recompute. The reference is `tests/domain/risk/`. Prints how
often each rule passed, warned, refused and could not be measured, and ends with an error on any disagreement, with the
number of the case. Run: `python benchmarks/risk_agreement.py [--books 5000] [--first 0] [--processes 1]`; 100,000 books
take 40 minutes of two free cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "domain" / "risk")]

from random_books import RULES, Disagreement, Seeded, Tally, random_case  # noqa: E402

BATCH = 250
SHOWN_SECONDS = 15.0
OUTCOMES = ("pass", "warn", "refuse", "missing")


def batch(cases: range) -> tuple[Tally, list[str]]:
    """Cases by number: what they came to, and what did not agree."""
    tally, wrong = Tally(), []
    for number in cases:
        try:
            random_case(Seeded(number), tally)
        except Disagreement as cause:
            wrong.append(f"case {number}: {cause}")
    return tally, wrong


def batches(first: int, books: int, processes: int) -> Iterator[tuple[Tally, list[str]]]:
    """Results of all cases, a batch at a time."""
    parts = [range(start, min(start + BATCH, first + books)) for start in range(first, first + books, BATCH)]
    if processes == 1:
        yield from map(batch, parts)
        return
    with get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(batch, parts)


def add(total: Tally, part: Tally) -> None:
    """Adds up what batches came to."""
    total.outcomes += part.outcomes
    total.decisions += part.decisions
    total.asked, total.values, total.edges = (
        total.asked + part.asked, total.values + part.values, total.edges + part.edges,
    )  # fmt: skip
    total.largest = max(total.largest, part.largest)


def show(total: Tally, books: int, wrong: list[str]) -> None:
    """The table of outcomes by rule, and what differed most."""
    print(f"{'rule':32}" + "".join(f"{name:>12}" for name in OUTCOMES))
    for rule in RULES:
        print(f"{rule.name:32}" + "".join(f"{total.outcomes[rule.name, name]:12,}" for name in OUTCOMES))
    decided = ", ".join(f"{count:,} {name}" for name, count in sorted(total.decisions.items()))
    print(f"{books:,} books, {total.asked:,} orders judged ({decided}), {total.values:,} values compared")
    print(f"{total.edges:,} values so near to a level that rounding may decide")
    print(f"largest difference {total.largest[0]:.3g} of its scale: {total.largest[1]}")
    print(f"{len(wrong)} disagreements")


def main() -> None:
    """Runs the cases and prints what they came to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--books", type=int, default=5_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--processes", type=int, default=1)
    asked = parser.parse_args()
    total, wrong, done = Tally(), list[str](), 0
    begun = shown = time.perf_counter()
    for part, found in batches(asked.first, asked.books, asked.processes):
        add(total, part)
        wrong += found
        for text in found:
            print(text, flush=True)
        done = min(asked.books, done + BATCH)
        if time.perf_counter() - shown > SHOWN_SECONDS:
            shown = time.perf_counter()
            print(f"{done:,} of {asked.books:,} books, {shown - begun:,.0f} s, {len(wrong)} disagreements", flush=True)
    show(total, done, wrong)
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
