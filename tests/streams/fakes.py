"""A transport and a partition without a broker: they keep what real ones keep, fail where told to."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from aiokafka.structs import ConsumerRecord

from state import MemoryStore, read_next
from state.keys import NEXT_KEY
from state.overlay import Overlay
from state.store import encode_next
from streams.chunk import Chunk
from streams.events import InteractionDecoder
from streams.metrics import Metrics
from streams.partition import Outgoing
from streams.recommender import Recommender
from streams.settings import Settings
from streams.transaction import Tools

START_MS = 1_700_000_000_000
CLICKS, PURCHASES, ERASURES = "clicks", "purchases", "erasures"


def raw(topic: str, offset: int, key: bytes | None, value: bytes | None, time_ms: int = 0) -> ConsumerRecord:
    """Return a record of partition 0 as aiokafka delivers it, `time_ms` after the start."""
    return ConsumerRecord(topic, 0, offset, START_MS + time_ms, 0, key, value, None, -1, -1, ())


def record(
    offset: int, user_id: str = "u", item_id: str = "i", topic: str = CLICKS, time_ms: int | None = None
) -> ConsumerRecord:
    """Return a good interaction; its time follows its offset unless it is given."""
    time_ms = offset if time_ms is None else time_ms
    message = {"user_id": user_id, "item_id": item_id, "timestamp": START_MS + time_ms}
    return raw(topic, offset, user_id.encode(), json.dumps(message).encode(), time_ms)


def chunk(records: Sequence[ConsumerRecord], epoch: int = 1, start: int | None = -1) -> Chunk:
    """Return records of one topic as a chunk that was fetched from `start`: unless given, from the first."""
    first = records[0]
    return Chunk(first.topic, 0, epoch, first.offset if start == -1 else start, list(records))


def tools_for(settings: Settings, recommender: Recommender | None = None, **changes: object) -> Tools:
    """Return the tools of a worker with these settings."""
    decoders = {name: InteractionDecoder(name, source) for name, source in settings.sources.items()}
    return Tools(settings, recommender or Recommender(settings), decoders, Metrics(), **changes)


@dataclass
class FakeSource:
    """What a lane sees of the transport."""

    epoch: int = 1
    held: set[str] = field(default_factory=set)
    lags: dict[str, int | None] = field(default_factory=lambda: {CLICKS: 0, PURCHASES: 0, ERASURES: 0})
    committed: dict[str, int] = field(default_factory=dict)
    rewinds: list[Mapping[tuple[str, int], int] | None] = field(default_factory=list)
    member_at: float = float("inf")

    def is_member_since(self, moment: float) -> bool:
        """Whether the group had us later than that."""
        return self.member_at > moment

    def live(self, epoch: int) -> bool:
        """Whether this is the epoch."""
        return epoch == self.epoch

    def done(self, topic: str, partition: int, next_offset: int, epoch: int) -> bool:
        """Remember what may be committed."""
        if epoch == self.epoch:
            self.committed[topic] = next_offset
        return epoch == self.epoch

    def hold(self, topic: str, partition: int) -> None:
        """Remember that nothing is wanted."""
        self.held.add(topic)

    def release(self, topic: str, partition: int) -> None:
        """Remember that something is wanted."""
        self.held.discard(topic)

    def lag(self, topic: str, partition: int) -> int | None:
        """Return what the test says."""
        return self.lags[topic]

    def rewind(self, to: Mapping[tuple[str, int], int] | None = None) -> None:
        """End the epoch."""
        self.rewinds.append(to)
        self.epoch += 1


class FakePartition:
    """A partition whose changelog is a store in memory. `failures` are raised, in order, at named points."""

    def __init__(self) -> None:
        self.number = 0
        self.truth = MemoryStore()
        self.sent: list[tuple[str, bytes | None, bytes | None, list[tuple[str, bytes]]]] = []
        self.commits = self.wipes = self.closes = 0
        self.failures: dict[str, list[Exception]] = {}
        self.log_starts: dict[str, int] = {}
        self.lost: dict[str, int] = {}
        self.next_offsets: dict[str, int] = {}
        self.overlay = Overlay(MemoryStore())
        self.is_open = False

    def fail(self, point: str, *errors: Exception) -> None:
        """Raise these errors at a point: "open", "send" (nothing is durable), "write" (it is), "wipe"."""
        self.failures.setdefault(point, []).extend(errors)

    def _reach(self, point: str) -> None:
        if self.failures.get(point):
            raise self.failures[point].pop(0)

    async def open(self, topics: Sequence[str]) -> int:
        """Restore what is durable."""
        self._reach("open")
        self._local = MemoryStore()
        self._local.write(dict(self.truth.scan()))
        self.next_offsets = read_next(self._local)
        self.lost = {
            topic: start - self.next_offsets[topic]
            for topic, start in self.log_starts.items()
            if start > self.next_offsets[topic]
        }
        self.next_offsets |= {topic: self.log_starts[topic] for topic in self.lost}
        self.overlay = Overlay(self._local)
        self.is_open = True
        return 0

    async def commit(
        self,
        outgoing: Outgoing,
        timed: Callable[[str], AbstractContextManager[None]] = lambda _: nullcontext(),
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        """Make it durable, all or nothing; then write the local copy."""
        self._reach("send")
        next_offsets = {**self.next_offsets, **outgoing.next_offsets}
        changes = {**outgoing.users, NEXT_KEY: encode_next(next_offsets)}
        self.truth.write(changes)
        self.sent += [(topic, *row) for (topic, _), rows in outgoing.rows.items() for row in rows]
        self.commits += 1
        committed()
        self._reach("write")
        self._local.write(changes)
        self.overlay.settle()
        self.next_offsets = next_offsets

    def drop(self) -> None:
        """Forget what is not durable."""
        self.overlay.clear()

    async def wipe(self) -> None:
        """Forget the local copy."""
        self.wipes += 1
        self._reach("wipe")

    async def close(self) -> None:
        """Close the store."""
        self.closes += 1
        self.is_open = False

    def sequence(self, user_id: str = "u") -> list[int]:
        """Return the offsets of a user's durable events, oldest first."""
        user = Overlay(self.truth).peek(user_id)
        return [] if user is None else user.state.offsets.tolist()

    def letters(self, settings: Settings) -> list[tuple[int, str]]:
        """Return (source offset, reason) of the dead letters that were sent."""
        headers = [dict(row[3]) for row in self.sent if row[0] == settings.topics.dead_letters]
        return [(int(header["source-offset"]), header["reason"].decode()) for header in headers]
