"""Text groups: distinct texts by number, and for each the texts that are most like it."""

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE, Floats, Rows
from models.text.canonical import HASH_BYTES
from models.text.neighbours import NEAREST, Found

_FIRST_CAPACITY = 1024


class TextNeighbours:
    """The distinct texts of a catalogue, in the order in which they were admitted, and their neighbours.

    It belongs to the thread that admits texts and reads neighbours. The search for neighbours may go on in
    another one (`NeighbourSearch`); what it finds is taken in by `take`.
    """

    def __init__(self) -> None:
        self._groups: dict[bytes, int] = {}
        self._neighbours: Rows = np.full((_FIRST_CAPACITY, NEAREST), NONE, np.int32)
        self._similarities: Floats = np.zeros((_FIRST_CAPACITY, NEAREST), np.float32)
        self._encoded = np.zeros(_FIRST_CAPACITY, np.bool_)

    def __len__(self) -> int:
        return len(self._groups)

    @property
    def neighbours(self) -> Rows:
        """Return int32[G, NEAREST], a view: each group's nearest others, the most similar first, -1: none."""
        return self._neighbours[: len(self)]

    @property
    def similarities(self) -> Floats:
        """Return float32[G, NEAREST], a view: their cosines, in (0, 1]; 0 where there is none."""
        return self._similarities[: len(self)]

    def group(self, text_hash: bytes) -> int:
        """Return the group of a text, -1 if it was never admitted."""
        return self._groups.get(text_hash, NONE)

    def admit(self, text_hash: bytes) -> int:
        """Return the group of a text, a new one without neighbours if it was unknown."""
        group = self._groups.setdefault(text_hash, len(self._groups))
        if group == len(self._neighbours):
            self._grow()
        return group

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

    def is_encoded(self, group: int) -> bool:
        """Return whether the vector of a group has been searched with."""
        return bool(self._encoded[group])

    def take(self, found: Found) -> None:
        """Take in what a search found; its groups must have been admitted here."""
        self._encoded[found.groups] = True
        self._neighbours[found.changed] = found.neighbours
        self._similarities[found.changed] = found.similarities

    def _grow(self) -> None:
        self._neighbours = np.concatenate([self._neighbours, np.full_like(self._neighbours, NONE)])
        self._similarities = np.concatenate([self._similarities, np.zeros_like(self._similarities)])
        self._encoded = np.concatenate([self._encoded, np.zeros_like(self._encoded)])
