"""One partition number at work: merges its sources, steps through them, commits; one asyncio task."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Protocol, TypeVar

from aiokafka.structs import ConsumerRecord

from state import CorruptState
from streams.merging import SourceMerger
from streams.metrics import Metrics
from streams.partition import LostLogError, Partition
from streams.transaction import Tools, Transaction

SLICE_RECORDS = 250  # one step's records: no partition has the model's thread for long
HOLD_RECORDS = 4_000  # a topic with more than this in hand is not fetched
COMMIT_SECONDS = 0.05  # between two transactions of a partition; closer ones wait for each other's markers
RETRY_SECONDS = 0.5
STUCK_SECONDS = 30.0
PARKED = 0  # no epoch has this number

T = TypeVar("T")
log = logging.getLogger(__name__)


class Chunk(Protocol):
    """What the transport hands over (streams.transport.Chunk)."""

    topic: str
    epoch: int
    start: int | None
    records: Sequence[ConsumerRecord]


class Source(Protocol):
    """What a lane needs of the transport (streams.transport.ChunkConsumer)."""

    def live(self, epoch: int) -> bool:
        """Whether what was fetched in this epoch may still be worked on."""

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


class Lane:
    """Works through one partition number, from the first chunk of an epoch to its end."""

    def __init__(
        self,
        partition: Partition,
        source: Source,
        tools: Tools,
        model_thread: Executor,
        catch_up: Callable[[], Awaitable[None]],
    ) -> None:
        self.number = partition.number
        self.partition = partition
        self.trouble: str | None = "not assigned"
        self.transaction: Transaction | None = None
        self._source = source
        self._tools = tools
        self._thread = model_thread
        self._catch_up = catch_up
        self._topics = tuple(tools.settings.sources)
        self._merger: SourceMerger[ConsumerRecord] = SourceMerger(
            self._topics, lambda topic: source.lag(topic, self.number)
        )
        self._epoch = PARKED
        self._opened_epoch = 0
        self._stopped_epoch = 0
        self._begun: set[str] = set()  # topics that delivered in this epoch
        self._starts: dict[str, int | None] = {}  # where the first fetch of each began, until that is checked
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self._is_draining = False
        self._since: float | None = None  # when the oldest record of the transaction was taken
        self._last_commit = 0.0
        self._newest_record_ms = 0
        self._task: asyncio.Task[None] | None = None

    # What the worker calls.

    def start(self) -> None:
        """Begin to work; chunks and epochs may come before or after."""
        self._task = asyncio.create_task(self._run(), name=f"partition {self.number}")

    def begin(self, epoch: int) -> None:
        """Prepare for an epoch: what was in hand of an older one is forgotten, and the partition opened."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._is_draining = False
            self._merger.clear()
            self._begun.clear()
            self._starts.clear()
            self.trouble = "restoring"
            self._wake.set()

    def park(self) -> None:
        """Give the partition up: it belongs to another worker now."""
        self.begin(PARKED)
        self.trouble = "not assigned"

    def offer(self, chunk: Chunk) -> None:
        """Take a chunk in hand."""
        if not self._source.live(chunk.epoch):
            return
        self.begin(chunk.epoch)
        if chunk.topic not in self._begun:
            self._begun.add(chunk.topic)
            self._starts[chunk.topic] = chunk.start
        self._merger.add(chunk.topic, chunk.records)
        if self._merger.pending(chunk.topic) >= HOLD_RECORDS:
            self._source.hold(chunk.topic, self.number)
        self._wake.set()

    async def drain(self) -> None:
        """Commit what was applied and take nothing more until another epoch begins."""
        self._is_draining = True
        async with self._busy:
            if self._is_current() and self._since is not None:
                try:
                    await self._commit()
                except Exception as error:
                    log.warning("partition %d: not committed before it moved: %r", self.number, error)
                    self._drop()

    async def close(self) -> None:
        """Stop working and leave the partition."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.partition.close()

    def measure(self, metrics: Metrics) -> None:
        """Tell the gauges how far behind this partition is."""
        for topic in self._topics:
            lag = self._lag(topic)
            age = max(self._tools.now_seconds() - self._newest_record_ms / 1000, 0) if lag else 0.0
            metrics.consumer_lag_events.labels(topic, str(self.number)).set(lag)
            metrics.consumer_lag_seconds.labels(topic, str(self.number)).set(
                age if self._newest_record_ms else 0.0
            )

    def describe(self) -> dict[str, object]:
        """Return what `freshet inspect worker` says of this partition."""
        return {
            "partition": self.number,
            "state": self.readiness or "ready",
            "next": dict(self.partition.next_offsets),
            "lag": {topic: self._lag(topic) for topic in self._topics},
        }

    @property
    def pending_seconds(self) -> float:
        """Age of the oldest record that was taken and is not durable yet."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    @property
    def readiness(self) -> str | None:
        """None if the partition is restored and committing, else what is wrong."""
        if self.trouble is None and self.pending_seconds > STUCK_SECONDS:
            return f"nothing was committed for {self.pending_seconds:.0f} s"
        return self.trouble

    # The work.

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                async with self._busy:
                    pause = await self._turn()
            except asyncio.CancelledError:
                raise
            except LostLogError as error:
                self._stop_here(error)
                pause = None
            except Exception as error:
                await self._recover(error)
                pause = RETRY_SECONDS
            if pause != 0:
                await self._wait(pause)

    async def _turn(self) -> float | None:
        """Do one piece of work; return how long to wait for the next, None until something happens."""
        if not self._is_current() or self._is_draining:
            if not self._is_draining:
                self._drop()
            if self._epoch == PARKED and self.partition.is_open:
                await self.partition.close()
            return None
        if self._opened_epoch != self._epoch:
            await self._open()
            return 0
        if self._transaction_is_due():
            await self._commit()
            return 0
        records = self._merger.take(SLICE_RECORDS, time.monotonic())
        if not records:
            return self._pause()
        await self._apply(records)
        return 0

    async def _open(self) -> None:
        epoch, started = self._epoch, time.monotonic()
        self._drop()
        self.trouble = "restoring"
        restored = await self.partition.open(self._topics)
        await self._catch_up()
        metrics = self._tools.metrics
        for topic, lost in self.partition.lost.items():
            log.error(
                "partition %d: %s lost %d records to retention before they were applied",
                *(self.number, topic, lost),
            )
            metrics.lost_to_retention.inc(lost)
        seconds = time.monotonic() - started
        metrics.restore_seconds.observe(seconds)
        log.info("partition %d: restored, %d records in %.2f s", self.number, restored, seconds)
        self._opened_epoch, self.trouble = epoch, None

    async def _apply(self, records: list[ConsumerRecord]) -> None:
        self._release()
        if self._starts:
            self._check_starts({record.topic for record in records})
            if not self._is_current():
                return
        if self.transaction is None:
            self.transaction = Transaction(
                self.number, self.partition.next_offsets, self.partition.overlay, self._tools
            )
        self._since = self._since or time.monotonic()
        await self._in_thread(self.transaction.apply, records)
        self._newest_record_ms = max(self._newest_record_ms, records[-1].timestamp)

    async def _commit(self) -> None:
        transaction, epoch = self.transaction, self._epoch
        if transaction is None:
            return
        if not transaction.is_empty:
            outgoing = await self._in_thread(transaction.close)
            with self._tools.timed("publish"):
                await self.partition.commit(outgoing)
            await self._in_thread(self._tools.recommender.learn_item_ids, list(transaction.item_ids.items()))
            transaction.report()
        self.transaction, self._since, self._last_commit = None, None, time.monotonic()
        for topic, next_offset in self.partition.next_offsets.items():
            self._source.done(topic, self.number, next_offset, epoch)

    def _transaction_is_due(self) -> bool:
        """Commit when nothing is left to take, at most every 50 ms, and under load after 50 ms."""
        if self._since is None:
            return False
        now = time.monotonic()
        is_idle = not any(self._merger.pending(topic) for topic in self._topics)
        return now - (self._last_commit if is_idle else max(self._since, self._last_commit)) >= COMMIT_SECONDS

    def _pause(self) -> float | None:
        now = time.monotonic()
        waits = [self._merger.wait_seconds(now)]
        if self._since is not None:
            waits.append(max(self._last_commit + COMMIT_SECONDS - now, 0.001))
        return min((wait for wait in waits if wait is not None), default=None)

    async def _wait(self, seconds: float | None) -> None:
        try:
            await asyncio.wait_for(self._wake.wait(), seconds)
        except TimeoutError:
            return

    def _check_starts(self, topics: set[str]) -> None:
        """Go back where a topic's first fetch began above what was applied: else a piece would be missing."""
        for topic in topics & self._starts.keys():
            start, applied = self._starts.pop(topic), self.partition.next_offsets.get(topic)
            if start is not None and applied is not None and start > applied:
                log.warning(
                    "partition %d: %s was delivered from %d but is applied to %d: going back",
                    *(self.number, topic, start, applied),
                )
                self._source.rewind({(topic, self.number): applied})

    def _release(self) -> None:
        for topic in self._topics:
            if self._merger.pending(topic) < HOLD_RECORDS // 2:
                self._source.release(topic, self.number)

    def _lag(self, topic: str) -> int:
        lag = self._source.lag(topic, self.number) if self._is_current() else None
        return (lag or 0) + self._merger.pending(topic)

    def _is_current(self) -> bool:
        return self._epoch not in (PARKED, self._stopped_epoch) and self._source.live(self._epoch)

    # When something goes wrong, or ends.

    def _drop(self) -> None:
        """Forget what was applied and is not durable: it comes again."""
        self.partition.drop()
        self.transaction, self._since = None, None

    def _stop_here(self, error: LostLogError) -> None:
        log.error("partition %d is stopped: %s", self.number, error)
        self._drop()
        self._stopped_epoch, self.trouble = self._epoch, str(error)

    async def _recover(self, error: Exception) -> None:
        log.warning("partition %d: starts again from what is durable: %r", self.number, error, exc_info=error)
        self._drop()
        self._opened_epoch = 0
        self.trouble = f"recovering from {type(error).__name__}: {error}"
        if isinstance(error, CorruptState):
            await self.partition.wipe()
        if self._is_current():
            self._source.rewind()

    async def _in_thread(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)
