"""Which rows a user must not be shown, told from fingerprints at a cost that has no sorting in it."""

import numpy as np
from numpy.typing import NDArray

from models.catalog import Catalog, FingerprintArray, RowArray

_SLOTS = 1 << 16
_SLOT_MASK = np.uint32(_SLOTS - 1)


class ExclusionFilter:
    """Looks rows up among excluded fingerprints; items of one fingerprint, 1 pair in 2^32, go together."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        # The last question whose fingerprint fell into a slot; never cleared, as answers are checked.
        self._asked = np.zeros(_SLOTS, np.int32)

    def is_excluded(self, rows: RowArray, excluded: FingerprintArray) -> NDArray[np.bool_]:
        """Return bool[n]: whether each of int32[n] rows is among uint32[k] excluded fingerprints."""
        count = len(excluded)
        if not count:
            return np.zeros(len(rows), np.bool_)
        slots = excluded & _SLOT_MASK
        numbers = np.arange(count, dtype=np.int32)
        self._asked[slots] = numbers
        fingerprints = self._catalog.fingerprints[rows]
        found = np.minimum(self._asked[fingerprints & _SLOT_MASK], count - 1)
        mask: NDArray[np.bool_] = excluded[found] == fingerprints
        displaced = excluded[self._asked[slots] != numbers]  # those that share a slot with a later one
        for fingerprint in displaced.tolist():
            mask |= fingerprints == fingerprint
        return mask
