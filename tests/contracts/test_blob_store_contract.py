"""What every BlobStore promises (trading.ports.BlobStore), run against each adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.disk_blobs import DiskBlobs
from resources.memory import MemoryBlobs
from trading.errors import DatasetNotFound, StoreError
from trading.ports import BlobStore

# SHA-256 of "abc" and of nothing, from FIPS 180-2 and its test vectors.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture(params=["memory", "disk"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryBlobs() if request.param == "memory" else DiskBlobs(tmp_path / "blobs")


def damage(blobs: BlobStore, digest: str) -> None:
    if isinstance(blobs, MemoryBlobs):
        blobs.damage(digest)
    if isinstance(blobs, DiskBlobs):
        (blobs.root / digest[:2] / digest).write_bytes(b"other")


def test_bytes_are_kept_under_their_sha256(blobs: BlobStore) -> None:
    assert blobs.put(b"abc") == ABC
    assert blobs.put(b"") == NOTHING
    assert (blobs.get(ABC), blobs.get(NOTHING)) == (b"abc", b"")
    assert list(blobs.digests()) == [ABC, NOTHING]


def test_putting_twice_keeps_one(blobs: BlobStore) -> None:
    blobs.put(b"abc")
    blobs.put(b"abc")
    assert list(blobs.digests()) == [ABC]


def test_unknown_bytes(blobs: BlobStore) -> None:
    assert not blobs.exists(ABC)
    assert list(blobs.digests()) == []
    with pytest.raises(DatasetNotFound, match=ABC):
        blobs.get(ABC)


def test_delete_forgets_and_absent_is_fine(blobs: BlobStore) -> None:
    blobs.put(b"abc")
    blobs.delete(ABC)
    blobs.delete(ABC)
    assert not blobs.exists(ABC)


def test_damaged_bytes_are_never_given_out(blobs: BlobStore) -> None:
    blobs.put(b"abc")
    damage(blobs, ABC)
    with pytest.raises(StoreError, match="damaged"):
        blobs.get(ABC)
