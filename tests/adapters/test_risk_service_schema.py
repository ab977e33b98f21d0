"""The published schema of the risk service, and requests made from it: none is answered with a fault of ours.

Belongs here: fuzzing in this process, some hundred requests. Does not belong here: requests by hand
(`test_risk_service.py`), or ten minutes of fuzzing (`benchmarks/risk_service_fuzz.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from benchmarks.desks.served_desk import ALL, TOKENS, made_application, made_served, without_tokens
from pipelines.risk_server.application import published
from pipelines.risk_server.door import RIGHTS
from resources.memory import MemoryLedger
from resources.risk_memory import MemoryDecisionLog

RISK = {"service": {"max_requests_per_second": 1e6}, "limits": [{"rule": "portfolio_position", "refuse": 100}]}
OPERATIONS = sorted((path, method) for path, found in published()["paths"].items() for method in found)
CASES = [
    (path, method, mode) for path, method in OPERATIONS for mode in GenerationMode
    if path.startswith("/v1/") or mode is GenerationMode.POSITIVE  # nothing can be wrong with a look at /health
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], FastAPI]:
    """Makes the service of a made-up desk."""
    given = {"journal": MemoryLedger(), "decisions": MemoryDecisionLog()}
    return lambda: made_application(made_served(tmp_path_factory.mktemp("fuzzed"), RISK, **given))


@pytest.fixture(scope="module")
def fuzzed(made: Callable[[], FastAPI]) -> Any:
    """Its schema, to make requests from: without tokens, so that every request has one and is looked at."""
    app, open_to_all = made(), without_tokens(published())
    app.openapi = lambda: open_to_all  # type: ignore[method-assign]
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_requests_made_from_the_schema_are_answered_as_it_says(
    fuzzed: Any, path: str, method: str, mode: GenerationMode
) -> None:  # fmt: skip
    operation = fuzzed[path][method.upper()]

    @settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: schemathesis.Case) -> None:
        answered(case)

    run()


def answered(case: schemathesis.Case) -> None:
    """Asks, and looks whether the answer is one that may be."""
    left_out = [not_a_server_error]  # a deadline may pass: 504
    if case.operation.label == "POST /v1/halts":
        left_out.append(positive_data_acceptance)  # that a halt of everything names nothing more is no schema's to say
    answer = case.call(headers={"Authorization": f"Bearer {ALL}"})
    assert answer.status_code not in (500, 503), answer.text
    case.validate_response(answer, excluded_checks=left_out)


def test_every_operation_says_which_right_it_needs() -> None:
    paths = published()["paths"]
    guarded = {
        (method.upper(), path) for path, operations in paths.items()
        for method, operation in operations.items() if operation.get("security")
    }  # fmt: skip
    assert guarded == set(RIGHTS)
    assert {path for path in paths if not path.startswith("/v1/")} == {"/health", "/ready", "/metrics"}


def test_every_operation_says_how_it_is_refused() -> None:
    for path, operations in published()["paths"].items():
        for method, operation in operations.items():
            if (method.upper(), path) in RIGHTS:
                assert {"401", "403", "422", "429", "503", "504"} <= set(operation["responses"]), path


def test_the_published_schema_names_no_token_and_is_the_application_s(made: Callable[[], FastAPI]) -> None:
    served = json.loads(json.dumps(made().openapi()))
    assert served == json.loads(json.dumps(published()))
    text = json.dumps(served)
    assert not [token for token, _, _ in TOKENS.values() if token in text]
