"""What the clean, continuous and analytics assets show in Dagster: rows, dates, tables, pictures; of a range once.

Belongs here: their metadata after real runs. Does not belong here: the definitions (tests/definitions/), or the book's
and the report's pictures (test_book_days.py, tests/definitions/test_report_asset.py).
"""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from PIL import Image

from pipelines.deployments import frame_store
from pipelines.runs import prepare
from pipelines.settings import place
from trading.frames import DATASETS

SESSION, NEXT = "2021-03-29", "2021-03-30"
# Two instruments, daily: one row each a session and instrument, EURUSD and USD, the three pairs of a matrix of two.
ROWS = {
    "clean_multiple_prices": 2, "clean_fx_rates": 1, "multiple_prices": 2, "daily_prices": 2, "roll_states": 2,
    "fx_rates": 2, "volatility": 2, "covariance": 3,
}  # fmt: skip
PICTURES = {"volatility": "annual volatility", "correlation": "heat map", "adjusted_prices": "last two years"}
Shown = dict[str, Any]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, loaded_two: Path, daybook: Callable[..., Any]) -> Path:
    """A home with one session closed alone."""
    home = tmp_path_factory.mktemp("one") / "home"
    shutil.copytree(loaded_two, home)
    ended = daybook("close", "--session", SESSION, "--home", home)
    assert ended.code == 0, ended.err
    return home


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, loaded_two: Path, daybook: Callable[..., Any]) -> Path:
    """A home with two sessions closed in one run."""
    home = tmp_path_factory.mktemp("both") / "home"
    shutil.copytree(loaded_two, home)
    ended = daybook("backfill", "--from", SESSION, "--to", NEXT, "--home", home)
    assert ended.code == 0, ended.err
    return home


def events(home: Path, asset: str, kind: dg.DagsterEventType) -> dict[str, Shown]:
    """Metadata of an asset's events of a kind, by partition; an unpartitioned load's are left out."""
    prepare(place(home))
    with dg.DagsterInstance.get() as instance:
        key = dg.AssetKey(asset)
        fetch = instance.fetch_materializations if kind is MADE else instance.fetch_observations
        records = fetch(key, limit=20).records
    found = [record.asset_materialization if kind is MADE else record.asset_observation for record in records]
    return {each.partition: dict(each.metadata) for each in found if each is not None and each.partition}


MADE, SEEN = dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION


def picture(shown: Any) -> Image.Image:
    """A picture in Markdown, opened."""
    found = re.fullmatch(r"!\[[^\]]*\]\(data:image/png;base64,([A-Za-z0-9+/=]+)\)", shown.value)
    assert found, "no picture"
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


@pytest.mark.parametrize("asset", ROWS)
def test_rows_dates_and_a_table_of_one_session(asset: str, one: Path) -> None:
    (shown,) = events(one, asset, MADE).values()
    assert shown["dagster/row_count"].value == ROWS[asset]
    assert shown["sessions"].value == SESSION
    newest = frame_store(place(one)).versions(DATASETS[asset])[-1].number
    assert shown["version"].value <= newest
    table = shown["last rows"]
    assert isinstance(table, dg.TableMetadataValue)
    assert len(table.records) == ROWS[asset]
    assert {record.data["session"] for record in table.records} == {SESSION}
    assert [column.name for column in table.schema.columns] == DATASETS[asset].schema.names


def test_the_clean_layer_says_what_it_took_and_refused(one: Path) -> None:
    (shown,) = events(one, "clean_multiple_prices", MADE).values()
    assert (shown["raw rows"].value, shown["quarantined"].value) == (2, 0)


@pytest.mark.parametrize("asset", PICTURES)
def test_volatility_correlation_and_prices_are_drawn(asset: str, one: Path) -> None:
    (shown,) = events(one, asset, MADE).values()
    drawn = picture(shown[PICTURES[asset]])
    assert drawn.width >= 200
    assert drawn.height >= 100
    assert len(drawn.convert("RGB").getcolors(1_000_000)) > 3, "nothing is drawn on it"


def test_prices_are_of_both_instruments_through_the_session(one: Path) -> None:
    (shown,) = events(one, "adjusted_prices", MADE).values()
    weekdays = (date(2021, 3, 29) - date(2021, 1, 4)).days // 7 * 5 + 1
    assert (shown["instruments"].value, shown["sessions"].value) == (2, weekdays)


@pytest.mark.parametrize("asset", ["daily_prices", *PICTURES])
def test_of_a_range_tables_and_pictures_are_kept_once(asset: str, two: Path) -> None:
    (last, whole), *others = events(two, asset, SEEN).items()
    assert (last, others) == (NEXT, [])
    assert whole["run covers"].value == f"{SESSION} to {NEXT}"
    if asset in PICTURES:
        picture(whole[PICTURES[asset]])
    if asset in DATASETS:
        assert (
            whole["dagster/row_count"].value
            == frame_store(place(two))
            .history(DATASETS[asset], since=date(2021, 3, 29), through=date(2021, 3, 30))
            .num_rows
        )
        assert whole["sessions"].value == f"{SESSION} to {NEXT}"
    each = events(two, asset, MADE)
    assert set(each) == {SESSION, NEXT}
    for shown in each.values():
        assert shown["run covers"].value == f"{SESSION} to {NEXT}"
        assert "dagster/row_count" not in shown, "it would be said of every session"
        assert not [name for name, value in shown.items() if str(value.value).startswith("![")]
        assert not [name for name, value in shown.items() if isinstance(value, dg.TableMetadataValue)]
