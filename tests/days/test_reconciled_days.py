"""The asset `breaks` and its gate in Dagster, on adapters in memory. Does not belong here: which differences there are
(`tests/domain/test_broker_breaks.py`)."""

import time
from datetime import UTC, date, datetime

import dagster as dg

from assets.reconciliation import breaks
from checks.reconciliation import ITEM, no_open_quantity_breaks
from resources.memory import MemoryBroker, MemoryFrames, MemoryLedger, MemoryReference
from trading.book.journal import Event
from trading.book.statements import Statement
from trading.config.models import DeskSettings
from trading.config.trading import ReconciliationSettings, TradingSettings
from trading.frames import BREAKS
from trading.market.instruments import Instrument

FRI, MON, TUE = date(2022, 2, 25), date(2022, 2, 28), date(2022, 3, 1)
US10 = Instrument("US10", "Ten years", "CBOT", "USD", 1000.0, 0.01, "rates", "bonds", "US", effective_from=FRI)
NOW = datetime(2022, 3, 1, 23, tzinfo=UTC)


def bought(name: str, session: date, quantity: int = 3) -> Event:
    payload = {
        "fill_id": name, "order_id": f"o-{name}", "strategy": "trend", "instrument": "US10", "contract": 20220600,
        "session": session.isoformat(), "quantity_contracts": quantity, "price_points": 127.5, "commission_local": 0.0,
        "executed_at": None,
    }  # fmt: skip
    return Event(f"fill:{name}", "fill", session, NOW, "close", payload)


class Desk:
    """Stores in memory, and a broker that holds what it is told."""

    def __init__(self, held: dict[date, int]) -> None:
        self.frames, self.ledger = MemoryFrames(), MemoryLedger()
        self.ledger.record([bought("a", FRI)])
        self.broker = MemoryBroker(name="ib")
        for session, contracts in held.items():
            self.broker.statements[session] = Statement(
                "ib", session, {("US10", 20220600): contracts}, {"USD": -382_500.0}
            )

    def run(self, first: date, last: date) -> dg.ExecuteInProcessResult:
        values = {
            "frames": self.frames, "ledger": self.ledger, "broker": self.broker, "clock": lambda: NOW,
            "reference": MemoryReference([US10]),
            "desk": DeskSettings(trading=TradingSettings(reconciliation=ReconciliationSettings(owner="anna"))),
        }  # fmt: skip
        tags = {
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
        }
        definitions = dg.Definitions(
            [breaks],
            asset_checks=[no_open_quantity_breaks],
            jobs=[dg.define_asset_job("run", [breaks], executor_def=dg.in_process_executor)],
            resources={name: dg.ResourceDefinition.hardcoded_resource(value) for name, value in values.items()},
        )
        return definitions.resolve_job_def("run").execute_in_process(tags=tags, raise_on_error=False)

    def checked(self, first: date, last: date) -> tuple[bool, str, str]:
        """Runs, and gives whether the gate let it pass, its severity and what it said."""
        ended = self.run(first, last)
        (judged,) = ended.get_asset_check_evaluations()
        return judged.passed, judged.severity.value, judged.description

    def rows(self, session: date) -> list[tuple]:
        table = self.frames.history(BREAKS, through=session, since=session)
        return [(row["kind"], row["item"], row["age_sessions"], row["owner"]) for row in table.to_pylist()]


def test_a_quantity_stops_the_close_until_it_is_overridden_closed_or_heals() -> None:
    desk = Desk({FRI: 3, MON: 4, TUE: 3})
    assert desk.checked(FRI, FRI)[0]
    passed, severity, said = desk.checked(MON, MON)
    assert (passed, severity) == (False, "ERROR")
    assert "the book holds +3, the broker +4" in said
    assert desk.rows(MON) == [("quantity", "US10/20220600", 0, "anna")]
    override = {
        "override_id": "x",
        "scope": "check",
        "item": ITEM,
        "session": "2022-02-28",
        "reason": "rebooked at noon",
    }
    desk.ledger.record([Event("override:x", "override_set", MON, NOW, "bert", override)])
    passed, severity, said = desk.checked(MON, MON)
    assert (passed, severity) == (False, "WARN")
    assert "overridden by bert: rebooked at noon" in said
    assert desk.checked(TUE, TUE)[0]
    assert desk.rows(TUE) == []


def test_a_range_is_one_run_and_stops_where_one_session_does() -> None:
    desk = Desk({FRI: 3, MON: 4, TUE: 3})
    assert desk.checked(FRI, TUE)[:2] == (False, "ERROR")
    assert desk.rows(MON) == [("quantity", "US10/20220600", 0, "anna")]
    assert [row["state"] for row in desk.ledger.rows("breaks")] == ["closed"]


def test_what_a_person_closed_stops_nothing() -> None:
    desk = Desk({FRI: 4})
    assert desk.checked(FRI, FRI)[1] == "ERROR"
    (row,) = desk.ledger.rows("breaks")
    closing = {"break_id": row["break_id"], "session": "2022-02-25", "closed_by": "bert", "reason": "rebooked"}
    desk.ledger.record([Event("closed", "break_closed", FRI, NOW, "bert", closing)])
    assert desk.checked(FRI, FRI)[0]


def test_no_answer_stops_the_close_and_cash_warns() -> None:
    desk = Desk({FRI: 3, MON: 3})
    desk.broker.down = "the line is dead"
    passed, severity, said = desk.checked(FRI, FRI)
    assert (passed, severity) == (False, "ERROR")
    assert "the line is dead" in said
    assert desk.rows(FRI) == [("statement_missing", "ib", 0, "anna")]
    desk.broker.down = None
    desk.broker.statements[MON] = Statement("ib", MON, {("US10", 20220600): 3}, {"USD": -382_400.0})
    assert desk.checked(MON, MON)[:2] == (False, "WARN")
    assert desk.rows(MON) == [("cash", "USD", 0, "anna")]


def test_years_in_one_run() -> None:
    sessions = 500
    desk = Desk({})
    days = [date.fromordinal(FRI.toordinal() + n) for n in range(sessions * 7 // 5)]
    weekdays = [day for day in days if day.weekday() < 5 and (day.month, day.day) != (1, 1)]
    desk.ledger.record([bought(f"{day}-{n}", day, 1 if n % 2 else -1) for day in weekdays for n in range(4)])
    held = dict.fromkeys(weekdays, 3) | {weekdays[100]: 4}
    desk.broker.statements |= {
        day: Statement("ib", day, {("US10", 20220600): contracts}, {"USD": -382_500.0})
        for day, contracts in held.items()
    }
    began = time.perf_counter()
    assert desk.run(weekdays[0], weekdays[-1]).get_asset_check_evaluations()
    assert time.perf_counter() - began < 30
    assert [(row["kind"], row["state"]) for row in desk.ledger.rows("breaks")] == [("quantity", "closed")]
    assert desk.rows(weekdays[100]) == [("quantity", "US10/20220600", 0, "anna")]


def test_the_picture_of_what_is_open_is_shown() -> None:
    ended = Desk({FRI: 4}).run(FRI, FRI)
    (made,) = ended.asset_materializations_for_node("breaks")
    assert "data:image/png" in made.metadata["open breaks"].value
