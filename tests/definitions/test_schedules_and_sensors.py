"""When Dagster acts: ticks of schedules on open days, holidays and clock changes; sensors on files, failures, limits.

Hours are worked by hand from the exchanges' closes; holidays are facts of 2024.
"""

import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from assets.milestones import Run as Maker
from assets.milestones import step_begun
from pipelines import sensors
from pipelines.dead_runs import PID_TAG
from pipelines.definitions import defs
from pipelines.deployments import reference
from pipelines.risk_limits import risk_limits
from pipelines.schedules import AFTER_CLOSE, Tick, close_schedule, last_to_close, overhang
from pipelines.settings import place
from resources.memory import MemoryFrames, MemoryLedger, MemoryNotifier
from resources.vendors.simulated import SimulatedVendor
from trading.config.data import DataSettings, Universe, VendorSettings
from trading.config.models import DeskSettings
from trading.market.instruments import ExchangeGroup

NEW_YORK, CHICAGO, BERLIN, TOKYO = map(ZoneInfo, ("America/New_York", "America/Chicago", "Europe/Berlin", "Asia/Tokyo"))
REFERENCE = reference(place())
REPOSITORY = defs.get_repository_def()
VENDOR = SimulatedVendor(REFERENCE)


def schedule(name: str) -> dg.ScheduleDefinition:
    """A schedule of the project."""
    return next(found for found in defs.schedules or [] if found.name == name)  # type: ignore[return-value]


def ticked(name: str, at: datetime, desk: DeskSettings | None = None) -> dg.RunRequest | str:
    """What a schedule asks for at an instant: a run, or why none."""
    context = dg.build_schedule_context(
        scheduled_execution_time=at,
        repository_def=REPOSITORY,
        resources={"reference": REFERENCE, "desk": desk or DeskSettings(), "vendor": VENDOR},
    )
    found = schedule(name).evaluate_tick(context)
    return found.run_requests[0] if found.run_requests else str(found.skip_message)


# --- schedules --------------------------------------------------------------------------------------------------------
def test_there_is_one_schedule_an_exchange_group_and_the_close() -> None:
    groups = {f"prices_{name.lower()}" for name in REFERENCE.exchange_groups()}
    assert {found.name for found in defs.schedules or []} == groups | {"close_of_day"}


@pytest.mark.parametrize(
    ("name", "cron", "zone"),
    [
        ("prices_cme", "20 16 * * 1-5", "America/Chicago"),
        ("prices_eurex", "20 22 * * 1-5", "Europe/Berlin"),
        ("prices_ose", "5 16 * * 1-5", "Asia/Tokyo"),
        ("close_of_day", "0 18 * * 1-5", "America/New_York"),
    ],
)
def test_hours(name: str, cron: str, zone: str) -> None:
    found = schedule(name)
    assert (found.cron_schedule, found.execution_timezone) == (cron, zone)


@pytest.mark.parametrize(
    ("name", "at", "session"),
    [
        (
            "prices_cme",
            datetime(2024, 3, 8, 16, 20, tzinfo=CHICAGO),
            "2024-03-08",
        ),  # a Friday; US clocks change
        ("prices_cme", datetime(2024, 3, 11, 16, 20, tzinfo=CHICAGO), "2024-03-11"),  # and the Monday after
        ("prices_eurex", datetime(2024, 3, 28, 22, 20, tzinfo=BERLIN), "2024-03-28"),
        ("prices_eurex", datetime(2024, 4, 2, 22, 20, tzinfo=BERLIN), "2024-04-02"),  # after European clocks changed
        ("prices_ose", datetime(2024, 3, 8, 16, 5, tzinfo=TOKYO), "2024-03-08"),  # still morning in UTC
        ("prices_ose", datetime(2024, 3, 8, 7, 5, tzinfo=UTC), "2024-03-08"),
        ("close_of_day", datetime(2024, 11, 1, 18, 0, tzinfo=NEW_YORK), "2024-11-01"),
        ("close_of_day", datetime(2024, 11, 4, 18, 0, tzinfo=NEW_YORK), "2024-11-04"),
        ("close_of_day", datetime(2024, 5, 1, 18, 0, tzinfo=NEW_YORK), "2024-05-01"),  # Europe's holiday only
    ],
)
def test_an_open_day_requests_its_own_session(name: str, at: datetime, session: str) -> None:
    found = ticked(name, at)
    assert isinstance(found, dg.RunRequest), found
    assert found.partition_key == session
    assert found.run_key == f"{name}:{session}"


