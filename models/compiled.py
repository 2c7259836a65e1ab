"""How the hot loops of this package are compiled: by numba, without the interpreter's lock, kept on disk."""

import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

import numba

Function = TypeVar("Function", bound=Callable[..., object])

_PACKAGE = Path(__file__).parent
# Sums may be taken in any order; but infinities and what is not a number keep their meaning.
_FAST = {"reassoc", "contract", "arcp", "nsz"}


def compiled(function: Function) -> Function:
    """Compile a function of numbers and arrays at its first call, or load it as it was compiled before.

    It cannot make arrays, as references are not counted in it: whoever calls it holds them all. To count them
    takes half of the time of a loop over candidates; numba can only be told not to by a private switch.
    """
    compiler = numba.njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy", _nrt=False)
    return compiler(function)  # type: ignore[no-any-return]


def allocating(function: Function) -> Function:
    """Compile a function that makes arrays, as `compiled` otherwise."""
    compiler = numba.njit(nogil=True, cache=True, fastmath=_FAST, error_model="numpy", _nrt=True)
    return compiler(function)  # type: ignore[no-any-return]


def inlined(function: Function) -> Function:
    """Compile a small function into every place that calls it.

    A call passes each array of a tuple of arrays by itself, which costs more than a few instructions do.
    """
    compiler = numba.njit(nogil=True, inline="always", fastmath=_FAST, error_model="numpy", _nrt=False)
    return compiler(function)  # type: ignore[no-any-return]


def _cache_directory() -> Path:
    """Return a directory of this very source: numba looks at the file of a function, not at what it calls."""
    digest = blake2b(numba.__version__.encode(), digest_size=8)
    for file in sorted(_PACKAGE.rglob("*.py")):
        digest.update(file.read_bytes())
    name = f"compiled-{digest.hexdigest()}"
    beside = _PACKAGE / "__pycache__"
    if os.access(beside if beside.exists() else _PACKAGE, os.W_OK):
        return beside / name
    return Path.home() / ".cache" / "freshet" / name


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(_cache_directory())
