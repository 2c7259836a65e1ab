"""The customers of the simulated shop: interests that drift, loved brands, habits, and their next item."""

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from random import Random

from streams.settings import ActionName
from streams.shop.shelf import HOUR_MS, Shelf
from streams.shop.words import BRANDS_PER_TOPIC, TOPICS

INTEREST_WEIGHTS = (0.6, 0.3, 0.1)
"""How much each of a customer's current interests counts, the first most."""
EXPLORING = 0.1
"""How often a customer who goes by interest looks into any topic at all."""
SESSIONS_PER_DAY = 2.0
MEAN_SESSION_EVENTS = 6.0
FOLLOWING = 0.3
"""How often the next item is a companion of the one just looked at."""
TRENDING = 0.1
ANY_ITEM = 0.07
LOVED_BRAND = 0.6
LIKING = 0.25
"""How often a click alone makes an item one of those that the customer comes back to."""
REMEMBERED = 40

MEAN_PRESENCE = 0.05 + 0.95 * 0.375
"""The mean over a day of how likely a customer is to come at an hour, against the best hour."""

_DAY_HOURS = 24
# After this action on an item, how often this other one follows at once.
_NEXT_ACTIONS: dict[ActionName, tuple[tuple[ActionName, float], ...]] = {
    "click": (("cart", 0.06), ("favorite", 0.02), ("purchase", 0.03)),
    "cart": (("purchase", 0.6),),
    "favorite": (),
    "purchase": (),
}
REBUYING = 0.3
"""How often a click on an item of one's own is followed by its purchase."""


