"""The real prices through the whole desk: loaded once, closed once, against the vendor's files and the golden numbers.

Belongs here: what only the stored datasets can show. Does not belong here: the calculations alone (the other golden
tests hold those).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines import closing, loading
from pipelines.deployments import utc_now
from pipelines.desk import Desk
from pipelines.settings import Place, place

pytestmark = pytest.mark.golden

SIX = ["CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X"]
SESSION = date(2022, 2, 25)


@pytest.fixture(scope="module")
def where(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A home that holds the 18 instruments by weekdays."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("DAYBOOK_HOME", "DAYBOOK_DEPLOYMENT", "DAYBOOK_BACKUPS", "DAGSTER_HOME"):
            environment.setenv(name, "")
            environment.delenv(name)
        found = place(tmp_path_factory.mktemp("real") / "home")
        assert load(found, shared)["exit_code"] == 0
        yield found


def load(where: Place, shared: Path) -> dict[str, Any]:
    return loading.load(where, "pysystemtrade", shared / "data" / "futures", (), (None, None), "weekdays")


def hashes(where: Place) -> dict[str, str]:
    from trading.frames import DATASETS

    frames = Desk.open(where).adapters.frames
    return {name: frames.content_hash(DATASETS[name]) for name in frames.written()}


@pytest.fixture(scope="module")
def closed(where: Place) -> dict[str, Any]:
    """The close of 25 February 2022."""
    return closing.close(where, SESSION)


def test_adjusted_prices_are_the_vendors(where: Place, shared: Path) -> None:
    desk, shared_rows = Desk.open(where), 0
    for file in sorted((shared / "data" / "futures" / "adjusted_prices_csv").glob("*.csv")):
        theirs = pd.read_csv(file, parse_dates=["DATETIME"]).set_index("DATETIME")["price"]
        ours = desk.prices(file.stem).set_index("stamp")["price"]
        both = ours.index.intersection(theirs.index)
        assert theirs[~theirs.index.isin(ours.index)].isna().all(), file.stem  # rows without any price say nothing
        shared_rows += len(both)
        np.testing.assert_allclose(ours[both], theirs[both], rtol=0, atol=1e-9, equal_nan=True, err_msg=file.stem)
    assert shared_rows == 579_133 - 230


def test_twice_is_once(where: Place, shared: Path) -> None:
    before = hashes(where)
    versions = {extent["dataset"]: extent["version"] for extent in Desk.open(where).extents()}
    assert load(where, shared)["exit_code"] == 0
    assert hashes(where) == before
    assert {extent["dataset"]: extent["version"] for extent in Desk.open(where).extents()} == versions


def test_the_close_is_good(closed: dict[str, Any]) -> None:
    assert (closed["exit_code"], closed["failed_steps"], closed["failed_checks"]) == (0, {}, {})
    assert (closed["session"], closed["breaks"]) == ("2022-02-25", 0)


def test_stored_volatility_of_the_session_is_the_reference(
    where: Place, closed: dict[str, Any], chapter15: Path
) -> None:
    stored = Desk.open(where).volatility(SESSION).set_index("instrument")["mixed_points"]
    for code in SIX:
        theirs = reference_volatility(chapter15, code)
        assert stored[code] == pytest.approx(theirs[pd.Timestamp(SESSION)], rel=1e-9, abs=0), code


def test_volatility_of_every_session_is_the_reference(where: Place, chapter15: Path) -> None:
    """The asset's own step over the stored datasets of all sessions, nothing written."""
    from assets.analytics import STEPS
    from assets.layers import Sources

    held = Desk.open(where).adapters
    sources = Sources(held.frames, held.reference, held.settings, utc_now())
    step = next(step for step in STEPS if step.dataset.name == "volatility")
    rows = step.calculate(sources, date(1970, 1, 1), SESSION)
    ours = rows.pivot(index="session", columns="instrument", values="mixed_points")
    for code in SIX:
        theirs = reference_volatility(chapter15, code)[: pd.Timestamp(SESSION)]
        assert theirs.notna().sum() > 1000
        mine = ours[code].reindex(theirs.index)
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=0, equal_nan=True, err_msg=code)


def reference_volatility(chapter15: Path, code: str) -> pd.Series:
    file = chapter15 / code / "daily_returns_volatility.csv.gz"
    return pd.read_csv(file, index_col=0, parse_dates=True).iloc[:, 0]


# --- the money of three months, worked out again from fills, the vendor's files and nothing else ----------------------
FIRST = date(2021, 12, 1)


