"""Ten years of the system of chapter 15 through the paper broker: every session's profit has its causes, and is what
the vendor's files and the broker's fills come to.

Belongs here: the six instruments from load to attribution, without Dagster (`benchmarks/ten_years_explained.py` is the
same by the command line). Does not belong here: single causes (`tests/domain/test_attribution.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets import book, signals
from assets.attribution import attributed
from assets.layers import Sources
from pipelines import loading
from pipelines.desk import Desk
from pipelines.settings import place
from resources.frame_panels import FramePanels
from trading.book.attribution import COLUMNS
from trading.errors import UsageError
from trading.frames import ATTRIBUTION, EQUITY, content_hash, to_pandas, to_table
from trading.ports import Span

pytestmark = pytest.mark.golden

SIX = ("CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X")
FIRST, LAST = date(2012, 2, 27), date(2022, 2, 25)
NOW = datetime(2022, 3, 1, tzinfo=UTC)
SETTINGS = '{}\n[trading]\nstrategies = ["chapter15"]\n[trading.capital]\ncapital_base = 250000.0\n'


@pytest.fixture(scope="module")
def desk(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The system's own capital and six instruments, closed and attributed over ten years in one pass."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("DAYBOOK_HOME", "DAYBOOK_DEPLOYMENT", "DAYBOOK_BACKUPS", "DAGSTER_HOME"):
            environment.setenv(name, "")
            environment.delenv(name)
        where = place(tmp_path_factory.mktemp("ten") / "home")
        prices = shared / "data" / "futures"
        assert loading.load(where, "pysystemtrade", prices, SIX, (None, None), "weekdays")["exit_code"] == 0
        where.desk_file.write_text(SETTINGS.format(where.desk_file.read_text()))
        opened = Desk.open(where)
        assert [strategy.name for strategy in opened.adapters.settings.strategies] == ["chapter15"]
        close(opened)
        yield opened


def sessions_of(desk: Desk) -> list[date]:
    days = (FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1))
    return [day for day in days if desk.is_session(day)]


def close(desk: Desk) -> None:
    """Signals, book and attribution of all sessions, as their assets make them."""
    held, over, sessions = desk.adapters, Span(FIRST, LAST), sessions_of(desk)
    tables = signals.calculated(FramePanels(held.frames, held.reference), held.settings, FIRST, LAST)
    for dataset in signals.DATASETS:
        held.frames.replace(dataset, tables[dataset.name], over)
    closing = book.Desk(held.ledger, held.broker, held.settings, lambda: NOW)
    book.write(held.frames, book.close_range(sessions, held.frames, held.reference, closing), over)
    rows = pd.DataFrame(attributed(sessions, sources(desk), held.ledger))
    held.frames.replace(ATTRIBUTION, to_table(rows, ATTRIBUTION), over)


def sources(desk: Desk) -> Sources:
    return Sources(desk.adapters.frames, desk.adapters.reference, desk.adapters.settings, NOW)


@pytest.fixture(scope="module")
def rows(desk: Desk) -> pd.DataFrame:
    return to_pandas(desk.adapters.frames.history(ATTRIBUTION, through=LAST))


# --- every session is explained ---------------------------------------------------------------------------------------
def test_causes_sum_to_the_total_on_every_session(desk: Desk, rows: pd.DataFrame) -> None:
    assert rows["session"].nunique() > 2_500
    unexplained = rows["residual_base"].abs().groupby(rows["session"]).sum()
    assert unexplained.max() < 1e-6
    again = (rows[list(COLUMNS)].sum(axis=1) - rows["total_base"]).groupby(rows["session"]).sum()
    assert again.abs().max() < 1e-6


def test_every_cause_was_at_work_and_none_is_a_plug(rows: pd.DataFrame) -> None:
    """What only a plug would do: a cause that moves to offset the others. These have signs and sizes of their own."""
    moved = rows[list(COLUMNS)].abs().sum()
    assert (moved.drop(["financing_base", "corrections_base"]) > 100.0).all()
    assert (moved[["financing_base", "corrections_base"]] == 0.0).all()
    assert (rows["commission_base"] <= 0).all()
    local = rows[rows["currency"] == "USD"]
    assert (local["fx_base"] == 0.0).all()


def test_totals_are_the_change_of_the_account(desk: Desk, rows: pd.DataFrame) -> None:
    equity = to_pandas(desk.adapters.frames.history(EQUITY, through=LAST))
    changes = equity.groupby("session")["change_base"].sum()
    totals = rows.groupby("session")["total_base"].sum().reindex(changes.index, fill_value=0.0)
    np.testing.assert_allclose(totals, changes, rtol=0, atol=1e-6)
    assert equity["account_base"].iloc[-1] == pytest.approx(250_000.0 + rows["total_base"].sum(), abs=1e-6)


# --- the same money from the files and the broker's fills alone -------------------------------------------------------
def by_weekday(file: Path, needed: str) -> pd.DataFrame:
    """The last row of each weekday with a value in a column; Saturday's and Sunday's belong to Friday."""
    lines = pd.read_csv(file, parse_dates=["DATETIME"]).dropna(subset=[needed]).sort_values("DATETIME", kind="stable")
    days = lines["DATETIME"].dt.normalize()
    days -= pd.to_timedelta((days.dt.day_of_week - 4).clip(lower=0), unit="D")
    return lines.groupby(days.rename("day")).last()


def marks_of(file: Path, sessions: pd.DatetimeIndex) -> pd.DataFrame:
    """Price of every contract, carried forward: sessions by contract. The held price wins, then the forward one."""
    daily = by_weekday(file, "PRICE")
    long = pd.concat(
        [
            pd.DataFrame({"contract": daily[f"{name}_CONTRACT"], "price": daily[name], "rank": rank})
            for rank, name in enumerate(("CARRY", "FORWARD", "PRICE"))
        ]
    ).dropna(subset=["contract", "price"])
    best = long.reset_index().sort_values(["day", "rank"]).drop_duplicates(["day", "contract"], keep="last")
    wide = best.astype({"contract": int}).pivot(index="day", columns="contract", values="price")
    return wide.reindex(wide.index.union(sessions)).ffill().reindex(sessions)


def rates_of(folder: Path, currency: str, sessions: pd.DatetimeIndex) -> pd.Series | float:
    if currency == "USD":
        return 1.0
    rates = by_weekday(folder / f"{currency}USD.csv", "PRICE")["PRICE"]
    return rates.reindex(rates.index.union(sessions)).ffill()[sessions]


def money(fills: pd.DataFrame, sessions: pd.DatetimeIndex, source: Path) -> pd.Series:
    """What the fills earned on each session, in dollars: position and cash at the files' prices, differenced."""
    config = pd.read_csv(source / "csvconfig" / "instrumentconfig.csv").set_index("Instrument")
    earned = pd.Series(0.0, index=sessions)
    for code, own in fills.groupby("instrument"):
        marks = marks_of(source / "multiple_prices_csv" / f"{code}.csv", sessions)
        rate = rates_of(source / "fx_prices_csv", str(config.loc[code, "Currency"]), sessions)
        for contract, mine in own.groupby("contract"):
            spent = mine.assign(spent=mine["quantity_contracts"] * mine["price_points"])
            done = spent.groupby("session")[["quantity_contracts", "spent", "commission_local"]].sum()
            done = done.reindex(sessions, fill_value=0.0)
            worth = done["quantity_contracts"].cumsum() * marks[contract].fillna(0.0) - done["spent"].cumsum()
            points = worth.diff().fillna(worth.iloc[0]) * config.loc[code, "Pointsize"]
            earned += (points - done["commission_local"]) * rate
    return earned


