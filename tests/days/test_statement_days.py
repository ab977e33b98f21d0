"""Days of a desk whose broker takes orders and gives statements as files, from the shell and from the sensor's job.

Belongs here: what the files make of a close and of a reconciliation. Does not belong here: reading statements
(`tests/adapters/`), or the life of breaks.
"""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

MON, TUE = "2020-12-28", "2020-12-29"
HEADER = "record,symbol,contract,quantity,price,trade_id,commission,executed_at"
DESK = """[trading.broker]
name = "statement_file"
[trading.broker.symbols]
GC = "GOLD"
[trading.broker.columns]
currency = ""
amount = ""
"""


def statement(home: Path, session: str, *rows: str) -> None:
    (home / "statements").mkdir(exist_ok=True)
    (home / "statements" / f"{session}.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def orders(home: Path, session: str) -> list[dict[str, str]]:
    with (home / "paper-orders" / f"PAPER-{session}.csv").open() as file:
        return list(csv.DictReader(file))


def traded(home: Path, session: str) -> list[str]:
    """What somebody did with a session's orders, all at their reference price, and the positions that made."""
    done = orders(home, session)
    held = [f"position,{o['symbol']},{o['contract']},{o['quantity']},{o['reference_price']},,," for o in done]
    trades = [f"trade,{o['symbol']},{o['contract']},{o['quantity']},{o['reference_price']},{number},2.5,"
              for number, o in enumerate(done)]  # fmt: skip
    return [*held, *trades]


def reconciled(home: Path) -> dict[str, Any]:
    """What the job of the sensor makes, and its breaks."""
    from assets.reconciliation import breaks
    from pipelines.deployments import adapters, resources
    from pipelines.settings import place

    wanted = ("frames", "ledger", "broker", "reference", "desk", "clock")
    ports = {name: port for name, port in resources(place(home)).items() if name in wanted}
    assert dg.materialize([breaks], resources=ports, partition_key=TUE).success
    rows = adapters(place(home)).sql.query(f"select kind, item, ours, theirs from breaks where session = '{TUE}'")
    return {row["kind"]: (row["item"], row["ours"], row["theirs"]) for row in rows.to_pylist()}


@pytest.fixture(scope="module")
def desk(spring: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of its own, whose broker is files."""
    home = tmp_path_factory.mktemp("files") / "home"
    shutil.copytree(spring, home)
    with (home / "desk.toml").open("a") as file:
        file.write(DESK)
    return home


def test_a_close_without_a_statement_stops_and_is_not_flat(desk: Path, daybook: Callable[..., Any]) -> None:
    ended = daybook("close", "--home", desk, "--session", MON)
    assert ended.code == 1
    assert f"statement_file has no statement for {MON}" in ended.out + ended.err
    assert {row["status"] for row in orders(desk, MON)} == {"working"}


def test_a_close_whose_statement_agrees_books_its_trades(desk: Path, daybook: Callable[..., Any]) -> None:
    statement(desk, MON, "position,GC,202102,0,,,,")
    assert daybook("close", "--home", desk, "--session", MON).code == 0
    statement(desk, TUE, *traded(desk, MON))
    ended = daybook("close", "--home", desk, "--session", TUE)
    assert ended.code == 0, ended.out + ended.err
    assert {(row["status"], row["filled"] == row["quantity"]) for row in orders(desk, MON)} == {("filled", True)}
    held = daybook("positions", "--home", desk, "--session", TUE, "--json").document
    wanted = {row["instrument"]: int(row["quantity"]) for row in orders(desk, MON)}
    assert {row["instrument"]: row["quantity_contracts"] for row in held["rows"]} == wanted


def test_a_statement_that_changes_is_a_break_and_heals_when_it_is_corrected(desk: Path) -> None:
    right = traded(desk, MON)
    gold = next(row for row in orders(desk, MON) if row["instrument"] == "GOLD")
    count, item = int(gold["quantity"]), f"GOLD/{gold['contract']}"
    old, new = f"position,GC,{gold['contract']},{count},", f"position,GC,{gold['contract']},{count + 1},"
    statement(desk, TUE, *(row.replace(old, new) for row in right))
    assert reconciled(desk) == {"quantity": (item, count, count + 1)}
    statement(desk, TUE, *right)
    assert reconciled(desk) == {}


def test_a_statement_that_is_wrong_stops_the_close_with_a_sentence(desk: Path, daybook: Callable[..., Any]) -> None:
    statement(desk, TUE, "position,GC,202102,1.5,,,,")
    ended = daybook("close", "--home", desk, "--session", TUE)
    assert ended.code != 0
    said = " ".join((ended.out + ended.err).split())
    assert "column quantity: not a whole number of contracts (value '1.5')" in said
