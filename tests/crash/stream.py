"""What the shop sends while everything breaks: drawn from a seed, with everything that a stream can hold.

Every record carries its truth in a header, so that the oracle needs no decoder: `good`, or the reason for
which it has to be refused. What is a duplicate, and what a retraction hits, the oracle finds in the log.

The order of arrival across topics is chance, so nothing here may depend on it: a duplicate and a retraction
go to the topic of their original, and before and after an erasure nothing is sent for its user.
"""

import json
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

TRUTH = "truth"
GOOD = "good"
CLICKS, PURCHASES, ERASURES = "clicks", "purchases", "erasures"
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ITEMS = 400
WHALES = 20
REMEMBERED = 2_000  # good events that a duplicate or a retraction may mean
ERASURE_MARGIN_MS = 1_500
LONG = "x" * 257


@dataclass(frozen=True, slots=True)
class Sent:
    """One record to send."""

    topic: str
    key: bytes | None
    value: bytes | None
    truth: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Mix:
    """How much of what is in the stream, as shares of all records; the rest are good events of now."""

    late: float = 0.04
    bad: float = 0.05
    duplicates: float = 0.02
    retractions: float = 0.02
    erasures: float = 0.002


@dataclass(slots=True)
class _Event:
    """A good event that was sent with an event id."""

    topic: str
    user_id: str
    event_id: str
    value: bytes


class Stream:
    """Draws records. Of the users most come, do some thirty things and go; a few, the whales, stay.

    The whales outgrow the history, so they carry no event ids: what is recognised is what is kept.
    """

    def __init__(
        self, seed: int, mix: Mix | None = None, *, users_at_once: int = 600, events_a_user: int = 30
    ) -> None:
        self.mix = mix or Mix()
        self._users_at_once = users_at_once
        self._events_a_user = events_a_user
        self._rng = random.Random(seed)
        self._drawn = 0
        self._remembered: deque[_Event] = deque(maxlen=REMEMBERED)
        self._erasing: dict[str, tuple[int, bool]] = {}  # user -> from when on, whether it was sent

    def draw(self, now_ms: int) -> Sent:
        """Return the next record."""
        self._drawn += 1
        due = self._due_erasure(now_ms)
        if due is not None:
            return due
        chance = self._rng.random()
        for share, draw in (
            (self.mix.bad, self._bad),
            (self.mix.duplicates, self._duplicate),
            (self.mix.retractions, self._retraction),
            (self.mix.erasures, self._begin_erasure),
            (self.mix.late, self._late),
        ):
            chance -= share
            if chance < 0:
                return draw(now_ms)
        return self._good(now_ms, now_ms)

    def _good(self, now_ms: int, time_ms: int) -> Sent:
        user_id = self._user()
        is_whale = user_id.startswith("whale")
        topic = PURCHASES if self._rng.random() < 0.2 else CLICKS
        event_id = f"e{self._drawn}"
        message: dict[str, object] = {"user_id": user_id, "item_id": self._item(), "timestamp": time_ms}
        if not is_whale:
            message["event_id"] = event_id
        if self._rng.random() < 0.1:
            message |= {"value": round(self._rng.random() * 100, 2), "shop": {"till": [1, None]}}
        if time_ms == now_ms and self._rng.random() < 0.1:
            del message["timestamp"]  # the record's own counts
        if self._rng.random() < 0.05:
            message["action"] = self._rng.choice(["cart", "favorite", "click", "purchase"])
        value = json.dumps(message).encode()
        if not is_whale:
            self._remembered.append(_Event(topic, user_id, event_id, value))
        return Sent(topic, user_id.encode(), value, GOOD, now_ms)

    def _late(self, now_ms: int) -> Sent:
        return self._good(now_ms, now_ms - self._rng.randrange(60_000, 12 * HOUR_MS))

    def _duplicate(self, now_ms: int) -> Sent:
        """Send an event once more, as a producer that retried does: at another offset."""
        event = self._remembered_event()
        if event is None:
            return self._good(now_ms, now_ms)
        return Sent(event.topic, event.user_id.encode(), event.value, GOOD, now_ms)

    def _retraction(self, now_ms: int) -> Sent:
        """Take an event back; one time in four one that never was."""
        event = self._remembered_event()
        if event is None:
            return self._good(now_ms, now_ms)
        event_id = event.event_id if self._rng.random() < 0.75 else f"never-{self._drawn}"
        message = {"retract": True, "user_id": event.user_id, "event_id": event_id}
        return Sent(event.topic, event.user_id.encode(), json.dumps(message).encode(), GOOD, now_ms)

    def _begin_erasure(self, now_ms: int) -> Sent:
        """Let a user fall silent, to be erased after a while; one time in ten ask for nobody's erasure."""
        if self._rng.random() < 0.1:
            key, value, reason = self._rng.choice(BAD_ERASURES)
            return Sent(ERASURES, key, value, reason, now_ms)
        self._erasing.setdefault(self._user(), (now_ms, False))
        return self._good(now_ms, now_ms)

    def _due_erasure(self, now_ms: int) -> Sent | None:
        for user_id, (since_ms, is_sent) in self._erasing.items():
            if now_ms - since_ms < ERASURE_MARGIN_MS:
                continue
            if is_sent:
                del self._erasing[user_id]
                return None
            self._erasing[user_id] = (now_ms, True)
            kept = (event for event in self._remembered if event.user_id != user_id)
            self._remembered = deque(kept, maxlen=REMEMBERED)
            value = self._rng.choice([None, b"{}"])
            return Sent(ERASURES, user_id.encode(), value, GOOD, now_ms)
        return None

    def _bad(self, now_ms: int) -> Sent:
        user_id = self._user()
        topic = self._rng.choice([CLICKS, PURCHASES])
        if self._drawn % 500 == 0:
            return Sent(topic, user_id.encode(), b"x" * (1_100_000), "size", now_ms)
        reason, spoil = self._rng.choice(BAD)
        key, value = spoil({"user_id": user_id, "item_id": self._item(), "timestamp": now_ms})
        return Sent(topic, key, value, reason, now_ms)

    def _user(self) -> str:
        while True:
            if self._rng.random() < 0.05:
                user_id = f"whale{self._rng.randrange(WHALES)}"
            else:
                first = self._drawn // self._events_a_user
                user_id = f"u{first + self._rng.randrange(self._users_at_once)}"
            if user_id not in self._erasing:
                return user_id

    def _item(self) -> str | int:
        number = min(int(self._rng.paretovariate(0.7)), ITEMS)
        return number if number % 10 == 0 else f"i{number}"

    def _remembered_event(self) -> _Event | None:
        if not self._remembered:
            return None
        event = self._remembered[self._rng.randrange(len(self._remembered))]
        return None if event.user_id in self._erasing else event


