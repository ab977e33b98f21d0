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
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def refusal(cause: Exception, place: Path) -> StoreUnavailable | None:
    """StoreUnavailable for an error that says the disk of `place` is full or may not be written, else None.

    Rust drivers give the reason in words only, so those are read where there is no number.
    """
    number = getattr(cause, "errno", None)
    words = str(cause).lower()
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


def free_megabytes(place: Path) -> float:
    """Free space on the disk that holds `place`, or the nearest folder above it that exists."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free / 1e6
