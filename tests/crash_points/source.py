"""The one stream that all groups read, and what must become of it, told without Freshet."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from streams.connection import producer
from streams.settings import Settings
from streams.topics import create_topics

START_MS = 1_700_000_000_000
BURST_EVENTS = 120
CLICKERS, BUYERS, GUESTS = 10, 8, 3
BAD_VALUES = (b"no json", b'{"user_id": "c1"}', b'{"item_id": "i1", "timestamp": 1}', None)

Position = tuple[str, int, int]  # topic, partition, offset


@dataclass(frozen=True)
class Kept:
    """An event that a worker must remember."""

    time_ms: int
    position: Position
    item_id: str
    event_id: str


@dataclass(frozen=True)
class Draft:
    """A record to send: `what` is good, again, retraction, erasure or bad."""

    what: str
    topic: str
    user_id: str
    value: bytes | None
    time_ms: int = 0
    item_id: str = ""
    event_id: str = ""


class Source:
    """Sends bursts of good, late and bad events, repetitions, retractions and erasures; knows what they do.

    How topics interleave depends on when they arrive, and nothing here may. So each user comes through one
    topic; the guests of a burst are erased in the next one, in which they do nothing else.
    """

    def __init__(self, settings: Settings, seed: int = 7) -> None:
        self.settings = settings
        self.users: dict[str, list[Kept]] = defaultdict(list)
        self.positions: dict[str, dict[str, tuple[int, int]]] = {}  # of each user's newest list
        self.counted: dict[Position, str] = {}  # events -> their items
        self.bad: set[Position] = set()
        self.erasures: set[tuple[str, Position]] = set()
        self.ends: dict[tuple[str, int], int] = {}
        self._rng = random.Random(seed)
        self._bursts = 0
        create_topics(settings)
        self._producer = producer(settings)

    def send_burst(self) -> None:
        """Send the next records, to all partitions of all topics."""
        sent = [(draft, self._send(draft)) for draft in self._drafts()]
        self._bursts += 1
        self._producer.flush()
        for draft, future in sent:
            at = future.get(10)
            self.ends[at.topic, at.partition] = max(self.ends.get((at.topic, at.partition), 0), at.offset + 1)
            self._apply(draft, (at.topic, at.partition, at.offset))

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close()

    def sequences(self) -> dict[str, list[str]]:
        """Return the items that a worker must remember of each user, in their order."""
        return {user_id: [event.item_id for event in events] for user_id, events in self.users.items()}

    def _drafts(self) -> Iterator[Draft]:
        clicks, purchases = self.settings.sources
        first = self._bursts * BURST_EVENTS
        guests = [f"g{self._bursts}-{number}" for number in range(GUESTS)]
        yield from [self._good(first, clicks, guest) for guest in guests]
        if self._bursts:
            for number in range(GUESTS):
                erased = f"g{self._bursts - 1}-{number}"
                yield Draft("erasure", self.settings.topics.erasures, erased, b"{}")
        for number in range(first, first + BURST_EVENTS):
            buys = number % 4 == 3
            topic = purchases if buys else clicks
            user_id = f"p{self._rng.randrange(BUYERS)}" if buys else f"c{self._rng.randrange(CLICKERS)}"
            if number % 15 == 7:
                yield Draft("bad", topic, user_id, BAD_VALUES[number % len(BAD_VALUES)])
                continue
            good = self._good(number, topic, user_id)
            yield good
            if number % 13 == 1:
                yield Draft("again", topic, user_id, good.value)
            if number % 17 == 2:
                message = {"user_id": user_id, "event_id": good.event_id, "retract": True}
                yield Draft(
                    "retraction", topic, user_id, json.dumps(message).encode(), event_id=good.event_id
                )

    def _good(self, number: int, topic: str, user_id: str) -> Draft:
        item_id = f"new{number}" if number % 6 == 0 else f"i{int(self._rng.paretovariate(0.7)) % 50}"
        time_ms = START_MS + 1000 * number - (60_000 if number % 11 == 5 else 0)
        event_id = f"{user_id}-{number}"
        message = {"user_id": user_id, "item_id": item_id, "timestamp": time_ms, "event_id": event_id}
        return Draft("good", topic, user_id, json.dumps(message).encode(), time_ms, item_id, event_id)

    def _send(self, draft: Draft) -> Any:  # noqa: ANN401 - kafka-python has no types
        return self._producer.send(draft.topic, key=draft.user_id.encode(), value=draft.value)

    def _apply(self, draft: Draft, position: Position) -> None:
        if draft.what == "bad":
            self.bad.add(position)
        elif draft.what == "erasure":
            self.erasures.add((draft.user_id, position))
            self.users.pop(draft.user_id, None)
            self.positions.pop(draft.user_id, None)
        else:
            topic, partition, offset = position
            self.positions[draft.user_id] = {topic: (partition, offset)}
            self.users[draft.user_id] = self._after(draft, position)

    def _after(self, draft: Draft, position: Position) -> list[Kept]:
        """Return what must be remembered of the user after a record of theirs."""
        kept = self.users[draft.user_id]
        if draft.what == "retraction":
            return [event for event in kept if event.event_id != draft.event_id]
        if draft.what == "again":
            return kept
        self.counted[position] = draft.item_id
        event = Kept(draft.time_ms, position, draft.item_id, draft.event_id)
        kept = sorted([*kept, event], key=lambda each: (each.time_ms, each.position))
        return kept[-self.settings.history_length :]
