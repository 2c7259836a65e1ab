"""Nearest texts: exact, whatever the order and the portions in which vectors arrive."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.arrays import NONE
from models.text import NEAREST, NeighbourSearch, TextNeighbours, text_hash

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


def admitted(count: int) -> TextNeighbours:
    """Return the groups of this many texts."""
    texts = TextNeighbours()
    for number in range(count):
        assert texts.admit(text_hash(f"text {number}")) == number
    return texts


@pytest.mark.parametrize("portion", [1, 7, 300, 3000])
def test_lists_equal_brute_force_however_vectors_arrive(portion: int) -> None:
    """Every list has the largest cosines there are, both of older and of newer groups, in their order."""
    count = 3000 if portion == 3000 else 600
    vectors = unit_vectors(count, seed=portion)
    order = np.random.default_rng(5).permutation(count).astype(np.int32)
    texts, search = admitted(count), NeighbourSearch(DIMENSIONS)
    for start in range(0, count, portion):
        groups = order[start : start + portion]
        texts.take(search.add(groups, vectors[groups]))
    assert np.allclose(texts.similarities, brute_force(vectors), atol=1e-5)
    for group, row in enumerate(texts.neighbours):
        assert group not in row
        assert len(set(row.tolist())) == NEAREST
        assert np.allclose(vectors[row] @ vectors[group], texts.similarities[group], atol=1e-5)


def test_few_texts_have_few_neighbours() -> None:
    """A list ends in -1 and 0 where there are no more others, or none that is at all alike."""
    texts, search = admitted(4), NeighbourSearch(DIMENSIONS)
    vectors = np.zeros((4, DIMENSIONS), np.float32)
    vectors[0, 0] = vectors[1, 0] = vectors[2, 1] = 1.0  # the third is like nothing, the last is no vector
    texts.take(search.add(np.arange(4, dtype=np.int32), vectors))
    assert texts.neighbours[0].tolist() == [1] + [NONE] * (NEAREST - 1)
    assert texts.similarities[1].tolist() == [1.0] + [0.0] * (NEAREST - 1)
    assert (texts.neighbours[2:] == NONE).all()


def test_equal_texts_are_one_group() -> None:
    """A text that is admitted twice keeps its number, and a text that never was has none."""
    texts = TextNeighbours()
    groups = [texts.admit(text_hash(text)) for text in ("milk", "bread", "milk")]
    assert groups == [0, 1, 0]
    assert len(texts) == 2
    assert texts.group(text_hash("bread")) == 1
    assert texts.group(text_hash("cheese")) == NONE


def test_groups_without_a_vector_have_no_neighbours() -> None:
    """Groups that were admitted and not searched with yet are not encoded, and are in no list."""
    texts, search = admitted(3000), NeighbourSearch(DIMENSIONS)
    vectors = unit_vectors(2, seed=1)
    vectors[1] = vectors[0]
    texts.take(search.add(np.array([2999, 17], np.int32), vectors))
    assert texts.is_encoded(17)
    assert not texts.is_encoded(18)
    assert texts.neighbours[17, 0] == 2999
    assert texts.neighbours[2999, 0] == 17
    assert (texts.neighbours != NONE).sum() == 2
    assert np.array_equal(search.vectors(np.array([17, 18], np.int32)), [vectors[1], np.zeros(DIMENSIONS)])


def test_beyond_the_bound_the_latest_are_compared() -> None:
    """Memory is bounded: newcomers find the latest `most` groups, which find them."""
    most, count = 2048, 3000
    vectors = unit_vectors(count, seed=3)
    texts, search = admitted(count), NeighbourSearch(DIMENSIONS, most)
    for start in range(0, count, 500):
        groups = np.arange(start, start + 500, dtype=np.int32)
        texts.take(search.add(groups, vectors[groups]))
    last = texts.neighbours[-1]
    assert (last >= count - 500 - most).all()
    cosines = vectors[-1] @ vectors[count - most : -1].T
    assert texts.similarities[-1, 0] >= cosines.max() - 1e-5
    assert not search.vectors(np.array([0], np.int32)).any()


def test_beyond_the_bound_the_newest_may_come_first() -> None:
    """Older groups that arrive after newer ones find them, and do not take their places."""
    most, count = 4, 8
    vectors = np.ones((count, DIMENSIONS), np.float32) / np.float32(DIMENSIONS**0.5)
    texts, search = admitted(count + 1), NeighbourSearch(DIMENSIONS, most)
    for group in range(count - 1, -1, -1):
        texts.take(search.add(np.array([group], np.int32), vectors[group : group + 1]))
    texts.take(search.add(np.array([count], np.int32), vectors[:1]))
    assert sorted(texts.neighbours[0][texts.neighbours[0] != NONE].tolist()) == [4, 5, 6, 7]
    assert sorted(texts.neighbours[count][texts.neighbours[count] != NONE].tolist()) == [4, 5, 6, 7]


@pytest.mark.parametrize("portion", [1, 60, 300])
def test_lists_stay_exact_while_groups_go_and_come_back(portion: int) -> None:
    """Who was removed is in no list, from the same call on; refilled, the others' lists are the best."""
    count, rng = 600, np.random.default_rng(portion)
    vectors = unit_vectors(count, seed=portion)
    texts, search = admitted(count), NeighbourSearch(DIMENSIONS)
    texts.take(search.add(np.arange(count, dtype=np.int32), vectors))
    gone = np.zeros(count, np.bool_)
    for number in range(12):
        some = rng.choice(count, portion, replace=False).astype(np.int32)
        removed, back = some[~gone[some]], some[gone[some]]
        texts.take(search.remove(removed))
        gone[removed] = True
        texts.take(search.add(back, vectors[back]))
        gone[back] = False
        assert not gone[texts.neighbours[texts.neighbours != NONE]].any()
        if number % 3:
            texts.take(search.refill())
    while search.is_short:
        texts.take(search.refill())
    assert gone.any()
    assert np.allclose(texts.similarities[~gone], brute_force(vectors[~gone]), atol=1e-5)
    for group in np.flatnonzero(~gone):
        row = texts.neighbours[group]
        assert len({group, *row.tolist()}) == NEAREST + 1
        assert np.allclose(vectors[row] @ vectors[group], texts.similarities[group], atol=1e-5)
    few = np.flatnonzero(~gone)[5:].astype(np.int32)
    texts.take(search.remove(few))
    assert search.is_short
    texts.take(search.refill())
    assert not search.is_short
    left = np.flatnonzero(~gone)[:5]
    assert np.allclose(texts.similarities[left], brute_force(vectors[left]), atol=1e-5)


def test_vectors_of_another_encoder_are_refused() -> None:
    """Vectors of another length are an error that names both shapes."""
    with pytest.raises(ValueError, match=r"\(1, 3\), expected \(1, 24\)"):
        NeighbourSearch(DIMENSIONS).add(np.zeros(1, np.int32), np.zeros((1, 3), np.float32))
