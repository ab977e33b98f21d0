"""What a disk's refusal means, as a sentence: full, read-only, not permitted.

Belongs here: the one translation of the operating system's errors, for every adapter that keeps files. Does not belong
here: errors of a format or a driver.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from trading.errors import StoreUnavailable

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_SPACE_MEGABYTES = 0.2
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def refusal(cause: BaseException, place: Path) -> StoreUnavailable | None:
    """StoreUnavailable for an error that says the disk of `place` is full or may not be written, else None.

    Rust drivers give the reason in words only, so those are read where there is no number.
    """
    number = getattr(cause, "errno", None)
    words = _plainer(str(cause).lower(), place)
    if number in _FULL or "no space left" in words or "disk is full" in words:
        return StoreUnavailable(
            f"the disk of {place} is full ({free_megabytes(place):,.1f} MB free): nothing was written. "
            "Free some space and run the same command again."
        )
    if number in _REFUSED or "read-only file system" in words or "permission denied" in words or "readonly" in words:
        return StoreUnavailable(
            f"{place} may not be written ({os.strerror(number) if number else cause}): nothing was written. "
            "Give this user write permission there, or choose another home."
        )
    return None


def _plainer(words: str, place: Path) -> str:
    """SQLite does not say why a database file cannot be opened or read: what is seen of the disk says it."""
    if "disk i/o error" not in words and "unable to open database file" not in words:
        return words
    if free_megabytes(place) < _NO_SPACE_MEGABYTES:
        return "disk is full"
    return words if os.access(_existing(place), os.W_OK) else "read-only file system"


def _existing(place: Path) -> Path:
    """The place itself, or the nearest folder above it that exists."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def free_megabytes(place: Path) -> float:
    """Free space on the disk that holds `place`, or the nearest folder above it that exists."""
    return shutil.disk_usage(_existing(place)).free / 1e6