@pytest.fixture(scope="module")
def winter(where: Place, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk that traded the 18 instruments from December 2021 to February 2022, rolls and holidays included."""
    home = tmp_path_factory.mktemp("winter") / "home"
    shutil.copytree(where.home / "frames", home / "frames")
    shutil.copytree(where.home / "reference", home / "reference")
    shutil.copy(where.desk_file, home / "desk.toml")
    found = place(home)
    summary = closing.backfill(found, FIRST, SESSION)
    assert (summary["exit_code"], summary["breaks"]) == (0, 0), summary
    return Desk.open(found)


def business_days(stamps: pd.Series) -> pd.Series:
    """Each time's own date, weekends counted to the Friday before."""
    days = stamps.dt.normalize()
    return days - pd.to_timedelta((days.dt.day_of_week - 4).clip(lower=0), unit="D")


def daily_file(file: Path, needed: str) -> pd.DataFrame:
    """The last row of each business day that has a value in the column needed."""
    rows = pd.read_csv(file, parse_dates=["DATETIME"]).dropna(subset=[needed]).sort_values("DATETIME", kind="stable")
    return rows.assign(day=business_days(rows["DATETIME"])).groupby("day").last()


def contract_marks(file: Path, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Price of each contract of a multiple prices file, carried forward: sessions by contract."""
    marks: dict[int, dict[pd.Timestamp, float]] = {}
    for day, row in daily_file(file, "PRICE")["2021-06-01":].iterrows():
        for name in ("CARRY", "FORWARD", "PRICE"):
            if pd.notna(row[name]) and pd.notna(row[f"{name}_CONTRACT"]):
                marks.setdefault(int(row[f"{name}_CONTRACT"]), {})[pd.Timestamp(day)] = row[name]
    wide = pd.DataFrame(marks).sort_index().ffill()
    return wide.reindex(wide.index.union(sessions)).ffill().reindex(sessions)


def test_the_money_of_every_session_worked_out_again(winter: Desk, shared: Path) -> None:
    source = shared / "data" / "futures"
    config = pd.read_csv(source / "csvconfig" / "instrumentconfig.csv").set_index("Instrument")
    pnl = winter.sql("select session, sum(total_base) total from pnl group by session order by session")
    fills = winter.sql("select * from fills order by session")
    closed = pd.DatetimeIndex(winter.closed_sessions())
    expected = pd.Series(0.0, index=closed)
    for code, own in fills.groupby("instrument"):
        currency, point_value = config.loc[code, ["Currency", "Pointsize"]]
        rate = 1.0
        if currency != "USD":
            rates = daily_file(source / "fx_prices_csv" / f"{currency}USD.csv", "PRICE")["PRICE"]
            rate = rates.reindex(rates.index.union(closed)).ffill()[closed]
        marks = contract_marks(source / "multiple_prices_csv" / f"{code}.csv", closed)
        for contract, mine in own.groupby("contract"):
            traded = mine.assign(cost=mine["quantity_contracts"] * mine["price_points"]).groupby("session")
            by_session = (
                traded[["quantity_contracts", "cost", "commission_local"]].sum().reindex(closed, fill_value=0.0)
            )
            held = by_session["quantity_contracts"].cumsum()
            value = held * marks[contract].fillna(0.0) - by_session["cost"].cumsum()
            expected += value.diff().fillna(value.iloc[0]) * point_value * rate
            expected -= by_session["commission_local"] * rate
    booked = pnl.set_index("session")["total"].reindex(closed, fill_value=0.0)
    assert (fills["contract"].groupby(fills["instrument"]).nunique() > 1).sum() >= 5  # rolls happened
    assert booked.abs().sum() > 100_000
    np.testing.assert_allclose(booked, expected, rtol=0, atol=1e-6)


def test_profit_is_the_change_of_the_account(winter: Desk) -> None:
    profit = winter.sql("select session, sum(total_base) total from pnl group by session").set_index("session")["total"]
    equity = winter.sql(
        "select session, sum(change_base) change, max(account_base) account from equity group by session"
    )
    equity = equity.set_index("session").sort_index()
    scale = float(profit.abs().max())
    np.testing.assert_allclose(
        profit.reindex(equity.index, fill_value=0.0), equity["change"], rtol=0, atol=1e-9 * scale
    )
    capital = winter.adapters.settings.capital.capital_base
    assert equity["account"].iloc[-1] == pytest.approx(capital + profit.sum(), rel=1e-12)
