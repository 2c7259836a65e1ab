"""What the transport delivers of one partition number: checked for gaps, bounded, merged."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from aiokafka.structs import ConsumerRecord

from streams.chunk import Chunk
from streams.merging import SourceMerger
from streams.partition import LostLogError

HOLD_RECORDS = 4_000  # a topic of a partition with more than this waiting is not fetched
HOLD_BYTES = 16 * 2**20  # nor one with more than this
ALL_RECORDS = 96_000  # what all topics of all partitions may have waiting together
ALL_BYTES = 128 * 2**20
LEAST_RECORDS = 250  # but each of them so much, or nothing would be worth a fetch
LEAST_BYTES = 2**18

log = logging.getLogger(__name__)


class Room(NamedTuple):
    """How much of a topic of one partition may wait before no more of it is fetched."""

    records: int = HOLD_RECORDS
    bytes: int = HOLD_BYTES

    @classmethod
    def shared_by(cls, number: int) -> "Room":
        """Return the room of each of so many topics of partitions."""
        return cls(
            min(HOLD_RECORDS, max(ALL_RECORDS // number, LEAST_RECORDS)),
            min(HOLD_BYTES, max(ALL_BYTES // number, LEAST_BYTES)),
        )


class Source(Protocol):
    """What is needed of the transport (streams.transport.ChunkConsumer)."""

    def live(self, epoch: int) -> bool:
        """Whether what was fetched in this epoch may still be worked on."""

    def is_member_since(self, moment: float) -> bool:
        """Whether our group has had us as a member after a moment on the monotonic clock."""

    def done(self, topic: str, partition: int, next_offset: int, epoch: int) -> bool:
        """Let the next commit cover everything below the offset."""

    def hold(self, topic: str, partition: int) -> None:
        """Fetch nothing of it for now."""

    def release(self, topic: str, partition: int) -> None:
        """Fetch of it again."""

    def lag(self, topic: str, partition: int) -> int | None:
        """Return the offsets between the log's end and what was delivered."""

    def rewind(self, to: Mapping[tuple[str, int], int] | None = None) -> None:
        """Throw away what is in flight; deliver again."""


class Inlet:
    """The records of one partition number that were delivered in this epoch and not taken yet."""

    def __init__(
        self,
        number: int,
        topics: Sequence[str],
        source: Source,
        first: str | None = None,
        room: Room = Room(),  # noqa: B008 - it never changes
    ) -> None:
        self._number = number
        self._room = room
        self._topics = tuple(topics)
        self._source = source
        self._merger: SourceMerger[ConsumerRecord] = SourceMerger(
            self._topics, lambda topic: source.lag(topic, number), first
        )
        self._bytes = dict.fromkeys(self._topics, 0)
        self._next_start: dict[str, int] = {}  # topic -> where its next chunk of this epoch begins
        self._starts: dict[str, int] = {}  # where what a topic delivers begins, until that is checked
        self._lost: str | None = None  # why nothing can be taken any more

    def clear(self) -> None:
        """Forget everything: an epoch is over."""
        self._merger.clear()
        self._bytes = dict.fromkeys(self._topics, 0)
        self._next_start.clear()
        self._starts.clear()
        self._lost = None

    def add(self, chunk: Chunk) -> None:
        """Take a chunk of this epoch; rewinds if it does not go on where the one before it ended."""
        topic, expected = chunk.topic, self._next_start.get(chunk.topic, chunk.start)
        if chunk.start != expected:
            log.warning(
                "partition %d: %s goes on at %s, not at %s: going back",
                *(self._number, topic, chunk.start, expected),
            )
            self._source.rewind()
            return
        if chunk.start is not None and chunk.records[0].offset < chunk.start:
            self._lost = f"{topic} was made anew: after {chunk.start} it delivers {chunk.records[0].offset}"
            return
        if topic not in self._next_start and chunk.start is not None:
            self._starts[topic] = chunk.start
        self._next_start[topic] = chunk.next_offset
        self._merger.add(topic, chunk.records)
        self._bytes[topic] += sum(map(size_of, chunk.records))
        if self._has_enough(topic, 1.0):
            self._source.hold(topic, self._number)

    def take(
        self, limit: int, now_seconds: float, until_ms: float = math.inf, at_least: int = 0
    ) -> list[ConsumerRecord]:
        """Return up to `limit` records that may be worked on now, in the order of their timestamps.

        Beyond the first `at_least`, none that is younger than `until_ms`. Raises LostLogError if a log
        went back.
        """
        if self._lost is not None:
            raise LostLogError(self._lost)
        records = self._merger.take(limit, now_seconds, until_ms, at_least)
        for record in records:
            self._bytes[record.topic] -= size_of(record)
        for topic in self._topics:
            if not self._has_enough(topic, 0.5):
                self._source.release(topic, self._number)
        return records

    def wait_seconds(self, now_seconds: float) -> float | None:
        """Return for how long at most `take` gives nothing of what is here; None if it is not waiting."""
        return self._merger.wait_seconds(now_seconds)

    def pending(self, topic: str) -> int:
        """Return how many records of the topic wait here."""
        return self._merger.pending(topic)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits here."""
        return not any(self._merger.pending(topic) for topic in self._topics)

    def oldest_ms(self, topic: str) -> int | None:
        """Return the timestamp of the topic's next record, None if none waits here."""
        return self._merger.oldest_timestamp(topic)

    @property
    def head_ms(self) -> int | None:
        """The timestamp of the oldest record that waits here, None if none does."""
        heads = (self._merger.oldest_timestamp(topic) for topic in self._topics)
        return min((head for head in heads if head is not None), default=None)

    def expect_from(self, applied: Mapping[str, int]) -> None:
        """Say below which offsets everything was durable when what comes next was delivered.

        After a failure more may be; if less is, the next check goes back.
        """
        for topic in self._next_start.keys() & applied.keys():
            self._starts.setdefault(topic, applied[topic])

    def go_back_to(self, applied: Mapping[str, int], records: Sequence[ConsumerRecord]) -> bool:
        """Rewind where what a topic of these records delivers begins above what is applied of it.

        Else a piece would be missing. Returns whether it did.
        """
        if not self._starts:
            return False
        went_back = False
        for topic in {record.topic for record in records} & self._starts.keys():
            start = self._starts.pop(topic)
            if topic in applied and start > applied[topic]:
                log.warning(
                    "partition %d: %s was delivered from %d but is applied to %d: going back",
                    *(self._number, topic, start, applied[topic]),
                )
                self._source.rewind({(topic, self._number): applied[topic]})
                went_back = True
        return went_back

    def _has_enough(self, topic: str, share: float) -> bool:
        """Whether this share of what a topic may have waiting is there."""
        records, size = self._merger.pending(topic), self._bytes[topic]
        return records >= self._room.records * share or size >= self._room.bytes * share


def size_of(record: ConsumerRecord) -> int:
    """Return the bytes of a record's key and value."""
    return len(record.key or b"") + len(record.value or b"")
