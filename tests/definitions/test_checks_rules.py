"""The rules as asset checks: outcomes, violations kept, what blocks, for a session, a range and no partition at all."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
import pytest

from assets.partitions import SESSIONS
from checks import CHECKS
from resources.frame_panels import FramePanels
from resources.memory import MemoryBlobs, MemoryConfigurations, MemoryFrames, MemoryLedger, MemoryReference
from trading.book.journal import Event
from trading.config.models import DeskSettings
from trading.frames import DATASETS, RAW_BARS, VIOLATIONS, Dataset, to_pandas, to_table
from trading.market.instruments import Instrument
from trading.ports import Span

MONDAY, TUESDAY, WEDNESDAY = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)
SP500 = Instrument("SP500", "S&P", "CME", "USD", 50.0, 0.25, "Equity", "Index", "US")


def bar(session: date, *, high: float = 5.0, close: float = 4.5, volume: float | None = None) -> dict[str, object]:
    """A raw daily bar as delivered; the fault is what a test changes."""
    stamp = pd.Timestamp(session)
    seen = stamp.tz_localize("UTC")
    return {
        "vendor": "test", "instrument": "SP500", "contract": 20240600, "frequency": "daily",
        "label": str(session), "occurrence": 0, "stamp": stamp, "event_at": seen, "session": stamp, "known_at": seen,
        "loaded_at": seen, "open": 4.5, "high": high, "low": 4.0, "close": close, "volume": volume,
    }  # fmt: skip


def stand_in(dataset: Dataset) -> dg.AssetsDefinition:
    """An asset of a dataset's name that writes nothing."""

    @dg.asset(key=dataset.name, partitions_def=SESSIONS, backfill_policy=dg.BackfillPolicy.single_run())
    def asset() -> dg.MaterializeResult:
        return dg.MaterializeResult()

    return asset


@dg.asset(deps=["raw_bars"], partitions_def=SESSIONS, backfill_policy=dg.BackfillPolicy.single_run())
def downstream() -> dg.MaterializeResult:
    return dg.MaterializeResult()


