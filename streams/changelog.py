"""The users' changelog: the truth about one partition, and how a local copy is brought up to it."""

import logging
import time
from collections.abc import Callable

from aiokafka import AIOKafkaConsumer, TopicPartition

from state import UserStore
from state.keys import FOLLOWED_KEY, POSITION_KEY
from streams.threads import in_thread

POLL_MS = 50

log = logging.getLogger(__name__)


class Changelog:
    """One partition of the changelog.

    It keeps the word that something was deleted for `tombstone_ms`. A store that has not followed it for half
    as long might miss one, and would bring erased users back: it is restored from the beginning.
    """

    def __init__(
        self,
        topic: str,
        number: int,
        tombstone_ms: int | None = None,
        now_seconds: Callable[[], float] = time.time,
    ) -> None:
        self.topic = topic
        self._number = number
        self._tombstone_ms = tombstone_ms
        self._now_seconds = now_seconds

    def local_facts(self, position: int) -> dict[bytes, bytes | None]:
        """Return what only the local copy knows: how far it has followed the changelog, and when."""
        now_ms = int(self._now_seconds() * 1000)
        return {POSITION_KEY: position.to_bytes(8, "little"), FOLLOWED_KEY: now_ms.to_bytes(8, "little")}

    async def restore(self, consumer: AIOKafkaConsumer, store: UserStore) -> int:
        """Read from where the store stands to the end; return how many records that were."""
        tp = TopicPartition(self.topic, self._number)
        consumer.assign([tp])
        end = (await consumer.end_offsets([tp]))[tp]
        position = int.from_bytes(store.get(POSITION_KEY) or b"", "little")
        doubt = self._doubt(store, position, end)
        if doubt is not None:
            log.warning("partition %d: %s; the store is wiped and restored", self._number, doubt)
            await in_thread(store.wipe)
            position = 0
        consumer.seek(tp, position)
        records = 0
        while position < end:
            for batch in (await consumer.getmany(tp, timeout_ms=POLL_MS)).values():
                changes: dict[bytes, bytes | None] = {record.key: record.value for record in batch}
                await in_thread(store.write, changes | self.local_facts(batch[-1].offset + 1))
                records += len(batch)
            position = await consumer.position(tp)
        await in_thread(store.write, self.local_facts(position))
        return records

    def _doubt(self, store: UserStore, position: int, end: int) -> str | None:
        """Return why the local copy cannot be gone on with, None if it can."""
        if position > end:
            return f"the store is at {position} but {self.topic} ends at {end}: the topic was made anew"
        followed_ms = int.from_bytes(store.get(FOLLOWED_KEY) or b"", "little")
        away_ms = self._now_seconds() * 1000 - followed_ms
        if position and self._tombstone_ms is not None and away_ms > self._tombstone_ms / 2:
            return f"the store was away too long to have seen all that was deleted from {self.topic}"
        return None
