"""Exclusions: a set that grows in blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import CorruptState, Exclusions

item_keys = st.lists(st.integers(0, 2**64 - 1), max_size=30)


def _blocks(exclusions: Exclusions) -> list[bytes]:
    changed = exclusions.changed_blocks()
    assert list(changed) == list(range(len(changed)))
    return list(changed.values())


@given(item_keys, item_keys)
def test_like_a_set_of_fingerprints(first: list[int], second: list[int]) -> None:
    """Adding tells what is new, and afterwards contains knows it: also over storing and loading."""
    exclusions = Exclusions()
    expected: dict[int, None] = {}
    for item_key in first:
        assert exclusions.add(item_key) == (item_key % 2**32 not in expected)
        expected[item_key % 2**32] = None
    exclusions = Exclusions.load(_blocks(exclusions))
    for item_key in second:
        assert exclusions.contains(item_key) == (item_key % 2**32 in expected)
        assert exclusions.add(item_key) == (item_key % 2**32 not in expected)
        expected[item_key % 2**32] = None
    assert exclusions.fingerprints.tolist() == list(expected)
    assert len(exclusions) == len(expected)


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 511, 512, 700])
def test_one_more_item_rewrites_the_last_block_only(count: int) -> None:
    """However many there are, one more changes one block: the last, or a new one."""
    exclusions = Exclusions()
    for item_key in range(count):
        exclusions.add(item_key)
    stored = exclusions.changed_blocks()
    loaded = Exclusions.load([stored[number] for number in range(len(stored))])
    assert loaded.changed_blocks() == {}
    loaded.add(10**6)
    changed = loaded.changed_blocks()
    assert list(changed) == [count // 256]
    again = Exclusions.load([*(stored | changed).values()])
    assert again.fingerprints.tolist() == [*range(count), 10**6]


def test_changes_over_several_blocks() -> None:
    """Items added over a block's end change the old last block and the new ones."""
    exclusions = Exclusions()
    for item_key in range(300):
        exclusions.add(item_key)
    exclusions = Exclusions.load(_blocks(exclusions))
    for item_key in range(300, 800):
        exclusions.add(item_key)
    changed = exclusions.changed_blocks()
    assert list(changed) == [1, 2, 3]
    assert b"".join(changed.values()) == np.arange(256, 800, dtype="<u4").tobytes()


def test_a_view_stays_what_it_was() -> None:
    """A view of the fingerprints does not change when more are added, and cannot be written to."""
    exclusions = Exclusions()
    exclusions.add(1)
    view = exclusions.fingerprints
    for item_key in range(2, 40):
        exclusions.add(item_key)
    assert view.tolist() == [1]
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 5


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [
        ([b"12345"], "block 0 has 5 bytes"),
        ([b""], "block 0 has 0 bytes"),
        ([bytes(1028)], "block 0 has 1028 bytes"),
        ([bytes(4), bytes(4)], "block 0 of 2 is not full"),
        ([bytes(1024), None], "block 1 of 2 is missing"),
    ],
)
def test_damaged_blocks_are_refused(blocks: list[bytes | None], complaint: str) -> None:
    """Blocks that no set is stored as raise CorruptState, which names the block."""
    with pytest.raises(CorruptState, match=complaint):
        Exclusions.load(blocks)
