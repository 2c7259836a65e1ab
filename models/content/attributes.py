"""The attributes of all items: every value by a code, and every row's code."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE, Rows

MOST = 48
"""Attributes that are taken in; a catalogue with more is served by those that came first."""
_FIRST_ROWS = 1024


class AttributeTable:
    """int32 codes [attributes, rows] and what they stand for; grows with the rows.

    An attribute that changes all the time, as a price does, has no more than `most_values`: beyond that only
    those that some row has are kept, under other codes.
    """

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._values: list[dict[str, int]] = []  # of each attribute: value -> code
        self._codes: Rows = np.full((MOST, _FIRST_ROWS), NONE, np.int32)

    @property
    def names(self) -> list[str]:
        """Return the attributes' names, in the order in which they came."""
        return list(self._names)

    @property
    def most_values(self) -> int:
        """Return how many values an attribute has at most: twice as many as there is room for rows."""
        return 2 * int(self._codes.shape[1])

    def write(self, row: int, values: Mapping[str, str]) -> list[str]:
        """Say what a row's values are; of attributes that are not named it has none.

        Returns the attributes whose codes are others from now on.
        """
        if row >= self._codes.shape[1]:
            longer = np.full((MOST, max(2 * self._codes.shape[1], row + 1)), NONE, np.int32)
            longer[:, : self._codes.shape[1]] = self._codes
            self._codes = longer
        self._codes[:, row] = NONE
        changed = []
        for name, value in values.items():
            if name not in self._names:
                if len(self._names) == MOST:
                    continue
                self._names[name] = len(self._names)
                self._values.append({})
            number = self._names[name]
            self._codes[number, row] = self._values[number].setdefault(value, len(self._values[number]))
            if len(self._values[number]) > self.most_values:
                self._keep_used(number)
                changed.append(name)
        return changed

    def codes(self, name: str, rows: NDArray[np.int64]) -> Rows:
        """Return int32[n], an attribute's code of each of int64[n] rows; -1: it has none."""
        codes: Rows = self._codes[self._names[name], rows]
        return codes

    def together(self, kind: tuple[str, ...], row: int) -> tuple[int, ...]:
        """Return the codes of several attributes of a row."""
        return tuple(int(self._codes[self._names[name], row]) for name in kind)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy: the codes, and UTF-8 JSON of names and values."""
        words = {"names": self.names, "values": [list(values) for values in self._values]}
        return {
            "codes": self._codes[: len(self._names)].copy(),
            "words": np.frombuffer(json.dumps(words).encode(), np.uint8),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of."""
        words = json.loads(arrays["words"].tobytes())
        self._names = {name: number for number, name in enumerate(words["names"])}
        self._values = [{value: code for code, value in enumerate(values)} for values in words["values"]]
        self._codes = np.full((MOST, arrays["codes"].shape[1]), NONE, np.int32)
        self._codes[: len(self._names)] = arrays["codes"]

    def _keep_used(self, number: int) -> None:
        """Forget the values of an attribute that no row has."""
        codes, values = self._codes[number], list(self._values[number])
        used = np.unique(codes[codes >= 0])
        self._values[number] = {values[code]: place for place, code in enumerate(used.tolist())}
        codes[codes >= 0] = np.searchsorted(used, codes[codes >= 0])
