"""UserState: an order that does not depend on the order of arrival, bounds, repeats, positions."""

from dataclasses import asdict, dataclass
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import NO_TIME_MS, REPEATS, UserState
from state.repeats import HALF_LIFE_EVENTS


@dataclass(frozen=True)
class Event:
    """One interaction, as `insert` takes it."""

    item_key: int = 1
    action_code: int = 0
    time_ms: int = 1000
    topic: str = "clicks"
    offset: int = 0
    line: int = 0
    event_id: str | None = None

    @property
    def rank(self) -> tuple[int, str, int, int]:
        """The promised order of a sequence."""
        return self.time_ms, self.topic, self.offset, self.line


events = st.builds(
    Event,
    item_key=st.integers(0, 2**64 - 1) | st.integers(0, 5),
    action_code=st.integers(0, 255),
    time_ms=st.integers(0, 5) | st.integers(0, 2**62),
    topic=st.sampled_from(["a", "clicks", "purchases", "é"]),
    offset=st.integers(0, 3) | st.integers(0, 2**62),
    line=st.integers(0, 2) | st.integers(0, 2**16 - 1),
    event_id=st.none() | st.text(max_size=5),
)
streams = st.lists(events, max_size=30, unique_by=lambda event: (event.topic, event.offset, event.line))


def insert(user: UserState, event: Event, history_length: int = 1000) -> bool:
    """Insert an event."""
    return user.insert(**asdict(event), history_length=history_length)


def user_of(stream: list[Event], history_length: int = 1000) -> UserState:
    """Return a user who did this."""
    user = UserState()
    for event in stream:
        insert(user, event, history_length)
    return user


def sequence(user: UserState) -> list[Event]:
    """Return the sequence as events."""
    return [
        Event(
            user.item_keys[index],
            user.actions[index],
            user.times_ms[index],
            user.topics[user.topic_indexes[index]],
            user.offsets[index],
            user.lines[index],
            user.event_ids.get(index),
        )
        for index in range(len(user))
    ]


def without_empty_id(event: Event) -> Event:
    """Return the event as it is kept: an empty event id is no event id."""
    return event if event.event_id else Event(**{**asdict(event), "event_id": None})


def in_order(stream: list[Event]) -> list[Event]:
    """Return the events in the promised order."""
    return sorted(map(without_empty_id, stream), key=lambda event: event.rank)


@given(streams, st.randoms())
def test_arrival_order_does_not_show(stream: list[Event], random: Random) -> None:
    """Whatever the order of arrival, the sequence is in the order (time, topic, offset, line)."""
    shuffled = list(stream)
    random.shuffle(shuffled)
    user, other = user_of(stream), user_of(shuffled)
    assert sequence(user) == sequence(other) == in_order(stream)
    assert (user.positions, user.newest_time_ms) == (other.positions, other.newest_time_ms)


@given(streams, st.integers(1, 8))
def test_the_newest_are_kept(stream: list[Event], history_length: int) -> None:
    """A full sequence is the newest events so far, in order; what is older than all of it is not kept."""
    user = UserState()
    for count, event in enumerate(stream, 1):
        insert(user, event, history_length)
        assert sequence(user) == in_order(stream[:count])[-history_length:]


def test_a_shorter_history_cuts_at_the_next_event() -> None:
    """When history_length was lowered, the next insert cuts to it, even a late one."""
    stream = [Event(time_ms=time_ms, offset=time_ms) for time_ms in range(10, 20)]
    for late in (False, True):
        user = user_of(stream)
        new = Event(time_ms=5 if late else 30, offset=40)
        insert(user, new, history_length=3)
        assert sequence(user) == in_order([*stream, new])[-3:]


@given(streams)
def test_late_means_older_than_the_newest(stream: list[Event]) -> None:
    """An insert is late exactly if older than the newest before, and the newest never goes back."""
    user = UserState()
    assert user.newest_time_ms == NO_TIME_MS
    for event in stream:
        newest = user.newest_time_ms
        assert insert(user, event, history_length=3) == (event.time_ms < newest)
        assert user.newest_time_ms == max(newest, event.time_ms)


@given(streams)
def test_positions_are_the_highest_offsets(stream: list[Event]) -> None:
    """A topic's position is the highest offset seen of it, also when the event itself was not kept."""
    expected: dict[str, int] = {}
    for event in stream:
        expected[event.topic] = max(expected.get(event.topic, 0), event.offset)
    assert user_of(stream, history_length=1).positions == expected


def _repeats(user: UserState) -> dict[int, tuple[float, int]]:
    columns = zip(user.repeat_keys, user.repeat_counts, user.repeat_times_ms, strict=True)
    return {key: (count, time_ms) for key, count, time_ms in columns}


@given(streams)
def test_repeats_are_decayed_counts(stream: list[Event]) -> None:
    """An item counts the sum of 2^(-n / half-life) over its events, n events of the user ago."""
    expected: dict[int, tuple[float, int]] = {}
    for age, event in enumerate(reversed(stream)):
        count, newest = expected.get(event.item_key, (0.0, 0))
        expected[event.item_key] = count + 0.5 ** (age / HALF_LIFE_EVENTS), max(newest, event.time_ms)
    found = _repeats(user_of(stream, history_length=1))
    assert found.keys() == expected.keys()
    for key, (count, time_ms) in found.items():
        assert count == pytest.approx(expected[key][0])
        assert time_ms == expected[key][1]


def test_the_smallest_repeat_makes_place() -> None:
    """Of more than REPEATS items, those that count most are kept, and always the newest."""
    often = [Event(item_key=1, time_ms=time_ms, offset=time_ms) for time_ms in range(20)]
    once = [
        Event(item_key=100 + place, time_ms=50 + place, offset=50 + place) for place in range(REPEATS + 6)
    ]
    repeats = _repeats(user_of([*often, *once]))
    assert sorted(repeats) == [1, *range(100 + 7, 100 + REPEATS + 6)]


def test_views_and_copies_stay_what_they_were() -> None:
    """A numpy view or a copy taken before an insert is as before after it; the copy goes its own way."""
    user = user_of([Event(item_key=1, offset=1, event_id="e1"), Event(item_key=2, offset=2)])
    view = np.frombuffer(user.item_keys, np.uint64)
    counts = np.frombuffer(user.repeat_counts)
    copy, before = user.copy(), user.encode()
    insert(user, Event(item_key=3, offset=3, topic="a", time_ms=1, event_id="e3"))
    assert view.tolist() == [1, 2]
    assert counts.max() == 1.0
    assert copy.encode() == before
    insert(copy, Event(item_key=4, offset=9))
    assert copy.positions == {"clicks": 9}
    assert user.positions == {"a": 3, "clicks": 2}


@pytest.mark.parametrize(
    "bad",
    [
        {"item_key": -1},
        {"item_key": 2**64},
        {"action_code": 256},
        {"time_ms": -1},
        {"time_ms": 2**63},
        {"offset": -1},
        {"offset": 2**63},
        {"line": 2**16},
        {"line": -1},
        {"topic": ""},
        {"topic": "t" * 256},
        {"event_id": "e" * 2**16},
        {"history_length": 0},
    ],
    ids=str,
)
def test_what_no_column_holds_changes_nothing(bad: dict[str, object]) -> None:
    """A number or name that does not fit raises ValueError and leaves the user as it was."""
    user = user_of([Event()])
    before = user.encode()
    with pytest.raises(ValueError, match="cannot keep"):
        user.insert(**{**asdict(Event(offset=5)), "history_length": 10, **bad})  # type: ignore[arg-type]
    assert user.encode() == before