@pytest.mark.parametrize(
    ("name", "at", "said"),
    [
        ("prices_cme", datetime(2024, 3, 29, 16, 20, tzinfo=CHICAGO), "2024-03-29 is a holiday: CME closed."),
        ("prices_eurex", datetime(2024, 5, 1, 22, 20, tzinfo=BERLIN), "2024-05-01 is a holiday: EUREX closed."),
        ("prices_ose", datetime(2024, 4, 29, 16, 5, tzinfo=TOKYO), "2024-04-29 is a holiday: OSE closed."),
        ("prices_cme", datetime(2024, 1, 1, 16, 20, tzinfo=CHICAGO), "2024-01-01 is not a session of the desk."),
        ("prices_asx", datetime(2024, 3, 8, 5, 50, tzinfo=UTC), "this desk follows no instrument of ASX."),
    ],
)
def test_a_tick_without_a_session_says_why(name: str, at: datetime, said: str) -> None:
    assert ticked(name, at) == said


def test_christmas_closes_nothing_in_chicago_though_currencies_are_quoted() -> None:
    at = datetime(2024, 12, 25, 18, 0, tzinfo=NEW_YORK)
    american = DeskSettings(data=DataSettings(universe=Universe(instruments=("US10", "SP500"))))
    assert ticked("close_of_day", at, american) == "2024-12-25 is a holiday: CME closed."
    everywhere = ticked("close_of_day", at)  # Tokyo trades
    assert isinstance(everywhere, dg.RunRequest)


def test_a_desk_that_counts_weekdays_knows_no_holidays() -> None:
    desk = DeskSettings.model_validate({"data": {"prices": {"calendar": "weekdays"}}})
    found = ticked("prices_cme", datetime(2024, 3, 29, 16, 20, tzinfo=CHICAGO), desk)
    assert isinstance(found, dg.RunRequest)


def test_the_desk_closes_after_every_group_has_its_prices_whatever_the_clocks_do() -> None:
    close = time(18)
    for number in range(366):
        day = date(2024, 1, 1) + timedelta(days=number)
        at = datetime.combine(day, close, NEW_YORK)
        for group in REFERENCE.exchange_groups().values():
            prices = datetime.combine(day, group.close_local, ZoneInfo(group.timezone)).astimezone(UTC) + AFTER_CLOSE
            assert prices < at.astimezone(UTC), f"{group.name} on {day}"


def test_a_group_that_is_later_only_while_the_clocks_differ_moves_the_close() -> None:
    new_york = ExchangeGroup("NY", "weekdays", "America/New_York", time(17))
    berlin = ExchangeGroup("DE", "weekdays", "Europe/Berlin", time(22, 30))  # 17:30 in New York for three weeks a year
    assert last_to_close([berlin, new_york]) == new_york
    assert overhang(new_york, [berlin, new_york]) == timedelta(minutes=30)
    found = close_schedule([berlin, new_york])
    assert (found.cron_schedule, found.execution_timezone) == ("30 18 * * 1-5", "America/New_York")


def test_a_tick_beyond_midnight_belongs_to_the_session_before() -> None:
    tick = Tick(time(23, 30), timedelta(minutes=60), "Europe/London")
    assert tick.cron() == "30 0 * * 2-6"
    assert tick.session(datetime(2024, 3, 9, 0, 30, tzinfo=UTC)) == date(2024, 3, 8)


# --- sensors ----------------------------------------------------------------------------------------------------------
NOW = datetime(2024, 3, 8, 22, tzinfo=UTC)


def dropped(home: Path, cursor: str | None = None, source: Path | None = None) -> tuple[dg.RunRequest | str, str]:
    """What the drop folder's sensor asks for, or why not; and its cursor."""
    vendor = VendorSettings(name="csv_folder", source=str(source)) if source else VendorSettings()
    ports = {"desk": DeskSettings(data=DataSettings(vendor=vendor)), "home": home, "clock": lambda: NOW}
    with dg.build_sensor_context(cursor=cursor, resources=ports) as context:
        found = sensors.drop_folder(context)
        return (found if isinstance(found, dg.RunRequest) else str(found.skip_message)), context.cursor or ""


