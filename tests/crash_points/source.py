"""The one stream that all groups read, and what must become of it, told without Freshet."""

import json
import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from streams.connection import producer
from streams.settings import Settings
from streams.topics import create_topics

START_MS = 1_700_000_000_000
BURST_EVENTS = 120
CLICKERS, BUYERS = 10, 8
BAD_VALUES = (b"no json", b'{"user_id": "c1"}', b'{"item_id": "i1", "timestamp": 1}', None)

Position = tuple[str, int, int]  # topic, partition, offset


@dataclass(frozen=True)
class Sent:
    """A good event."""

    time_ms: int
    position: Position
    item_id: str


class Source:
    """Sends bursts of good, late and bad events, new items among them, and remembers where they lie.

    Each user comes through one topic: how two topics interleave depends on when they arrive.
    """

    def __init__(self, settings: Settings, seed: int = 7) -> None:
        self.settings = settings
        self.users: dict[str, list[Sent]] = defaultdict(list)
        self.bad: set[Position] = set()
        self.ends: dict[tuple[str, int], int] = {}
        self._rng = random.Random(seed)
        self._events = 0
        create_topics(settings)
        self._producer = producer(settings)

    def send_burst(self) -> None:
        """Send the next events, to all partitions of both topics."""
        sent: list[tuple[str | None, int, str, Any]] = [
            self._bad(number) if number % 15 == 7 else self._good(number)
            for number in range(self._events, self._events + BURST_EVENTS)
        ]
        self._events += BURST_EVENTS
        self._producer.flush()
        for user_id, time_ms, item_id, future in sent:
            at = future.get(10)
            position = (at.topic, at.partition, at.offset)
            self.ends[at.topic, at.partition] = max(self.ends.get((at.topic, at.partition), 0), at.offset + 1)
            if user_id is None:
                self.bad.add(position)
            else:
                self.users[user_id].append(Sent(time_ms, position, item_id))

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()

    def sequence(self, user_id: str) -> list[str]:
        """Return the items that a worker must remember of a user, in their order."""
        events = sorted(self.users[user_id], key=lambda event: (event.time_ms, event.position))
        return [event.item_id for event in events][-self.settings.history_length :]

    def positions(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Return what every user's newest list must be stamped with: topic -> (partition, highest offset)."""
        newest: dict[str, dict[str, tuple[int, int]]] = {}
        for user_id, events in self.users.items():
            topic, partition, offset = max(event.position for event in events)
            newest[user_id] = {topic: (partition, offset)}
        return newest

    @property
    def good(self) -> list[Position]:
        """Where the good events lie."""
        return [event.position for events in self.users.values() for event in events]

    def _good(self, number: int) -> tuple[str, int, str, Any]:
        clicks, purchases = self.settings.sources
        buys = number % 4 == 3
        user_id = f"p{self._rng.randrange(BUYERS)}" if buys else f"c{self._rng.randrange(CLICKERS)}"
        is_new = number % 6 == 0
        item_id = f"new{number}" if is_new else f"i{int(self._rng.paretovariate(0.7)) % 50}"
        late_ms = 60_000 if number % 11 == 5 else 0
        time_ms = START_MS + 1000 * number - late_ms
        message = {"user_id": user_id, "item_id": item_id, "timestamp": time_ms}
        future = self._producer.send(
            purchases if buys else clicks, key=user_id.encode(), value=json.dumps(message).encode()
        )
        return user_id, time_ms, item_id, future

    def _bad(self, number: int) -> tuple[None, int, str, Any]:
        topic = list(self.settings.sources)[number % 2]
        value = BAD_VALUES[number % len(BAD_VALUES)]
        return None, 0, "", self._producer.send(topic, key=b"c%d" % (number % CLICKERS), value=value)
