"""The published schema of the risk service, and requests made from it: none is answered with a fault of ours.

Belongs here: fuzzing in this process, some hundred requests. Does not belong here: requests by hand
(`test_risk_service.py`), or ten minutes of fuzzing (`benchmarks/risk_service_fuzz.py`).
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from benchmarks.desks.served_desk import ALL, TOKENS, made_application, made_served
from pipelines.risk_server.application import published
from pipelines.risk_server.door import RIGHTS
from resources.memory import MemoryLedger
from resources.risk_memory import MemoryDecisionLog

RISK = {"service": {"max_requests_per_second": 1e6}, "limits": [{"rule": "portfolio_position", "refuse": 100}]}
SERVED = made_served(Path(tempfile.gettempdir()), RISK, journal=MemoryLedger(), decisions=MemoryDecisionLog())
FUZZED = schemathesis.openapi.from_asgi("/openapi.json", made_application(SERVED))


@FUZZED.parametrize()
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_requests_made_from_the_schema_are_answered_as_it_says(case: schemathesis.Case) -> None:
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


def test_the_published_schema_names_no_token_and_is_the_application_s() -> None:
    served = json.loads(json.dumps(made_application(SERVED).openapi()))
    assert served == json.loads(json.dumps(published()))
    text = json.dumps(served)
    assert not [token for token, _, _ in TOKENS.values() if token in text]
