"""Who plays in the demo: a shop that sends what its customers do, and a reader of the lists."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from streams.connection import consumer
from streams.events import Interaction, RecommendationList, decode_list
from streams.feed import Feed
from streams.settings import Settings
from streams.shop import Shop

POLL_MS = 100
BEHIND_SECONDS = 1.0  # a sender that is further behind its schedule than this gives it up


@dataclass
class Sent:
    """What the shop has sent; other threads read it."""

    events: int = 0
    users: set[str] = field(default_factory=set)
    times: dict[tuple[str, int, int], float] = field(default_factory=dict)  # position -> seconds, wall clock
    last: dict[str, Interaction] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)


class Sender(threading.Thread):
    """Sends a shop's interactions at a rate, until it is told to stop."""

    def __init__(self, settings: Settings, shop: Shop, rate: float) -> None:
        super().__init__(name="shop", daemon=True)
        self.sent = Sent()
        self.error: BaseException | None = None
        self._settings = settings
        self._shop = shop
        self._rate = rate
        self._ending = threading.Event()

    def run(self) -> None:
        """Send on schedule."""
        try:
            with Feed(self._settings) as feed:
                self._send_all(feed)
        except Exception as error:  # shown by whoever joins us
            self.error = error

    def finish(self) -> None:
        """Stop sending, and wait until the broker has everything."""
        self._ending.set()
        self.join()

    def _send_all(self, feed: Feed) -> None:
        started = time.monotonic()
        for number, interaction in enumerate(self._shop):
            self._list_new_items(feed)
            ahead = started + number / self._rate - time.monotonic()
            if ahead < -BEHIND_SECONDS:
                started -= ahead
            if self._ending.wait(max(ahead, 0)):
                break
            self._send(feed, interaction)

    def _list_new_items(self, feed: Feed) -> None:
        for item in self._shop.new_listings():
            feed.item(item)
            self.sent.titles[item.item_id] = item.title or item.item_id

    def _send(self, feed: Feed, interaction: Interaction) -> None:
        sent, now = self.sent, time.time()
        feed.interaction(interaction).add_callback(
            lambda at: sent.times.__setitem__((at.topic, at.partition, at.offset), now)
        )
        sent.events += 1
        sent.users.add(interaction.user_id)
        sent.last[interaction.user_id] = interaction


@dataclass
class Shown:
    """A user's newest list, and the one before."""

    now: RecommendationList
    before: tuple[str, ...] = ()


class Reader(threading.Thread):
    """Reads every list as a read-committed consumer gets it, and when."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="reader", daemon=True)
        self.lists = 0
        self.shown: dict[str, Shown] = {}
        self.error: BaseException | None = None
        self._arrivals: list[tuple[float, list[tuple[str, int, int]]]] = []
        self._settings = settings
        self._ending = threading.Event()

    def run(self) -> None:
        """Read until told to stop."""
        try:
            with consumer(self._settings, self._settings.topics.recommendations) as kafka:
                while not self._ending.is_set():
                    for records in kafka.poll(timeout_ms=POLL_MS).values():
                        self._take(records)
        except Exception as error:  # shown by whoever joins us
            self.error = error

    def finish(self) -> None:
        """Stop reading."""
        self._ending.set()
        self.join()

    def freshness_seconds(self, times: dict[tuple[str, int, int], float]) -> list[float]:
        """Return, sorted, how long each list took: from the newest event in it sent to the list here."""
        delays = []
        for arrived, positions in list(self._arrivals):
            known = [times[position] for position in positions if position in times]
            if known:
                delays.append(arrived - max(known))
        return sorted(delays)

    def _take(self, records: Iterable[Any]) -> None:
        arrived = time.time()
        for record in records:
            shown = decode_list(record.value)
            before = self.shown.get(shown.user_id)
            self.shown[shown.user_id] = Shown(
                shown, tuple(item.item_id for item in before.now.items) if before else ()
            )
            positions = [(topic, at[0], at[1]) for topic, at in shown.positions.items()]
            self._arrivals.append((arrived, positions))
            self.lists += 1
