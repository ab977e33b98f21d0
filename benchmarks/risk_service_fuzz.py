"""Claim: ten minutes of requests made up from the published schema, right ones and wrong ones, are answered without a
500 by the risk service, and every answer is one that the schema tells of.

Each operation in turn gets a few hundred requests by schemathesis, with other seeds each time round, in this process.

Run: `python benchmarks/risk_service_fuzz.py [--minutes 10]`. Exit code 1 where an answer is none that may be.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from benchmarks.desks.bars import Bars, machine
from benchmarks.desks.served_desk import ALL, made_application, made_served, without_tokens
from pipelines.risk_server.application import published
from resources.memory import MemoryLedger

RISK = {"service": {"max_requests_per_second": 1e6}, "limits": [{"rule": "portfolio_position", "refuse": 100}]}
EXAMPLES = 200  # of an operation, before the next one's turn


class Fuzz:
    """Counts of answers, and those that may not be."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: dict[str, str] = {}

    def call(self, case: schemathesis.Case) -> None:
        """One request."""
        answer = case.call(headers={"Authorization": f"Bearer {ALL}"})
        self.statuses[answer.status_code] += 1
        if answer.status_code in (500, 503):
            self.wrong[f"{case.operation.label} {answer.status_code}"] = answer.text[:300]
        left_out = [not_a_server_error]  # a deadline may pass: 504
        if case.operation.label == "POST /v1/halts":
            left_out.append(positive_data_acceptance)  # that a halt of everything names nothing is no schema's to say
        try:
            case.validate_response(answer, excluded_checks=left_out)
        except Exception as error:  # whatever the checks raise is a finding
            self.wrong[f"{case.operation.label}: {str(error)[:300]}"] = answer.text[:300]


def attempt(operation: Any, number: int, fuzz: Fuzz) -> Callable[[], None]:
    """Requests of one operation, other ones for each number: right ones and wrong ones in turn."""

    modes = list(GenerationMode) if operation.path.startswith("/v1/") else [GenerationMode.POSITIVE]
    mode = modes[number // 15 % len(modes)]

    @seed(number)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        fuzz.call(case)

    return run


def main(minutes: float) -> int:
    """Runs until the time is over."""
    print(machine())
    fuzz, bars = Fuzz(), Bars()
    with tempfile.TemporaryDirectory() as folder:
        served = made_served(Path(folder), RISK, journal=MemoryLedger())
        app, open_to_all = made_application(served), without_tokens(published())
        app.openapi = lambda: open_to_all  # type: ignore[method-assign]
        schema = schemathesis.openapi.from_asgi("/openapi.json", app)
        operations = [found.ok() for found in schema.get_all_operations()]
        until, number = time.monotonic() + 60.0 * minutes, 0
        while time.monotonic() < until:
            attempt(operations[number % len(operations)], number, fuzz)()
            number += 1
        served.close()
    print(f"{fuzz.statuses.total():,} requests of {len(operations)} operations: {dict(sorted(fuzz.statuses.items()))}")
    for what, said in list(fuzz.wrong.items())[:10]:
        print(f"  {what}\n    {said}")
    bars.true("every answer is one that may be", f"{len(fuzz.wrong)} kinds are not", not fuzz.wrong)
    return 1 if bars.short else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    sys.exit(main(parser.parse_args().minutes))
