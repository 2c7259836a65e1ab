"""Hashed character n-grams: vectors of a text's spelling, where no language model is installed."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from models.arrays import Floats

LENGTHS = (3, 4, 5)
DIMENSIONS = 256
VERSION = 1
_WORD = re.compile(r"\w+")
_SIGN = 1 << 31


class NgramEncoder:
    """Counts a text's n-grams of 3 to 5 characters, words' ends included, in 256 signed places.

    The hashing trick (Weinberger and others, 2009): an n-gram's hash says its place and its sign, so that
    what meets in one place cancels out on average. A count n weighs 1 + ln n.
    """

    name = f"ngrams-{VERSION}"
    dimensions = DIMENSIONS

    def encode(self, texts: Sequence[str]) -> Floats:
        """Return float32[n, 256], rows of length 1; zeros for a text without a letter or a digit."""
        vectors: Floats = np.zeros((len(texts), DIMENSIONS), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            for ngram, count in _ngrams(text).items():
                hashed = crc32(ngram.encode("utf-8", "surrogatepass"))
                weight = 1.0 + math.log(count)
                vector[hashed % DIMENSIONS] += weight if hashed & _SIGN else -weight
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # [n, 1]
        vectors /= np.where(lengths == 0.0, 1.0, lengths)
        return vectors


def _ngrams(text: str) -> Counter[str]:
    """Return how often each n-gram is in a text; a word is one with a blank before and after it."""
    counts: Counter[str] = Counter()
    for word in _WORD.findall(text.casefold()):
        padded = f" {word} "
        for length in LENGTHS:
            counts.update(padded[start : start + length] for start in range(len(padded) - length + 1))
    return counts
