"""How far behind a partition is: what is not durable yet, in records and in seconds."""

import time
from collections.abc import Callable, Sequence

from streams.hand import Hand
from streams.inlet import Inlet, Source
from streams.metrics import Metrics


class Backlog:
    """Counts what is in a partition's logs, in its inlet and in hand; `is_current`: its epoch goes on."""

    def __init__(
        self,
        number: int,
        topics: Sequence[str],
        source: Source,
        inlet: Inlet,
        hand: Hand,
        is_current: Callable[[], bool],
        now_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._number = number
        self._topics = topics
        self._source = source
        self._inlet = inlet
        self._hand = hand
        self._is_current = is_current
        self._now_seconds = now_seconds

    @property
    def seconds(self) -> float:
        """Age of the oldest record that is here and not durable yet."""
        return max(self._age_seconds(topic) for topic in self._topics)

    def lag(self, topic: str) -> int:
        """Return how many offsets of a topic are not durable yet, as far as is known."""
        lag = self._source.lag(topic, self._number) if self._is_current() else None
        return (lag or 0) + self._inlet.pending(topic) + len(self._hand.records(topic))

    def measure(self, metrics: Metrics) -> None:
        """Tell the gauges."""
        for topic in self._topics:
            age = self._age_seconds(topic)
            metrics.consumer_lag_events.labels(topic, str(self._number)).set(self.lag(topic))
            metrics.consumer_lag_seconds.labels(topic, str(self._number)).set(age)

    def describe(self) -> dict[str, dict[str, int]]:
        """Return what `freshet inspect worker` says of it."""
        return {
            "lag": {topic: self.lag(topic) for topic in self._topics},
            "waiting": {topic: self._inlet.pending(topic) for topic in self._topics},
        }

    def _age_seconds(self, topic: str) -> float:
        oldest_ms = self._oldest_ms(topic)
        return 0.0 if oldest_ms is None else max(self._now_seconds() - oldest_ms / 1000, 0.0)

    def _oldest_ms(self, topic: str) -> int | None:
        """Return the timestamp of a topic's oldest record that is here and not durable."""
        in_hand = self._hand.records(topic)
        return in_hand[0].timestamp if in_hand else self._inlet.oldest_ms(topic)
