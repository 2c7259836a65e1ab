"""Nearest texts: exact, whatever the order and the portions in which vectors arrive."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import NONE
from models.text import NEAREST, NeighbourSearch
from tests.models.text.lists import Lists

DIMENSIONS = 24


def unit_vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Return float32[count, DIMENSIONS] of length 1, exact in float16 so that sums tell no difference."""
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16).astype(np.float32)


def brute_force(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return float32[n, NEAREST], the largest positive cosines of each with the others, 0: none."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -1.0)
    padded = np.pad(cosines, ((0, 0), (0, NEAREST)), constant_values=-1.0)
    return np.maximum(-np.sort(-padded, axis=1)[:, :NEAREST], 0.0)


@pytest.mark.parametrize("portion", [1, 7, 300, 3000])
def test_lists_equal_brute_force_however_vectors_arrive(portion: int) -> None:
    """Every list has the largest cosines there are, both of older and of newer groups, in their order."""
    count = 3000 if portion == 3000 else 600
    vectors = unit_vectors(count, seed=portion)
    order = np.random.default_rng(5).permutation(count).astype(np.int32)
    lists, search = Lists(count), NeighbourSearch(DIMENSIONS)
    for start in range(0, count, portion):
        groups = order[start : start + portion]
        lists.take(search.add(groups, vectors[groups]))
    assert np.allclose(lists.similarities, brute_force(vectors), atol=1e-5)
    for group, row in enumerate(lists.neighbours):
        assert group not in row
        assert len(set(row.tolist())) == NEAREST
        assert np.allclose(vectors[row] @ vectors[group], lists.similarities[group], atol=1e-5)


def test_few_texts_have_few_neighbours() -> None:
    """A list ends in -1 and 0 where there are no more others, or none that is at all alike."""
    lists, search = Lists(4), NeighbourSearch(DIMENSIONS)
    vectors = np.zeros((4, DIMENSIONS), np.float32)
    vectors[0, 0] = vectors[1, 0] = vectors[2, 1] = 1.0  # the third is like nothing, the last is no vector
    lists.take(search.add(np.arange(4, dtype=np.int32), vectors))
    assert lists.neighbours[0].tolist() == [1] + [NONE] * (NEAREST - 1)
    assert lists.similarities[1].tolist() == [1.0] + [0.0] * (NEAREST - 1)
    assert (lists.neighbours[2:] == NONE).all()


def test_groups_without_a_vector_have_no_neighbours() -> None:
    """Groups that were not searched with yet are in no list and have none."""
    lists, search = Lists(3000), NeighbourSearch(DIMENSIONS)
    vectors = unit_vectors(2, seed=1)
    vectors[1] = vectors[0]
    lists.take(search.add(np.array([2999, 17], np.int32), vectors))
    assert lists.neighbours[17, 0] == 2999
    assert lists.neighbours[2999, 0] == 17
    assert (lists.neighbours != NONE).sum() == 2


def test_beyond_the_bound_the_latest_are_compared() -> None:
    """Memory is bounded: newcomers find the latest `most` groups, which find them."""
    most, count = 2048, 3000
    vectors = unit_vectors(count, seed=3)
    lists, search = Lists(count), NeighbourSearch(DIMENSIONS, most)
    for start in range(0, count, 500):
        groups = np.arange(start, start + 500, dtype=np.int32)
        lists.take(search.add(groups, vectors[groups]))
    last = lists.neighbours[-1]
    assert (last >= count - 500 - most).all()
    cosines = vectors[-1] @ vectors[count - most : -1].T
    assert lists.similarities[-1, 0] >= cosines.max() - 1e-5
    twin = search.add(np.array([count], np.int32), vectors[:1])
    assert twin.similarities[twin.changed == count].max() < 0.99  # the first had to give way


def test_beyond_the_bound_the_newest_may_come_first() -> None:
    """Older groups that arrive after newer ones find them, and do not take their places."""
    most, count = 4, 8
    vectors = np.ones((count, DIMENSIONS), np.float32) / np.float32(DIMENSIONS**0.5)
    lists, search = Lists(count + 1), NeighbourSearch(DIMENSIONS, most)
    for group in range(count - 1, -1, -1):
        lists.take(search.add(np.array([group], np.int32), vectors[group : group + 1]))
    lists.take(search.add(np.array([count], np.int32), vectors[:1]))
    assert sorted(lists.neighbours[0][lists.neighbours[0] != NONE].tolist()) == [4, 5, 6, 7]
    assert sorted(lists.neighbours[count][lists.neighbours[count] != NONE].tolist()) == [4, 5, 6, 7]


@pytest.mark.parametrize("portion", [1, 60, 300])
def test_lists_stay_exact_while_groups_go_and_come_back(portion: int) -> None:
    """Who was removed is in no list, from the same call on; refilled, the others' lists are the best."""
    count, rng = 600, np.random.default_rng(portion)
    vectors = unit_vectors(count, seed=portion)
    lists, search = Lists(count), NeighbourSearch(DIMENSIONS)
    lists.take(search.add(np.arange(count, dtype=np.int32), vectors))
    gone = np.zeros(count, np.bool_)
    for number in range(12):
        some = rng.choice(count, portion, replace=False).astype(np.int32)
        removed, back = some[~gone[some]], some[gone[some]]
        found = search.remove(removed, removed % 2 == 0)
        lists.take(found)
        assert np.array_equal(found.removed, removed)
        assert np.array_equal(found.forgotten, removed[removed % 2 == 1])
        assert (lists.neighbours[found.forgotten] == NONE).all()
        gone[removed] = True
        lists.take(search.add(back, vectors[back]))
        gone[back] = False
        assert not gone[lists.neighbours[lists.neighbours != NONE]].any()
        if number % 3:
            lists.take(search.refill())
    while search.is_short:
        lists.take(search.refill())
    assert gone.any()
    assert np.allclose(lists.similarities[~gone], brute_force(vectors[~gone]), atol=1e-5)
    for group in np.flatnonzero(~gone):
        row = lists.neighbours[group]
        assert len({group, *row.tolist()}) == NEAREST + 1
        assert np.allclose(vectors[row] @ vectors[group], lists.similarities[group], atol=1e-5)
    few = np.flatnonzero(~gone)[5:].astype(np.int32)
    lists.take(search.remove(few, few % 2 == 0))
    assert search.is_short
    lists.take(search.refill())
    assert not search.is_short
    left = np.flatnonzero(~gone)[:5]
    assert np.allclose(lists.similarities[left], brute_force(vectors[left]), atol=1e-5)


def test_vectors_of_another_encoder_are_refused() -> None:
    """Vectors of another length are an error that names both shapes."""
    with pytest.raises(ValueError, match=r"\(1, 3\), expected \(1, 24\)"):
        NeighbourSearch(DIMENSIONS).add(np.zeros(1, np.int32), np.zeros((1, 3), np.float32))
