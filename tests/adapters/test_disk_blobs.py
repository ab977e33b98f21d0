"""DiskBlobs on a disk: layout, repair, what a killed writer left, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.disk_blobs import DiskBlobs
from trading.errors import StoreUnavailable, UsageError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_blobs_lie_in_folders_of_two_letters(tmp_path: Path) -> None:
    DiskBlobs(tmp_path).put(b"abc")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == [f"ba/{ABC}"]


def test_putting_again_repairs_damaged_bytes(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    blobs.put(b"abc")
    (tmp_path / "ba" / ABC).write_bytes(b"")
    blobs.put(b"abc")
    assert blobs.get(ABC) == b"abc"


def test_what_a_killed_writer_left_is_no_blob(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    blobs.put(b"abc")
    (tmp_path / "ba" / ".new-1234").write_bytes(b"half")
    assert blobs.digests() == [ABC]


def test_a_name_that_is_no_digest_reaches_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    with pytest.raises(UsageError, match="not a SHA-256 digest"):
        DiskBlobs(tmp_path / "blobs").get("../secret")


def test_a_root_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        DiskBlobs(tmp_path / "blobs").put(b"abc")
