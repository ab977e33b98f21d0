"""What a person asked for that cannot be, and what is said while a run works: sentences.

Belongs here: requests no other file of this folder has. Does not belong here: bad input (`test_bad_input.py`).
"""

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.progress import StepLines
from pipelines.runs import run
from pipelines.settings import place, write_desk

Run = Callable[..., Any]


def test_dates_of_a_run_configuration_that_are_none(loaded_two: Path, copied: Callable[[Path], Path]) -> None:
    home = copied(loaded_two)
    ended = run(place(home), "ingest", config={"ops": {"history": {"config": {"since": "31.12.2020"}}}})
    assert ended.exit_code == 2
    assert ended.failed_steps == {"history": "since '31.12.2020' is not a date. Write it as YYYY-MM-DD."}


def test_a_desk_without_any_session_says_so(loaded_two: Path, copied: Callable[[Path], Path], daybook: Run) -> None:
    home = copied(loaded_two)
    write_desk(place(home), {"data": {"universe": {"instruments": ["NOBODY"]}, "prices": {"calendar": "exchange"}}})
    ended = daybook("close", "--home", home)
    assert ended.code == 2
    assert "no session lies in the 15 days to 2021-03-31" in ended.err
    assert "--session" in ended.err


def test_what_an_asset_says_is_printed_whole_and_a_step_stopped_by_its_check_in_words() -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("fine", asset="talkative", blocking=True)])
    def talkative(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        context.log.info("raw_bars: 12 rows - 3 of them new")
        failed = dg.AssetCheckResult(check_name="fine", passed=False, description="it is not")
        return dg.MaterializeResult(check_results=[failed])

    stream = io.StringIO()

    @dg.logger
    def lines(_: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("lines", level=logging.DEBUG)
        logger.addHandler(StepLines(stream))
        return logger

    defs = dg.Definitions([talkative], loggers={"lines": lines}, jobs=[dg.define_asset_job("all")])
    job = defs.resolve_job_def("all")
    job.execute_in_process(run_config={"loggers": {"lines": {}}}, raise_on_error=False)
    said = stream.getvalue()
    assert "    raw_bars: 12 rows - 3 of them new\n" in said
    assert "check failed: talkative: fine: it is not" in said
    assert "stopped by its check" in said
    assert "dagster._core" not in said


def test_a_mistyped_home_trades_nothing(daybook: Run, tmp_path: Path) -> None:
    for words in (("close",), ("backfill", "--from", "2024-03-04", "--to", "2024-03-08")):
        ended = daybook(*words, "--home", tmp_path / "typo")
        assert ended.code == 2
        assert f"there is no desk in {tmp_path / 'typo'}. Correct --home or DAYBOOK_HOME" in ended.err
        assert not (tmp_path / "typo").exists()


def test_a_desk_that_follows_nothing_says_so(tmp_path: Path, daybook: Callable[..., Any]) -> None:
    """The vendor's folder is empty: no exchange is closed, and none is open."""
    (tmp_path / "prices").mkdir()
    (tmp_path / "desk.toml").write_text('schema = 2\n[data.vendor]\nname = "csv_folder"\nsource = "prices"\n')
    ended = daybook("close", "--session", "2024-12-30", "--home", tmp_path)
    assert ended.code == 2
    said = " ".join(ended.err.split())
    assert "this desk follows no instrument" in said
    assert "vendor csv_folder has none in prices" in said
    assert "correct data.vendor.source or data.universe." in said
    assert "()" not in said
    assert ". ." not in said
