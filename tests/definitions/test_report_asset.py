"""The report as an asset: the page on disk and among the blobs, what the run says of it, and a disk that refuses.

Belongs here: the asset. Does not belong here: what the page says (tests/domain/test_daily_report.py).
"""

import hashlib
from datetime import date
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from assets.reports import daily_report, read_report, session_rows, write_page
from resources.memory import MemoryBlobs, MemoryFrames, MemoryReference
from trading.config.models import DeskSettings
from trading.errors import StoreUnavailable
from trading.frames import EQUITY, PNL, Dataset, to_table
from trading.ports import Span

FRIDAY, MONDAY = date(2022, 2, 25), date(2022, 2, 28)


def store(frames: MemoryFrames, dataset: Dataset, *rows: tuple[object, ...]) -> None:
    """Rows of a dataset, as the close left them."""
    wide = pd.DataFrame([dict(zip(dataset.schema.names, row, strict=True)) for row in rows])
    frames.replace(dataset, to_table(wide, dataset), Span(FRIDAY, MONDAY))


@pytest.fixture
def frames() -> MemoryFrames:
    """Two sessions of one instrument."""
    found = MemoryFrames()
    store(
        found,
        PNL,
        ("trend", "GOLD", 20220400, FRIDAY, "metals", "USD", 100.0, 0.0, 0.0, 100.0),
        ("trend", "GOLD", 20220400, MONDAY, "metals", "USD", -30.0, 0.0, 0.0, -30.0),
    )
    store(
        found,
        EQUITY,
        ("USD", FRIDAY, 0.0, 100.0, 1.0, 100.0, 0.0, 1_000_100.0),
        ("USD", MONDAY, 0.0, -30.0, 1.0, -30.0, 0.0, 1_000_070.0),
    )
    return found


def materialized(frames: MemoryFrames, home: Path, blobs: MemoryBlobs, **span: object) -> dg.AssetMaterialization:
    """The asset's materialization over a session or a range (then Dagster has one a session; all say the same)."""
    result = dg.materialize(
        [daily_report],
        resources={
            "frames": frames, "reference": MemoryReference(), "desk": DeskSettings(), "blobs": blobs, "home": home,
        },
        instance=dg.DagsterInstance.ephemeral(),
        **span,
    )  # fmt: skip
    *_, made = result.asset_materializations_for_node("daily_report")
    return made


def test_the_page_is_written_and_kept_by_content(frames: MemoryFrames, tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    made = materialized(frames, tmp_path, blobs, partition_key=str(MONDAY)).metadata
    page = (tmp_path / "reports" / "2022-02-28.html").read_bytes()
    assert made["report"].value == str(tmp_path / "reports" / "2022-02-28.html")
    assert made["blob"].value == hashlib.sha256(page).hexdigest()
    assert blobs.get(made["blob"].value) == page
    assert made["bytes"].value == len(page)
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["2022-02-28.html"]
    summary = made["summary"]
    assert isinstance(summary, dg.TableMetadataValue)
    shown = {record.data["what"]: record.data["value"] for record in summary.records}
    # of this session, of the month (both are in February), and the account after both
    assert (shown["pnl_today_base"], shown["pnl_month_base"], shown["account_base"]) == ("−30", "70", "1,000,070")


def test_one_picture_is_in_the_run_and_the_others_where_they_come_from(frames: MemoryFrames, tmp_path: Path) -> None:
    made = materialized(frames, tmp_path, MemoryBlobs(), partition_key=str(MONDAY)).metadata
    pictures = [name for name, value in made.items() if "data:image/png;base64," in str(value.value)]
    assert pictures == ["account"]
    assert "![account]" in str(made["account"].value)


def test_of_a_range_the_last_session_is_rendered_and_that_is_said(frames: MemoryFrames, tmp_path: Path) -> None:
    tags = {"dagster/asset_partition_range_start": str(FRIDAY), "dagster/asset_partition_range_end": str(MONDAY)}
    made = materialized(frames, tmp_path, MemoryBlobs(), tags=tags).metadata
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["2022-02-28.html"]
    assert made["rendered"].value == "2022-02-28 only, the last session of the range 2022-02-25 to 2022-02-28"


def test_the_same_session_again_is_the_same_page(frames: MemoryFrames, tmp_path: Path) -> None:
    blobs = MemoryBlobs()
    first, second = (
        materialized(frames, tmp_path, blobs, partition_key=str(MONDAY)).metadata["blob"].value for _ in range(2)
    )
    assert first == second
    assert list(blobs.digests()) == [first]


def test_a_report_knows_nothing_of_later_sessions(frames: MemoryFrames) -> None:
    report = read_report(frames, MemoryReference(), DeskSettings(), FRIDAY)
    assert report.pnl["total_base"].tolist() == [100.0]
    assert report.equity["session"].max() == pd.Timestamp(FRIDAY)


def test_a_desk_that_never_wrote_a_dataset_gets_a_page_too(tmp_path: Path) -> None:
    assert session_rows(MemoryFrames(), PNL, MONDAY).empty
    materialized(MemoryFrames(), tmp_path, MemoryBlobs(), partition_key=str(MONDAY))
    assert b"Nothing needs attention" in (tmp_path / "reports" / "2022-02-28.html").read_bytes()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file where the folder should be")
    with pytest.raises(StoreUnavailable, match=r"2022-02-28\.html could not be written: .* run the session's"):
        write_page(tmp_path, MONDAY, b"page")
    assert [path.name for path in tmp_path.iterdir()] == ["reports"]
