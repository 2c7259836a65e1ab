"""Which attributes, or pairs of them, say most about an item that others can be told from, too.

An attribute is worth what it says of an item in bits, counting only values that several items share: a title
that no other item has says everything, but nothing that could be learned before the item itself is.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from models.arrays import Rows

_SHARED = 3  # items of a value that can be learned from
_PAIRED = 4  # the best attributes, of which pairs are looked at

_LEAST_WORTH = 1.0  # bits
_ALIKE = 0.85  # the mutual information of two, as a share of what the one that says more says

Kind = tuple[str, ...]
"""The attributes whose values together are a kind's."""


def choose_kinds(codes: Mapping[str, Rows], most: int) -> list[Kind]:
    """Return the kinds worth most, at most so many, from int32[n] codes of each attribute, -1 for none.

    Of several that divide the items in much the same way only the first is taken.
    """
    worth: dict[Kind, float] = {(name,): _worth(column) for name, column in codes.items()}
    best = sorted(worth, key=lambda kind: (-worth[kind], kind))[:_PAIRED]
    for first, second in combinations([kind[0] for kind in best], 2):
        worth[first, second] = _worth(joined([codes[first], codes[second]]))
    chosen: dict[Kind, Rows] = {}
    for kind in sorted(worth, key=lambda kind: (-worth[kind], kind)):
        column = joined([codes[name] for name in kind])
        if len(chosen) == most or worth[kind] < _LEAST_WORTH:
            break
        if not any(_are_alike(column, other) for other in chosen.values()):
            chosen[kind] = column
    return list(chosen)


def joined(columns: Sequence[Rows]) -> Rows:
    """Return int32[n] codes of what the columns say together, by appearance; -1: one says nothing."""
    together = np.zeros(len(columns[0]), np.int64)
    is_there = np.ones(len(columns[0]), np.bool_)
    for column in columns:
        together = together * (int(column.max(initial=0)) + 1) + column
        is_there &= column >= 0
    codes = np.full(len(together), -1, np.int32)
    _, firsts, inverse = np.unique(together[is_there], return_index=True, return_inverse=True)
    order: NDArray[np.int64] = np.argsort(np.argsort(firsts))
    codes[is_there] = order[inverse]
    return codes


def _worth(codes: Rows) -> float:
    """Return the mean over all items of the bits that a shared value tells."""
    sizes = np.bincount(codes[codes >= 0]) if (codes >= 0).any() else np.zeros(1, np.int64)
    shared = sizes[sizes >= _SHARED]
    return float((shared / len(codes) * np.log2(len(codes) / shared)).sum()) if len(shared) else 0.0


def _are_alike(one: Rows, other: Rows) -> bool:
    """Return whether two columns say nearly the same of the items of which both say something."""
    both = (one >= 0) & (other >= 0)
    if not both.any():
        return False
    first, second = _entropy(one[both]), _entropy(other[both])
    mutual = first + second - _entropy(joined([one[both], other[both]]))
    return mutual >= _ALIKE * max(first, second)


def _entropy(codes: Rows) -> float:
    """Return the entropy of int32[n] codes, bits (Shannon 1948)."""
    shares = np.bincount(codes) / len(codes)
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
