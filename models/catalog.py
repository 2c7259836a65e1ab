"""Item ids, their keys, and the rows that stand for them in every array of this process."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

KeyArray = NDArray[np.uint64]
RowArray = NDArray[np.int32]
FingerprintArray = NDArray[np.uint32]

UNKNOWN = -1
_FIRST_CAPACITY = 1024


class KeyCollision(ValueError):  # noqa: N818 - named by what happened, as it is read in a dead letter
    """Two item ids have the same 64-bit key; the second one cannot be told from the first."""


def item_key(item_id: str) -> int:
    """Return the 64-bit key of an item, unsigned: the same in every process, so that histories can move."""
    return int.from_bytes(blake2b(item_id.encode(), digest_size=8).digest(), "little")


class Catalog:
    """The items known to this process, in the order in which they were admitted; grows while running."""

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._ids: list[str] = []
        self._keys: KeyArray = np.zeros(_FIRST_CAPACITY, np.uint64)
        self._fingerprints: FingerprintArray = np.zeros(_FIRST_CAPACITY, np.uint32)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def keys(self) -> KeyArray:
        """Return uint64[len], a view: the key of every row."""
        return self._keys[: len(self._ids)]

    @property
    def fingerprints(self) -> FingerprintArray:
        """Return uint32[len], a view: the low 32 bits of every row's key."""
        return self._fingerprints[: len(self._ids)]

    def admit(self, item_id: str) -> int:
        """Return the row of an item, a new one if it was unknown; raises KeyCollision."""
        return self.admit_key(item_key(item_id), item_id)

    def admit_key(self, key: int, item_id: str) -> int:
        """Return the row of an item whose key is known already; raises KeyCollision."""
        row = self._rows.get(key)
        if row is None:
            return self._append(key, item_id)
        if self._ids[row] != item_id:
            raise KeyCollision(f"items {self._ids[row]!r} and {item_id!r} have the same key {key:016x}")
        return row

    def row(self, key: int) -> int:
        """Return the row of a key, -1 if it is unknown."""
        return self._rows.get(key, UNKNOWN)

    def rows(self, keys: KeyArray) -> RowArray:
        """Return int32[n], the rows of uint64[n] keys, -1 for the unknown."""
        find = self._rows.get
        return np.array([find(key, UNKNOWN) for key in keys.tolist()], np.int32)

    def item_id(self, row: int) -> str:
        """Return the id of a row."""
        return self._ids[row]

    def key(self, row: int) -> int:
        """Return the key of a row."""
        return int(self._keys[row])

    def _append(self, key: int, item_id: str) -> int:
        row = len(self._ids)
        if row == len(self._keys):
            self._keys = np.concatenate([self._keys, np.zeros_like(self._keys)])
            self._fingerprints = np.concatenate([self._fingerprints, np.zeros_like(self._fingerprints)])
        self._keys[row] = key
        self._fingerprints[row] = key & 0xFFFFFFFF
        self._rows[key] = row
        self._ids.append(item_id)
        return row
