"""Turning a plain Python function over arrays into machine code, once.

Belongs here: the decorator. Does not belong here: any kernel. Only the files of `trading/kernels/` import numba, and
nothing that Dagster loads with the definitions imports them at the top.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])
BLAS = "scipy.linalg.cython_blas"


def compiled(function: F) -> F:
    """The function as machine code, compiled at the first call with given types and kept on disk for later
    processes."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def _load_without_blas() -> None:
    """Loads numba's array functions while SciPy's BLAS cannot be found.

    They look for it as they load, which takes as long as all the rest of numba (0.2 s), for the sake of np.cov; no
    kernel here uses that, and other linear algebra asks again when it is used.
    """
    if BLAS in sys.modules:
        return
    sys.modules[BLAS] = None  # type: ignore[assignment]
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        del sys.modules[BLAS]


_load_without_blas()
