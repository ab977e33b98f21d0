"""The three-layer summary, from the checks of the same run."""

from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd

from assets.partitions import SESSIONS
from assets.quality import ASSETS, JUDGED
from checks import CHECKS
from resources.memory import MemoryFrames, MemoryLedger, MemoryReference
from trading.config.models import DeskSettings
from trading.frames import RAW_FX_RATES, to_table

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


def test_layers_sum_up_the_checks_of_the_run() -> None:
    frames = MemoryFrames()
    frames.append(RAW_FX_RATES, to_table(pd.DataFrame([quote(-1.0)]), RAW_FX_RATES))
    defs = dg.Definitions(
        [*map(stand_in, JUDGED), *ASSETS],
        asset_checks=CHECKS,
        jobs=[dg.define_asset_job("close", selection=dg.AssetSelection.assets(*JUDGED, "data_quality"))],
        resources={
            "frames": frames,
            "ledger": MemoryLedger(),
            "reference": MemoryReference(),
            "desk": DeskSettings(),
            "clock": dg.ResourceDefinition.hardcoded_resource(lambda: datetime(2024, 3, 6, tzinfo=UTC)),
        },
    )
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
