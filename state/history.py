"""What is remembered of one user, in columns: facts only.

Nothing here depends on what was learned, so it stays true whatever the weights are.
"""

from __future__ import annotations

import struct
from array import array
from typing import Final, Self

from state import repeats

NO_TIME_MS: Final = -1
"""`newest_time_ms` of a user without events."""

MAX_TOPICS: Final = 255

ENTRY: Final = struct.Struct("<QqqHBB")  # item key, time, offset, line, action, topic
_BYTE: Final = tuple(bytes((value,)) for value in range(256))


class UserHistory:
    """One user's last interactions, best repeats, and how far each topic was applied.

    The sequence, parallel columns, oldest first in the order (time, topic, offset, line) whatever the order
    of arrival:

    - `item_keys`: array of uint64; `times_ms`, `offsets`: arrays of int64; `lines`: array of uint16, the
      place within an order; `actions`: bytes, the codes of the actions; `topic_indexes`: bytes, indexes into
      `topics`;
    - `event_ids`: index in the sequence -> event id, for the interactions that have one.

    `repeat_keys` (uint64), `repeat_counts` (float64), `repeat_times_ms` (int64), parallel columns in no
    particular order: state/repeats.py says what they count. `topics` are sorted. `newest_time_ms` is kept
    when the sequence is cut, NO_TIME_MS for a user without events. `exclusion_count` is how many fingerprints
    lie in the user's exclusion blocks; who writes those sets it.

    A column is never changed in place: `insert` replaces it. So a numpy view of one, which costs no copy
    (`numpy.frombuffer(user.item_keys, numpy.uint64)`, read only by agreement), stays what it was.
    """

    __slots__ = (
        "_position_offsets",
        "actions",
        "event_ids",
        "exclusion_count",
        "item_keys",
        "lines",
        "newest_time_ms",
        "offsets",
        "repeat_counts",
        "repeat_keys",
        "repeat_times_ms",
        "times_ms",
        "topic_indexes",
        "topics",
    )

    def __init__(self) -> None:
        self.item_keys = array("Q")
        self.times_ms = array("q")
        self.offsets = array("q")
        self.lines = array("H")
        self.actions = b""
        self.topic_indexes = b""
        self.event_ids: dict[int, str] = {}
        self.repeat_keys = array("Q")
        self.repeat_counts = array("d")
        self.repeat_times_ms = array("q")
        self.topics: tuple[str, ...] = ()
        self._position_offsets: list[int] = []
        self.newest_time_ms = NO_TIME_MS
        self.exclusion_count = 0

    def __len__(self) -> int:
        return len(self.item_keys)

    @property
    def positions(self) -> dict[str, int]:
        """Topic -> the highest applied offset of this user."""
        return dict(zip(self.topics, self._position_offsets, strict=True))

    def copy(self) -> Self:
        """Return a copy that goes its own way; the columns are shared until one of the two changes."""
        twin = self.__class__.__new__(self.__class__)
        for name in UserHistory.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._position_offsets = self._position_offsets[:]
        return twin

    def insert(
        self,
        *,
        item_key: int,
        action_code: int,
        time_ms: int,
        topic: str,
        offset: int,
        line: int,
        event_id: str | None,
        history_length: int,
    ) -> bool:
        """Put an interaction in its place, keep the newest `history_length`, and return whether it was late.

        Late means older than the user's newest. An interaction that was applied before is not recognised
        here: the partition's next offset does that. Raises ValueError, and changes nothing, for what no
        column can hold.
        """
        if time_ms < 0 or offset < 0 or history_length < 1 or (event_id and len(event_id.encode()) > 0xFFFF):
            raise ValueError(
                f"cannot keep {time_ms=} {offset=} {history_length=} of an interaction in {topic!r}"
            )
        try:
            ENTRY.pack(item_key, time_ms, offset, line, action_code, 0)
        except struct.error as error:
            raise ValueError(
                f"cannot keep {item_key=} {time_ms=} {offset=} {line=} {action_code=}: {error}"
            ) from None
        topic_index = self.advance(topic, offset)
        place = self._place(time_ms, topic_index, offset, line)
        cut = max(0, len(self.item_keys) + 1 - history_length)
        if place < cut:  # older than everything that is kept
            self._keep_from(cut - 1)
        else:
            self._keep_from(cut)
            self._put(place - cut, item_key, time_ms, offset, line, action_code, topic_index, event_id)
        self.repeat_keys, self.repeat_counts, self.repeat_times_ms = repeats.with_interaction(
            self.repeat_keys,
            self.repeat_counts,
            self.repeat_times_ms,
            item_key=item_key,
            time_ms=time_ms,
            weight=1.0,
        )
        late = time_ms < self.newest_time_ms
        if not late:
            self.newest_time_ms = time_ms
        return late

    def has_event(self, event_id: str, topic: str, offset: int) -> bool:
        """Whether an interaction of this event id is in the sequence that came in another record."""
        if event_id not in self.event_ids.values():
            return False
        return any(
            (self.topics[self.topic_indexes[index]], self.offsets[index]) != (topic, offset)
            for index, known in self.event_ids.items()
            if known == event_id
        )

    def retract(self, event_id: str, item_key: int | None = None) -> list[int]:
        """Take the interactions of this event id, and of this item if one is given, out of the sequence.

        Returns their item keys, each once: none if nothing matched, which changes nothing. The repeats forget
        them, too, and `newest_time_ms` goes back to what is left.
        """
        gone = {
            index
            for index, known in self.event_ids.items()
            if known == event_id and (item_key is None or self.item_keys[index] == item_key)
        }
        if not gone:
            return []
        length, newest_is_gone = len(self), self.times_ms[max(gone)] == self.newest_time_ms
        taken = [(self.item_keys[index], length - 1 - index) for index in sorted(gone)]
        self._keep([index for index in range(length) if index not in gone])
        for key, age in taken:
            times_ms = [
                time for known, time in zip(self.item_keys, self.times_ms, strict=True) if known == key
            ]
            self.repeat_keys, self.repeat_counts, self.repeat_times_ms = repeats.without_interaction(
                self.repeat_keys,
                self.repeat_counts,
                self.repeat_times_ms,
                item_key=key,
                age=age,
                length=length,
                time_ms=max(times_ms, default=None),
            )
        if newest_is_gone:
            self.newest_time_ms = self.times_ms[-1] if self.times_ms else NO_TIME_MS
        return list(dict.fromkeys(key for key, _ in taken))

    def advance(self, topic: str, offset: int) -> int:
        """Move the position of a topic, and return the topic's index. Raises ValueError for one too many."""
        if topic in self.topics:
            index = self.topics.index(topic)
            if offset > self._position_offsets[index]:
                self._position_offsets[index] = offset
            return index
        if len(self.topics) == MAX_TOPICS or not 0 < len(topic.encode()) <= 0xFF:
            raise ValueError(f"cannot keep topic {topic!r} beside {len(self.topics)} others")
        self.topics = tuple(sorted((*self.topics, topic)))
        index = self.topics.index(topic)
        self._position_offsets.insert(index, offset)
        # Topics stay sorted, so that comparing indexes is comparing names: the later ones move up by one.
        self.topic_indexes = self.topic_indexes.translate(
            bytes(range(index)) + bytes(range(index + 1, 256)) + b"\0"
        )
        return index

    def _place(self, time_ms: int, topic_index: int, offset: int, line: int) -> int:
        """Return where in the sequence an interaction belongs: behind everything that is not greater."""
        times_ms = self.times_ms
        place = len(times_ms)
        while place and times_ms[place - 1] > time_ms:
            place -= 1
        if place and times_ms[place - 1] == time_ms:
            rank = (topic_index, offset, line)
            while place and times_ms[place - 1] == time_ms and self._rank(place - 1) > rank:
                place -= 1
        return place

    def _rank(self, index: int) -> tuple[int, int, int]:
        """Return what orders interactions of the same time."""
        return self.topic_indexes[index], self.offsets[index], self.lines[index]

    def _put(
        self,
        place: int,
        item_key: int,
        time_ms: int,
        offset: int,
        line: int,
        action_code: int,
        topic_index: int,
        event_id: str | None,
    ) -> None:
        """Insert an interaction into columns that are fresh."""
        if place == len(self.item_keys):  # as a rule
            self.item_keys.append(item_key)
            self.times_ms.append(time_ms)
            self.offsets.append(offset)
            self.lines.append(line)
            self.actions += _BYTE[action_code]
            self.topic_indexes += _BYTE[topic_index]
        else:
            self.item_keys.insert(place, item_key)
            self.times_ms.insert(place, time_ms)
            self.offsets.insert(place, offset)
            self.lines.insert(place, line)
            self.actions = self.actions[:place] + _BYTE[action_code] + self.actions[place:]
            self.topic_indexes = self.topic_indexes[:place] + _BYTE[topic_index] + self.topic_indexes[place:]
            self.event_ids = {index + (index >= place): name for index, name in self.event_ids.items()}
        if event_id:
            # Replaced, as a column is.
            self.event_ids = {**self.event_ids, place: event_id}

    def _keep_from(self, start: int) -> None:
        """Replace the columns by fresh ones, without the first `start` entries."""
        self.item_keys = self.item_keys[start:]
        self.times_ms = self.times_ms[start:]
        self.offsets = self.offsets[start:]
        self.lines = self.lines[start:]
        self.actions = self.actions[start:]
        self.topic_indexes = self.topic_indexes[start:]
        if self.event_ids and start:
            self.event_ids = {index - start: name for index, name in self.event_ids.items() if index >= start}

    def _keep(self, indexes: list[int]) -> None:
        """Replace the columns by fresh ones that have these entries alone, in their order."""
        self.item_keys = array("Q", [self.item_keys[index] for index in indexes])
        self.times_ms = array("q", [self.times_ms[index] for index in indexes])
        self.offsets = array("q", [self.offsets[index] for index in indexes])
        self.lines = array("H", [self.lines[index] for index in indexes])
        self.actions = bytes(self.actions[index] for index in indexes)
        self.topic_indexes = bytes(self.topic_indexes[index] for index in indexes)
        places = {index: place for place, index in enumerate(indexes)}
        self.event_ids = {places[index]: name for index, name in self.event_ids.items() if index in places}
