"""Turning a plain Python function over arrays into machine code, once.

Belongs here: the decorator. Does not belong here: any kernel. Only the files of `trading/kernels/` import numba, and
nothing that Dagster loads with the definitions imports them at the top.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import numba

F = TypeVar("F", bound=Callable[..., object])
OPTIONAL = ("scipy.linalg.cython_blas", "cffi", "yaml")


def compiled(function: F) -> F:
    """The function as machine code, compiled at the first call with given types and kept on disk for later
    processes."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def exclusive(function: F) -> F:
    """As `compiled`, for loops that change arrays which other threads look at: no other thread of the interpreter runs
    while one of them does, so that each is done as a whole or not begun."""
    return cast(F, numba.njit(cache=True, nogil=False, error_model="numpy")(function))


def record(name: str, arrays: Mapping[str, tuple[str, int]]) -> Callable[[], Any]:
    """A record of arrays that are referred to, not copied, as compiled code sees it: what makes an empty one there. By
    name the arrays' kind and number of dimensions, rows one after another."""
    from numba.core import types
    from numba.experimental import structref
    from numba.extending import overload

    kind = structref.register(type(name, (types.StructRef,), {"__module__": __name__}))  # type: ignore[no-untyped-call]
    setattr(sys.modules[__name__], name, kind)  # kept code is found again by the name of what it takes
    proxy = type(f"{name}Proxy", (structref.StructRefProxy,), {})
    structref.define_boxing(kind, proxy)  # type: ignore[no-untyped-call]
    fields = [(field, types.Array(getattr(types, of), count, "C")) for field, (of, count) in arrays.items()]
    made = kind(fields)

    def new() -> Any:
        raise NotImplementedError("in compiled code only")

    @overload(new)
    def _new() -> Any:
        return lambda: structref.new(made)  # type: ignore[call-arg]

    return new


@contextmanager
def _unfindable(names: tuple[str, ...]) -> Iterator[None]:
    """While this is open, modules that are not loaded yet cannot be found."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


# numba looks for parts that it can do without as it loads: SciPy's BLAS (for np.cov; other linear algebra asks again
# when it is used), cffi (for C functions) and YAML (for a file of settings). Finding them takes as long as all the rest
# of it (0.25 s), and no kernel here uses them.
with _unfindable(OPTIONAL):
    numba = importlib.import_module("numba")
    importlib.import_module("numba.np.arraymath")