def test_profit_is_what_the_files_and_the_brokers_fills_come_to(desk: Desk, rows: pd.DataFrame, shared: Path) -> None:
    closed = pd.DatetimeIndex(desk.closed_sessions())
    reported = [fill for day in closed for fill in desk.adapters.broker.fills(day.date())]
    names = ("instrument", "contract", "session", "quantity_contracts", "price_points", "commission_local")
    fills = pd.DataFrame([{name: getattr(fill, name) for name in names} for fill in reported])
    fills["session"] = pd.to_datetime(fills["session"])
    assert set(fills["instrument"]) == set(SIX)
    assert len(fills) > 1_500
    expected = money(fills, closed, shared / "data" / "futures")
    totals = rows.groupby("session")["total_base"].sum().reindex(closed, fill_value=0.0)
    assert totals.abs().sum() > 1e6
    np.testing.assert_allclose(totals, expected, rtol=0, atol=1e-6)


# --- any span ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("session", [FIRST, date(2015, 1, 2), date(2020, 3, 16), LAST])
def test_a_session_alone_is_attributed_as_in_the_whole_to_the_last_bit(desk: Desk, session: date) -> None:
    alone = pd.DataFrame(attributed([session], sources(desk), desk.adapters.ledger), columns=ATTRIBUTION.schema.names)
    whole = desk.adapters.frames.history(ATTRIBUTION, since=session, through=session)
    assert content_hash(to_table(alone, ATTRIBUTION), ATTRIBUTION) == content_hash(whole, ATTRIBUTION)


def test_a_period_is_the_sum_of_its_sessions(desk: Desk, rows: pd.DataFrame) -> None:
    whole = desk.pnl_by("cause", first=FIRST, last=LAST).set_index("cause")["amount_base"]
    years = [
        desk.pnl_by("cause", first=date(year, 1, 1), last=date(year, 12, 31)).set_index("cause")["amount_base"]
        for year in range(2012, 2023)
    ]
    pd.testing.assert_series_equal(sum(years[1:], years[0]), whole, rtol=0, atol=1e-6)
    assert whole["total"] == pytest.approx(rows["total_base"].sum(), abs=1e-6)
    for by in ("strategy", "instrument", "asset_class", "session"):
        grouped = desk.pnl_by(by, first=FIRST, last=LAST)
        assert grouped["total_base"].sum() == pytest.approx(whole["total"], abs=1e-6), by
        assert grouped["carry_base"].sum() == pytest.approx(whole["carry"], abs=1e-6), by
    month = desk.pnl_by("session", LAST, month_to_date=True)
    assert month["session"].min() == pd.Timestamp(2022, 2, 1)
    assert len(month) == 19


def test_slippage_by_fill_is_the_cause(desk: Desk, rows: pd.DataFrame) -> None:
    """Half the spread of the reference data, and the market's move between decision and fill, which cancels."""
    costs = desk.slippage("instrument", first=FIRST, last=LAST).set_index("instrument")
    assert costs["cost_base"].sum() == pytest.approx(-rows["slippage_base"].sum(), abs=1e-6)
    rolls = desk.slippage("fill", first=FIRST, last=LAST).query("reason == 'roll'")
    assert len(rolls) > 500
    np.testing.assert_allclose(rolls["cost_points"], rolls["assumed_points"], rtol=1e-9, atol=1e-9)


def test_words_that_contradict_each_other_are_refused(desk: Desk) -> None:
    with pytest.raises(UsageError, match="cannot be combined"):
        desk.pnl_by("cause", LAST, first=FIRST)
    with pytest.raises(UsageError, match="is closed"):
        desk.pnl_by("cause", first=date(2022, 3, 1))
    with pytest.raises(UsageError, match="Choose one of: cause, strategy"):
        desk.pnl_by("colour", LAST)
