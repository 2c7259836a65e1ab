"""A shop with a ground truth: customers whose true interests are known, and what they do. Knows no Kafka.

What a customer does next follows, in this order of weight, from their current interests (topics, loved
brands), from what they just looked at (companions of an item), from what they had before (repeats), from what
everybody talks of (waves), and from nothing. So whoever knows the person can do better than popularity, and
nobody is always right.
"""

import heapq
import math
from collections.abc import Iterator
from random import Random

import msgspec
import numpy as np
import numpy.typing as npt

from streams.events import Interaction, ItemListed
from streams.shop.almanac import MOST_SEASONS, WEEK_HOURS, Almanac, Turn
from streams.shop.customers import EXPLORING, INTEREST_WEIGHTS, Customer
from streams.shop.shelf import HOUR_MS, Shelf
from streams.shop.words import TOPICS

__all__ = [
    "MOST_SEASONS",
    "OPENING_MS",
    "TOPIC_NAMES",
    "WEEK_HOURS",
    "Almanac",
    "InterestChanged",
    "Shop",
    "Turn",
]

OPENING_MS = 1_767_571_200_000
"""When the shop opens: Monday, 5 January 2026, 0:00 UTC."""
TOPIC_NAMES = tuple(topic.name for topic in TOPICS)
MEAN_PAUSE_MS = 30_000
"""Between two interactions of a session."""


class InterestChanged(msgspec.Struct, frozen=True):
    """The truth about a user from this time on: topic -> probability, when going by interest."""

    user_id: str
    timestamp: int
    interests: dict[str, float]


class Shop:
    """An endless stream of interactions in the order of time; the same arguments give the same stream.

    `users` and `items` are those of the opening; items are born later, two in a hundred each day. `drift` is
    the probability that a user comes to a session with one interest replaced. Times are the shop's own: it
    has days and hours, whatever the speed at which somebody reads it. The `almanac` says when seasons come,
    and come back, and when everything changes at once.
    """

    def __init__(
        self,
        seed: int = 7,
        users: int = 500,
        items: int = 2000,
        drift: float = 0.05,
        opening_ms: int = OPENING_MS,
        almanac: Almanac = Almanac(),  # noqa: B008 - frozen
    ) -> None:
        if users < 1 or items < 1 or not 0 <= drift <= 1:
            raise ValueError(
                f"a shop needs users, items and a drift from 0 to 1, not {users}, {items}, {drift}"
            )
        self._random = Random(seed)  # noqa: S311 - a simulation
        self._drift = drift
        self._almanac = almanac
        self._coming = almanac.turns(opening_ms)
        self._next_turn = next(self._coming, None)
        self.turns: list[Turn] = []
        """What has turned by now."""
        self._shelf = Shelf(self._random, items, opening_ms)
        self._customers = [Customer(self._random, self._shelf, almanac.topics(0)) for _ in range(users)]
        self._next_hour_ms = opening_ms + HOUR_MS
        self._listed = 0
        self._known: list[bool] = [False] * users
        self._interests: list[InterestChanged] = []
        self._agenda = [
            (opening_ms + customer.session_gap_ms(opening_ms), user)
            for user, customer in enumerate(self._customers)
        ]
        heapq.heapify(self._agenda)

    def __iter__(self) -> Iterator[Interaction]:
        """Go on from where the shop stands."""
        while True:
            yield self._step()

    @property
    def users(self) -> int:
        """How many users there are."""
        return len(self._customers)

    @property
    def items(self) -> int:
        """How many items are listed by now."""
        return len(self._shelf.items)

    def catalog(self) -> list[ItemListed]:
        """Return everything that is listed by now, in order of birth."""
        return [self._shelf.listing(item) for item in self._shelf.items]

    def new_listings(self) -> list[ItemListed]:
        """Return what was listed since the last call, at first all that the shop opens with.

        No item occurs in an interaction before it is in here, if this is asked before each interaction is
        used.
        """
        new = self._shelf.items[self._listed :]
        self._listed += len(new)
        return [self._shelf.listing(item) for item in new]

    def new_interests(self) -> list[InterestChanged]:
        """Return whose true interests became known or changed since the last call, in order of time."""
        new, self._interests = self._interests, []
        return new

    def true_interest(self, user_id: str) -> npt.NDArray[np.float64]:
        """Return the user's probability of each of TOPIC_NAMES now, when going by interest: shape (topics,).

        Raises KeyError for a user that the shop does not have.
        """
        number = user_id.removeprefix("u")
        if not number.isdecimal() or user_id != f"u{int(number)}" or int(number) >= self.users:
            raise KeyError(user_id)
        interest = np.full(len(TOPICS), EXPLORING / len(TOPICS))  # (topics,)
        interest[self._customers[int(number)].interests] += (1 - EXPLORING) * np.array(INTEREST_WEIGHTS)
        return interest

    def _step(self) -> Interaction:
        """Let the next customer act."""
        time_ms, user = self._agenda[0]
        while time_ms >= self._next_hour_ms:
            self._shelf.advance(self._next_hour_ms)
            self._next_hour_ms += HOUR_MS
        while self._next_turn is not None and time_ms >= self._next_turn.timestamp:
            self._turn(self._next_turn)
            self._next_turn = next(self._coming, None)
        customer = self._customers[user]
        if not customer.in_session and (customer.come(self._drift) or not self._known[user]):
            self._tell(user, time_ms)
        item, action = customer.act(time_ms // HOUR_MS % 24)
        if customer.in_session:
            pause_ms = 1000 - int(MEAN_PAUSE_MS * math.log(1.0 - self._random.random()))
        else:
            pause_ms = HOUR_MS // 2 + customer.session_gap_ms(time_ms)
        heapq.heapreplace(self._agenda, (time_ms + pause_ms, user))
        return Interaction(f"u{user}", f"i{item}", action, time_ms, 1.0 if action == "purchase" else None)

    def _turn(self, turn: Turn) -> None:
        """Let a season, or another world, begin; the new interests are told as customers come."""
        self.turns.append(turn)
        self._known = [False] * self.users
        if turn.season is None:
            self._shelf.reappraise(turn.timestamp)
        for customer in self._customers:
            if turn.season is None:
                customer.start_over()
            else:
                customer.enter(turn.season, self._almanac.topics(turn.season))

    def _tell(self, user: int, time_ms: int) -> None:
        self._known[user] = True
        interest = self.true_interest(f"u{user}").round(6).tolist()
        self._interests.append(
            InterestChanged(f"u{user}", time_ms, dict(zip(TOPIC_NAMES, interest, strict=True)))
        )
