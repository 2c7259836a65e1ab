"""The examples log's records: what the events of one transaction teach, for the counters of all workers.

A record is columnar: each user's history once, then the events in the order in which they were applied. On
the wire it is 4 bytes of magic and version, a CRC-32 of the rest, and a zlib stream of MessagePack: lists of
names, and the columns as little-endian bytes. Times and offsets are differences to the one before, and item
keys are indexes into a table, because such columns compress well.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.counts import LOOK_BACK
from state.overlay import User
from streams.events import ACTIONS

MAGIC = b"FXE"
VERSION = 1
ANEW = -1  # in the place of a span's beginning: the topic was made anew, its log begins at the span's end
LATE = 1  # flag of an event that was older than its user's newest
UNPACKED_BYTES = 8 << 20  # hundreds of thousands of events; a transaction has a few thousand at most
_LEVEL = 6

Few = msgspec.Meta(max_length=255)  # as many topics as a user's state can tell apart


class CorruptExamplesError(Exception):
    """The bytes are not a record of the examples log that this version reads."""


class Example(NamedTuple):
    """One event: where it came from, what happened, and whose history came before it."""

    topic: str
    offset: int
    item_key: int
    action: int
    time_ms: int
    is_late: bool
    user: int  # index of the user's history in the record


@dataclass(slots=True)
class ExampleHistory:
    """What one user did before the first event of the record, oldest first, as far as counters look."""

    user_hash: int
    item_keys: list[int] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Examples:
    """What one transaction of a partition taught. `spans` are the offsets it covers: topic -> (from, to).

    Where (ANEW, to) is said, whatever was counted of the topic was of another log.
    """

    worker_id: str
    partition: int
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    histories: list[ExampleHistory] = field(default_factory=list)
    events: list[Example] = field(default_factory=list)
    erased: list[int] = field(default_factory=list)  # hashes of users to be forgotten


def user_hash(group: str, user_id: str) -> int:
    """Return the keyed 64-bit hash that stands for a user in the examples log; ids never do."""
    digest = blake2b(user_id.encode(), digest_size=8, key=group.encode()[:64]).digest()
    return int.from_bytes(digest, "little")


class ExamplesRecorder:
    """Gathers what the events of a transaction teach; a user's history is that before their first event."""

    def __init__(self, group: str, worker_id: str, partition: int) -> None:
        self._group = group
        self._examples = Examples(worker_id, partition)
        self._users: dict[str, int] = {}

    def add(self, user: User, topic: str, offset: int, item_key: int, action: int, time_ms: int) -> int:
        """Record an event before it is put into the user's history; return the user's hash."""
        number = self._users.get(user.user_id)
        if number is None:
            number = self._users[user.user_id] = len(self._examples.histories)
            self._examples.histories.append(_history(user, user_hash(self._group, user.user_id)))
        is_late = time_ms < user.state.newest_time_ms
        self._examples.events.append(Example(topic, offset, item_key, action, time_ms, is_late, number))
        return self._examples.histories[number].user_hash

    def restart(self, user_id: str) -> None:
        """Let the user's next event begin with their history as it will be then: it was changed otherwise."""
        self._users.pop(user_id, None)

    def erase(self, user_id: str) -> None:
        """Record that a user is to be forgotten."""
        self.restart(user_id)
        self._examples.erased.append(user_hash(self._group, user_id))

    def close(self, spans: Mapping[str, tuple[int, int]]) -> bytes | None:
        """Return the record's bytes, for the offsets that it covers; None if there is nothing to say.

        Records that taught nothing are told of, too: who counted them, and lost them, hears it.
        """
        has_moved = any(start < end for start, end in spans.values())
        if not self._examples.events and not self._examples.erased and not has_moved:
            return None
        self._examples.spans = dict(spans)
        return encode_examples(self._examples)


def _history(user: User, hash_: int) -> ExampleHistory:
    """Return the last LOOK_BACK events of a user."""
    state = user.state
    start = max(len(state) - LOOK_BACK, 0)
    return ExampleHistory(
        hash_, state.item_keys[start:].tolist(), list(state.actions[start:]), state.times_ms[start:].tolist()
    )


class _Wire(msgspec.Struct, array_like=True, frozen=True):
    worker_id: str
    partition: int
    topics: Annotated[list[str], Few]
    spans: Annotated[list[tuple[int, int]], Few]
    items: bytes  # uint64[I], the table of item keys
    user_hashes: bytes  # uint64[U]
    history_lengths: bytes  # uint16[U]
    history_items: bytes  # uint32[H], indexes into items
    history_actions: bytes  # uint8[H]
    history_times: bytes  # int64[H], differences
    users: bytes  # uint32[E]
    topic_indexes: bytes  # uint8[E]
    offsets: bytes  # int64[E], differences
    event_items: bytes  # uint32[E]
    actions: bytes  # uint8[E]
    times: bytes  # int64[E], differences
    flags: bytes  # uint8[E]
    erased: bytes = b""  # uint64[X]


