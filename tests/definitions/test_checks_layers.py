"""The state of the data after a close: three layers from the checks of the same run, and violations lately, by SQL."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pandas as pd

from assets.partitions import SESSIONS
from assets.quality import ASSETS, JUDGED
from checks import CHECKS
from resources.duckdb_sql import SqlReader
from resources.frame_panels import FramePanels
from resources.memory import MemoryBlobs, MemoryConfigurations, MemoryFrames, MemoryLedger, MemoryReference
from trading.config.models import DeskSettings
from trading.frames import RAW_FX_RATES, VIOLATIONS, to_table
from trading.ports import Span

SESSION = date(2024, 3, 5)


def quote(rate: float) -> dict[str, object]:
    stamp = pd.Timestamp(SESSION)
    seen = stamp.tz_localize("UTC")
    return {
        "vendor": "v", "pair": "EURUSD", "label": str(SESSION), "occurrence": 0, "stamp": stamp, "event_at": seen,
        "session": stamp, "known_at": seen, "loaded_at": seen, "rate": rate,
    }  # fmt: skip


def stand_in(name: str) -> dg.AssetsDefinition:
    @dg.asset(key=name, partitions_def=SESSIONS)
    def asset() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    return asset


def definitions(frames: MemoryFrames) -> dg.Definitions:
    """The real summary and checks over assets that write nothing."""
    return dg.Definitions(
        [*map(stand_in, JUDGED), *ASSETS],
        asset_checks=CHECKS,
        jobs=[
            dg.define_asset_job("close", selection=dg.AssetSelection.assets(*JUDGED, "data_quality")),
            dg.define_asset_job("alone", selection=dg.AssetSelection.assets("data_quality")),
        ],
        resources={
            "frames": frames,
            "ledger": MemoryLedger(),
            "sql": SqlReader(frames, MemoryLedger()),
            "reference": MemoryReference(),
            "panels": FramePanels(frames, MemoryReference()),
            "desk": DeskSettings(),
            "configuration": MemoryConfigurations(DeskSettings()),
            "signed": MemoryBlobs(),
            "clock": dg.ResourceDefinition.hardcoded_resource(lambda: datetime(2024, 3, 6, tzinfo=UTC)),
        },
    )


def test_layers_sum_up_the_checks_of_the_run() -> None:
    frames = MemoryFrames()
    frames.append(RAW_FX_RATES, to_table(pd.DataFrame([quote(-1.0)]), RAW_FX_RATES))
    defs = definitions(frames)
    instance = dg.DagsterInstance.ephemeral()
    result = defs.resolve_job_def("close").execute_in_process(instance=instance, partition_key=str(SESSION))
    (event,) = result.asset_materializations_for_node("data_quality")
    table = event.metadata["layers"]
    assert isinstance(table, dg.TableMetadataValue)
    came_in, made, _ = (record.data for record in table.records)
    assert (came_in["layer"], came_in["failed"], came_in["errors"]) == ("input", 1, 1)
    assert (made["layer"], made["passed"], made["failed"]) == ("processing", 0, 0)
    found = {
        each.check_name: each for each in result.get_asset_check_evaluations() if "data_quality" in str(each.asset_key)
    }
    assert found["input"].metadata["outcome"].value == "failed"
    assert found["processing"].metadata["outcome"].value == "not applicable"
    assert not found["processing"].passed


def violation(rule: str, session: date, label: str, severity: str = "warning") -> dict[str, object]:
    """A row of an earlier finding."""
    return {
        "dataset": "clean_bars", "layer": "processing", "rule": rule, "severity": severity, "series": "SP500",
        "session": session, "label": label, "column_name": "", "value": "", "message": "m",
    }  # fmt: skip


def test_violations_of_the_last_thirty_sessions_are_counted_by_rule() -> None:
    """Tuesday 5 March 2024: the thirtieth session up to it is Wednesday 24 January."""
    frames = MemoryFrames()
    rows = [
        violation("gaps", SESSION, "a"), violation("gaps", SESSION, "b"),
        violation("gaps", date(2024, 1, 24), "a"), violation("gaps", date(2024, 1, 23), "too old"),
        violation("gaps", SESSION + timedelta(days=1), "later"), violation("ohlc", date(2024, 2, 1), "a", "error"),
    ]  # fmt: skip
    table = to_table(pd.DataFrame(rows), VIOLATIONS)
    frames.replace(VIOLATIONS, table, Span(date(2024, 1, 1), date(2024, 4, 1)))
    instance = dg.DagsterInstance.ephemeral()
    job = definitions(frames).resolve_job_def("alone")
    result = job.execute_in_process(instance=instance, partition_key=str(SESSION))
    (event,) = result.asset_materializations_for_node("data_quality")
    shown = event.metadata["violations by rule, last 30 sessions"]
    assert isinstance(shown, dg.TableMetadataValue)
    assert [record.data for record in shown.records] == [
        {"dataset": "clean_bars", "rule": "ohlc", "severity": "error", "violations": 1, "sessions": 1,
         "newest": "2024-02-01"},
        {"dataset": "clean_bars", "rule": "gaps", "severity": "warning", "violations": 3, "sessions": 2,
         "newest": "2024-03-05"},
    ]  # fmt: skip
