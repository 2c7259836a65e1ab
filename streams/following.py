"""Follows partitions of a topic of our own, in no group: to their end when asked, and on from there."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import ConsumerRecord

POLL_MS = 200
BATCH_RECORDS = 5_000
FETCH_BYTES = 2**20  # of each partition, unless there are many; a larger record comes, too
ALL_FETCH_BYTES = 32 * 2**20
RETRY_SECONDS = 1.0
PROGRESS_SECONDS = 5.0

Take = Callable[[Sequence[ConsumerRecord]], Awaitable[None]]
log = logging.getLogger(__name__)


class LogFollower:
    """Hands the committed records of a topic to `take`, each partition in order, again where `take` failed.

    It follows the `partitions` of these numbers. `positions` are the offsets to go on from; a partition
    without one is read from its beginning. Where retention takes what was to be read it goes on behind that,
    and tells `missed` how many offsets it was.
    """

    def __init__(
        self,
        topic: str,
        partitions: Iterable[int],
        servers: list[str],
        take: Take,
        positions: Mapping[int, int] | None = None,
        missed: Callable[[int], object] = lambda _: None,
    ) -> None:
        self.topic = topic
        self._missed = missed
        self._tps = [TopicPartition(topic, number) for number in partitions]
        self._servers = servers
        self._take = take
        self._positions = dict(positions or {})
        self.is_whole = True  # nothing was ever deleted from the topic by its age or size
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._moved = asyncio.Condition()

    async def start(self) -> None:
        """Connect and stand at the positions."""
        consumer = self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # else it would pass in silence over what retention took
            isolation_level="read_committed",
            fetch_max_wait_ms=POLL_MS,
            max_partition_fetch_bytes=min(FETCH_BYTES, ALL_FETCH_BYTES // len(self._tps)),
        )
        await consumer.start()
        starts = await consumer.beginning_offsets(self._tps)
        ends = await consumer.end_offsets(self._tps)
        consumer.assign(self._tps)
        self.is_whole = not any(starts.values())
        for tp in self._tps:
            position = self._positions.get(tp.partition, starts[tp])
            if position > ends[tp]:
                log.warning(
                    "%s partition %d ends at %d, before %d: it was made anew, and is read from its beginning",
                    *(self.topic, tp.partition, ends[tp], position),
                )
                position = starts[tp]
            self._positions[tp.partition] = position
            consumer.seek(tp, position)

    async def catch_up(self, partitions: Iterable[int] | None = None) -> None:
        """Wait until everything that these partitions have now was taken; say how far it is meanwhile."""
        if self._consumer is None:
            raise RuntimeError(f"{self.topic} is not followed yet: start() comes first")
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name=f"follow {self.topic}")
        wanted = None if partitions is None else set(partitions)
        tps = [tp for tp in self._tps if wanted is None or tp.partition in wanted]
        ends = {tp.partition: end for tp, end in (await self._consumer.end_offsets(tps)).items()}
        said = time.monotonic()
        async with self._moved:
            while missing := sum(max(end - self._positions[number], 0) for number, end in ends.items()):
                if time.monotonic() - said > PROGRESS_SECONDS:
                    said = time.monotonic()
                    log.info("%s: %d records to go", self.topic, missing)
                await self._moved.wait()

    @property
    def positions(self) -> dict[int, int]:
        """Where reading goes on, by partition: everything before was taken. It is kept up to date."""
        return self._positions

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def _follow(self) -> None:
        while True:
            try:
                await self._take_next()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.warning("%s cannot be followed right now: %r", self.topic, error)
                self._seek_back()
                await asyncio.sleep(RETRY_SECONDS)

    async def _take_next(self) -> None:
        consumer = self._consumer
        if consumer is None:
            raise RuntimeError(f"{self.topic} is not followed")
        try:
            fetched = await consumer.getmany(*self._tps, timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
        except OffsetOutOfRangeError as error:
            await self._go_on_at_beginning(consumer, error.args[0])
            return
        for tp, records in fetched.items():
            await self._take(records)
            self._positions[tp.partition] = records[-1].offset + 1
        positions = {tp.partition: await consumer.position(tp) for tp in self._tps}
        async with self._moved:
            self._positions.update(positions)
            self._moved.notify_all()

    async def _go_on_at_beginning(
        self, consumer: AIOKafkaConsumer, places: Mapping[TopicPartition, int]
    ) -> None:
        starts = await consumer.beginning_offsets(list(places))
        for tp, start in starts.items():
            position = self._positions[tp.partition]
            log.error(
                "%s partition %d begins at %d by now: what was to be read from %d on is gone",
                *(self.topic, tp.partition, start, position),
            )
            self.is_whole = False
            self._missed(max(start - position, 0))
            self._positions[tp.partition] = start
            consumer.seek(tp, start)

    def _seek_back(self) -> None:
        if self._consumer is not None:
            for tp in self._tps:
                self._consumer.seek(tp, self._positions[tp.partition])
