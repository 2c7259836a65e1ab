"""What an item says of itself as a short vector: a fixed random direction for every value, summed.

Random indexing (Kanerva, Kristoferson, Holst 2000, CogSci); as in feature hashing, what is alike in some
values is alike in direction, nothing is fitted, and a new value changes no vector that there is.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from models.arrays import Floats

_REMEMBERED = 2**16


def hashed(values: Iterable[str], dimensions: int) -> Floats:
    """Return float32[dimensions], whose numbers are about 1 in size; zeros without values.

    A value that comes several times counts once. Say which attribute a value is of: "brand=acme".
    """
    distinct = sorted(set(values))
    total: Floats = np.zeros(dimensions, np.float32)
    for value in distinct:
        total += _direction(value, dimensions)
    return total / np.float32(np.sqrt(max(1, len(distinct))))


@lru_cache(maxsize=_REMEMBERED)
def _direction(value: str, dimensions: int) -> Floats:
    """Return the direction of a value, float32[dimensions]: the same in every process."""
    seed = int.from_bytes(blake2b(value.encode(), digest_size=8).digest(), "little")
    return np.random.default_rng(seed).standard_normal(dimensions, np.float32)
