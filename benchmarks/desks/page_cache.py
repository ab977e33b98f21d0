"""The system's cache of file pages: dropped for single files, and looked at.

Belongs here: two calls of the kernel that need no privilege. Does not belong here: what is measured with cold files.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

TRIES = 5
_KERNEL = ctypes.CDLL(None, use_errno=True)


def dropped(files: Iterable[Path]) -> float:
    """Asks the kernel to forget the pages of these files (fsync, then posix_fadvise DONTNEED, a file at a time, up to
    five times), and returns the fraction of their pages that it kept all the same: 0 where it took effect. It keeps
    what another process is just reading."""
    listed, kept = list(files), 1.0
    for _ in range(TRIES):
        for file in listed:
            _drop(file)
        found = [resident(file) for file in listed]
        kept = sum(held for held, _ in found) / max(1, sum(pages for _, pages in found))
        if not kept:
            break
    return kept


def _drop(file: Path) -> None:
    handle = os.open(file, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def resident(file: Path) -> tuple[int, int]:
    """Pages of a file that are in memory (mincore), and all of its pages."""
    size = file.stat().st_size
    if not size:
        return 0, 0
    pages = -(-size // mmap.PAGESIZE)
    seen = (ctypes.c_ubyte * pages)()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, flags=mmap.MAP_PRIVATE) as mapped:
        whole = (ctypes.c_char * size).from_buffer(mapped)
        failed = _KERNEL.mincore(ctypes.c_void_p(ctypes.addressof(whole)), ctypes.c_size_t(size), seen)
        del whole
    if failed:
        raise OSError(ctypes.get_errno(), f"mincore of {file}")
    return sum(each & 1 for each in seen), pages
