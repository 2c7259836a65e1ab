"""What was counted of a partition's own records before the examples log told of them.

A worker counts its events as it applies them, before they are durable. If it loses the partition in between
(frozen, expelled), the next owner may see the same records otherwise: drop one that an erasure has overtaken
meanwhile, or take the other one of a pair for the repetition. The examples log tells what became of each
record; what it contradicts is corrected here, so that all replicas count each event once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

SourcePartition = tuple[str, int]  # topic, partition
Fact = tuple[str, int, int, list[int]]  # topic, partition, offset, rows
Correction = tuple[int, int]  # row, how many events more (or less) it had


class Unconfirmed:
    """The rows that were counted by record, for the records that the examples log has not covered yet."""

    def __init__(self) -> None:
        self._counted: dict[SourcePartition, dict[int, list[int]]] = defaultdict(_nothing)

    def take(self, source: SourcePartition, offset: int) -> list[int]:
        """Return the list of rows to be filled with what is counted of a record."""
        return self._counted[source][offset]

    def settle(
        self, source: SourcePartition, end: int, told: Mapping[int, Sequence[int]]
    ) -> Iterator[Correction]:
        """Forget the records below an offset, which the log has covered; yield where it says otherwise.

        `told` are the rows that the log tells of, by the offset of the record.
        """
        counted = self._counted.get(source, {})
        for offset in [offset for offset in counted if offset < end]:
            difference = Counter(told.get(offset, ()))
            difference.subtract(counted.pop(offset))
            yield from ((row, count) for row, count in difference.items() if count)

    def forget(self, source: SourcePartition) -> None:
        """Forget all records of a source that is another log by now."""
        self._counted.pop(source, None)

    def facts(self) -> list[Fact]:
        """Return what a checkpoint keeps of each record."""
        return [
            (topic, partition, offset, rows)
            for (topic, partition), counted in self._counted.items()
            for offset, rows in counted.items()
        ]

    def restore(self, facts: Sequence[Fact]) -> None:
        """Become what the facts were of."""
        self._counted.clear()
        for topic, partition, offset, rows in facts:
            self._counted[topic, partition][offset] = list(rows)


def _nothing() -> dict[int, list[int]]:
    """Return the rows by record of a source of which nothing was counted."""
    return defaultdict(list)
