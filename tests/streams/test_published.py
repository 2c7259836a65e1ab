"""What is remembered of published lists, against plain dicts and sets."""

import random

import numpy as np
import pytest

from streams.published import MEMORY_BYTES, PublishedLists, most_users

ROWS, LENGTH, MOST = 40, 5, 12


def hidden(*rows: int) -> np.ndarray:
    """Return bool[ROWS], true for these."""
    found = np.zeros(ROWS, np.bool_)
    found[list(rows)] = True
    return found


def rows_of(*rows: int) -> np.ndarray:
    """Return a list of these rows."""
    return np.array(rows, np.int32)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_a_dict_of_the_newest_lists(seed: int) -> None:
    """Whatever is published, forgotten and removed: those wait whose newest list has what is hidden."""
    rng, published = random.Random(seed), PublishedLists(MOST, LENGTH)
    lists: dict[str, list[int]] = {}
    removed: set[int] = set()
    waiting: set[str] = set()
    for _ in range(2_000):
        user, chance = f"u{rng.randrange(2 * MOST)}", rng.random()
        if chance < 0.85:
            rows = rng.sample(range(ROWS), rng.randrange(LENGTH + 1))
            published.put(user, rows_of(*rows), hidden(*removed))
            lists.pop(user, None)
            waiting.discard(user)
            if rows:
                lists[user] = rows
                waiting |= {user} if removed.intersection(rows) else set()
            if len(lists) > MOST:
                oldest = next(iter(lists))
                del lists[oldest]
                waiting.discard(oldest)
        elif chance < 0.93:
            published.forget(user)
            lists.pop(user, None)
            waiting.discard(user)
        else:
            removed = set(rng.sample(range(ROWS), 2))
            published.find(hidden(*removed))
            waiting |= {each for each, rows in lists.items() if removed.intersection(rows)}
        assert len(published) == len(lists)
        assert set(published.waiting) == waiting
    published.clear()
    assert len(published) == len(published.waiting) == 0


def test_an_item_that_nobody_knows_is_one_that_was_removed() -> None:
    """A list of an item that is neither listed nor ever occurred is made again, even if nothing is hidden."""
    published = PublishedLists(MOST, LENGTH)
    published.put("u", rows_of(3, -1), hidden())
    published.put("v", rows_of(3, 4), hidden())
    assert list(published.waiting) == ["u"]


def test_of_a_longer_list_the_beginning_is_remembered() -> None:
    """A list of before `list_length` was lowered waits for what it has now, later for what it begins with."""
    published = PublishedLists(MOST, 2)
    published.put("u", rows_of(1, 2, 3), hidden(3))
    assert list(published.waiting) == ["u"]
    published.put("u", rows_of(1, 2, 3), hidden())
    published.find(hidden(3))
    assert not published.waiting
    published.find(hidden(2))
    assert list(published.waiting) == ["u"]


def test_memory_is_shared_by_the_partitions() -> None:
    """More partitions or longer lists are fewer users each, never none; 49,344 in each of four."""
    assert most_users(10, 4) == 49_344
    assert 4 * most_users(10, 4) * (300 + 4 * 10) <= MEMORY_BYTES
    assert most_users(1000, 1) > most_users(1000, 12) > 0
    assert most_users(1000, 10**6) == 1
