"""The real prices loaded into a store: its panel is the one of the files, and the same whenever it is made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from pipelines import loading
from pipelines.desk import Desk
from pipelines.settings import place
from resources.csv_panels import csv_panel
from resources.frame_panels import FramePanels
from trading.backtest.panel import Panel

pytestmark = pytest.mark.golden

SIX = ["CORN", "EDOLLAR", "EUROSTX", "MXP", "US10", "V2X"]


@pytest.fixture(scope="module")
def panels(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FramePanels]:
    """A home that holds the six instruments by weekdays."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("DAYBOOK_HOME", "DAYBOOK_DEPLOYMENT", "DAYBOOK_BACKUPS", "DAGSTER_HOME"):
            environment.setenv(name, "")
            environment.delenv(name)
        where = place(tmp_path_factory.mktemp("six") / "home")
        futures = shared / "data" / "futures"
        found = loading.load(where, "pysystemtrade", futures, tuple(SIX), (None, None), "weekdays")
        assert found["exit_code"] == 0
        adapters = Desk.open(where).adapters
        yield FramePanels(adapters.frames, adapters.reference)


@pytest.fixture(scope="module")
def of_files(shared: Path) -> Panel:
    """The files' own panel, weekends as the store's calendar places them."""
    return csv_panel(shared / "data" / "futures", SIX, "USD", "friday")


def test_the_panel_of_the_store_is_the_panel_of_the_files(panels: FramePanels, of_files: Panel) -> None:
    found = panels.panel(SIX, "USD")
    for field in fields(Panel):
        mine, files = getattr(found, field.name), getattr(of_files, field.name)
        if field.name in ("version", "anchor"):
            continue
        if field.name == "price":  # the vendor's own adjusted prices against our stitching
            mine = mine + found.anchor
            assert (np.isnan(mine) == np.isnan(files)).all()
            np.testing.assert_allclose(mine, files, rtol=1e-12, atol=1e-12)
        elif isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, files, err_msg=field.name)
        else:
            assert mine == files, field.name


def test_a_past_session_is_the_same_to_the_last_bit_whenever_it_is_made(panels: FramePanels) -> None:
    whole = panels.panel(SIX, "USD")
    for last in (date(1999, 12, 31), date(2015, 6, 17), date(2022, 2, 25)):
        cut = panels.panel(SIX, "USD", through=last)
        rows = len(cut.sessions)
        assert cut.sessions[-1] <= np.datetime64(last)
        for name in ("price", "held", "carry", "rolls", "rate", "point_value"):
            assert getattr(cut, name).tobytes() == getattr(whole, name)[:rows].tobytes(), (name, last)
        days = int((np.datetime64(last) - cut.first_day).astype(int)) + 1
        assert cut.rate_midnight[:days].tobytes() == whole.rate_midnight[:days].tobytes()
