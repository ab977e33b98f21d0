"""What a snapshot of a desk consists of: its files, and the hashes that say it came back whole.

Belongs here: the manifest as a value, its JSON, and what differs between a manifest and a home. Does not belong here:
copying anything (`resources/snapshots.py`), or which snapshots to keep (`retention.py`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from trading.errors import BackupError

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the home, its path relative to it (with /), and the SHA-256 its bytes are kept under.

    `modified_ns` is the file's time stamp: equal path, size and stamp as in the snapshot before, and it is not read
    again. `part` is frames, ledger, broker, configuration, reference, reports, signed, keys or blobs.
    """

    path: str
    part: str
    sha256: str
    size: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class DatasetState:
    """A dataset's newest version number in the snapshot, and its content hash."""

    version: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The journal in the snapshot: its last sequence and content hash."""

    sequence: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class Identity:
    """What the desk ran with when the snapshot was taken."""

    configuration_hash: str
    reference_hash: str
    code_version: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One snapshot. `created_at` is UTC; `name` orders snapshots by it; `ledger` is None where there was none."""

    name: str
    created_at: datetime
    identity: Identity
    files: tuple[StoredFile, ...]
    datasets: Mapping[str, DatasetState]
    ledger: LedgerState | None = None

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.size for file in self.files)

    def to_json(self) -> str:
        """Readable JSON that carries its own hash."""
        body = {**asdict(self), "created_at": self.created_at.isoformat(), "schema_version": SCHEMA_VERSION}
        return json.dumps({**body, "manifest_hash": _hash(body)}, sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """The manifest in a text. Raises BackupError, naming `where`, if it is damaged or of another schema."""
        body = _checked(text, where)
        try:
            return cls(
                name=body["name"],
                created_at=datetime.fromisoformat(body["created_at"]),
                identity=Identity(**body["identity"]),
                files=tuple(StoredFile(**file) for file in body["files"]),
                datasets={name: DatasetState(**state) for name, state in body["datasets"].items()},
                ledger=LedgerState(**body["ledger"]) if body["ledger"] else None,
            )
        except (KeyError, TypeError, ValueError) as cause:
            raise BackupError(f"the manifest {where} lacks or has wrong fields ({cause}). {_CURE}") from cause


def snapshot_name(at: datetime) -> str:
    """A name that sorts by time: 20220225T221500Z."""
    return at.strftime("%Y%m%dT%H%M%SZ")


def differences(manifest: Manifest, datasets: Mapping[str, str], ledger: LedgerState | None) -> list[str]:
    """What a home has otherwise than its manifest says, as phrases: `datasets` are its content hashes by name."""
    expected = {name: state.content_hash for name, state in manifest.datasets.items()}
    found = [
        f"dataset {name} has content {_short(datasets.get(name))}, the manifest says {_short(expected.get(name))}"
        for name in sorted({*expected, *datasets})
        if expected.get(name) != datasets.get(name)
    ]
    if ledger != manifest.ledger:
        found.append(f"the ledger is at {_place(ledger)}, the manifest says {_place(manifest.ledger)}")
    return found


_CURE = "Choose another snapshot, or take a new one."


def _checked(text: str, where: str) -> dict[str, Any]:
    try:
        body: dict[str, Any] = json.loads(text)
        stated, schema = body.pop("manifest_hash"), body["schema_version"]
    except (ValueError, KeyError, AttributeError, TypeError) as cause:
        raise BackupError(f"the manifest {where} is damaged: it is not what a backup writes. {_CURE}") from cause
    if schema != SCHEMA_VERSION:
        raise BackupError(
            f"the manifest {where} has schema {schema}, this Daybook reads schema {SCHEMA_VERSION}. "
            "Restore it with the release that took it."
        )
    if stated != _hash(body):
        raise BackupError(f"the manifest {where} was changed after it was written: its hash does not fit. {_CURE}")
    for file in body["files"]:
        _require_inside(file.get("path", ""), where)
    return body


def _require_inside(path: str, where: str) -> None:
    """No manifest may write outside the folder it is restored into."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts:
        raise BackupError(f"the manifest {where} names the file {path!r}, which lies outside a home. {_CURE}")


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _short(content_hash: str | None) -> str:
    return content_hash[:12] if content_hash else "none"


def _place(ledger: LedgerState | None) -> str:
    return f"sequence {ledger.sequence}, content {_short(ledger.content_hash)}" if ledger else "none"
