"""One partition's users: fenced, restored, changed in an overlay, made durable by one Kafka transaction.

The order that makes it exact (docs/architecture.md has the argument):

1. `open` starts a producer with this partition's transactional id. The broker fences every older owner and
   aborts what it left open; only then is the changelog read to its end, into the store.
2. Whoever works changes the overlay only.
3. `commit` sends everything that the work brought (dead letters, lists, item ids, the changed users and the
   next offset of each source) in one transaction, and after its commit writes the same users and offsets,
   with the changelog position they reach, in one batch to the store.
4. After any failure the overlay is dropped and the partition opened again.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from state import CorruptState, UserStore, encode_next, read_next
from state.keys import NEXT_KEY, PURGED_KEY, TOPICS_KEY
from state.overlay import Overlay
from streams.changelog import POLL_MS, Changelog
from streams.errors import FreshetError
from streams.threads import in_thread

TRANSACTION_TIMEOUT_MS = 10_000
BATCH_BYTES = 2**20  # what a topic takes that nobody configured; a larger record has a batch of its own
STOP_SECONDS = 5.0  # for a producer to leave; without a broker it would wait for one

Timed = Callable[[str], AbstractContextManager[None]]  # observes how long a stage takes

Row = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]  # key, value, headers

log = logging.getLogger(__name__)


class LostLogError(FreshetError):
    """A source's log is not the one that was applied: it was made anew, and nobody can go on from here."""


@dataclass(slots=True)
class Outgoing:
    """What one transaction carries: rows by topic and partition, changed users, next offsets."""

    rows: dict[tuple[str, int], list[Row]] = field(default_factory=dict)
    users: dict[bytes, bytes | None] = field(default_factory=dict)
    next_offsets: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        """Add one record."""
        self.rows.setdefault((topic, partition), []).append((key, value, headers or []))


