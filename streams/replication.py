"""The examples log: what every worker's events teach, followed by all of them.

Each transaction of a partition writes one record of what its events taught. Every worker follows all
partitions of the log, in no group, and counts what it has not counted yet: its own events and copies are
recognised by the mark of their source partition. So the counters of all workers know the whole stream, and
whoever takes a partition over has counted all that its older owner did once it has followed it to its end.
"""

import logging
from collections.abc import Mapping, Sequence

from aiokafka.structs import ConsumerRecord

from streams.connection import consumer
from streams.errors import ConfigurationError
from streams.examples import CorruptExamplesError, decode_examples
from streams.following import LogFollower
from streams.metrics import Metrics
from streams.recommender import Recommender
from streams.settings import Settings
from streams.threads import InThread

log = logging.getLogger(__name__)


def verify_positions(settings: Settings, positions: Mapping[int, int]) -> None:
    """Raise ConfigurationError if the examples log begins after what is known of it: a piece is missing."""
    from kafka import TopicPartition

    with consumer(settings) as reader:
        tps = {number: TopicPartition(settings.examples_topic, number) for number in positions}
        starts = reader.beginning_offsets(list(tps.values()))
    for number, position in positions.items():
        if position < starts[tps[number]]:
            raise ConfigurationError(
                f"what this worker has learned ends at {position} of {settings.examples_topic} partition "
                f"{number}, which begins at {starts[tps[number]]} by now; import a newer checkpoint of "
                "another worker (`freshet checkpoint import FILE`), or start anew (`freshet reset`)"
            )


class Replication:
    """Keeps a recommender's counters up with the examples log; `positions` are where it goes on."""

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
        self._follower = LogFollower(
            topic,
            range(partitions),
            servers,
            self._take,
            recommender.examples_positions,
            metrics.examples_missed.inc,
        )

    async def start(self) -> None:
        """Follow the log to its end."""
        await self._follower.start()
        # One mapping for both: so a checkpoint's positions pass the marks of transactions, behind which
        # retention may begin the log, and they go back with a log that was made anew.
        self._recommender.examples_positions = self._follower.positions
        await self._follower.catch_up()

    async def catch_up(self, partition: int) -> None:
        """Count everything that a partition's log has now."""
        await self._follower.catch_up([partition])

    async def stop(self) -> None:
        """Stop following."""
        await self._follower.stop()

    async def _take(self, records: Sequence[ConsumerRecord]) -> None:
        await self._in_thread(self._count, records)

    def _count(self, records: Sequence[ConsumerRecord]) -> None:
        """Count the records in the model's thread, so that counters and positions always agree."""
        for record in records:
            if record.offset < self._recommender.examples_positions.get(record.partition, 0):
                continue
            skipped = self._recommender.skipped
            try:
                counted = self._recommender.count_examples(decode_examples(record.value or b""))
            except CorruptExamplesError as error:
                self._metrics.examples_missed.inc()
                log.error(
                    "%s partition %d offset %d is not counted: %s",
                    *(record.topic, record.partition, record.offset, error),
                )
            else:
                self._metrics.examples_counted.inc(counted)
                self._metrics.skipped_learning.inc(self._recommender.skipped - skipped)
            self._recommender.examples_positions[record.partition] = record.offset + 1
