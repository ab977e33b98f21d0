"""Blobs as files named by their SHA-256, in folders of two letters.

Belongs here: putting bytes on a disk whole or not at all. Does not belong here: what the bytes mean.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from resources.disk_errors import refusal
from trading.errors import DatasetNotFound, StoreError, StoreUnavailable, UsageError

_DIGEST = re.compile(r"[0-9a-f]{64}")


class DiskBlobs:
    """BlobStore under the folder `root`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def put(self, content: bytes) -> str:
        """As the port. Damaged bytes under the same digest are replaced."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(digest)
        with self._translated():
            if not path.exists() or path.read_bytes() != content:
                path.parent.mkdir(parents=True, exist_ok=True)
                _replace(path, content)
        return digest

    def get(self, digest: str) -> bytes:
        """As the port."""
        with self._translated():
            try:
                content = self._path(digest).read_bytes()
            except FileNotFoundError as cause:
                raise DatasetNotFound(f"no blob {digest} is held in {self.root}. Restore it from a backup.") from cause
        if hashlib.sha256(content).hexdigest() != digest:
            raise StoreError(f"blob {digest} in {self.root} is damaged. Delete it and restore it from a backup.")
        return content

    def exists(self, digest: str) -> bool:
        """As the port."""
        return self._path(digest).exists()

    def digests(self) -> list[str]:
        """As the port. What a killed writer left is not among them."""
        return sorted(path.name for path in self.root.glob("??/*") if _DIGEST.fullmatch(path.name))

    def delete(self, digest: str) -> None:
        """As the port."""
        with self._translated():
            self._path(digest).unlink(missing_ok=True)

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise UsageError(f"{digest!r} is not a SHA-256 digest: give its 64 hexadecimal digits.")
        return self.root / digest[:2] / digest

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            raise refusal(cause, self.root) or StoreUnavailable(f"{self.root} cannot be used: {cause}.") from cause


def _replace(path: Path, content: bytes) -> None:
    """Puts bytes in place at once: a reader sees none of them or all, and a power cut leaves none or all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
