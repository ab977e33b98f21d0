"""Traces by OpenTelemetry, where the extra `telemetry` is installed and an OTEL_ variable says where they go.

Belongs here: spans around a request, deciding and keeping. Does not belong here: figures (`resources/risk_metrics.py`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

NAME = "daybook.risk"
_WANTED = "OTEL_"


def tracing() -> Callable[[str], Any]:
    """Gives a context for a part of the work, by its name; one that does nothing where nobody wants traces, or where
    what makes them is not installed, which the log then has a warning of."""
    wanted = sorted(name for name in os.environ if name.startswith(_WANTED))
    if not wanted:
        return nullcontext
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as cause:
        logging.getLogger(NAME).warning(
            "%s is set, but nothing is traced: %s is not installed. Install Daybook with its extra telemetry "
            "(pip install 'daybook[telemetry]'), or take the variable out.", wanted[0], cause.name,
        )  # fmt: skip
        return nullcontext
    return spans_to(BatchSpanProcessor(OTLPSpanExporter()))


def spans_to(processor: SpanProcessor) -> Callable[[str], Any]:
    """Gives a span for a part of the work, by its name, which a processor hears of when it is over."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(resource=Resource.create({"service.name": "daybook-risk"}))
    provider.add_span_processor(processor)
    return provider.get_tracer(NAME).start_as_current_span
