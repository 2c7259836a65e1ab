"""Functions of whole arrays that a compiler can do many at a time."""

import numpy as np

from models.arrays import Floats
from models.compiled import compiled, inlined

_MANTISSA, _ONE_BITS, _EXPONENT_SHIFT, _BIAS = np.int32(0x7FFFFF), np.int32(0x3F800000), 23, 127
_LN2 = np.float32(0.6931472)
# log2(m) for m in [1, 2), by a cubic: off by at most 0.0011.
_C0, _C1, _C2, _C3 = (np.float32(c) for c in (-2.1536207, 3.0478842, -1.05187502, 0.15824871))


@compiled
def log1p_into(out: Floats, size: int, factor: np.float32) -> None:
    """Replace float32[:size], each at least 0, by factor * log(1 + x), to about 0.0008 * factor."""
    for place in range(size):
        out[place] += np.float32(1.0)
    bits = out.view(np.int32)
    for place in range(size):
        exponent = np.float32((bits[place] >> _EXPONENT_SHIFT) - _BIAS)
        bits[place] = (bits[place] & _MANTISSA) | _ONE_BITS
        mantissa = out[place]
        log2 = exponent + ((_C3 * mantissa + _C2) * mantissa + _C1) * mantissa + _C0
        out[place] = log2 * _LN2 * factor


@inlined
def is_finite(value: np.float32) -> bool:
    """Return whether a number is one; numba asks whether x - x is, which may be taken for 0 in any case."""
    return bool(abs(value) < np.inf)


@compiled
def largest(values: Floats, size: int) -> np.float32:
    """Return the largest of float32[:size], at least one: four chains of comparisons beside each other."""
    first = second = third = fourth = values[0]
    whole = size - size % 4
    for place in range(0, whole, 4):
        a, b, c, d = values[place], values[place + 1], values[place + 2], values[place + 3]
        first = a if a > first else first
        second = b if b > second else second
        third = c if c > third else third
        fourth = d if d > fourth else fourth
    for place in range(whole, size):
        first = values[place] if values[place] > first else first
    first = second if second > first else first
    third = fourth if fourth > third else third
    most: np.float32 = third if third > first else first
    return most
