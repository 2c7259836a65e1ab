"""The records that a lane has taken and that are not durable yet, and what became of those that failed."""

from collections import deque
from collections.abc import Sequence

from aiokafka.structs import ConsumerRecord

from streams.inlet import size_of

FULL_RECORDS = 2_000  # one chunk
FULL_BYTES = 4 * 2**20
MOST_DEFECTS = 5  # in a row: then it is not the records that are at fault

Position = tuple[str, int]  # topic, offset


class Hand:
    """Keeps what a transaction was made of until it is durable, so that it can be done again.

    Records that something fails on are tried again one by one, each in a transaction of its own; the one that
    fails alone is a defect, to be refused, so that it does not stop the others. Where nothing but defects
    follow each other, something else is broken, and none is blamed.
    """

    def __init__(self) -> None:
        self.defects: dict[Position, str] = {}
        self._applied: list[ConsumerRecord] = []
        self._applied_bytes = 0
        self._again: deque[ConsumerRecord] = deque()
        self._alone = 0  # so many of the next are tried one by one
        self._defects_in_a_row = 0

    @property
    def is_careful(self) -> bool:
        """Whether the next record has a transaction of its own."""
        return self._alone > 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been applied that is not durable."""
        return not self._applied

    @property
    def is_full(self) -> bool:
        """Whether what was taken is enough for a transaction, however much more there is."""
        return len(self._applied) >= FULL_RECORDS or self._applied_bytes >= FULL_BYTES

    def redo(self, limit: int) -> list[ConsumerRecord]:
        """Return up to `limit` records that have to be done again, in their order."""
        count = min(1 if self._alone else limit, len(self._again))
        return [self._again.popleft() for _ in range(count)]

    def take(self, records: Sequence[ConsumerRecord]) -> None:
        """Remember records that are being applied."""
        self._applied += records
        self._applied_bytes += sum(map(size_of, records))

    def leave(self, count: int) -> None:
        """Put the last `count` records back: they were not applied after all."""
        if count:
            left = self._applied[-count:]
            self._again.extendleft(reversed(left))
            del self._applied[-count:]
            self._applied_bytes -= sum(map(size_of, left))

    def put_back(self) -> None:
        """Let everything that was taken be done again."""
        self.leave(len(self._applied))

    def settle(self) -> None:
        """Forget what was taken: it is durable."""
        for record in self._applied:
            if self.defects.pop((record.topic, record.offset), None) is None:
                self._defects_in_a_row = 0
        self._alone = max(0, self._alone - len(self._applied))
        self._applied.clear()
        self._applied_bytes = 0

    def blame(self, error: Exception) -> bool:
        """Put everything back after something failed on it; return whether that can be got round."""
        count = len(self._applied)
        self.put_back()
        if count > 1:
            self._alone = count
        elif count and self._defects_in_a_row < MOST_DEFECTS:
            record = self._again[0]
            self.defects[record.topic, record.offset] = repr(error)
            self._defects_in_a_row += 1
            self._alone = max(1, self._alone)
        else:
            return False
        return True

    def clear(self) -> None:
        """Forget what was taken: it is delivered again."""
        self._applied.clear()
        self._applied_bytes = 0
        self._again.clear()
        self._alone = 0

    def records(self, topic: str) -> list[ConsumerRecord]:
        """Return the topic's records that are not durable, the oldest first."""
        return [record for record in (*self._applied, *self._again) if record.topic == topic]
