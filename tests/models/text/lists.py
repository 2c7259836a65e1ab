"""What a search has found, all together, as whoever takes it in knows it."""

import numpy as np

from models.arrays import NONE
from models.text import NEAREST, Found


class Lists:
    """The lists of this many groups, and their vectors."""

    def __init__(self, groups: int) -> None:
        self.neighbours = np.full((groups, NEAREST), NONE, np.int32)
        self.similarities = np.zeros((groups, NEAREST), np.float32)
        self.vectors: dict[int, np.ndarray] = {}

    def take(self, found: Found) -> None:
        """Take in what was found."""
        self.vectors.update(zip(found.groups.tolist(), found.vectors, strict=True))
        self.neighbours[found.changed] = found.neighbours
        self.similarities[found.changed] = found.similarities
