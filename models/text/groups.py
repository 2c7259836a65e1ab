"""Text groups: distinct texts by number."""

import heapq

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE
from models.text.canonical import HASH_BYTES

_NOBODY = bytes(HASH_BYTES)


class TextGroups:
    """The distinct texts of a catalogue: a new one has the lowest number that is free."""

    def __init__(self) -> None:
        self._groups: dict[bytes, int] = {}
        self._hashes: list[bytes] = []
        self._free: list[int] = []  # a heap of numbers

    def __len__(self) -> int:
        return len(self._groups)

    def group(self, text_hash: bytes) -> int:
        """Return the group of a text, -1 if it has none."""
        return self._groups.get(text_hash, NONE)

    def admit(self, text_hash: bytes) -> int:
        """Return the group of a text, a new one if it had none."""
        group = self._groups.get(text_hash)
        if group is None:
            if self._free:
                group = heapq.heappop(self._free)
                self._hashes[group] = text_hash
            else:
                group = len(self._hashes)
                self._hashes.append(text_hash)
            self._groups[text_hash] = group
        return group

    def give_back(self, group: int) -> None:
        """Let the number of a group be free, if it is not."""
        if self._hashes[group] != _NOBODY:
            del self._groups[self._hashes[group]]
            self._hashes[group] = _NOBODY
            heapq.heappush(self._free, group)

    def numbers(self) -> NDArray[np.int32]:
        """Return int32[len]: the groups of all texts."""
        return np.fromiter(self._groups.values(), np.int32, len(self))

    def hashes(self) -> NDArray[np.uint8]:
        """Return uint8[G, HASH_BYTES], a copy: the hash of every group's text, zeros for a free number."""
        return np.frombuffer(b"".join(self._hashes), np.uint8).reshape(-1, HASH_BYTES)  # [G * 16] -> [G, 16]

    def adopt(self, hashes: NDArray[np.uint8]) -> bool:
        """Give texts the numbers that they had, by uint8[G, HASH_BYTES] hashes; False if others have them."""
        if len(self):
            return False
        self._hashes = [hashed.tobytes() for hashed in hashes]
        self._groups = {hashed: group for group, hashed in enumerate(self._hashes) if hashed != _NOBODY}
        self._free = [group for group, hashed in enumerate(self._hashes) if hashed == _NOBODY]
        return True
