"""The nearest texts of every text by cosine, exact, brought up to date as vectors arrive."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.arrays import NONE, Floats, Rows
from models.compiled import compiled

NEAREST = 20
TILE = 2048  # rows of older vectors that are multiplied at once
BATCH = 256  # rows of newcomers that are multiplied at once
MOST = 262_144
_STRIDE = 64  # products that are looked at as one, first
_MARKED = np.uint8(1)
_NOBODY = np.float32(2.0)  # no cosine is above it


class Found(NamedTuple):
    """What a search found, in arrays of its own, to be handed to another thread."""

    groups: Rows  # int32[n], the newcomers
    vectors: Floats  # float32[n, D], theirs
    changed: Rows  # int32[C], they and those whose lists they entered
    neighbours: Rows  # int32[C, NEAREST]
    similarities: Floats  # float32[C, NEAREST]
    removed: Rows  # int32[R], in no list any more
    forgotten: Rows  # int32[F], those of them that have no list either


class NeighbourSearch:
    """Finds for every group its NEAREST others by cosine; belongs to one thread.

    A newcomer is compared with all that are there, in blocked matrix products, and enters their lists as they
    enter its own. Exact among MOST groups. Where there are more, those with the highest numbers are kept, in
    whatever order they arrive: the others are compared when they arrive, keep the lists that they have and
    enter no more. Vectors are kept as float16, 200 MB for 262,144 of 384 dimensions.

    Who is removed leaves all lists. Those that had it are short until they are refilled, and then exact.
    A search that goes on from lists (`resume`) has them whole at once, and exact when the vectors are there.
    """

    def __init__(self, dimensions: int, most: int = MOST) -> None:
        self.dimensions = dimensions
        self._most = most
        self._tiles: list[torch.Tensor] = []  # float16[TILE, D] each
        self._occupied: list[int] = []  # vectors in each tile
        self._group_at: Rows = np.full(0, NONE, np.int32)  # [places], NONE where the vector is nobody's
        self._neighbours: Rows = np.full((0, NEAREST), NONE, np.int32)
        self._similarities: Floats = np.zeros((0, NEAREST), np.float32)
        self._stale = np.zeros(0, np.bool_)  # lists that other vectors gave
        self._marks = np.zeros(0, np.uint8)
        self._short: set[int] = set()  # groups whose lists lost some
        self._older = torch.empty(TILE, dimensions)  # a tile as float32
        self._products = torch.empty(BATCH * TILE)

    def resume(self, neighbours: Rows, similarities: Floats, is_stale: bool = False) -> None:
        """Go on from the lists int32[G, NEAREST] and float32[G, NEAREST] of the first G groups.

        `is_stale`: other vectors gave them. Such a list is made anew as soon as its group has a vector.
        """
        count = len(neighbours)
        self._make_room(count)
        self._neighbours[:count], self._similarities[:count] = neighbours, similarities
        self._stale[:count] = is_stale

    def add(self, groups: Rows, vectors: Floats) -> Found:
        """Compare newcomers, int32[n] groups with float32[n, D] unit vectors, with all and with each other.

        Every group comes once. Zero vectors have no neighbours and are nobody's.
        """
        if vectors.shape != (len(groups), self.dimensions):
            raise ValueError(f"vectors of shape {vectors.shape}, expected {(len(groups), self.dimensions)}")
        self._make_room(int(groups.max(initial=NONE)) + 1)
        anew = groups[self._stale[groups]]
        self._neighbours[anew], self._similarities[anew], self._stale[anew] = NONE, 0.0, False
        for start in range(0, len(groups), BATCH):
            part = slice(start, start + BATCH)
            self._enter(groups[part], torch.from_numpy(np.ascontiguousarray(vectors[part], np.float32)))
        return self._found()._replace(groups=groups.copy(), vectors=vectors.copy())

    def remove(self, groups: Rows, are_held: NDArray[np.bool_]) -> Found:
        """Forget the vectors of int32[n] groups: they are nobody's neighbours any more.

        `are_held`, bool[n]: they keep their own lists. Lists that had them are short until `refill`.
        """
        self._make_room(int(groups.max(initial=NONE)) + 1)
        self._take_out(groups)
        is_gone = np.zeros(len(self._marks), np.bool_)
        is_gone[groups] = True
        _leave_lists(is_gone, self._neighbours, self._similarities, self._marks)
        losing = np.flatnonzero(self._marks)
        self._short.update(losing[self._group_at[losing % self._most] == losing].tolist())
        self._short.difference_update(groups.tolist())
        forgotten = groups[~are_held]
        self._neighbours[forgotten], self._similarities[forgotten] = NONE, 0.0
        self._marks[forgotten] = _MARKED
        return self._found()._replace(removed=groups.copy(), forgotten=forgotten)

    @property
    def is_short(self) -> bool:
        """Whether there are lists to be refilled."""
        return bool(self._short)

    def refill(self) -> Found:
        """Compare at most BATCH groups whose lists are short with all again."""
        some = [self._short.pop() for _ in range(min(BATCH, len(self._short)))]
        groups, vectors = self._with_vectors(np.array(some, np.int32))
        if len(groups):
            self._enter(groups, vectors)
        return self._found()

    def _found(self) -> Found:
        """Return the lists that changed."""
        changed = np.flatnonzero(self._marks).astype(np.int32)
        self._marks[changed] = 0
        none: Rows = np.zeros(0, np.int32)
        vectors = np.zeros((0, self.dimensions), np.float32)
        return Found(
            none, vectors, changed, self._neighbours[changed], self._similarities[changed], none, none
        )

    def _with_vectors(self, groups: Rows) -> tuple[Rows, torch.Tensor]:
        """Return those of groups that have a vector, int32[n], and float32[n, D]."""
        places = groups % self._most
        places = places[self._group_at[places] == groups]
        rows = [self._tiles[place // TILE][place % TILE] for place in places.tolist()]
        vectors = torch.stack(rows).float() if rows else torch.empty(0, self.dimensions)
        return self._group_at[places], vectors

    def _take_out(self, groups: Rows) -> None:
        """Let vectors of groups, of those that have one, be nobody's."""
        places = groups % self._most
        places = places[self._group_at[places] == groups]
        self._group_at[places] = NONE
        for tile in (places // TILE).tolist():
            self._occupied[tile] -= 1

    def _enter(self, groups: Rows, vectors: torch.Tensor) -> None:
        """Compare at most BATCH groups, float32[b, D], newcomers or not, and keep them."""
        self._take_out(groups)
        self._short.difference_update(groups.tolist())
        self._marks[groups] = _MARKED
        for number, tile in enumerate(self._tiles):
            if self._occupied[number]:
                self._older.copy_(tile)
                start = number * TILE
                self._merge(groups, vectors, self._group_at[start : start + TILE], self._older, False)
        self._merge(groups, vectors, groups, vectors, True)
        places = groups % self._most
        for place, group, vector in zip(places.tolist(), groups.tolist(), vectors, strict=True):
            other = self._group_at[place]
            if other <= group:
                self._tiles[place // TILE][place % TILE] = vector
                self._occupied[place // TILE] += other == NONE
                self._group_at[place] = group

    def _merge(
        self, groups: Rows, vectors: torch.Tensor, others: Rows, older: torch.Tensor, is_same: bool
    ) -> None:
        """Let the groups of float32[b, D] and of float32[m, D] enter each other's lists."""
        products = self._products[: len(vectors) * len(older)].view(len(vectors), len(older))
        torch.mm(vectors, older.T, out=products)  # [b, m]
        floors = np.where(others == NONE, _NOBODY, self._similarities[others, -1])  # float32[m]
        lists = (self._neighbours, self._similarities, self._marks)
        _enter_lists(products.numpy(), groups, others, floors, is_same, *lists)

    def _make_room(self, groups: int) -> None:
        """Make room for this many groups."""
        if groups > len(self._marks):
            more = max(groups, 2 * len(self._marks)) - len(self._marks)
            self._neighbours = np.concatenate([self._neighbours, np.full((more, NEAREST), NONE, np.int32)])
            self._similarities = np.concatenate([self._similarities, np.zeros((more, NEAREST), np.float32)])
            self._stale = np.concatenate([self._stale, np.zeros(more, np.bool_)])
            self._marks = np.concatenate([self._marks, np.zeros(more, np.uint8)])
        while len(self._tiles) * TILE < min(groups, self._most):
            self._tiles.append(torch.zeros(TILE, self.dimensions, dtype=torch.float16))
            self._occupied.append(0)
            self._group_at = np.concatenate([self._group_at, np.full(TILE, NONE, np.int32)])


@compiled
def _enter_lists(
    products: Floats,
    groups: Rows,
    others: Rows,
    floors: Floats,
    is_same: bool,
    neighbours: Rows,
    similarities: Floats,
    marks: NDArray[np.uint8],
) -> None:
    """Let float32[b, m] products of groups and others enter both their lists; each pair comes once.

    `floors`, float32[m], are at most the least similarities that the others' lists still hold.
    """
    last = neighbours.shape[1] - 1
    for left in range(len(groups)):
        group, row = groups[left], products[left]
        stop = left if is_same else len(others)
        for start in range(0, stop, _STRIDE):
            end = min(start + _STRIDE, stop)
            floor = similarities[group, last]
            entering = 0
            for right in range(start, end):
                entering += (row[right] > floor) | (row[right] > floors[right])
            if entering:
                for right in range(start, end):
                    other, similarity = others[right], row[right]
                    is_near = similarity > floors[right] and similarity > similarities[other, last]
                    if is_near and _enter(neighbours[other], similarities[other], group, similarity):
                        floors[right] = similarities[other, last]
                        marks[other] = _MARKED
                    if similarity > similarities[group, last] and other >= 0:
                        _enter(neighbours[group], similarities[group], other, similarity)


@compiled
def _leave_lists(
    is_gone: NDArray[np.bool_], neighbours: Rows, similarities: Floats, marks: NDArray[np.uint8]
) -> None:
    """Take groups out of all lists, and mark those that had them."""
    for group in range(len(neighbours)):
        kept = 0
        for place in range(neighbours.shape[1]):
            other, similarity = neighbours[group, place], similarities[group, place]
            if other == NONE:
                break
            if is_gone[other]:
                marks[group] = _MARKED
                neighbours[group, place], similarities[group, place] = NONE, np.float32(0.0)
            else:
                if kept < place:
                    neighbours[group, place], similarities[group, place] = NONE, np.float32(0.0)
                    neighbours[group, kept], similarities[group, kept] = other, similarity
                kept += 1


@compiled
def _enter(neighbours: Rows, similarities: Floats, other: np.int32, similarity: np.float32) -> bool:
    """Put one into a list that is sorted by similarity, in place of its last; False where it is in it."""
    for place in range(len(neighbours)):
        if neighbours[place] == other:
            return False
    place = len(neighbours) - 1
    while place > 0 and similarities[place - 1] < similarity:
        neighbours[place] = neighbours[place - 1]
        similarities[place] = similarities[place - 1]
        place -= 1
    neighbours[place] = other
    similarities[place] = similarity
    return True
