"""What must not be recommended to a user, told from fingerprints: a hash table, made anew for each query."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled, inlined

_SMALLEST = 1024


class Banned(NamedTuple):
    """Excluded fingerprints by hash, and for every slot the query that wrote it."""

    table: NDArray[np.uint32]  # [T], a power of two, at least four times as many as are excluded
    queries: NDArray[np.int64]  # [T]
    query: NDArray[np.int64]  # [1], the number of the query


def empty_banned(exclusions: int) -> Banned:
    """Return a table for up to this many exclusions."""
    slots = _SMALLEST
    while slots < 4 * exclusions:
        slots *= 2
    return Banned(np.zeros(slots, np.uint32), np.zeros(slots, np.int64), np.zeros(1, np.int64))


@compiled
def ban(banned: Banned, excluded: NDArray[np.uint32]) -> None:
    """Forget what was excluded before, and exclude uint32[k] fingerprints."""
    table, queries = banned.table, banned.queries
    banned.query[0] += 1
    query, mask = banned.query[0], table.size - 1
    for fingerprint in excluded:
        slot = fingerprint & mask
        while queries[slot] == query and table[slot] != fingerprint:
            slot = (slot + 1) & mask
        table[slot] = fingerprint
        queries[slot] = query


@inlined
def is_banned(banned: Banned, fingerprint: int) -> bool:
    """Return whether a fingerprint is excluded; items of one fingerprint, 1 pair in 2^32, go together."""
    table, mask = banned.table, banned.table.size - 1
    slot = fingerprint & mask
    while banned.queries[slot] == banned.query[0]:
        if table[slot] == fingerprint:
            return True
        slot = (slot + 1) & mask
    return False
