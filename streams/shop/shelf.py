"""The goods of the simulated shop: topics, brands, appeal, companions, births, and waves of popularity."""

import math
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from streams.events import ItemListed
from streams.shop.words import ADJECTIVES, BRANDS_PER_TOPIC, TOPICS

HOUR_MS = 3_600_000
COMPANIONS = 6
COMPANIONS_NAMED = 2
"""How many of an item's companions its listing tells; the others have to be learned."""
BIRTHS_PER_ITEM_AND_DAY = 0.02
WAVES_PER_ITEM_AND_HOUR = 0.001
_FADED = 0.1

_COMPANION_CHOICE = list(accumulate(0.6**place for place in range(COMPANIONS)))


@dataclass(slots=True)
class Item:
    """One of the goods; `appeal` is its weight among those of the same topic and brand."""

    number: int
    topic: int
    brand: int
    kind: int
    adjective: int
    appeal: float
    companions: list[int]


@dataclass(slots=True)
class Wave:
    """An item that is talked of: its weight grows by `height`, which halves every `half_life_ms`."""

    item: int
    start_ms: int
    height: float
    half_life_ms: float

    def boost(self, time_ms: int) -> float:
        """Return the additional weight at this time."""
        return self.height * math.exp2((self.start_ms - time_ms) / self.half_life_ms)


class Shelf:
    """All items, and how likely each is where a customer looks. `advance` once an hour of the shop's time."""

    def __init__(self, random: Random, items: int, time_ms: int) -> None:
        self._random = random
        self._opening_items = items
        self.items: list[Item] = []
        self._groups: list[list[int]] = [[] for _ in range(len(TOPICS) * BRANDS_PER_TOPIC)]
        self._tables: list[list[float]] = [[] for _ in self._groups]
        self._waves: list[Wave] = []
        self._wave_table: list[float] = []
        for _ in range(items):
            self._add()
        for item in self.items:
            self._befriend(item)
        for group in range(len(self._groups)):
            self._rebuild(group, {})
        for hour in range(-12, 1):
            self._raise_waves(time_ms + hour * HOUR_MS)
        self._settle(time_ms)

    def advance(self, time_ms: int) -> None:
        """Let an hour pass: items are born, waves rise and fade."""
        for _ in range(self._happenings(self._opening_items * BIRTHS_PER_ITEM_AND_DAY / 24)):
            item = self._add()
            self._befriend(item)
            self._rebuild(self._group_of(item), {})
            self._waves.append(Wave(item.number, time_ms, 12.0, 12 * HOUR_MS))
        self._raise_waves(time_ms)
        self._settle(time_ms)

    def reappraise(self, time_ms: int) -> None:
        """Draw the appeal of every item anew; waves go on."""
        for item in self.items:
            item.appeal = self._draw_appeal()
        for group in range(len(self._groups)):
            self._rebuild(group, {})
        self._settle(time_ms)

    def any_item(self) -> int:
        """Draw any item, all alike."""
        return int(self._random.random() * len(self.items))

    def trending_item(self) -> int:
        """Draw an item that is on a wave, by the height of the wave."""
        if not self._waves:
            return self.any_item()
        return self._waves[self._pick(self._wave_table)].item

    def item_of(self, topic: int, brand: int) -> int:
        """Draw an item of a topic and a brand, by appeal and waves."""
        group = topic * BRANDS_PER_TOPIC + brand
        if not self._groups[group]:
            return self.any_item()
        return self._groups[group][self._pick(self._tables[group])]

    def companion_of(self, item: int) -> int:
        """Draw what is looked at after this item."""
        companions = self.items[item].companions
        return companions[min(self._pick(_COMPANION_CHOICE), len(companions) - 1)]

    def listing(self, item: Item) -> ItemListed:
        """Return what the catalogue says of an item: its words tell topic, brand and two companions."""
        words = TOPICS[item.topic]
        brand, kind, adjective = words.brands[item.brand], words.kinds[item.kind], ADJECTIVES[item.adjective]
        return ItemListed(
            item_id=f"i{item.number}",
            title=f"{brand} {adjective} {kind}",
            text=f"A {adjective} {kind} by {brand}, for all who love {words.name}.",
            categories=[words.name, kind],
            brand=brand,
            relations=[("goes with", f"item:i{other}") for other in item.companions[:COMPANIONS_NAMED]],
        )

    def _pick(self, table: list[float]) -> int:
        return min(bisect(table, self._random.random() * table[-1]), len(table) - 1)

    def _happenings(self, expected: float) -> int:
        """Draw how often something happens: the whole part of what is expected, and chance for the rest."""
        return int(expected + self._random.random())

    def _add(self) -> Item:
        random = self._random
        topic = int(random.random() * len(TOPICS))
        item = Item(
            number=len(self.items),
            topic=topic,
            brand=int(random.random() * BRANDS_PER_TOPIC),
            kind=int(random.random() * len(TOPICS[topic].kinds)),
            adjective=int(random.random() * len(ADJECTIVES)),
            appeal=self._draw_appeal(),
            companions=[],
        )
        self.items.append(item)
        self._groups[self._group_of(item)].append(item.number)
        return item

    def _draw_appeal(self) -> float:
        """Draw from Pareto's distribution with index 1.2: a few favourites, a long tail."""
        appeal: float = (1.0 - self._random.random()) ** (-1 / 1.2)
        return appeal

    def _befriend(self, item: Item) -> None:
        """Choose companions: most of the same topic, some of the next one."""
        for place in range(COMPANIONS):
            topic = (item.topic + (place % 3 == 2)) % len(TOPICS)
            brand = int(self._random.random() * BRANDS_PER_TOPIC)
            group = self._groups[topic * BRANDS_PER_TOPIC + brand]
            companion = group[int(self._random.random() * len(group))] if group else self.any_item()
            item.companions.append(companion)

    def _raise_waves(self, time_ms: int) -> None:
        for _ in range(self._happenings(self._opening_items * WAVES_PER_ITEM_AND_HOUR)):
            height = 4.0 * (1.0 - self._random.random()) ** -0.7
            half_life_ms = HOUR_MS * (2.0 + 10.0 * self._random.random())
            self._waves.append(Wave(self.any_item(), time_ms, height, half_life_ms))

    def _settle(self, time_ms: int) -> None:
        """Forget waves that have faded, and weigh the items that are on one."""
        before = {self._group_of(self.items[wave.item]) for wave in self._waves}
        self._waves = [wave for wave in self._waves if wave.boost(time_ms) > _FADED]
        boosts: dict[int, float] = {}
        for wave in self._waves:
            boosts[wave.item] = boosts.get(wave.item, 0.0) + wave.boost(time_ms)
        self._wave_table = list(accumulate(wave.boost(time_ms) for wave in self._waves))
        for group in sorted(before):
            self._rebuild(group, boosts)

    def _rebuild(self, group: int, boosts: dict[int, float]) -> None:
        self._tables[group] = list(
            accumulate(self.items[item].appeal + boosts.get(item, 0.0) for item in self._groups[group])
        )

    @staticmethod
    def _group_of(item: Item) -> int:
        return item.topic * BRANDS_PER_TOPIC + item.brand
