"""No two keys of a store are the same."""

from hypothesis import given
from hypothesis import strategies as st

from state.keys import NEXT_KEY, POSITION_KEY, exclusion_key, exclusion_keys, exclusion_prefix, user_key

user_ids = st.text(min_size=1, max_size=20)
owners = st.tuples(user_ids, st.none() | st.integers(0, 2**32 - 1))


def _key(owner: tuple[str, int | None]) -> bytes:
    user_id, block_number = owner
    return user_key(user_id) if block_number is None else exclusion_key(user_id, block_number)


@given(owners, owners)
def test_keys_tell_their_owners_apart(one: tuple[str, int | None], other: tuple[str, int | None]) -> None:
    """Two keys are equal only if they are of the same user and the same block, whatever the user ids."""
    assert (_key(one) == _key(other)) == (one == other)
    assert _key(one) not in (NEXT_KEY, POSITION_KEY)


@given(owners, user_ids)
def test_a_prefix_finds_the_blocks_of_one_user(owner: tuple[str, int | None], user_id: str) -> None:
    """What begins with a user's exclusion prefix is a block of this user."""
    found = _key(owner).startswith(exclusion_prefix(user_id))
    assert found == (owner[0] == user_id and owner[1] is not None)


@given(user_ids, st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=5))
def test_blocks_sort_by_number(user_id: str, numbers: list[int]) -> None:
    """The keys of a user's blocks sort by their numbers."""
    assert sorted(exclusion_key(user_id, number) for number in numbers) == [
        exclusion_key(user_id, number) for number in sorted(numbers)
    ]


def test_as_many_blocks_as_needed() -> None:
    """A block has room for 256 fingerprints."""
    assert exclusion_keys("u", 0) == []
    assert exclusion_keys("u", 256) == [exclusion_key("u", 0)]
    assert exclusion_keys("u", 257) == [exclusion_key("u", 0), exclusion_key("u", 1)]
