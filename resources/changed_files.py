"""Several files of one folder changed together, or none of them: also where the process is killed in between.

Belongs here: what is written in which order, and undoing what a killed process left. Does not belong here: what the
files say.

The order: a note that names the files and what they are to hold; copies of what is there, and drafts of what is to be;
then each draft takes its file's place; then the note is deleted, which is when all of it counts. Whoever finds the note
while nobody holds the lock undoes it: a file that holds what the note says gets its copy back. One that somebody
changed meanwhile is left as it is, with the copy beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from resources.disk_errors import refusal
from resources.durable import synced
from resources.file_lock import held
from trading.errors import StoreUnavailable

NOTE, LOCK = "changing.json", ".changing.lock"
WAIT_S = 30.0


class _Step(NamedTuple):
    """One file: what it is to hold (SHA-256), and the name of the copy of what it held; None where it is new."""

    file: Path
    sha256: str
    copy: Path | None

    @property
    def draft(self) -> Path:
        return self.file.with_name(f".{self.file.name}.new")


@contextmanager
def changed_together(folder: Path, notes: Path, files: Mapping[Path, bytes], label: str) -> Iterator[None]:
    """Files below `folder` hold new content while the block runs, and for good once it ended without an exception; else
    all hold what they did. What was there is kept beside each, with `label` in its name; all with the mode that the
    file had. `notes`: a folder for the note and the lock. Raises StoreBusy, StoreUnavailable."""
    with _translated(folder), held(notes / LOCK, f"the files of {folder}", WAIT_S):
        _undo(folder, notes)
        steps = [_Step(file, _sha256(content), copy_of(file, label)) for file, content in files.items()]
        try:
            _write(notes / NOTE, json.dumps([_told(step, folder) for step in steps]).encode())
            _prepare(steps, files)
            for step in steps:
                os.replace(step.draft, step.file)
                synced(step.file.parent)
            yield
        except BaseException:
            _undo(folder, notes)
            raise
        (notes / NOTE).unlink()
        synced(notes)


def undo_unfinished(folder: Path, notes: Path) -> None:
    """Undoes what a killed process left of `changed_together`; waits for one that is at it. Raises StoreBusy,
    StoreUnavailable."""
    if not os.path.lexists(notes / NOTE):
        return
    with _translated(folder), held(notes / LOCK, f"the files of {folder}", WAIT_S):
        _undo(folder, notes)


def copy_of(file: Path, label: str) -> Path | None:
    """Where what a file holds is kept while it is changed, and after it; None where there is no such file."""
    return file.with_name(f"{file.name}.{label}") if file.exists() else None


def _prepare(steps: list[_Step], files: Mapping[Path, bytes]) -> None:
    for step in steps:
        step.file.parent.mkdir(parents=True, exist_ok=True)
        mode = None if step.copy is None else stat.S_IMODE(step.file.stat().st_mode)
        if step.copy is not None:
            _write(step.copy, step.file.read_bytes(), mode)
        _write(step.draft, files[step.file], mode)


# --- undoing ----------------------------------------------------------------------------------------------------------
def _undo(folder: Path, notes: Path) -> None:
    """May be repeated, and killed: the note goes last."""
    note = notes / NOTE
    if not note.exists():
        return
    for step in _noted(note, folder):
        for left in (step.draft, _half(step.draft), *([_half(step.copy)] if step.copy else [])):
            with suppress(FileNotFoundError, NotADirectoryError):
                left.unlink()
        if step.file.exists() and _sha256(step.file.read_bytes()) == step.sha256:
            _put_back(step)
        elif step.copy is not None and _same(step.copy, step.file):
            step.copy.unlink()
        if step.file.parent.is_dir():
            synced(step.file.parent)
    note.unlink()
    synced(notes)


def _put_back(step: _Step) -> None:
    if step.copy is None:
        step.file.unlink()
    elif step.copy.exists():
        os.replace(step.copy, step.file)


def _same(copy: Path, file: Path) -> bool:
    """Whether a copy is of no use: half of one is not, since its file was not touched yet."""
    return copy.exists() and file.exists() and file.read_bytes().startswith(copy.read_bytes())


def _told(step: _Step, folder: Path) -> list[str | None]:
    return [str(step.file.relative_to(folder)), step.sha256, step.copy.name if step.copy else None]


def _noted(note: Path, folder: Path) -> list[_Step]:
    try:
        return [
            _Step(folder / file, sha256, (folder / file).with_name(copy) if copy else None)
            for file, sha256, copy in json.loads(note.read_bytes())
        ]
    except (ValueError, TypeError) as cause:
        raise StoreUnavailable(
            f"{note} says that files were being changed, and cannot be read: {cause}. Compare them with the copies "
            "beside them, and delete it."
        ) from cause


# --- the disk ---------------------------------------------------------------------------------------------------------
def _write(file: Path, content: bytes, mode: int | None = None) -> None:
    """Whole and on the disk for good when it returns, with that mode: what only its owner may read is at no time there
    for others."""
    half = _half(file)
    with suppress(FileNotFoundError):
        half.unlink()  # of a killed process, whose mode it would keep
    with open(half, "wb", opener=_private if mode is not None else None) as written:
        if mode is not None:
            os.fchmod(written.fileno(), mode)
        written.write(content)
    synced(half)
    os.replace(half, file)
    synced(file.parent)


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _half(file: Path) -> Path:
    return file.with_name(f"{file.name}.half")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _translated(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise refusal(cause, place) or StoreUnavailable(f"{place} cannot be written: {cause}.") from cause
