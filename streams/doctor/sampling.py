"""The newest records of each source, read and at once reduced to what the checks ask for."""

import time
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from streams.connection import consumer
from streams.events import InteractionDecoder, Refused
from streams.settings import Settings

SAMPLE_RECORDS = 200
_SECONDS = 10.0
_BY_THE_BROKER = 1


class Sampled(Struct, frozen=True):
    """A record: where, its key, why it would be refused, and its time by the clock of who stamped it."""

    partition: int
    key: bytes | None
    refused: Refused | None
    timestamp_ms: int
    stamped_by_broker: bool


def sample_sources(settings: Settings, topics: Iterable[str]) -> dict[str, list[Sampled]]:
    """Return about 200 of the newest committed records of each topic, as many from each partition.

    Fewer where a topic has fewer, or where they did not come within ten seconds.
    """
    decoders = {topic: InteractionDecoder(topic, settings.sources[topic]) for topic in topics}
    sampled: dict[str, list[Sampled]] = {topic: [] for topic in decoders}
    with consumer(settings) as kafka:
        ends = _stand_before_the_ends(kafka, decoders)
        deadline = time.monotonic() + _SECONDS
        while any(kafka.position(at) < end for at, end in ends.items()) and time.monotonic() < deadline:
            for records in kafka.poll(timeout_ms=200).values():
                for record in records:
                    sampled[record.topic].append(_reduced(decoders[record.topic], record))
    return sampled


def _stand_before_the_ends(kafka: Any, topics: Iterable[str]) -> dict[Any, int]:  # noqa: ANN401 - no types
    """Seek near the ends of all partitions that hold something, and return where they end."""
    from kafka import TopicPartition

    partitions = [
        TopicPartition(topic, n) for topic in topics for n in kafka.partitions_for_topic(topic) or ()
    ]
    kafka.assign(partitions)
    beginnings = kafka.beginning_offsets(partitions)
    ends = {at: end for at, end in kafka.end_offsets(partitions).items() if end > beginnings[at]}
    kafka.assign(list(ends))
    for at, end in ends.items():
        share = -(-SAMPLE_RECORDS // sum(other.topic == at.topic for other in ends))
        kafka.seek(at, max(beginnings[at], end - share))
    return ends


def _reduced(decoder: InteractionDecoder, record: Any) -> Sampled:  # noqa: ANN401
    refused = None
    try:
        decoder.decode(record.key, record.value, record.timestamp)
    except Refused as why:
        refused = why
    stamped_by_broker = record.timestamp_type == _BY_THE_BROKER
    return Sampled(record.partition, record.key, refused, record.timestamp, stamped_by_broker)
