"""The compacted topic that tells every worker the id of an item key: read whole, then followed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from models.catalog import item_key

POLL_MS = 500
RETRY_SECONDS = 1.0
BATCH_RECORDS = 20_000
PARTITION = 0  # the topic has one partition, so that one position says how far a worker has read

log = logging.getLogger(__name__)

Learn = Callable[[Sequence[tuple[int, str]]], Awaitable[None]]


def encode_key(key: int) -> bytes:
    """Return the message key of an item key: 8 bytes, little-endian."""
    return key.to_bytes(8, "little")


class ItemIds:
    """Follows the topic and hands what it says to `learn`, in batches of (item key, item id)."""

    def __init__(self, topic: str, servers: list[str], learn: Learn) -> None:
        self._tp = TopicPartition(topic, PARTITION)
        self._servers = servers
        self._learn = learn
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None
        self._position = 0
        self._moved = asyncio.Condition()

    async def start(self) -> None:
        """Read the topic to its end, then follow it in the background."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        await self._consumer.start()
        self._consumer.assign([self._tp])
        await self._consumer.seek_to_beginning(self._tp)
        self._task = asyncio.create_task(self._follow(), name="item ids")
        await self.catch_up()

    async def catch_up(self) -> None:
        """Wait until everything that is in the topic now was handed over."""
        if self._consumer is None:
            raise RuntimeError("item ids are not followed yet: start() comes first")
        end = (await self._consumer.end_offsets([self._tp]))[self._tp]
        async with self._moved:
            await self._moved.wait_for(lambda: self._position >= end)

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    async def _follow(self) -> None:
        consumer = self._consumer
        while consumer is not None:
            try:
                fetched = await consumer.getmany(self._tp, timeout_ms=POLL_MS, max_records=BATCH_RECORDS)
                await self._take_in(fetched.get(self._tp, []))
                position = await consumer.position(self._tp)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.warning("item ids: %s cannot be read right now: %r", self._tp.topic, error)
                consumer.seek(self._tp, self._position)  # what was fetched may not have been handed over
                await asyncio.sleep(RETRY_SECONDS)
                continue
            async with self._moved:
                self._position = position
                self._moved.notify_all()

    async def _take_in(self, records: Sequence[ConsumerRecord]) -> None:
        ids: list[tuple[int, str]] = []
        for record in records:
            item_id = _item_id(record)
            if item_id is None:
                log.warning(
                    "item ids: %s offset %d is not an item id; skipped", self._tp.topic, record.offset
                )
            else:
                ids.append((item_key(item_id), item_id))
        if ids:
            await self._learn(ids)


def _item_id(record: ConsumerRecord) -> str | None:
    """Return the id that a record tells, None if its key is not the id's own."""
    try:
        item_id = str(record.value.decode())
    except (AttributeError, UnicodeDecodeError):
        return None
    return item_id if record.key == encode_key(item_key(item_id)) else None
