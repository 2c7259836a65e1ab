"""Text groups: distinct texts by number."""

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE
from models.text.canonical import HASH_BYTES


class TextGroups:
    """The distinct texts of a catalogue, in the order in which they were admitted."""

    def __init__(self) -> None:
        self._groups: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def group(self, text_hash: bytes) -> int:
        """Return the group of a text, -1 if it was never admitted."""
        return self._groups.get(text_hash, NONE)

    def admit(self, text_hash: bytes) -> int:
        """Return the group of a text, a new one if it was unknown."""
        return self._groups.setdefault(text_hash, len(self._groups))

    def hashes(self) -> NDArray[np.uint8]:
        """Return uint8[G, HASH_BYTES], a copy: the hash of every group's text, by number."""
        return np.frombuffer(b"".join(self._groups), np.uint8).reshape(-1, HASH_BYTES)  # [G * 16] -> [G, 16]

    def adopt(self, hashes: NDArray[np.uint8]) -> bool:
        """Give texts the numbers that they had, by uint8[G, HASH_BYTES] hashes; False if others have them."""
        if len(self):
            return False
        for hashed in hashes:
            self.admit(hashed.tobytes())
        return True