class Desk:
    """Stand-in assets, the real checks, and adapters in memory."""

    def __init__(self, *bars: Mapping[str, object]) -> None:
        self.frames, self.ledger = MemoryFrames(), MemoryLedger()
        if bars:
            self.frames.append(RAW_BARS, to_table(pd.DataFrame(bars), RAW_BARS))
        self.assets = [stand_in(dataset) for dataset in DATASETS.values()]
        self.defs = dg.Definitions(
            [*self.assets, downstream],
            asset_checks=CHECKS,
            jobs=[
                dg.define_asset_job("prices", selection=dg.AssetSelection.assets("raw_bars", "downstream")),
                dg.define_asset_job("book", selection=dg.AssetSelection.assets("positions")),
                dg.define_asset_job("looks", selection=dg.AssetSelection.checks_for_assets("raw_bars")),
            ],
            resources={
                "frames": self.frames,
                "ledger": self.ledger,
                "reference": MemoryReference([SP500]),
                "panels": FramePanels(self.frames, MemoryReference([SP500])),
                "desk": DeskSettings(),
                "configuration": MemoryConfigurations(DeskSettings()),
                "signed": MemoryBlobs(),
                "clock": dg.ResourceDefinition.hardcoded_resource(lambda: datetime(2024, 3, 7, tzinfo=UTC)),
            },
        )

    def run(self, job: str, first: date | None = None, last: date | None = None) -> dg.ExecuteInProcessResult:
        """Runs a job without partition, for one session, or for a range in one run."""
        tags = {"dagster/partition": str(first)} if first else {}
        if last:
            tags = {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
        instance = dg.DagsterInstance.ephemeral()
        return self.defs.resolve_job_def(job).execute_in_process(instance=instance, tags=tags, raise_on_error=False)

    def violations(self) -> set[tuple[str, date]]:
        """Rules that found something, with the session."""
        rows = self.frames.history(VIOLATIONS, through=date(2030, 1, 1)).to_pylist()
        return {(row["rule"], row["session"]) for row in rows}


def evaluations(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def outcome(found: dg.AssetCheckEvaluation) -> object:
    return found.metadata["outcome"].value


def test_a_session_passes_fails_and_is_not_applicable_rule_by_rule() -> None:
    desk = Desk(bar(MONDAY, high=1.0), bar(TUESDAY, high=1.0))
    found = evaluations(desk.run("prices", TUESDAY))
    assert (outcome(found["ohlc"]), found["ohlc"].passed, found["ohlc"].severity.value) == ("failed", False, "ERROR")
    assert found["ohlc"].metadata["found"].value == 1
    assert (outcome(found["volume"]), found["volume"].passed) == ("not applicable", False)
    assert found["volume"].severity == dg.AssetCheckSeverity.WARN
    assert (outcome(found["schema"]), found["schema"].passed) == ("passed", True)
    assert desk.violations() == {("ohlc", TUESDAY)}


def test_a_range_in_one_run_examines_all_its_sessions() -> None:
    desk = Desk(bar(MONDAY, high=1.0), bar(TUESDAY), bar(WEDNESDAY, volume=-1.0))
    result = desk.run("prices", MONDAY, WEDNESDAY)
    assert result.success
    assert desk.violations() == {("ohlc", MONDAY), ("volume", WEDNESDAY)}
    table = evaluations(result)["ohlc"].metadata["first violations"]
    assert isinstance(table, dg.TableMetadataValue)
    assert table.records[0].data["series"] == "test/SP500/20240600/daily"


def test_without_a_partition_the_newest_session_is_examined() -> None:
    desk = Desk(bar(MONDAY, high=1.0), bar(TUESDAY, volume=-1.0))
    assert desk.run("looks").success
    assert desk.violations() == {("volume", TUESDAY)}


def test_a_correction_clears_the_violation_it_corrects() -> None:
    desk = Desk(bar(TUESDAY, high=1.0))
    desk.run("prices", TUESDAY)
    assert desk.violations() == {("ohlc", TUESDAY)}
    later = pd.Timestamp(WEDNESDAY, tz="UTC")
    corrected = {**bar(TUESDAY), "known_at": later, "loaded_at": later}
    desk.frames.append(RAW_BARS, to_table(pd.DataFrame([corrected]), RAW_BARS))
    desk.run("prices", TUESDAY)
    assert desk.violations() == set()


def test_a_session_without_any_price_stops_what_comes_after() -> None:
    result = Desk(bar(MONDAY)).run("prices", TUESDAY)
    found = evaluations(result)["session_delivered"]
    assert (found.passed, found.severity.value) == (False, "ERROR")
    assert not result.success
    assert "downstream" not in {event.step_key for event in result.all_events if event.is_step_success}


def test_bad_rows_are_reported_and_stop_nothing() -> None:
    result = Desk(bar(TUESDAY, high=1.0)).run("prices", TUESDAY)
    assert result.success
    assert "downstream" in {event.step_key for event in result.all_events if event.is_step_success}


def test_a_dataset_never_written_is_not_applicable_and_never_passed() -> None:
    found = evaluations(Desk().run("prices", TUESDAY))
    assert {outcome(each) for each in found.values()} == {"not applicable"}
    assert not any(each.passed for each in found.values())


def fill(fill_id: str, quantity: int) -> Event:
    payload = {
        "fill_id": fill_id, "order_id": "o1", "strategy": "trend", "instrument": "SP500", "contract": 20240600,
        "session": str(TUESDAY), "quantity_contracts": quantity, "price_points": 4.5, "commission_local": 1.0,
    }  # fmt: skip
    return Event(fill_id, "fill", TUESDAY, datetime(2024, 3, 5, tzinfo=UTC), "test", payload)


def test_the_ledger_check_folds_the_journal() -> None:
    desk = Desk()
    desk.ledger.record([fill("f1", 3), fill("f2", -1)])
    found = evaluations(desk.run("book", TUESDAY))["journal_intact"]
    assert (outcome(found), found.passed) == ("passed", True)


@pytest.mark.parametrize(("session", "stops"), [(TUESDAY, False), (MONDAY, True)])
def test_an_overridden_error_is_a_warning_that_says_by_whom(session: date, stops: bool) -> None:
    desk = Desk(bar(MONDAY, high=1.0), bar(TUESDAY, high=1.0))
    payload = {"override_id": "x", "scope": "check", "item": "raw_bars/ohlc", "session": str(session), "reason": "seen"}
    desk.ledger.record([Event("x", "override_set", TUESDAY, datetime(2024, 3, 5, tzinfo=UTC), "ann", payload)])
    found = evaluations(desk.run("prices", TUESDAY))["ohlc"]
    assert (outcome(found), found.passed) == ("failed", False)
    assert found.severity == (dg.AssetCheckSeverity.ERROR if stops else dg.AssetCheckSeverity.WARN)
    assert ("overridden by ann: seen" in (found.description or "")) is not stops


def test_a_range_is_overridden_only_on_all_its_sessions() -> None:
    desk = Desk(bar(MONDAY, high=1.0), bar(TUESDAY, high=1.0))
    for number, session in enumerate((MONDAY, TUESDAY)):
        payload = {"override_id": str(number), "scope": "step", "item": "validated", "session": str(session)}
        event = Event(str(number), "override_set", session, datetime(2024, 3, 5, tzinfo=UTC), "ann",
                      payload | {"reason": "seen"})  # fmt: skip
        desk.ledger.record([event])
        found = evaluations(desk.run("prices", MONDAY, TUESDAY))["ohlc"]
        assert (found.severity == dg.AssetCheckSeverity.WARN) is bool(number)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.node_def.name)
def test_every_check_says_what_it_promises(check: dg.AssetChecksDefinition) -> None:
    for spec in check.check_specs:
        assert spec.asset_key.path[-1] in {*DATASETS, "signature"}
        assert spec.description
        assert spec.description.endswith(".")


def test_violations_are_rows_of_their_dataset() -> None:
    desk = Desk(bar(TUESDAY, high=1.0))
    desk.run("prices", TUESDAY)
    rows = to_pandas(desk.frames.history(VIOLATIONS, through=TUESDAY))
    assert rows.loc[0, ["dataset", "layer", "severity", "label", "column_name", "value"]].to_list() == [
        "raw_bars", "input", "error", "2024-03-05", "high", "1.0",
    ]  # fmt: skip
    assert desk.frames.history(VIOLATIONS, through=TUESDAY, series=["raw_bars"]).num_rows == 1
    desk.frames.replace(VIOLATIONS, VIOLATIONS.schema.empty_table(), Span(TUESDAY, TUESDAY, ("raw_bars",)))
    assert desk.violations() == set()
