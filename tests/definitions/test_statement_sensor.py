"""The sensor that watches for broker statements: which sessions it has reconciled again, and what it tells.

Does not belong here: reading statements (`tests/adapters/`), or reconciling (`tests/days/`).
"""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from pipelines.brokers import symbols_of
from pipelines.deployments import adapters, reference
from pipelines.settings import Place, place, write_desk
from pipelines.statements import MOST_AT_ONCE, broker_statements, is_closed
from resources.brokers.interactive_brokers import InteractiveBrokers
from resources.brokers.paper import PaperBroker
from resources.brokers.statement_file import StatementFileBroker
from resources.memory import MemoryFrames, MemoryNotifier
from trading.config.models import DeskSettings
from trading.config.trading import BrokerSettings, TradingSettings
from trading.frames import EQUITY, to_table
from trading.ports import Span

NOW = datetime(2024, 3, 12, 22, tzinfo=UTC)
THU, FRI, MON = date(2024, 3, 7), date(2024, 3, 8), date(2024, 3, 11)
REFERENCE = reference(place())
FLAT = "symbol,contract,quantity,price\n"


def closed(*sessions: date) -> MemoryFrames:
    """A store in which sessions have an account."""
    frames = MemoryFrames()
    for session in sessions:
        blank = dict.fromkeys(EQUITY.schema.names, 0.0)
        row = {**blank, "session": session, "currency": "USD"}
        frames.replace(EQUITY, to_table(pd.DataFrame([row]), EQUITY), Span.session(session))
    return frames


def put(home: Path, session: date, text: str = FLAT, age_s: float = 60, name: str = "") -> None:
    """A statement of some age."""
    folder = home / "statements"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (name or f"{session}.csv")
    file.write_text(text)
    os.utime(file, (NOW.timestamp() - age_s,) * 2)


class Desk:
    """A desk's sensor from tick to tick."""

    def __init__(self, home: Path, frames: MemoryFrames, **broker: Any) -> None:
        self.home, self.frames, self.notifier, self.cursor = home, frames, MemoryNotifier(), None
        chosen = {"name": "statement_file", "columns": {"record": ""}} | broker
        self.settings = DeskSettings(trading=TradingSettings(broker=BrokerSettings.model_validate(chosen)))

    def tick(self) -> list[str] | str:
        """Sessions of the runs that are asked for, or why none."""
        ports = {
            "desk": self.settings, "home": self.home, "frames": self.frames, "reference": REFERENCE,
            "notifier": self.notifier, "clock": lambda: NOW,
        }  # fmt: skip
        with dg.build_sensor_context(cursor=self.cursor, resources=ports) as context:
            found = broker_statements(context)
            self.cursor = context.cursor
        if isinstance(found, dg.SkipReason):
            return str(found.skip_message)
        assert all(run.run_key and run.tags["daybook/statement"] == run.partition_key for run in found)
        return [str(run.partition_key) for run in found]


def test_a_broker_without_files_has_nothing_to_watch(tmp_path: Path) -> None:
    assert Desk(tmp_path, closed(FRI), name="paper").tick() == "broker paper gives no statement files."
    assert not (tmp_path / "statements").exists()


def test_a_new_statement_of_a_closed_session_asks_for_one_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path, closed(THU, FRI, MON))
    put(tmp_path, FRI)
    assert desk.tick() == ["2024-03-08"]
    assert "nothing new" in desk.tick()
    put(tmp_path, MON)
    assert desk.tick() == ["2024-03-11"]


def test_a_corrected_statement_of_any_session_asks_again(tmp_path: Path) -> None:
    desk = Desk(tmp_path, closed(THU, FRI, MON))
    for session in (THU, FRI, MON):
        put(tmp_path, session)
    assert desk.tick() == ["2024-03-11"]  # at first only the newest: the rest is history
    put(tmp_path, THU, FLAT + "GOLD,202404,1,\n", age_s=30)
    put(tmp_path, FRI, FLAT + "GOLD,202404,2,\n", age_s=30)
    assert desk.tick() == ["2024-03-07", "2024-03-08"]
    assert "nothing new" in desk.tick()


