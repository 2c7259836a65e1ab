"""The unit of delivery: up to 2,000 records of one partition of one source topic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from aiokafka.structs import ConsumerRecord

CHUNK_RECORDS = 2_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records of one partition of one topic, ascending offsets, never empty."""

    topic: str
    partition: int
    epoch: int
    start: int | None  # the offset that the fetch asked for; None: the log's beginning
    records: list[ConsumerRecord]

    @property
    def next_offset(self) -> int:
        """The offset after the last record."""
        return int(self.records[-1].offset) + 1


def cut(
    fetched: Mapping[tuple[str, int], Sequence[ConsumerRecord]],
    epoch: int,
    fetched_from: Mapping[tuple[str, int], int | None],
) -> list[Chunk]:
    """Cut what was fetched of each topic and partition into chunks, taking turns over the partitions."""
    queues = [_chunks(*tp, epoch, fetched_from.get(tp), records) for tp, records in fetched.items()]
    return [chunk for turn in zip_longest(*queues) for chunk in turn if chunk is not None]


def _chunks(
    topic: str, partition: int, epoch: int, start: int | None, records: Sequence[ConsumerRecord]
) -> list[Chunk]:
    chunks = []
    for at in range(0, len(records), CHUNK_RECORDS):
        chunks.append(Chunk(topic, partition, epoch, start, list(records[at : at + CHUNK_RECORDS])))
        start = chunks[-1].next_offset
    return chunks
