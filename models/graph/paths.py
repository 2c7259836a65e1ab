"""Paths of two steps that join what a user did with what could be next: both are linked to one entity.

The number of such paths by relation is the direct relation term's input; one of them is a reason that a
person understands.
"""

import numpy as np
from numpy.typing import NDArray

from models.arrays import NONE, Floats, Rows, Times
from models.compiled import compiled
from models.graph.layout import LINKS, RELATIONS, Graph

LOOK_BACK = 10
"""Events of a history, newest first, whose links are looked at."""
_FADES = (np.float32(0.85) ** np.arange(LOOK_BACK)).astype(np.float32)


@compiled
def count_paths(
    graph: Graph, pasts: Rows, candidates: Rows, stamps: Times, strengths: Floats, paths: Floats
) -> None:
    """Write float32[B, K, RELATIONS] of what joins pasts int32[B, N], newest first, and candidates [B, K].

    A path counts .85^p, by the position of the event, and the less, the more items the entity has. Rows below
    0 are nothing; an item is not joined with itself. `stamps` and `strengths`, [E], and [E] is the newest
    stamp, are room to work.
    """
    for user in range(len(pasts)):
        stamps[-1] += 1
        _mark(graph, pasts[user], stamps, strengths)
        for place in range(candidates.shape[1]):
            row = candidates[user, place]
            if row < 0 or row >= len(graph.links):
                continue
            own = _weight_of(pasts[user], row)
            for at in range(LINKS):
                entity = graph.links[row, at]
                if entity == NONE:
                    break
                if stamps[entity] == stamps[-1]:
                    strength = (strengths[entity] - own) * _rarity(graph, entity)
                    paths[user, place, graph.relations[entity]] += max(strength, np.float32(0.0))


@compiled
def find_path(graph: Graph, past: Rows, row: int, wanted: NDArray[np.bool_]) -> tuple[int, int]:
    """Return the newest item of a past int32[N], newest first, that a row shares all with that is wanted.

    That is, of each relation in bool[RELATIONS] an entity. Its position, and the entity of the last relation;
    -1, -1: there is none, or nothing is wanted.
    """
    if row < 0 or row >= len(graph.links):
        return -1, -1
    for back in range(min(len(past), LOOK_BACK)):
        other = past[back]
        if other < 0 or other == row or other >= len(graph.links):
            continue
        entity, is_joined = NONE, True
        for relation in range(RELATIONS):
            if wanted[relation] and is_joined:
                entity = _shared(graph, row, other, relation)
                is_joined = entity != NONE
        if is_joined and entity != NONE:
            return back, entity
    return -1, -1


@compiled
def _mark(graph: Graph, past: Rows, stamps: Times, strengths: Floats) -> None:
    """Stamp the entities of a past, and write how much of it is linked to each."""
    for back in range(min(len(past), LOOK_BACK)):
        row = past[back]
        if row < 0 or row >= len(graph.links):
            continue
        for at in range(LINKS):
            entity = graph.links[row, at]
            if entity == NONE:
                break
            if stamps[entity] != stamps[-1]:
                stamps[entity], strengths[entity] = stamps[-1], np.float32(0.0)
            strengths[entity] += _FADES[back]


@compiled
def _weight_of(past: Rows, row: int) -> np.float32:
    """Return how much of a past is an item itself."""
    weight = np.float32(0.0)
    for back in range(min(len(past), LOOK_BACK)):
        if past[back] == row:
            weight += _FADES[back]
    return weight


@compiled
def _rarity(graph: Graph, entity: int) -> np.float32:
    """Return what a link to an entity says: 1 / (1 + log(items)), as an inverse document frequency does."""
    rarity: np.float32 = np.float32(1.0) / (
        np.float32(1.0) + np.log(np.float32(max(graph.degrees[entity], 1)))
    )
    return rarity


@compiled
def find_paths(graph: Graph, past: Rows, rows: Rows, wanted: NDArray[np.bool_], found: Rows) -> None:
    """Write int32[n, W, 2], `find_path` to each of int32[n] rows by each of bool[W, RELATIONS]."""
    for number in range(len(rows)):
        for way in range(len(wanted)):
            position, entity = find_path(graph, past, rows[number], wanted[way])
            found[number, way, 0], found[number, way, 1] = position, entity


@compiled
def _shared(graph: Graph, row: int, other: int, relation: int) -> int:
    """Return an entity of a relation that two items are linked to, NONE if there is none."""
    for at in range(LINKS):
        entity = graph.links[row, at]
        if entity == NONE:
            break
        if graph.relations[entity] != relation:
            continue
        for there in range(LINKS):
            if graph.links[other, there] == entity:
                return int(entity)
            if graph.links[other, there] == NONE:
                break
    return NONE


class PathCounter:
    """Counts paths, with room to work that lasts."""

    def __init__(self) -> None:
        self._stamps: Times = np.zeros(1, np.int64)
        self._strengths: Floats = np.zeros(0, np.float32)

    def count(self, graph: Graph, pasts: Rows, candidates: Rows) -> Floats:
        """Return float32[B, K, RELATIONS] of pasts int32[B, N], newest first, and candidates int32[B, K]."""
        entities = len(graph.degrees)
        if entities != len(self._strengths):
            self._stamps, self._strengths = np.zeros(entities + 1, np.int64), np.zeros(entities, np.float32)
        paths: Floats = np.zeros((*candidates.shape, RELATIONS), np.float32)
        count_paths(graph, pasts, candidates, self._stamps, self._strengths, paths)
        return paths
