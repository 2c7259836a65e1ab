"""The compacted topic that tells every worker the id of an item key: read whole, then followed."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from aiokafka.structs import ConsumerRecord

from models.catalog import item_key
from streams.following import LogFollower

PARTITION = 0  # the topic has one partition, so that one position says how far a worker has read

log = logging.getLogger(__name__)

Learn = Callable[[Sequence[tuple[int, str]]], Awaitable[None]]


def encode_key(key: int) -> bytes:
    """Return the message key of an item key: 8 bytes, little-endian."""
    return key.to_bytes(8, "little")


class ItemIds:
    """Follows the topic and hands what it says to `learn`, in batches of (item key, item id)."""

    def __init__(self, topic: str, servers: list[str], learn: Learn) -> None:
        self._learn = learn
        self._follower = LogFollower(topic, [PARTITION], servers, self._take)

    async def start(self) -> None:
        """Read the topic to its end, then follow it."""
        await self._follower.start()
        await self._follower.catch_up()

    async def catch_up(self) -> None:
        """Wait until everything that is in the topic now was handed over."""
        await self._follower.catch_up()

    async def stop(self) -> None:
        """Stop following."""
        await self._follower.stop()

    async def _take(self, records: Sequence[ConsumerRecord]) -> None:
        ids: list[tuple[int, str]] = []
        for record in records:
            item_id = _item_id(record)
            if item_id is None:
                log.warning("%s offset %d is not an item id; passed over", record.topic, record.offset)
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
