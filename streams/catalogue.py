"""The items topic, read whole by every worker and followed: titles for lists, and items that are removed."""

import logging
import time
from collections.abc import Callable, Sequence

from aiokafka.structs import ConsumerRecord

from models.catalog import KeyCollision
from streams.events import ItemListed, Refused, decode_item
from streams.following import LogFollower
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.threads import InThread

HOLD_SECONDS = 0.02  # of the model's thread at once: events go on between two portions of a large catalogue

log = logging.getLogger(__name__)


class Catalogue:
    """Keeps a recommender's items up with the items topic.

    It is read from its beginning at every start: whoever went on from an offset would miss the removal of an
    item that was compacted away meanwhile. What a checkpoint knows as listed, and the topic has no more, is
    removed when it was read to its end.
    """

    def __init__(
        self,
        topic: str,
        partitions: int,
        servers: list[str],
        recommender: Recommender,
        metrics: Metrics,
        in_thread: InThread,
        on_removed: Callable[[], object] = lambda: None,
    ) -> None:
        """`on_removed` is called, in the event loop, after items were removed while the topic is followed."""
        self._recommender = recommender
        self._metrics = metrics
        self._in_thread = in_thread
        self._follower = LogFollower(topic, range(partitions), servers, self._take)
        self._on_removed = on_removed
        self._has_removed = False  # since that was told last
        self._found: set[str] | None = set()  # the items that the topic has; None once it was read to its end

    async def start(self) -> None:
        """Read the topic to its end, then follow it."""
        await self._follower.start()
        await self._follower.catch_up()
        await self._in_thread(self._end_reading)

    async def stop(self) -> None:
        """Stop following."""
        await self._follower.stop()

    async def _take(self, records: Sequence[ConsumerRecord]) -> None:
        done = 0
        while done < len(records):
            done = await self._in_thread(self._learn, records, done)
            if self._has_removed:
                self._has_removed = False
                self._on_removed()

    def _learn(self, records: Sequence[ConsumerRecord], start: int) -> int:
        """Take records in for a while, in the model's thread; return the number of the next one."""
        until = time.monotonic() + HOLD_SECONDS
        for number in range(start, len(records)):
            self._learn_one(records[number])
            if time.monotonic() >= until:
                return number + 1
        return len(records)

    def _learn_one(self, record: ConsumerRecord) -> None:
        """Take a record in; what is no item is said, counted and passed over: what was said before holds."""
        try:
            item = decode_item(record.key, record.value)
            if isinstance(item, ItemListed):
                self._recommender.assortment.enlist(item)
            else:
                self._recommender.assortment.remove(item.item_id)
                self._has_removed = self._found is None
        except (Refused, KeyCollision) as error:
            reason = error.reason if isinstance(error, Refused) else "item_id"
            self._metrics.items_refused.labels(reason).inc()
            log.warning(
                "%s partition %d offset %d is no item: %s",
                *(record.topic, record.partition, record.offset, error),
            )
        else:
            is_followed = self._found is None and self._recommender.settings.content
            if is_followed and isinstance(item, ItemListed):
                age_seconds = time.time() - record.timestamp / 1000
                self._metrics.item_to_recommendable_seconds.observe(max(age_seconds, 0.0))
        self._find(record)

    def _find(self, record: ConsumerRecord) -> None:
        """Remember, while the topic is read for the first time, which items it has."""
        if self._found is None or record.key is None:
            return
        item_id = record.key.decode(errors="replace")
        if record.value is None:
            self._found.discard(item_id)
        else:
            self._found.add(item_id)

    def _end_reading(self) -> None:
        """Remove what the topic has no more.

        Nothing where the topic is empty, or lost records by their age: then it does not say what is listed.
        """
        found, self._found = self._found, None
        if found and self._follower.is_whole and (gone := self._recommender.assortment.keep_only(found)):
            log.info("%s has no more %d items that were listed: they are removed", self._follower.topic, gone)
