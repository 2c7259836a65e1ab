"""The sources of one partition number, merged by record timestamp."""

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

WAIT_SECONDS = 0.2


class Timestamped(Protocol):
    """A record as aiokafka delivers it."""

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch, as the broker keeps it."""


RecordT = TypeVar("RecordT", bound=Timestamped)


class SourceMerger(Generic[RecordT]):
    """Gives the records of several topics in the order of their timestamps, as far as that can be known.

    A topic that has lag but nothing here yet is waited for, at most `WAIT_SECONDS`; one without lag never
    holds the others. Otherwise a backlog of purchases would run days ahead of its clicks. Within a topic the
    order is the log's. `lag` gives the records of a topic that the log has and we do not, None if unknown.
    What is here of the topic `first` goes before everything else, whatever its timestamps.
    """

    def __init__(
        self, topics: Sequence[str], lag: Callable[[str], int | None], first: str | None = None
    ) -> None:
        self._pending: dict[str, deque[RecordT]] = {topic: deque() for topic in topics}
        self._lag = lag
        self._first: deque[RecordT] = self._pending[first] if first is not None else deque()
        self._waiting_since: float | None = None
        self._given_up: set[str] = set()

    def add(self, topic: str, records: Iterable[RecordT]) -> None:
        """Put the next records of a topic behind those that it has."""
        self._pending[topic].extend(records)
        self._given_up.discard(topic)

    def pending(self, topic: str) -> int:
        """Return how many records of the topic wait here."""
        return len(self._pending[topic])

    def oldest_timestamp(self, topic: str) -> int | None:
        """Return the timestamp of the topic's next record, None if none waits here."""
        queue = self._pending[topic]
        return queue[0].timestamp if queue else None

    def clear(self) -> None:
        """Forget everything that waits."""
        for queue in self._pending.values():
            queue.clear()
        self._given_up.clear()
        self._waiting_since = None

    def take(
        self, limit: int, now_seconds: float, until_ms: float = math.inf, at_least: int = 0
    ) -> list[RecordT]:
        """Return up to `limit` records that may be worked on now, oldest first.

        Beyond the first `at_least`, none that is younger than `until_ms`.
        """
        taken: list[RecordT] = []
        while len(taken) < limit:
            heads = [queue for queue in self._pending.values() if queue]
            if not heads or self._must_wait(now_seconds):
                break
            if len(taken) >= at_least and min(queue[0].timestamp for queue in heads) > until_ms:
                break
            if self._first:
                taken.append(self._first.popleft())
            elif len(heads) == 1 and until_ms == math.inf:
                taken += [heads[0].popleft() for _ in range(min(limit - len(taken), len(heads[0])))]
            else:
                # Ties go to the topic that is configured first: min() keeps the first of equals.
                taken.append(min(heads, key=lambda queue: queue[0].timestamp).popleft())
        return taken

    def wait_seconds(self, now_seconds: float) -> float | None:
        """Return for how long at most `take` will give nothing of what is here; None if it is not waiting."""
        if self._waiting_since is None:
            return None
        return max(self._waiting_since + WAIT_SECONDS - now_seconds, 0.0)

    def _must_wait(self, now_seconds: float) -> bool:
        missing = [
            topic
            for topic, queue in self._pending.items()
            if not queue and topic not in self._given_up and self._lag(topic) != 0
        ]
        if not missing:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now_seconds
        if now_seconds - self._waiting_since < WAIT_SECONDS:
            return True
        self._given_up.update(missing)
        self._waiting_since = None
        return False