class Customer:
    """One customer; `interests` are topic numbers, the strongest first."""

    __slots__ = (
        "_brands",
        "_busy",
        "_last_item",
        "_left",
        "_loyalty",
        "_own_items",
        "_pending",
        "_random",
        "_season",
        "_seasons",
        "_shelf",
        "_topics",
        "activity",
        "interests",
        "peak_hour",
    )

    def __init__(self, random: Random, shelf: Shelf, topics: Sequence[int]) -> None:
        self._random = random
        self._shelf = shelf
        self._topics = topics
        self._season = 0
        # What the customer was into in the seasons that are over: interests, and items to come back to.
        self._seasons: dict[int, tuple[list[int], list[int]]] = {}
        self.interests: list[int] = []
        self._take_interests()
        # Log-normal without a normal: the sum of four uniforms is close enough.
        self.activity = math.exp(sum(random.random() for _ in range(4)) - 2.0)
        self.peak_hour = 8.0 + 14.0 * random.random()
        self._loyalty = 0.05 + 0.2 * random.random()
        self._brands: dict[int, int] = {}
        self._own_items: list[int] = []
        self._last_item: int | None = None
        self._pending: ActionName | None = None
        self._left = 0

    @property
    def in_session(self) -> bool:
        """Whether the visit goes on."""
        return self._left > 0

    def come(self, drift: float) -> bool:
        """Begin a session; return whether an interest was replaced, which has probability `drift`."""
        random = self._random
        self._left = 1 + int(-math.log(1.0 - random.random()) * (MEAN_SESSION_EVENTS - 0.5))
        self._last_item = None
        self._pending = None
        if random.random() >= drift:
            return False
        self.interests.pop(int(random.random() * len(self.interests)))
        self._take_interests()
        return True

    def enter(self, season: int, topics: Sequence[int]) -> None:
        """Turn to a season: to what one was into when it was here last, or to new interests of its topics."""
        self._seasons[self._season] = self.interests, self._own_items
        self._season = season
        self._topics = topics
        self.interests, self._own_items = self._seasons.pop(season, ([], []))
        self._take_interests()

    def start_over(self) -> None:
        """Become somebody else: nothing that one was into, in whatever season, is left."""
        self.interests, self._own_items = [], []
        self._brands.clear()
        self._seasons.clear()
        self._take_interests()

    def act(self, hour: int) -> tuple[int, ActionName]:
        """Do the next thing: return the item and the action."""
        if self._pending is not None and self._last_item is not None:
            item, action = self._last_item, self._pending
            self._pending = None
            mine = False
        else:
            item, mine = self._next_item(hour)
            action = "click"
        self._left -= 1
        self._last_item = item
        self._decide(action, mine)
        if action != "click" or mine or self._random.random() < LIKING:
            self._own_items.append(item)
            del self._own_items[:-REMEMBERED]
        return item, action

    def session_gap_ms(self, time_ms: int) -> int:
        """Draw how long it is to the next session: by activity, and by this customer's hours of the day."""
        gap_ms = 0.0
        while True:
            # Sessions drawn for an hour at which the customer is away are dropped: so more have to be drawn.
            draws_per_day = SESSIONS_PER_DAY / MEAN_PRESENCE * self.activity
            gap_ms -= math.log(1.0 - self._random.random()) * _DAY_HOURS * HOUR_MS / draws_per_day
            if self._random.random() < self._presence(time_ms + gap_ms):
                return int(gap_ms)

    def _presence(self, time_ms: float) -> float:
        """Return how likely the customer is to come at this time of the day, against the peak hour."""
        away = 2 * math.pi * (time_ms / HOUR_MS - self.peak_hour) / _DAY_HOURS
        return 0.05 + 0.95 * (0.5 + 0.5 * math.cos(away)) ** 2

    def _take_interests(self) -> None:
        """Take up what is missing of new topics, each as the strongest or the second interest."""
        while len(self.interests) < len(INTEREST_WEIGHTS):
            topic = self._topics[int(self._random.random() * len(self._topics))]
            if topic not in self.interests:
                self.interests.insert(int(self._random.random() * 2), topic)

    def _next_item(self, hour: int) -> tuple[int, bool]:
        """Choose an item: one's own, a companion, a talked-of one, any, or by interest; the flag says own."""
        chance = self._random.random()
        if chance < self._loyalty:
            if self._own_items:
                back = min(int(-math.log(1.0 - self._random.random()) * 5.0), len(self._own_items) - 1)
                return self._own_items[-1 - back], True
            return self._by_interest(hour), False
        chance -= self._loyalty
        if chance < FOLLOWING and self._last_item is not None:
            return self._shelf.companion_of(self._last_item), False
        chance -= FOLLOWING
        if 0 <= chance < TRENDING:
            return self._shelf.trending_item(), False
        if 0 <= chance - TRENDING < ANY_ITEM:
            return self._shelf.any_item(), False
        return self._by_interest(hour), False

    def _by_interest(self, hour: int) -> int:
        random = self._random
        topic = int(random.random() * len(TOPICS))
        if random.random() >= EXPLORING:
            weights = list(accumulate(map(mul, INTEREST_WEIGHTS, (rhythm(n, hour) for n in self.interests))))
            place = bisect(weights, random.random() * weights[-1])
            topic = self.interests[min(place, len(weights) - 1)]
        brand = int(random.random() * BRANDS_PER_TOPIC)
        if random.random() < LOVED_BRAND:
            brand = self._brands.setdefault(topic, brand)
        return self._shelf.item_of(topic, brand)

    def _decide(self, action: ActionName, mine: bool) -> None:
        """Decide whether another action on the same item follows at once."""
        chance = self._random.random()
        following: tuple[tuple[ActionName, float], ...] = _NEXT_ACTIONS[action]
        if mine:
            following = (("purchase", REBUYING),)
        for next_action, probability in following:
            if chance < probability:
                self._pending = next_action
                self._left += 1
                return
            chance -= probability


def rhythm(topic: int, hour: int) -> float:
    """Return how much a topic is looked for at this hour of the day: 1 on average, most at its own hour."""
    best = 24 * topic / len(TOPICS)
    return 1.0 + 0.6 * math.cos(2 * math.pi * (hour - best) / 24)
