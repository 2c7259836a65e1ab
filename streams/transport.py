"""Faust transport: one Faust message is one chunk, up to 2,000 records of one partition of one source topic.

Faust gives membership, assignment, delivery in partition order and commits. Whether an event is applied
exactly once is decided elsewhere (streams/partition.py); this transport promises what that needs:

1. Commits are explicit. Faust acknowledges messages also on exceptions and on skipped messages, so its
   acks are ignored: only `done()` moves a committed offset.
2. A chunk carries the epoch it was fetched in. A revocation and a seek end the epoch; `live()` and `done()`
   refuse what belongs to another.
3. A fetch never straddles a seek: one lock around both, and what a fetch returns after its epoch ended is
   dropped, which is safe because a seek always comes before the flow resumes.
4. A chunk says where its fetch started, so that a gap is told from the lawful holes that transaction markers
   and compaction leave in a log.

It leans on internals of faust-streaming 0.15.3, mode-streaming 0.7.1 and aiokafka 0.14.0, which are pinned;
tests/streams/test_transport_contract.py pins each of them.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams import fetching, mended_client
from streams.chunk import Chunk, cut

FETCH_WAIT_MS = 20  # the stock transport waits 1,500: produced-to-agent then takes seconds, not 3 ms
FETCH_TIMEOUT_SECONDS = 0.5
PAUSE_SECONDS = 0.02  # between two looks when every partition is held or paused
RETRY_SECONDS = 0.5
DRAIN_TIMEOUT_SECONDS = 5.0  # well inside the rebalance timeout

FRAMEWORK = logging.getLogger("faust.freshet")  # the life cycle that Faust logs of our classes
log = logging.getLogger(__name__)


class _ChunkThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    logger = FRAMEWORK

    def _create_worker_consumer(self, transport: Any) -> Any:  # noqa: ANN401 - Faust has no types for these
        consumer = super()._create_worker_consumer(transport)
        # All are read when the fetcher is created, in start().
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._auto_offset_reset = "none"  # else it would pass in silence over what retention took
        consumer._isolation_level = "read_committed"  # what a shop's own transaction aborted never happened
        return consumer


class ChunkConsumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, delivering chunks and committing only what is said to be done."""

    logger = FRAMEWORK
    before_revocation: Callable[[], Coroutine[None, None, None]] | None = None
    on_epoch: Callable[[int, frozenset[TP]], None] | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - passed through to Faust
        self.epoch = 1
        self.held: set[TP] = set()
        self._durable: dict[TP, int] = {}
        self._fetch_from: dict[TP, int | None] = {}
        self._rewind_to: dict[tuple[str, int], int] | None = None  # not None: a seek comes before any fetch
        self._fetching = asyncio.Lock()
        self._draining: asyncio.Task[None] | None = None
        super().__init__(*arguments, **options)
        if self.app.tables.changelog_topics:
            raise RuntimeError("chunk transport and Faust tables do not go together")
        if self.app.conf.table_standby_replicas < 1:
            raise RuntimeError("table_standby_replicas < 1: the topics of a partition number would part")

    def _new_consumer_thread(self) -> _ChunkThread:
        return _ChunkThread(self, loop=self.loop, beacon=self.beacon)

    # What the application calls, from the event loop of the app.

    def live(self, epoch: int) -> bool:
        """Whether what was fetched in this epoch may still be worked on."""
        return epoch == self.epoch

    def done(self, topic: str, partition: int, next_offset: int, epoch: int) -> bool:
        """Everything of the partition below `next_offset` is durable: the next commit may cover it."""
        if epoch != self.epoch:
            return False
        self._durable[TP(topic, partition)] = next_offset
        return True

    def rewind(self, to: Mapping[tuple[str, int], int] | None = None) -> None:
        """Throw away what is in flight; deliver again from the committed offsets, or from those given."""
        self._end_epoch()
        if to:
            self._rewind_to = {**(self._rewind_to or {}), **to}

    def hold(self, topic: str, partition: int) -> None:
        """Fetch nothing of a partition until it is released: whoever works on it has enough."""
        self.held.add(TP(topic, partition))

    def release(self, topic: str, partition: int) -> None:
        """Fetch from the partition again."""
        self.held.discard(TP(topic, partition))

    def lag(self, topic: str, partition: int) -> int | None:
        """Return how many offsets the log is ahead of what was delivered; None before the first fetch."""
        assignment = self._assignment()
        tp = driver.ensure_aiokafka_TP(TP(topic, partition))
        if assignment is None or tp not in assignment.tps:
            return None
        state = assignment.state_value(tp)
        # The position, unlike the last record's offset, has passed the markers of transactions.
        if state.lso is None or not state.has_valid_position:
            return None
        return max(int(state.lso) - int(state.position), 0)

    def is_member_since(self, moment: float) -> bool:
        """Whether our group has had us as a member after a moment on the monotonic clock."""
        coordinator = self._thread._ensure_consumer()._coordinator
        return bool(coordinator.member_at > moment)

    def silence_seconds(self) -> float:
        """Return how long ago a broker last answered a fetch; 0 where none was to be expected yet."""
        assignment = self._assignment()
        answers = [assignment.state_value(tp).timestamp for tp in assignment.tps] if assignment else []
        newest_ms = max((answered_ms for answered_ms in answers if answered_ms is not None), default=None)
        return 0.0 if newest_ms is None else max(time.time() - newest_ms / 1000, 0.0)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Say nothing: Faust would call a topic stuck that is held because its lane has enough of it."""

    def _assignment(self) -> Any:  # noqa: ANN401 - aiokafka has no types
        subscription = self._thread._ensure_consumer()._subscription.subscription
        return subscription and subscription.assignment

    # Commits: explicit only. Overriding ack() would not do: Faust's Cython stream iterator inlines it.

    def _filter_tps_with_pending_acks(self, topics: Iterable[Any] | None = None) -> list[TP]:
        self._acked.clear()
        self._acked_index.clear()
        return [tp for tp in self._durable if not topics or tp in topics or tp.topic in topics]

    def _new_offset(self, tp: TP) -> int | None:
        return self._durable.get(tp)

    # Epochs.

    def _end_epoch(self) -> None:
        self.epoch += 1
        self._rewind_to = self._rewind_to or {}
        self._durable.clear()
        self._fetch_from.clear()
        self.held.clear()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the application finish what it holds, commit it, and end the epoch."""
        if self.before_revocation is not None:
            # Not cancelled when it takes too long: its commit succeeds unseen or is fenced; both are exact.
            self._draining = asyncio.create_task(self.before_revocation())
            _, unfinished = await asyncio.wait([self._draining], timeout=DRAIN_TIMEOUT_SECONDS)
            if unfinished:
                log.warning("what was in flight did not finish in time: its next owner takes it over")
        try:
            await super().on_partitions_revoked(revoked)
        finally:
            self._end_epoch()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Say so if there is nothing to do: Faust then seeks nothing, and no epoch would begin."""
        await super().on_partitions_assigned(assigned, generation_id)
        if not assigned and self.on_epoch is not None:
            self.on_epoch(self.epoch, frozenset())

    async def perform_seek(self) -> None:
        """Seek after an assignment."""
        async with self._fetching:
            await self._seek_all()

    async def _seek_all(self) -> None:
        """Begin an epoch at the committed offsets, where nothing was committed at the log's beginning.

        If it fails, nothing is fetched until it succeeds: positions would be neither here nor there.
        """
        self._end_epoch()
        epoch, rewind_to = self.epoch, dict(self._rewind_to or {})
        self._committed_offset.clear()  # Faust notes commits before it knows whether they succeed
        await super().perform_seek()
        starts = {tp: self._committed_offset.get(tp) or None for tp in self.assignment()}
        fresh = [driver.ensure_aiokafka_TP(tp) for tp, offset in starts.items() if offset is None]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)
        for (topic, partition), offset in rewind_to.items():
            tp = TP(topic, partition)
            if tp in starts:
                await self._thread.seek_wait({tp: offset})
                starts[tp] = offset
                self._committed_offset[tp] = offset  # Faust commits forward only, and this is behind
        if epoch != self.epoch:
            return  # it ended meanwhile, and what ended it asks for a seek of its own
        self._fetch_from, self._rewind_to = starts, None
        if self.on_epoch is not None:
            self.on_epoch(self.epoch, frozenset(starts))

    # Fetching.

    async def _drain_messages(self, fetcher: Any) -> None:  # noqa: ANN401 - a mode.Service, untyped
        try:
            while not (self.should_stop or fetcher.should_stop):
                if self.flow_active:
                    await self._fetch_once()
                else:
                    await self.wait_first(self.can_resume_flow.wait(), timeout=1.0)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.app.should_stop:
                raise

    async def _fetch_once(self) -> None:
        active = {tp for tp in self._get_active_partitions() if tp not in self.held}
        if not active:
            await asyncio.sleep(PAUSE_SECONDS)
            return
        async with self._fetching:
            if self._rewind_to is not None and not await self._seek_again():
                return
            epoch, generation = self.epoch, self.app.consumer_generation_id
            fetched = await self._fetch(active)
            if (epoch, generation) != (self.epoch, self.app.consumer_generation_id) or not self.flow_active:
                return  # a seek follows before the flow resumes
            chunks = cut({ensure_TP(tp): records for tp, records in fetched.items()}, epoch, self._fetch_from)
            self._fetch_from.update((TP(chunk.topic, chunk.partition), chunk.next_offset) for chunk in chunks)
        for chunk in chunks:
            await self.wait_first(self.callback(self._message(chunk, generation)), self.suspend_flow.wait())
            if not self.live(epoch) or not self.flow_active:
                break  # the rest is fetched again after the seek
        await asyncio.sleep(0)

    async def _fetch(self, active: set[TP]) -> Mapping[Any, list[ConsumerRecord]]:
        """Return what there is; nothing where the epoch has to end."""
        try:
            try:
                fetched: Mapping[Any, list[ConsumerRecord]]
                fetched = await self._thread.getmany(active, timeout=FETCH_TIMEOUT_SECONDS)
                return fetched
            except OffsetOutOfRangeError as error:
                await self._leave_for_beginning(error.args[0])
            except NoOffsetForPartitionError as error:
                log.debug("told before the seek: %r", error)
        except KafkaError as error:
            log.warning("cannot fetch, going back to the committed offsets: %r", error)
            self.rewind()
            await asyncio.sleep(RETRY_SECONDS)
        return {}

    async def _leave_for_beginning(self, positions: Mapping[Any, int]) -> None:
        """Go on where a log begins: what came next is not there.

        If retention took it another epoch begins, in which the partition is opened again, which says what was
        lost. Beyond the end it is another log: what it delivers does not go on where it must, and is refused.
        """
        for tp, position in positions.items():
            delivered = self._fetch_from.get(ensure_TP(tp))
            if delivered is not None and position < delivered:
                continue  # it was sought since
            start = (await self._thread.earliest_offsets(tp))[tp]
            if position < start:
                log.warning("%s partition %d begins at %d by now", tp.topic, tp.partition, start)
                self.rewind({(tp.topic, tp.partition): start})
            else:
                await self._thread.seek_to_beginning(tp)

    async def _seek_again(self) -> bool:
        try:
            await self._seek_all()
        except (KafkaError, TimeoutError) as error:
            log.warning("cannot go back to the committed offsets yet, trying again: %r", error)
            await asyncio.sleep(RETRY_SECONDS)
            return False
        return True

    def _message(self, chunk: Chunk, generation: int) -> ConsumerMessage:
        last = chunk.records[-1]
        tp = TP(chunk.topic, chunk.partition)
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            last.offset,
            last.timestamp / 1000.0,
            last.timestamp_type,
            (),
            None,
            chunk,
            None,
            0,
            0,
            tp,
            generation_id=generation,
        )


def install() -> None:
    """Make every Faust app of this process deliver chunks. Call it before the app's consumer exists."""
    driver.Transport.Consumer = ChunkConsumer
    fetching.install()
    mended_client.install()