class Partition:
    """The users of one partition number. Not safe for two commits at once; its lane never does that.

    `batch_bytes` is the largest batch that every topic takes; `topic_ids` tell a topic from an older one of
    the same name. The changelog keeps the word that something was deleted for `tombstone_ms`: a store that
    has not followed it for half as long might miss one, and is restored from the beginning.
    """

    def __init__(
        self,
        number: int,
        open_store: Callable[[], UserStore],
        *,
        changelog: str,
        group: str,
        servers: list[str],
        batch_bytes: int = BATCH_BYTES,
        topic_ids: Mapping[str, str] | None = None,
        tombstone_ms: int | None = None,
        now_seconds: Callable[[], float] = time.time,
    ) -> None:
        self.number = number
        self.next_offsets: dict[str, int] = {}
        self.lost: dict[str, int] = {}  # topic -> records that retention took before they were applied
        self._open_store = open_store
        self._changelog = Changelog(changelog, number, tombstone_ms, now_seconds)
        self._group = group
        self._servers = servers
        self._topic_ids = dict(topic_ids or {})
        self._known_ids: dict[str, str] = {}  # of the topics that the next offsets are of
        self._batch_bytes = min(batch_bytes, BATCH_BYTES)
        self._compacting = asyncio.Lock()
        self._store: UserStore | None = None
        self._overlay: Overlay | None = None
        self._producer: AIOKafkaProducer | None = None

    @property
    def store(self) -> UserStore:
        """The users' bytes."""
        if self._store is None:
            raise RuntimeError(f"partition {self.number} is not open")
        return self._store

    @property
    def overlay(self) -> Overlay:
        """The users in hand."""
        if self._overlay is None:
            raise RuntimeError(f"partition {self.number} is not open")
        return self._overlay

    @property
    def is_open(self) -> bool:
        """Whether its store is open, so that users can be looked at."""
        return self._overlay is not None

    async def open(self, topics: Sequence[str]) -> int:
        """Fence older owners, restore the store from the changelog, look where the sources' logs stand.

        Returns the changelog records read; raises LostLogError.
        """
        await self._stop_producer()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            transactional_id=f"{self._group}-{self.number}",
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            acks="all",
            linger_ms=0,
            max_batch_size=self._batch_bytes,
        )
        await self._producer.start()
        if self._store is None:
            self._store = await in_thread(self._open_store)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            fetch_max_wait_ms=POLL_MS,
        )
        await consumer.start()
        try:
            restored = await self._changelog.restore(consumer, self._store)
            self.next_offsets = read_next(self._store)
            self._known_ids = read_topics(self._store)
            await self._compare_logs(consumer, topics)
        finally:
            await consumer.stop()
        self._overlay = Overlay(self._store)
        return restored

    async def commit(
        self,
        outgoing: Outgoing,
        timed: Timed = lambda _: nullcontext(),
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        """Make the changed users durable, with what goes out beside them, and settle the overlay.

        Calls `committed` when that is so, whatever becomes of the local copy. Raises whatever the broker or
        the disk says; the partition must then be opened again.
        """
        if self._producer is None:
            raise RuntimeError(f"partition {self.number} is not open")
        next_offsets = {**self.next_offsets, **outgoing.next_offsets}
        changes = {**outgoing.users, NEXT_KEY: encode_next(next_offsets)}
        ids = {**self._known_ids, **{t: self._topic_ids[t] for t in next_offsets.keys() & self._topic_ids}}
        if ids != self._known_ids:
            changes[TOPICS_KEY] = msgspec.json.encode(ids, order="sorted")
        with timed("publish"):
            position = await self._transact(self._producer, outgoing, changes)
        committed()
        changes |= self._changelog.local_facts(position)
        with timed("write"):
            await in_thread(self.store.write, changes)
        self.overlay.settle()
        self.next_offsets, self._known_ids = next_offsets, ids

    def drop(self) -> None:
        """Forget what was changed and is not durable."""
        if self._overlay is not None:
            self._overlay.clear()

    async def purge(self) -> None:
        """Leave no trace of the users who were erased since this was done last in the files of the store."""
        async with self._compacting:
            if self._store is None or self._overlay is None:
                return
            mark = self._overlay.erasures.mark
            if self._overlay.erasures and self._store.get(PURGED_KEY) != mark:
                await in_thread(self._store.compact)
                await in_thread(self._store.write, {PURGED_KEY: mark})

    async def wipe(self) -> None:
        """Forget the local copy: the next `open` restores all of it."""
        async with self._compacting:
            if self._store is not None:
                await in_thread(self._store.wipe)

    async def close(self) -> None:
        """Leave the partition: stop its producer and close its store."""
        await self._stop_producer()
        async with self._compacting:
            store, self._store, self._overlay = self._store, None, None
            if store is not None:
                await in_thread(store.close)

    async def _transact(
        self, producer: AIOKafkaProducer, outgoing: Outgoing, changes: Mapping[bytes, bytes | None]
    ) -> int:
        """Send everything in one transaction; return the changelog position behind its last record."""
        await producer.begin_transaction()
        try:
            acknowledged = []
            for (topic, partition), rows in outgoing.rows.items():
                acknowledged += await _send(producer, topic, partition, rows)
            users: list[Row] = [(key, value, []) for key, value in changes.items()]
            batches = await _send(producer, self._changelog.topic, self.number, users)
            for future, _ in acknowledged:
                await future
            for future, count in batches:
                end = (await future).offset + count
        except BaseException:
            # Whatever fails here is aborted by the next owner's fence, so the first error is the one to tell.
            try:
                await asyncio.wait_for(producer.abort_transaction(), STOP_SECONDS)
            except Exception as error:
                log.debug("partition %d: abort failed as well: %r", self.number, error)
            raise
        await producer.commit_transaction()
        return int(end)

    async def _compare_logs(self, consumer: AIOKafkaConsumer, topics: Sequence[str]) -> None:
        """Compare what was applied with what the sources' logs have."""
        tps = [TopicPartition(topic, self.number) for topic in topics if topic in self.next_offsets]
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        self.lost = {}
        for tp in tps:
            applied = self.next_offsets[tp.topic]
            known, found = self._known_ids.get(tp.topic), self._topic_ids.get(tp.topic)
            if applied > ends[tp] or (known and found and known != found):
                raise LostLogError(
                    f"{tp.topic} was made anew: what was applied, up to {applied}, is not what is there, "
                    f"up to {ends[tp]}; if that was meant, stop all workers and `freshet reset --sources`"
                )
            if applied < starts[tp]:
                self.lost[tp.topic] = starts[tp] - applied
                self.next_offsets[tp.topic] = starts[tp]

    async def _stop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            await asyncio.wait_for(producer.stop(), STOP_SECONDS)
        except Exception as error:
            # What it had in flight is aborted by the next fence; nothing waits for it.
            log.debug("partition %d: its producer did not stop: %r", self.number, error)
            await producer.client.close()


def read_topics(store: UserStore) -> dict[str, str]:
    """Return the identities of the topics that the next offsets are of. Raises CorruptState."""
    try:
        return msgspec.json.decode(store.get(TOPICS_KEY) or b"{}", type=dict[str, str])
    except (ValueError, RecursionError) as error:
        raise CorruptState(f"the identities of the topics cannot be read: {error}") from None


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[Row]
) -> list[tuple[Any, int]]:
    """Send the rows to one partition in as few batches as they fill; return (acknowledgement, count) each."""
    sent: list[tuple[Any, int]] = []
    batch = producer.create_batch()
    for key, value, headers in rows:
        if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
            sent.append((await producer.send_batch(batch, topic, partition=partition), batch.record_count()))
            batch = producer.create_batch()
            batch.append(timestamp=None, key=key, value=value, headers=headers)
    sent.append((await producer.send_batch(batch, topic, partition=partition), batch.record_count()))
    for future, _ in sent:  # after the first error nobody asks for the others, and none is worth a complaint
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return sent
