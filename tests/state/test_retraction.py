"""What a user takes back, and what came twice."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from state import NO_TIME_MS, Exclusions, UserState
from state.keys import FINGERPRINTS_PER_BLOCK


def did(user: UserState, item_key: int, time_ms: int, offset: int, event_id: str | None = None) -> None:
    """Let the user do something to an item."""
    user.insert(
        item_key=item_key,
        action_code=1,
        time_ms=time_ms,
        topic="clicks",
        offset=offset,
        line=0,
        event_id=event_id,
        history_length=6,
    )


def test_a_retraction_removes_what_has_its_event_id_and_nothing_else() -> None:
    """The other interactions stay in their order, with their event ids."""
    user = UserState()
    for offset, item in enumerate((5, 6, 7, 6)):
        did(user, item, 10 * offset, offset, f"e{offset}")
    assert user.retract("e1") == [6]
    assert list(user.item_keys) == [5, 7, 6]
    assert user.event_ids == {0: "e0", 1: "e2", 2: "e3"}
    assert set(user.repeat_keys) == {5, 6, 7}
    assert user.retract("e1") == []


def test_an_order_goes_whole_or_by_its_item() -> None:
    """Lines that share an event id go together; with an item, its lines alone."""
    user = UserState()
    for line, item in enumerate((5, 6, 5)):
        user.insert(
            item_key=item, action_code=3, time_ms=9, topic="orders", offset=4, line=line, event_id="o",
            history_length=6,
        )  # fmt: skip
    assert user.retract("o", 5) == [5]
    assert list(user.item_keys) == [6]
    assert user.retract("o") == [6]
    assert len(user) == 0
    assert user.newest_time_ms == NO_TIME_MS
    assert len(user.repeat_keys) == 0


def test_without_the_newest_the_one_before_is_the_newest() -> None:
    """What comes after a mis-click that was taken back is late only against what is left."""
    user = UserState()
    did(user, 5, 10, 0, "a")
    did(user, 6, 90, 1, "b")
    user.retract("b")
    assert user.newest_time_ms == 10
    assert UserState.decode(user.encode()) == user


def test_an_event_id_is_known_from_another_record_only() -> None:
    """The lines of one record share an id lawfully; the same id from elsewhere is a repetition."""
    user = UserState()
    did(user, 5, 10, 3, "a")
    assert not user.has_event("a", "clicks", 3)
    assert user.has_event("a", "clicks", 4)
    assert user.has_event("a", "purchases", 3)
    assert not user.has_event("b", "clicks", 4)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 50)), max_size=12), st.data())
def test_taking_everything_back_leaves_what_was_never_there(
    done: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Whatever the order: the sequence is that of the others, and no repeat outlives its last interaction."""
    user = UserState()
    for offset, (item, time_ms) in enumerate(done):
        did(user, item, time_ms, offset, f"e{offset}")
    order = data.draw(st.permutations(range(len(done))))
    for offset in order:
        left = [key for index, key in enumerate(user.item_keys) if user.event_ids[index] != f"e{offset}"]
        user.retract(f"e{offset}")
        assert list(user.item_keys) == left
        assert set(left) <= set(user.repeat_keys)
        assert UserState.decode(user.encode()) == user
    assert len(user) == 0


@given(st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=700), st.data())
def test_the_changed_blocks_lead_from_what_was_stored_to_what_is(
    keys: list[int], data: st.DataObject
) -> None:
    """However many are removed and added: the stored blocks, changed as told, load as what is excluded."""
    first = Exclusions()
    for key in keys:
        first.add(key)
    stored = dict(first.changed_blocks())
    loaded = Exclusions.load([stored[number] for number in range(len(stored))])
    for key in data.draw(st.lists(st.sampled_from(keys), unique=True, max_size=20)) if keys else []:
        assert loaded.remove(key)
        assert not loaded.contains(key)
    for key in data.draw(st.lists(st.integers(0, 2**32 - 1), max_size=5)):
        loaded.add(key)
    for number, block in loaded.changed_blocks().items():
        if block is None:
            del stored[number]
        else:
            stored[number] = block
    assert len(stored) == -(-len(loaded) // FINGERPRINTS_PER_BLOCK)
    again = Exclusions.load([stored[number] for number in range(len(stored))])
    assert np.array_equal(again.fingerprints, loaded.fingerprints)


def test_removing_what_is_not_excluded_changes_nothing() -> None:
    """There is nothing to write then."""
    exclusions = Exclusions()
    assert not exclusions.remove(5)
    assert exclusions.changed_blocks() == {}
