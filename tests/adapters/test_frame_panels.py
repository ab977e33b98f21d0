"""Panels of a store: anchored prices, carry and rates through a session, and the version that names them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from resources.frame_panels import FramePanels
from resources.memory import MemoryFrames, MemoryReference
from trading.errors import MissingFxPair, UnknownInstrument, UsageError, VersionNotFound
from trading.frames import CLEAN_FX_RATES, DAILY_PRICES, MULTIPLE_PRICES, ROLL_GAPS, Dataset, empty, to_table
from trading.market.instruments import Instrument, RollParameters
from trading.ports import Span

NAN = float("nan")
ALL = Span(date.min, date.max)
START = datetime(2022, 3, 1, tzinfo=UTC)
TUESDAY = date(2022, 3, 1)
# (session, stamp, price, contract, carry, carry contract); CORN rolls on Tuesday 1 March at noon, with a gap of 5
CORN = [
    ("2022-02-25", "2022-02-25 23:00", 600.0, 20220300, 590.0, 20220900),
    ("2022-02-28", "2022-02-27 23:00", 601.0, 20220300, 591.0, 20220900),
    ("2022-02-28", "2022-02-28 23:00", 602.0, 20220300, 582.0, 20220900),
    ("2022-03-01", "2022-03-01 09:00", 603.0, 20220300, None, 20220900),
    ("2022-03-01", "2022-03-01 12:00", 609.0, 20220500, 604.0, 20221100),
    ("2022-03-02", "2022-03-02 23:00", 610.0, 20220500, None, 20221100),
]
BUND = [("2022-03-02", "2022-03-02 23:00", 150.0, 20220600, None, None)]
GAPS = [("CORN", "2022-03-01 12:00", "2022-03-01", 20220300, 20220500, 603.0, 608.0, 5.0)]
RATES = [
    ("EURUSD", "2022-02-28 23:00", "2022-02-28", 1.1),
    ("EURUSD", "2022-03-02 00:00", "2022-03-02", 1.2),
]


def instrument(code: str, currency: str, point_value: float, effective_from: date = date(1900, 1, 1)) -> Instrument:
    return Instrument(
        code, code, "X", currency, point_value, 0.25, "a", "a", "US", 0.125, 2.9, 1.0, 0.0001, effective_from
    )


REFERENCE = MemoryReference(
    [instrument("CORN", "USD", 50.0), instrument("CORN", "USD", 5.0, TUESDAY), instrument("BUND", "EUR", 1000.0)],
    [RollParameters("CORN", "HKNUZ", "HKNUZ", -10, 0, 1)],
)


def dated(rows: list[tuple[object, ...]], columns: list[str], dataset: Dataset) -> object:
    frame = pd.DataFrame(rows, columns=columns).astype({"stamp": "datetime64[us]", "session": "datetime64[us]"})
    return to_table(frame.reindex(columns=dataset.schema.names), dataset)


def fill(store: MemoryFrames, corn: list[tuple[object, ...]] = CORN) -> None:
    columns = ["instrument", "session", "stamp", "price", "price_contract", "carry", "carry_contract"]
    rows = [("CORN", *row) for row in corn] + [("BUND", *row) for row in BUND]
    daily = list({(row[0], row[1]): row for row in rows}.values())
    gaps = ["instrument", "stamp", "session", "from_contract", "to_contract", "price_before", "forward_before",
            "gap_points"]  # fmt: skip
    store.replace(MULTIPLE_PRICES, dated(rows, columns, MULTIPLE_PRICES), ALL)
    store.replace(DAILY_PRICES, dated(daily, columns, DAILY_PRICES), ALL)
    store.replace(ROLL_GAPS, dated(GAPS, gaps, ROLL_GAPS), ALL)
    store.replace(CLEAN_FX_RATES, dated(RATES, ["pair", "stamp", "session", "rate"], CLEAN_FX_RATES), ALL)


@pytest.fixture
def store() -> MemoryFrames:
    """Two instruments, the second of which begins on the last session; each write a second after the last."""
    seconds = iter(range(10_000))
    found = MemoryFrames(lambda: START + timedelta(seconds=next(seconds)))
    fill(found)
    return found


def test_prices_are_anchored_at_the_first_contract(store: MemoryFrames) -> None:
    found = FramePanels(store, REFERENCE).panel(["CORN", "BUND"], "USD")
    assert found.instruments == ("BUND", "CORN")
    assert [str(day) for day in found.sessions] == ["2022-02-25", "2022-02-28", "2022-03-01", "2022-03-02"]
    np.testing.assert_array_equal(found.price[:, 1], [600, 602, 604, 605])
    np.testing.assert_array_equal(found.price[:, 1] + found.anchor[1], [605, 607, 609, 610])
    np.testing.assert_array_equal(found.price[:, 0], [NAN, NAN, NAN, 150])
    np.testing.assert_array_equal(found.held[:, 1], [600, 602, 609, 610])
    np.testing.assert_array_equal(found.rolls[:, 1], [0, 0, 1, 0])
    # contracts half a year apart: (600 - 590) / 0.5 = 20; Monday's mean of 20 and 40; Tuesday 5 / 0.5
    np.testing.assert_allclose(found.carry[:, 1], [20, 30, 10, NAN], rtol=1e-12)
    for name in ("first", "held_first"):
        assert list(getattr(found, name)) == [3, 0]
        assert list(getattr(found, name.replace("first", "last"))) == [3, 3]


def test_terms_are_those_in_force(store: MemoryFrames) -> None:
    found = FramePanels(store, REFERENCE).panel(["CORN", "BUND"], "USD")
    np.testing.assert_array_equal(found.point_value[:, 1], [50, 50, 5, 5])
    np.testing.assert_array_equal(found.point_value[:, 0], [1000] * 4)
    assert found.currencies == ("EUR", "USD")
    assert list(found.slippage) == [0.125, 0.125]
    assert list(found.per_contract) == [2.9, 2.9]
    assert list(found.per_trade) == [1.0, 1.0]
    assert list(found.fraction) == [0.0001, 0.0001]
    np.testing.assert_array_equal(found.rolls_a_year, [NAN, 5])


def test_rates_are_the_last_of_the_session_and_as_known_at_midnight(store: MemoryFrames) -> None:
    found = FramePanels(store, REFERENCE).panel(["CORN", "BUND"], "USD")
    np.testing.assert_array_equal(found.rate[:, 0], [NAN, 1.1, 1.1, 1.2])
    # 28 February to 3 March: 23:00 is known the next day, 00:00 the same
    np.testing.assert_array_equal(found.rate_midnight[58:62, 0], [NAN, 1.1, 1.2, 1.2])
    euro = FramePanels(store, REFERENCE).panel(["CORN", "BUND"], "EUR")
    np.testing.assert_array_equal(euro.rate[:, 1], [NAN, 1 / 1.1, 1 / 1.1, 1 / 1.2])


def test_through_a_session_every_earlier_number_is_the_same_to_the_last_bit(store: MemoryFrames) -> None:
    panels = FramePanels(store, REFERENCE)
    whole = panels.panel(["CORN", "BUND"], "USD")
    for last, rows in ((date(2022, 2, 25), 1), (date(2022, 2, 28), 2), (TUESDAY, 3)):
        cut = panels.panel(["CORN", "BUND"], "USD", through=last)
        assert len(cut.sessions) == rows
        for name in ("price", "held", "carry", "rolls", "rate", "point_value"):
            assert getattr(cut, name).tobytes() == getattr(whole, name)[:rows].tobytes(), (name, last)
        assert list(cut.last) == [-1, rows - 1]
        assert cut.version == panels.version(["BUND", "CORN"], "USD", through=last) != whole.version


def test_as_of_a_version_or_an_instant_the_store_is_as_it_was(store: MemoryFrames) -> None:
    first = FramePanels(store, REFERENCE)
    version, before = first.version(["CORN"], "USD"), first.panel(["CORN"], "USD")
    numbers = {dataset.name: store.versions(dataset)[-1].number for dataset in (DAILY_PRICES, MULTIPLE_PRICES)}
    instant = store.versions(CLEAN_FX_RATES)[-1].written_at
    fill(store, [*CORN[:-1], (*CORN[-1][:2], 700.0, *CORN[-1][3:])])
    now = FramePanels(store, REFERENCE)
    assert now.version(["CORN"], "USD") != version
    assert now.panel(["CORN"], "USD").price[-1, 0] == 695.0
    for as_of in (numbers, instant):
        then = FramePanels(store, REFERENCE, as_of)
        assert then.version(["CORN"], "USD") == version
        assert then.panel(["CORN"], "USD").price.tobytes() == before.price.tobytes()
    with pytest.raises(VersionNotFound):
        FramePanels(store, REFERENCE, START - timedelta(days=1)).version(["CORN"], "USD")


def test_the_version_follows_what_is_asked_and_the_reference_data(store: MemoryFrames) -> None:
    panels = FramePanels(store, REFERENCE)
    found = panels.panel(["CORN"], "USD").version
    assert found == panels.version(["CORN"], "USD") == panels.version(["CORN"], "USD", "friday")
    dearer = MemoryReference([instrument("CORN", "USD", 51.0)])
    others = {
        panels.version(["CORN", "BUND"], "USD"),
        panels.version(["CORN"], "EUR"),
        FramePanels(store, dearer).version(["CORN"], "USD"),
    }
    assert len(others | {found}) == 4
    assert panels.instruments() == ["BUND", "CORN"]


def test_the_version_is_another_when_the_code_that_reads_is_another(store: MemoryFrames) -> None:
    now, old = FramePanels(store, REFERENCE), FramePanels(store, REFERENCE, code="as it was yesterday")
    assert now.version(["CORN"], "USD") == FramePanels(store, REFERENCE).version(["CORN"], "USD")
    assert now.version(["CORN"], "USD") != old.version(["CORN"], "USD")
    assert old.panel(["CORN"], "USD").version == old.version(["CORN"], "USD")


def test_what_is_not_there_is_said(store: MemoryFrames) -> None:
    panels = FramePanels(store, REFERENCE)
    with pytest.raises(UsageError, match="no daily prices of WHEAT"):
        panels.panel(["WHEAT"], "USD")
    with pytest.raises(UnknownInstrument, match="instrument BUND is not in the reference data"):
        FramePanels(store, MemoryReference()).panel(["BUND"], "USD")
    with pytest.raises(MissingFxPair, match="from EUR to GBP"):
        panels.panel(["BUND"], "GBP")
    with pytest.raises(UsageError, match="no daily prices of CORN through 2022-01-03"):
        panels.panel(["CORN"], "USD", through=date(2022, 1, 3))
    with pytest.raises(UsageError, match="no daily prices"):
        FramePanels(MemoryFrames(), REFERENCE).panel(["CORN"], "USD")
    assert FramePanels(MemoryFrames(), REFERENCE).instruments() == []


def test_without_rolls_or_rates_there_are_prices_all_the_same(store: MemoryFrames) -> None:
    store.replace(ROLL_GAPS, empty(ROLL_GAPS), ALL)
    store.replace(CLEAN_FX_RATES, empty(CLEAN_FX_RATES), ALL)
    found = FramePanels(store, REFERENCE).panel(["CORN"], "USD")
    np.testing.assert_array_equal(found.price, found.held)
    assert list(found.anchor) == [0.0]
    assert (found.rate == 1.0).all()