Message = dict[str, object]
Spoiled = tuple[bytes | None, bytes | None]


def _with(**fields: object) -> Callable[[Message], Spoiled]:
    """Spoil fields; the key stays what it was."""
    return lambda message: (str(message["user_id"]).encode(), json.dumps(message | fields).encode())


def _without(name: str) -> Callable[[Message], Spoiled]:
    def spoil(message: Message) -> Spoiled:
        left = {field: value for field, value in message.items() if field != name}
        return str(message["user_id"]).encode(), json.dumps(left).encode()

    return spoil


def _as_value(value: bytes | None) -> Callable[[Message], Spoiled]:
    return lambda message: (str(message["user_id"]).encode(), value)


def _as_key(key: bytes | None) -> Callable[[Message], Spoiled]:
    return lambda message: (key, json.dumps(message).encode())


def _ahead(message: Message) -> Spoiled:
    return _with(timestamp=int(str(message["timestamp"])) + 2 * DAY_MS)(message)


BAD: tuple[tuple[str, Callable[[Message], Spoiled]], ...] = (
    ("json", _as_value(b"{")),
    ("json", _as_value(b"")),
    ("json", _as_value(b"\xff\xfe\x00")),
    ("object", _as_value(b"[1, 2]")),
    ("object", _as_value(b"7")),
    ("key", _as_value(None)),
    ("key", _as_key(None)),
    ("key", _as_key(b"somebody else")),
    ("user_id", _without("user_id")),
    ("user_id", _with(user_id=LONG)),
    ("user_id", _with(user_id=True)),
    ("item_id", _without("item_id")),
    ("item_id", _with(item_id="")),
    ("item_id", _with(item_id=LONG)),
    ("item_id", _with(item_id=1.5)),
    ("timestamp", _with(timestamp="yesterday")),
    ("timestamp", _with(timestamp=-1)),
    ("timestamp", _with(timestamp=float("nan"))),
    ("timestamp", _ahead),
    ("value", _with(value="much")),
    ("value", _with(value=float("inf"))),
    ("action", _with(action="steal")),
    ("event_id", _with(event_id=[])),
    ("event_id", _with(event_id=LONG)),
    ("retract", _with(retract="maybe")),
)
"""Every kind of refusal: the reason, and how a good message becomes one."""
BAD_ERASURES = (
    (None, b"{}", "key"),
    (b"\xff", None, "key"),
    (b"u1", b"[]", "json"),
    (b"u1", b'{"user_id": "u2"}', "key"),
)
"""Erasures that are refused: key, value, reason."""
