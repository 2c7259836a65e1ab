"""The items that a user shall not be shown again, beyond those in the sequence: grows, in blocks."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import numpy.typing as npt

from state.errors import CorruptState
from state.keys import FINGERPRINTS_PER_BLOCK

FINGERPRINT_BYTES = 4
BLOCK_BYTES = FINGERPRINTS_PER_BLOCK * FINGERPRINT_BYTES
FINGERPRINT_MASK = 0xFFFF_FFFF

_WIRE = np.dtype("<u4")
_NONE = np.empty(0, _WIRE)
_NONE.flags.writeable = False


class Exclusions:
    """The fingerprints of a user's excluded items, oldest first, without repeats.

    A fingerprint is the low 32 bits of the item key: a user with n of them misses any other item with
    probability n / 2^32. They are stored in blocks of FINGERPRINTS_PER_BLOCK, so that one more rewrites the
    last block only, whatever the number of the user's items.
    """

    def __init__(self) -> None:
        self._buffer: npt.NDArray[np.uint32] = _NONE  # (capacity,)
        self._count = 0
        self._loaded_count = 0
        self._changed_from = 0  # the fingerprints from here on are not those that were loaded

    @classmethod
    def load(cls, blocks: Sequence[bytes | None]) -> Self:
        """Read all blocks of a user, in order of their numbers. Raises CorruptState."""
        last = len(blocks) - 1
        for number, block in enumerate(blocks):
            if block is None:
                raise CorruptState(f"exclusion block {number} of {len(blocks)} is missing")
            if not block or len(block) > BLOCK_BYTES or len(block) % FINGERPRINT_BYTES:
                raise CorruptState(
                    f"exclusion block {number} has {len(block)} bytes; "
                    f"expected a multiple of {FINGERPRINT_BYTES} up to {BLOCK_BYTES}"
                )
            if number < last and len(block) < BLOCK_BYTES:
                raise CorruptState(
                    f"exclusion block {number} of {len(blocks)} is not full: {len(block)} bytes"
                )
        exclusions = cls()
        exclusions._buffer = np.frombuffer(b"".join(block for block in blocks if block), _WIRE)  # (count,)
        exclusions._count = exclusions._loaded_count = len(exclusions._buffer)
        exclusions._changed_from = exclusions._count
        return exclusions

    def __len__(self) -> int:
        return self._count

    @property
    def fingerprints(self) -> npt.NDArray[np.uint32]:
        """All fingerprints, shape (count,): a read-only view that later additions leave as it is."""
        if not self._count:
            return _NONE
        view = self._buffer[: self._count]
        view.setflags(write=False)
        return view

    def contains(self, item_key: int) -> bool:
        """Whether the item is excluded."""
        return bool(np.count_nonzero(self._buffer[: self._count] == (item_key & FINGERPRINT_MASK)))

    def add(self, item_key: int) -> bool:
        """Exclude the item; return whether it was not excluded before."""
        if self.contains(item_key):
            return False
        if self._count == len(self._buffer):
            grown = np.empty(max(16, 2 * self._count), _WIRE)  # (capacity,)
            grown[: self._count] = self._buffer[: self._count]
            self._buffer = grown
        self._buffer[self._count] = item_key & FINGERPRINT_MASK
        self._count += 1
        return True

    def remove(self, item_key: int) -> bool:
        """Exclude the item no longer; return whether it was excluded. Rewrites the blocks from its own on."""
        places = np.flatnonzero(self._buffer[: self._count] == np.uint32(item_key & FINGERPRINT_MASK))
        if not len(places):
            return False
        place = int(places[0])
        self._buffer = np.delete(self._buffer[: self._count], place)
        self._count -= 1
        self._changed_from = min(self._changed_from, place)
        return True

    def settle(self) -> None:
        """Say that what `changed_blocks` returned was written."""
        self._loaded_count = self._changed_from = self._count

    @property
    def stored_blocks(self) -> int:
        """How many blocks are stored, as far as was read or written."""
        return _blocks(self._loaded_count)

    def changed_blocks(self) -> dict[int, bytes | None]:
        """Return the blocks that differ from what was loaded: number -> bytes, None for one that is gone."""
        blocks: dict[int, bytes | None] = dict.fromkeys(range(_blocks(self._count), self.stored_blocks))
        if self._changed_from < self._count or self._count < self._loaded_count:
            for number in range(self._changed_from // FINGERPRINTS_PER_BLOCK, _blocks(self._count)):
                start = number * FINGERPRINTS_PER_BLOCK
                end = min(start + FINGERPRINTS_PER_BLOCK, self._count)
                blocks[number] = self._buffer[start:end].tobytes()
        return blocks


def _blocks(count: int) -> int:
    """Return how many blocks hold this many fingerprints."""
    return -(-count // FINGERPRINTS_PER_BLOCK)
