"""The items topic, read whole by every worker and followed: titles for lists, and items that are removed."""

import logging
from collections.abc import Sequence

from aiokafka.structs import ConsumerRecord

from models.catalog import KeyCollision
from streams.events import ItemListed, ItemRemoved, Refused, decode_item
from streams.following import LogFollower
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.threads import InThread

log = logging.getLogger(__name__)


class Catalogue:
    """Keeps a recommender's items up with the items topic.

    It is read from its beginning at every start: whoever went on from an offset would miss the removal of an
    item that was compacted away meanwhile.
    """

    def __init__(
        self,
        topic: str,
        partitions: int,
        servers: list[str],
        recommender: Recommender,
        metrics: Metrics,
        in_thread: InThread,
    ) -> None:
        self._recommender = recommender
        self._metrics = metrics
        self._in_thread = in_thread
        self._follower = LogFollower(topic, partitions, servers, self._take)

    async def start(self) -> None:
        """Read the topic to its end, then follow it."""
        await self._follower.start()
        await self._follower.catch_up()

    async def stop(self) -> None:
        """Stop following."""
        await self._follower.stop()

    async def _take(self, records: Sequence[ConsumerRecord]) -> None:
        await self._in_thread(self._learn, records)

    def _learn(self, records: Sequence[ConsumerRecord]) -> None:
        """Take the records in, in the model's thread; what is no item is said, counted and passed over."""
        for record in records:
            try:
                self._learn_one(decode_item(record.key, record.value))
            except (Refused, KeyCollision) as error:
                reason = error.reason if isinstance(error, Refused) else "item_id"
                self._metrics.items_refused.labels(reason).inc()
                log.warning(
                    "%s partition %d offset %d is no item: %s",
                    *(record.topic, record.partition, record.offset, error),
                )

    def _learn_one(self, item: ItemListed | ItemRemoved) -> None:
        if isinstance(item, ItemListed):
            self._recommender.assortment.enlist(item)
        else:
            self._recommender.assortment.remove(item.item_id)
