"""What a person sees while a run works: one line a step, what failed, what an asset says, and nothing else."""

import io
import logging

import dagster as dg
import pytest

from pipelines.progress import StepLines
from trading.errors import UsageError


@dg.asset(check_specs=[dg.AssetCheckSpec("counted", asset="bars"), dg.AssetCheckSpec("odd", asset="bars")])
def bars(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Says something, and fails a check of each severity."""
    context.log.debug("not for people")
    context.log.info("126 rows - all new")
    context.log.warning("no data for GOLD")
    error = dg.AssetCheckResult(check_name="counted", passed=False, description="two rows are missing")
    warning = dg.AssetCheckResult(
        check_name="odd", passed=False, severity=dg.AssetCheckSeverity.WARN, description="only odd"
    )
    return dg.MaterializeResult(check_results=[error, warning])


@dg.asset(deps=[bars])
def prices() -> None:
    """Fails with a sentence of ours."""
    raise UsageError("there are no prices. Load some first.")


@dg.asset(deps=[prices])
def report() -> None:
    """Is kept from running."""


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What a run of the three prints."""
    stream = io.StringIO()

    @dg.logger
    def logger(context: dg.InitLoggerContext) -> logging.Logger:
        found = logging.Logger("test", level=logging.DEBUG)
        found.addHandler(StepLines(stream))
        return found

    job = dg.define_asset_job("day", executor_def=dg.in_process_executor)
    defs = dg.Definitions([bars, prices, report], jobs=[job], loggers={"lines": logger})
    result = defs.resolve_job_def("day").execute_in_process(
        instance=dg.DagsterInstance.ephemeral(), run_config={"loggers": {"lines": {}}}, raise_on_error=False
    )
    assert not result.success
    return stream.getvalue().splitlines()


def test_a_line_when_a_step_ends_with_its_seconds(lines: list[str]) -> None:
    (line,) = [line for line in lines if line.startswith("  bars ")]
    name, seconds, unit = line.split()
    assert (name, unit) == ("bars", "s")
    assert 0 <= float(seconds) < 60


def test_a_failed_step_says_why_in_our_words(lines: list[str]) -> None:
    (line,) = [line for line in lines if line.startswith("  prices ")]
    assert line.endswith("FAILED: there are no prices. Load some first.")


def test_a_failed_check_is_a_line_and_a_warning_is_none(lines: list[str]) -> None:
    assert [line for line in lines if "check failed" in line] == ["  check failed: bars: counted: two rows are missing"]
    assert not [line for line in lines if "only odd" in line]


def test_what_an_asset_says_is_printed_and_a_warning_is_marked(lines: list[str]) -> None:
    assert [line for line in lines if line.endswith("all new")]
    assert "  ! no data for GOLD" in lines
    assert not [line for line in lines if "not for people" in line]


def test_a_step_that_was_kept_from_running_is_left_out(lines: list[str]) -> None:
    assert not [line for line in lines if "report" in line or "Dependencies" in line]
    assert len(lines) == 5  # two steps, a check, two sentences