def drop(folder: Path, name: str, text: str, age_s: float = 60) -> None:
    """A file of some age."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    os.utime(folder / name, (NOW.timestamp() - age_s,) * 2)


def test_a_folder_that_is_not_there_or_empty_asks_for_nothing(tmp_path: Path) -> None:
    assert dropped(tmp_path) == (f"{tmp_path / 'drop'} is not a folder.", "")
    (tmp_path / "drop").mkdir()
    assert "has no CSV files" in dropped(tmp_path)[0]


def test_new_files_ask_for_one_run(tmp_path: Path) -> None:
    drop(tmp_path / "drop", "GOLD.csv", "1")
    asked, cursor = dropped(tmp_path)
    assert isinstance(asked, dg.RunRequest)
    assert asked.run_key == cursor != ""
    assert dropped(tmp_path, cursor) == (f"nothing has changed in {tmp_path / 'drop'}.", cursor)


def test_changed_files_ask_again(tmp_path: Path) -> None:
    drop(tmp_path / "drop", "GOLD.csv", "1")
    _, cursor = dropped(tmp_path)
    drop(tmp_path / "drop", "GOLD.csv", "1,2")
    asked, second = dropped(tmp_path, cursor)
    assert isinstance(asked, dg.RunRequest)
    assert second != cursor


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    drop(tmp_path / "drop", "GOLD.csv", "1")
    drop(tmp_path / "drop", "CORN.csv", "1", age_s=3)
    asked, cursor = dropped(tmp_path)
    assert "still being written" in str(asked)
    assert cursor == ""


def test_a_vendor_of_files_watches_its_own_folder(tmp_path: Path) -> None:
    drop(tmp_path / "vendor", "GOLD.csv", "1")
    asked, _ = dropped(tmp_path / "home", source=tmp_path / "vendor")
    assert isinstance(asked, dg.RunRequest)
    assert asked.tags["daybook/drop_folder"] == str(tmp_path / "vendor")


def test_a_failed_run_is_told_with_its_job_and_session() -> None:
    @dg.op
    def refuse() -> None:
        raise dg.Failure("no prices")

    @dg.job(name="close")
    def close() -> None:
        refuse()

    notifier = MemoryNotifier()
    with dg.DagsterInstance.ephemeral() as instance:
        run = close.execute_in_process(
            instance=instance, raise_on_error=False, tags={"dagster/partition": "2024-03-08"}
        )
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failed",
            dagster_instance=instance,
            dagster_run=run.dagster_run,
            dagster_event=run.get_run_failure_event(),
            resources={"notifier": notifier, "ledger": MemoryLedger()},
        ).for_run_failure()
        sensors.run_failed(context)
    (notice,) = notifier.told
    assert (notice.level, notice.title) == ("error", "close failed")
    assert notice.facts == {"job": "close", "run": run.run_id, "session": "2024-03-08"}


@pytest.mark.parametrize(("tags", "state"), [({}, "done"), ({PID_TAG: "1"}, "step")])
def test_the_end_of_a_run_of_the_ui_is_journaled(tags: dict[str, str], state: str) -> None:
    """And not that of a command, which says it itself."""

    @dg.job(name="close")
    def fine() -> None: ...

    ledger = MemoryLedger()
    with dg.DagsterInstance.ephemeral() as instance:
        run = fine.execute_in_process(instance=instance, tags=tags)
        maker = Maker(run.run_id, "close", "dagster", datetime(2024, 3, 8, tzinfo=UTC))
        ledger.record([step_begun("published", date(2024, 3, 8), maker)])
        context = dg.build_run_status_sensor_context(
            sensor_name="run_done",
            dagster_instance=instance,
            dagster_run=run.dagster_run,
            dagster_event=run.get_run_success_event(),
            resources={"ledger": ledger},
        )
        sensors.run_done(context)
    (row,) = ledger.rows("process_runs")
    assert (row["process"], row["state"], row["step"]) == ("close", state, "published")


def test_every_job_that_works_unwatched_tells_when_it_fails() -> None:
    by_session = {"prices", "close", "recalculate", "reconcile", "backfill", "orders"}
    others = {"ingest", "backtest", "sweep", "backup", "quality"}
    assert {job.name for job in sensors.WATCHED} == by_session | others


def test_limits_are_not_watched_before_a_session_is_closed() -> None:
    found = risk_limits(
        dg.build_sensor_context(),
        frames=MemoryFrames(),
        ledger=MemoryLedger(),
        reference=REFERENCE,
        desk=DeskSettings(),
        notifier=MemoryNotifier(),
        clock=lambda: datetime(2024, 3, 8, tzinfo=UTC),
    )
    assert found.skip_message == "no session is closed yet"
