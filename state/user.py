"""The versioned bytes of a user's state: the same for the same facts."""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from itertools import pairwise
from typing import Final, Self

from state.errors import CorruptState
from state.history import ENTRY, NO_TIME_MS, UserHistory

__all__ = ["NO_TIME_MS", "UserState"]

VERSION: Final = 1

if sys.byteorder != "little":
    raise ImportError("the columns of a user are little-endian in memory as on the wire; this machine is not")

# Version, topics, repeats, entries, event ids, exclusions, newest time.
_HEADER: Final = struct.Struct("<BBBHHIq")
_TOPIC: Final = struct.Struct("<qB")  # position, length of the name
_EVENT_ID: Final = struct.Struct("<HH")  # index in the sequence, length of the id
_REPEAT_BYTES: Final = 24
_CHECKSUM: Final = struct.Struct("<I")


class UserState(UserHistory):
    """A user's history, and its bytes."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UserState) and self.encode() == other.encode()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def encode(self) -> bytes:
        """Return the state's bytes: the same for the same facts."""
        parts: list[bytes | array[int] | array[float]] = [
            _HEADER.pack(
                VERSION,
                len(self.topics),
                len(self.repeat_keys),
                len(self.item_keys),
                len(self.event_ids),
                self.exclusion_count,
                self.newest_time_ms,
            )
        ]
        for topic, position in zip(self.topics, self._position_offsets, strict=True):
            name = topic.encode()
            parts += (_TOPIC.pack(position, len(name)), name)
        parts += (self.item_keys, self.times_ms, self.offsets, self.lines, self.actions, self.topic_indexes)
        parts += (self.repeat_keys, self.repeat_counts, self.repeat_times_ms)
        for index, event_id in sorted(self.event_ids.items()):
            name = event_id.encode()
            parts += (_EVENT_ID.pack(index, len(name)), name)
        body = b"".join(parts)
        return body + _CHECKSUM.pack(zlib.crc32(body))

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a state from its bytes. Raises CorruptState for any that `encode` did not return."""
        if len(data) < _HEADER.size + _CHECKSUM.size:
            raise CorruptState(
                f"a user's state of {len(data)} bytes is cut: its header alone has {_HEADER.size}"
            )
        if data[0] != VERSION:
            raise CorruptState(
                f"a user's state is of version {data[0]}; this Freshet reads version {VERSION}"
            )
        end = len(data) - _CHECKSUM.size
        if zlib.crc32(data[:end]) != _CHECKSUM.unpack_from(data, end)[0]:
            raise CorruptState(
                f"the checksum of a user's state of {len(data)} bytes does not match: it is damaged"
            )
        user = cls.__new__(cls)
        try:
            user._read(data[:end])
        except (struct.error, UnicodeDecodeError, IndexError, ValueError) as error:
            raise CorruptState(f"a user's state of {len(data)} bytes is not valid: {error}") from None
        return user

    def _read(self, data: bytes) -> None:
        _, topics, repeat_count, length, event_ids, self.exclusion_count, self.newest_time_ms = (
            _HEADER.unpack_from(data)
        )
        at = self._read_topics(data, _HEADER.size, topics)
        if len(data) < at + length * ENTRY.size + repeat_count * _REPEAT_BYTES:
            raise ValueError(f"{length} entries and {repeat_count} repeats do not fit behind byte {at}")
        self.item_keys = array("Q", data[at : (at := at + 8 * length)])
        self.times_ms = array("q", data[at : (at := at + 8 * length)])
        self.offsets = array("q", data[at : (at := at + 8 * length)])
        self.lines = array("H", data[at : (at := at + 2 * length)])
        self.actions = data[at : (at := at + length)]
        self.topic_indexes = data[at : (at := at + length)]
        self.repeat_keys = array("Q", data[at : (at := at + 8 * repeat_count)])
        self.repeat_counts = array("d", data[at : (at := at + 8 * repeat_count)])
        self.repeat_times_ms = array("q", data[at : (at := at + 8 * repeat_count)])
        at = self._read_event_ids(data, at, event_ids)
        if at != len(data):
            raise ValueError(f"{len(data) - at} bytes too many behind byte {at}")
        self._check_sequence()

    def _read_topics(self, data: bytes, at: int, count: int) -> int:
        names = []
        self._position_offsets = []
        for _ in range(count):
            position, length = _TOPIC.unpack_from(data, at)
            at += _TOPIC.size
            names.append(data[at : at + length].decode())
            self._position_offsets.append(position)
            at += length
        self.topics = tuple(names)
        if any(one >= other for one, other in pairwise(names)):
            raise ValueError(f"its topics are not in order: {names}")
        return at

    def _read_event_ids(self, data: bytes, at: int, count: int) -> int:
        self.event_ids = {}
        newest = -1
        for _ in range(count):
            index, length = _EVENT_ID.unpack_from(data, at)
            if not newest < index < len(self.item_keys):
                raise ValueError(f"event id of entry {index} behind that of entry {newest}, at byte {at}")
            at += _EVENT_ID.size
            self.event_ids[index] = data[at : at + length].decode()
            at += length
            newest = index
        return at

    def _check_sequence(self) -> None:
        times_ms = self.times_ms.tolist()
        if sorted(times_ms) != times_ms or (times_ms and times_ms[-1] > self.newest_time_ms):
            raise ValueError("its times are not in order")
        if self.topic_indexes.translate(None, bytes(range(len(self.topics)))):
            raise ValueError(f"an entry's topic is none of the {len(self.topics)} topics")