def encode_examples(examples: Examples) -> bytes:
    """Return the record's bytes; raises ValueError for more events than one record takes."""
    topics = sorted(examples.spans)
    table: dict[int, int] = {}

    def index(keys: Iterator[int]) -> bytes:
        return np.array([table.setdefault(key, len(table)) for key in keys], "<u4").tobytes()

    histories, events = examples.histories, examples.events
    history_items = index(key for history in histories for key in history.item_keys)
    event_items = index(event.item_key for event in events)
    wire = _Wire(
        worker_id=examples.worker_id,
        partition=examples.partition,
        topics=topics,
        spans=[examples.spans[topic] for topic in topics],
        items=np.array(list(table), "<u8").tobytes(),
        user_hashes=np.array([history.user_hash for history in histories], "<u8").tobytes(),
        history_lengths=np.array([len(history.item_keys) for history in histories], "<u2").tobytes(),
        history_items=history_items,
        history_actions=bytes(action for history in histories for action in history.actions),
        history_times=_differences([time for history in histories for time in history.times_ms]),
        users=np.array([event.user for event in events], "<u4").tobytes(),
        topic_indexes=bytes(topics.index(event.topic) for event in events),
        offsets=_differences([event.offset for event in events]),
        event_items=event_items,
        actions=bytes(event.action for event in events),
        times=_differences([event.time_ms for event in events]),
        flags=bytes(LATE if event.is_late else 0 for event in events),
        erased=np.array(examples.erased, "<u8").tobytes(),
    )
    columns = msgspec.msgpack.encode(wire)
    if len(columns) > UNPACKED_BYTES:
        raise ValueError(f"{len(events)} events fill {len(columns)} bytes, more than {UNPACKED_BYTES}")
    body = zlib.compress(columns, _LEVEL)
    return MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "little") + body


def decode_examples(data: bytes) -> Examples:
    """Read a record; raises CorruptExamplesError, which says what is wrong, for anything else."""
    if data[:3] != MAGIC or len(data) < 8:
        raise CorruptExamplesError("not a record of the examples log")
    if data[3] != VERSION:
        raise CorruptExamplesError(f"version {data[3]}; this Freshet reads version {VERSION}")
    if zlib.crc32(data[8:]) != int.from_bytes(data[4:8], "little"):
        raise CorruptExamplesError(f"the checksum does not match: its {len(data)} bytes are damaged")
    try:
        return _columns(msgspec.msgpack.decode(_unpacked(data[8:]), type=_Wire))
    except (zlib.error, IndexError, ValueError, RecursionError) as error:
        raise CorruptExamplesError(f"its columns do not fit together: {error}") from None


def _unpacked(body: bytes) -> bytes:
    """Return the columns, which a few bytes could else make to fill any memory."""
    unpacker = zlib.decompressobj()
    columns = unpacker.decompress(body, UNPACKED_BYTES)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError(f"it does not end within {UNPACKED_BYTES} bytes, or not where it should")
    return columns


def _columns(wire: _Wire) -> Examples:
    items = np.frombuffer(wire.items, "<u8").tolist()
    lengths = np.frombuffer(wire.history_lengths, "<u2").tolist()
    hashes = np.frombuffer(wire.user_hashes, "<u8").tolist()
    history_items = [items[at] for at in np.frombuffer(wire.history_items, "<u4").tolist()]
    history_times = _sums(wire.history_times)
    if not len(history_items) == len(wire.history_actions) == len(history_times) == sum(lengths):
        raise ValueError("histories of different lengths")
    if len(hashes) > len(wire.users):
        raise ValueError(f"{len(hashes)} histories of fewer events")
    if any(action >= len(ACTIONS) for action in {*wire.actions, *wire.history_actions}):
        raise ValueError("an action that this Freshet does not know")
    histories, start = [], 0
    for hash_, length in zip(hashes, lengths, strict=True):
        cut = slice(start, start + length)
        histories.append(
            ExampleHistory(hash_, history_items[cut], list(wire.history_actions[cut]), history_times[cut])
        )
        start += length
    columns = zip(
        wire.topic_indexes,
        _sums(wire.offsets),
        np.frombuffer(wire.event_items, "<u4").tolist(),
        wire.actions,
        _sums(wire.times),
        wire.flags,
        np.frombuffer(wire.users, "<u4").tolist(),
        strict=True,
    )
    events = [
        Example(wire.topics[topic], offset, items[item], action, time_ms, bool(flag & LATE), user)
        for topic, offset, item, action, time_ms, flag, user in columns
    ]
    if any(event.user >= len(histories) for event in events):
        raise ValueError("an event of a user that is not there")
    spans: Mapping[str, tuple[int, int]] = dict(zip(wire.topics, wire.spans, strict=True))
    erased = np.frombuffer(wire.erased, "<u8").tolist()
    return Examples(wire.worker_id, wire.partition, dict(spans), histories, events, erased)


def _differences(values: list[int]) -> bytes:
    """Return int64[n] as bytes: the first value, then what each adds to the one before."""
    return np.diff(np.array(values, "<i8"), prepend=np.int64(0)).astype("<i8").tobytes()


def _sums(column: bytes) -> list[int]:
    sums: NDArray[np.int64] = np.cumsum(np.frombuffer(column, "<i8"))
    values: list[int] = sums.tolist()
    return values
