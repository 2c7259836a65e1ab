"""Vectors of texts made short enough to be kept for every text, and looked up by the item that has it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats, Rows
from models.content import Content

WORDS = 64
"""Dimensions of a text as the interest model reads it."""
_FIRST = 1024
_SEED = 20_010  # of the projection, which is the same in every process


class TextVectors:
    """float16[texts, WORDS], by a fixed random projection, which keeps angles (Achlioptas 2003, JCSS 66)."""

    def __init__(self, content: Content) -> None:
        """`content` knows which item has which text."""
        self._content = content
        self._projection: Floats = np.zeros((0, WORDS), np.float32)
        self._vectors: NDArray[np.float16] = np.zeros((_FIRST, WORDS), np.float16)

    def put(self, texts: Rows, vectors: Floats) -> None:
        """Take in unit vectors float32[n, D] of int32[n] texts."""
        if len(self._projection) != vectors.shape[1]:
            random = np.random.default_rng(_SEED)
            # Each of the WORDS numbers is then of about 1 in size.
            self._projection = random.standard_normal((vectors.shape[1], WORDS), np.float32) * np.float32(
                0.25
            )
        room = int(texts.max(initial=-1)) + 1
        if room > len(self._vectors):
            longer = np.zeros((max(room, 2 * len(self._vectors)), WORDS), np.float16)
            longer[: len(self._vectors)] = self._vectors
            self._vectors = longer
        self._vectors[texts] = vectors @ self._projection  # [n, D] @ [D, WORDS] -> [n, WORDS]

    def of(self, rows: Rows) -> Floats:
        """Return float32[n, WORDS] of int32[n] items, zeros where there is no text or no vector yet."""
        texts_of = self._content.tables.texts.values[0]
        texts = np.where(rows < len(texts_of), texts_of[np.minimum(rows, len(texts_of) - 1)], -1)
        is_known = (texts >= 0) & (texts < len(self._vectors))
        vectors: Floats = np.zeros((len(rows), WORDS), np.float32)
        vectors[is_known] = self._vectors[texts[is_known]]
        return vectors

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy."""
        return {"vectors": self._vectors.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of."""
        self._vectors = arrays["vectors"].copy()