def test_a_session_that_is_not_closed_is_left_to_its_close(tmp_path: Path) -> None:
    desk = Desk(tmp_path, closed(THU))
    put(tmp_path, FRI)
    assert "nothing new of a closed session" in desk.tick()
    desk.frames = closed(THU, FRI)
    assert "nothing new" in desk.tick()  # its close has read the statement


def test_a_date_that_is_no_session_is_not_closed() -> None:
    sunday = date(2024, 3, 10)
    assert not is_closed(closed(sunday), sunday)
    assert not is_closed(MemoryFrames(), FRI)


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path: Path) -> None:
    desk = Desk(tmp_path, closed(FRI, MON))
    put(tmp_path, FRI)
    put(tmp_path, MON, age_s=3)
    assert "2024-03-11.csv" in desk.tick()
    assert desk.cursor is None
    put(tmp_path, MON)
    assert desk.tick() == ["2024-03-11"]


def test_what_is_wrong_with_the_files_is_told_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path, closed(FRI, MON))
    put(tmp_path, FRI)
    assert desk.tick() == ["2024-03-08"]
    put(tmp_path, MON)
    put(tmp_path, MON, name="monday.csv")
    assert "monday.csv: no session in the file name" in desk.tick()
    assert "monday.csv: no session in the file name" in desk.tick()
    (notice,) = desk.notifier.told
    assert (notice.level, notice.title) == ("error", "a broker statement cannot be read")
    (tmp_path / "statements" / "monday.csv").unlink()
    assert desk.tick() == ["2024-03-11"]  # nothing was forgotten meanwhile


def test_files_that_were_wrong_at_first_do_not_make_history_news(tmp_path: Path) -> None:
    desk = Desk(tmp_path, closed(THU, FRI, MON))
    put(tmp_path, THU, name="thursday.csv")
    assert "no session in the file name" in desk.tick()
    (tmp_path / "statements" / "thursday.csv").unlink()
    for session in (THU, FRI, MON):
        put(tmp_path, session)
    assert desk.tick() == ["2024-03-11"]


def test_many_changes_have_their_turn_tick_by_tick(tmp_path: Path) -> None:
    days = [stamp.date() for stamp in pd.bdate_range("2024-01-02", periods=MOST_AT_ONCE + 3)]
    desk = Desk(tmp_path, closed(*days))
    desk.cursor = json.dumps({"marks": {}, "told": ""})
    for day in days:
        put(tmp_path, day)
    assert desk.tick() == [day.isoformat() for day in days[:MOST_AT_ONCE]]
    assert desk.tick() == [day.isoformat() for day in days[MOST_AT_ONCE:]]
    assert "nothing new" in desk.tick()


# --- which broker -----------------------------------------------------------------------------------------------------
def home_with(folder: Path, **broker: Any) -> Place:
    where = place(folder)
    write_desk(where, {"trading": {"broker": broker}})
    return where


@pytest.mark.parametrize(("name", "kind"), [
    ("paper", PaperBroker), ("statement_file", StatementFileBroker), ("interactive_brokers", InteractiveBrokers),
])  # fmt: skip
def test_the_settings_choose_the_broker(tmp_path: Path, name: str, kind: type) -> None:
    assert isinstance(adapters(home_with(tmp_path, name=name)).broker, kind)


def test_the_home_has_a_folder_for_statements_and_one_without_a_file_says_nothing(tmp_path: Path) -> None:
    broker = adapters(home_with(tmp_path, name="statement_file")).broker
    assert broker.statement(FRI) is None
    assert (tmp_path / "statements").is_dir()


def test_symbols_of_flex_files_are_known_from_reference_data(tmp_path: Path) -> None:
    flex = BrokerSettings(statement_format="flex", symbols={"XYZ": "GOLD"})
    found = symbols_of(tmp_path, flex)
    assert (found["ES"], found["GC"], found["XYZ"]) == ("SP500", "GOLD", "GOLD")
    assert symbols_of(tmp_path, BrokerSettings(symbols={"XYZ": "GOLD"})) == {"XYZ": "GOLD"}
