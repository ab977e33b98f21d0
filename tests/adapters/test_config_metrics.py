"""Figures of the configuration as a scraper reads them: by Prometheus' own parser, over HTTP, and from a file."""

from __future__ import annotations

import math
import socket
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from resources.config_metrics import ConfigurationMetrics
from trading.config.measured import Measured
from trading.errors import StoreUnavailable, UsageError

BEGAN = datetime(2024, 3, 8, 21, 0, tzinfo=UTC)
FIRST = Measured(
    number=7, configuration="a" * 64, since=BEGAN, environment="paper", snapshot_bytes=1_600_000, symbols=10_000
)


class Clock:
    """A clock that stands where it was put."""

    def __init__(self) -> None:
        self.at = BEGAN

    def __call__(self) -> datetime:
        return self.at


def figures(text: str) -> dict[str, float]:
    """Samples by name, with labels in braces; what Prometheus says of when series were made is left out."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return {
        name.removeprefix("daybook_configuration_"): value for name, value in found.items() if "created" not in name
    }


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> ConfigurationMetrics:
    return ConfigurationMetrics(clock)


def test_before_anything_is_in_force_there_is_no_age(metrics: ConfigurationMetrics) -> None:
    found = figures(metrics.text())
    assert math.isnan(found["age_seconds"])
    assert (found["version"], found["reloads_total"], found["refusals_total"], found["drift"]) == (0, 0, 0, 0)


def test_what_is_in_force_at_the_start_is_no_reload(metrics: ConfigurationMetrics, clock: Clock) -> None:
    metrics.first(FIRST)
    clock.at = BEGAN + timedelta(minutes=5)
    found = figures(metrics.text())
    assert found["version"] == 7
    assert found["age_seconds"] == 300
    assert found["snapshot_bytes"] == 1_600_000
    assert found["symbols"] == 10_000
    assert found["reloads_total"] == 0


def test_a_reload_starts_the_age_anew_and_names_the_new_hash_only(metrics: ConfigurationMetrics, clock: Clock) -> None:
    metrics.first(FIRST)
    clock.at = BEGAN + timedelta(hours=1)
    metrics.reloaded(replace(FIRST, number=8, configuration="b" * 64, since=clock.at))
    text = metrics.text()
    found = figures(text)
    assert (found["version"], found["reloads_total"], found["age_seconds"]) == (8, 1, 0)
    assert f'hash="{"b" * 64}"' in text
    assert "a" * 64 not in text


def test_times_are_counted_below_their_bounds(metrics: ConfigurationMetrics) -> None:
    for seconds in (0.004, 0.03, 0.2):
        metrics.loaded(seconds)
    metrics.validated(0.04)
    found = figures(metrics.text())
    assert found["load_seconds_count"] == 3
    assert found["load_seconds_sum"] == pytest.approx(0.234)
    assert [found[f"load_seconds_bucket{{le={bound}}}"] for bound in ("0.005", "0.05", "0.1", "0.25")] == [1, 2, 2, 3]
    assert found["validation_seconds_count"] == 1


def test_refusals_drift_and_the_breaker(metrics: ConfigurationMetrics) -> None:
    metrics.refused()
    metrics.refused()
    metrics.drifted(True)
    metrics.breaker("open")
    found = figures(metrics.text())
    assert (found["refusals_total"], found["drift"]) == (2, 1)
    states = {state: found[f"breaker{{daybook_configuration_breaker={state}}}"] for state in ("closed", "open")}
    assert states == {"closed": 0, "open": 1}
    metrics.drifted(False)
    assert figures(metrics.text())["drift"] == 0


def test_two_desks_in_one_process_do_not_mix(metrics: ConfigurationMetrics, clock: Clock) -> None:
    other = ConfigurationMetrics(clock)
    metrics.refused()
    assert figures(other.text())["refusals_total"] == 0


def test_memory_of_the_process_is_told(metrics: ConfigurationMetrics) -> None:
    assert figures(metrics.text())["process_resident_memory_bytes"] > 1e6


def test_a_scraper_gets_the_text_while_it_is_served(metrics: ConfigurationMetrics) -> None:
    metrics.first(FIRST)
    with metrics.served(0) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert figures(answer.read().decode())["version"] == 7
        with pytest.raises(UsageError, match=f"{port}.*Choose another port"), metrics.served(port):
            pass
    with socket.socket() as free:  # the port is given back
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_a_file_is_replaced_as_a_whole(metrics: ConfigurationMetrics, tmp_path: Path) -> None:
    file = tmp_path / "logs" / "configuration.prom"
    metrics.first(FIRST)
    metrics.write(file)
    metrics.reloaded(replace(FIRST, number=8))
    metrics.write(file)
    assert figures(file.read_text())["version"] == 8
    assert [found.name for found in file.parent.iterdir()] == ["configuration.prom"]


def test_a_file_that_cannot_be_written_is_said(metrics: ConfigurationMetrics, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where a folder should be")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        metrics.write(tmp_path / "logs" / "configuration.prom")


def test_when_it_came_into_force_is_a_moment_that_does_not_grow_stale(
    metrics: ConfigurationMetrics, clock: Clock
) -> None:
    metrics.first(FIRST)
    clock.at += timedelta(hours=5)
    assert figures(metrics.text())["in_force_timestamp_seconds"] == 1_709_931_600  # 2024-03-08 21:00 UTC


def test_where_nobody_watches_any_more_no_breaker_is_open(metrics: ConfigurationMetrics) -> None:
    metrics.watched(True)
    metrics.breaker("open")
    found = figures(metrics.text())
    assert (found["watched"], found["breaker{daybook_configuration_breaker=open}"]) == (1, 1)
    metrics.watched(False)
    found = figures(metrics.text())
    assert (found["watched"], found["breaker{daybook_configuration_breaker=open}"]) == (0, 0)
