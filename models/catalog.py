"""Item ids, their keys, and the rows that stand for them in every array of this process."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

KeyArray = NDArray[np.uint64]
RowArray = NDArray[np.int32]
FingerprintArray = NDArray[np.uint32]

UNKNOWN = -1
_FIRST_CAPACITY = 1024
_SLOTS_A_ROW = 2
_NONE: NDArray[np.int64] = np.zeros(0, np.int64)


class KeyCollision(ValueError):  # noqa: N818 - named by what happened, as it is read in a dead letter
    """Two item ids have the same 64-bit key; the second one cannot be told from the first."""


def item_key(item_id: str) -> int:
    """Return the 64-bit key of an item, unsigned: the same in every process, so that histories can move."""
    return int.from_bytes(blake2b(item_id.encode(), digest_size=8).digest(), "little")


class Items(NamedTuple):
    """What a query has to know of every item, and whether there is any reason to look."""

    fingerprints: FingerprintArray  # uint32[R]
    hidden: NDArray[np.bool_]  # [R]: may not be recommended
    has_hidden: bool
    has_exclusions: bool


class Catalog:
    """The items known to this process, in the order in which they were admitted; grows while running.

    An item may be known by its key alone for a while: what others did with it can be counted, but it cannot
    be recommended before somebody says its id. A removed item keeps its row and is not recommended either.
    """

    def __init__(self) -> None:
        self._rows: dict[int, int] = {}
        self._slots: RowArray = np.full(_SLOTS_A_ROW * _FIRST_CAPACITY, UNKNOWN, np.int32)  # rows by hash
        self._ids: list[str | None] = []
        self._keys: KeyArray = np.zeros(_FIRST_CAPACITY, np.uint64)
        self._fingerprints: FingerprintArray = np.zeros(_FIRST_CAPACITY, np.uint32)
        self._titles: dict[int, str] = {}
        self._listed: set[int] = set()
        self._removed: set[int] = set()
        self._nameless = 0
        self._hidden: NDArray[np.bool_] = np.zeros(_FIRST_CAPACITY, np.bool_)

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def keys(self) -> KeyArray:
        """Return uint64[len], a view: the key of every row."""
        return self._keys[: len(self._ids)]

    @property
    def listed(self) -> list[int]:
        """Return the rows that are listed, in order."""
        return sorted(self._listed)

    @property
    def fingerprints(self) -> FingerprintArray:
        """Return uint32[len], a view: the low 32 bits of every row's key."""
        return self._fingerprints[: len(self._ids)]

    def items(self, has_exclusions: bool) -> Items:
        """Return every row's fingerprint and whether it is hidden, for a query with exclusions or without."""
        has_hidden = bool(self._removed) or self._nameless > 0
        return Items(self._fingerprints, self._hidden, has_hidden, has_exclusions)

    def admit(self, item_id: str) -> int:
        """Return the row of an item, a new one if it was unknown; raises KeyCollision."""
        return self.admit_key(item_key(item_id), item_id)

    def admit_key(self, key: int, item_id: str) -> int:
        """Return the row of an item whose key is known already; raises KeyCollision."""
        row = self._rows.get(key)
        if row is None:
            return self._append(key, item_id)
        if self._ids[row] is None:
            self._ids[row] = item_id
            self._nameless -= 1
            self._hidden[row] = row in self._removed
        elif self._ids[row] != item_id:
            raise KeyCollision(f"items {self._ids[row]!r} and {item_id!r} have the same key {key:016x}")
        return row

    def is_nameless(self, item_id: str) -> bool:
        """Whether an item is known by its key alone, so far."""
        if not self._nameless:
            return False
        row = self._rows.get(item_key(item_id))
        return row is not None and self._ids[row] is None

    def reserve_key(self, key: int) -> int:
        """Return the row of a key, a new one without an id if it was unknown."""
        row = self._rows.get(key)
        return self._append(key, None) if row is None else row

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy: uint64[n] keys, the ids' UTF-8 bytes in a row, int32[n] their lengths, -1: no id."""
        encoded = [None if item_id is None else item_id.encode() for item_id in self._ids]
        lengths = [-1 if item_id is None else len(item_id) for item_id in encoded]
        text = b"".join(item_id for item_id in encoded if item_id is not None)
        return {
            "keys": self.keys.copy(),
            "ids": np.frombuffer(text, np.uint8),
            "lengths": np.array(lengths, np.int32),
            "listed": np.array(self.listed, np.int64),
            "removed": np.array(sorted(self._removed), np.int64),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Admit the rows of a snapshot, in their order, without titles; this catalogue must be empty."""
        if self._ids:
            raise ValueError(f"a catalogue of {len(self._ids)} items cannot become another one")
        text, start = arrays["ids"].tobytes(), 0
        for key, length in zip(arrays["keys"].tolist(), arrays["lengths"].tolist(), strict=True):
            end = start + max(length, 0)
            self._append(key, None if length < 0 else text[start:end].decode())
            start = end
        for row in arrays.get("listed", _NONE).tolist():  # which was not kept at first
            self.enlist(row, None)
        for row in arrays["removed"].tolist():
            self.remove(row)

    def row(self, key: int) -> int:
        """Return the row of a key, -1 if it is unknown."""
        return self._rows.get(key, UNKNOWN)

    def rows(self, keys: KeyArray) -> RowArray:
        """Return int32[n], the rows of uint64[n] keys, -1 for the unknown."""
        rows: RowArray = np.empty(len(keys), np.int32)
        _find_rows(self._slots, self._keys, keys, rows)
        return rows

    def item_id(self, row: int) -> str | None:
        """Return the id of a row, None while it is known by its key alone."""
        return self._ids[row]

    def title(self, row: int) -> str | None:
        """Return the title of a row, None if it was not listed with one."""
        return self._titles.get(row)

    def enlist(self, row: int, title: str | None) -> None:
        """Take in what the catalogue says of a row: it may be recommended, under this title."""
        self._listed.add(row)
        self._removed.discard(row)
        self._hidden[row] = self._ids[row] is None
        if title is None:
            self._titles.pop(row, None)
        else:
            self._titles[row] = title

    def remove(self, row: int) -> None:
        """Recommend a row no longer, until it is listed again."""
        self._titles.pop(row, None)
        self._listed.discard(row)
        self._removed.add(row)
        self._hidden[row] = True

    def key(self, row: int) -> int:
        """Return the key of a row."""
        return int(self._keys.item(row))

    def _append(self, key: int, item_id: str | None) -> int:
        row = len(self._ids)
        if row == len(self._keys):
            self._keys = np.concatenate([self._keys, np.zeros_like(self._keys)])
            self._fingerprints = np.concatenate([self._fingerprints, np.zeros_like(self._fingerprints)])
            self._hidden = np.concatenate([self._hidden, np.zeros_like(self._hidden)])
        self._keys[row] = key
        self._fingerprints[row] = key & 0xFFFFFFFF
        self._rows[key] = row
        if _SLOTS_A_ROW * (row + 1) > len(self._slots):
            self._slots = np.full(2 * len(self._slots), UNKNOWN, np.int32)
            _enter_rows(self._slots, self._keys, 0, row)
        _enter_rows(self._slots, self._keys, row, row + 1)
        self._ids.append(item_id)
        self._hidden[row] = item_id is None
        self._nameless += item_id is None
        return row


@compiled
def _enter_rows(slots: RowArray, keys: KeyArray, start: int, stop: int) -> None:
    """Enter the rows from `start` to before `stop`, which are not in it, into a hash table of rows."""
    mask = np.uint64(len(slots) - 1)
    for row in range(start, stop):
        slot = keys[row] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = row


@compiled
def _find_rows(slots: RowArray, keys: KeyArray, asked: KeyArray, rows: RowArray) -> None:
    """Write the rows, int32[n], of uint64[n] keys, -1 for those that are not in the table."""
    mask = np.uint64(len(slots) - 1)
    for number in range(len(asked)):
        slot = asked[number] & mask
        while slots[slot] >= 0 and keys[slots[slot]] != asked[number]:
            slot = (slot + np.uint64(1)) & mask
        rows[number] = slots[slot]
