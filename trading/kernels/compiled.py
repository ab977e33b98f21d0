"""Turning a plain Python function over arrays into machine code, once.

Belongs here: the decorator. Does not belong here: any kernel. Only the files of `trading/kernels/` import numba, and
nothing that Dagster loads with the definitions imports them at the top.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """The function as machine code, compiled at the first call with given types and kept on disk for later
    processes."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))
