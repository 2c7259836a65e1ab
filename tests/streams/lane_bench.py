"""A lane on a fake partition and a fake transport, with a model that fails where it is told to."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from state.overlay import Overlay
from streams.following import LogFollower
from streams.lane import Lane
from streams.published import PublishedLists
from streams.recommender import Recommender, Record, Step
from streams.republishing import Locks, Republishing
from streams.settings import Settings
from streams.threads import in_thread
from streams.turns import Turns
from tests.streams.fakes import START_MS, FakePartition, FakeSource, tools_for

SETTINGS = Settings(device="cpu", history_length=1000)


class Fragile(Recommender):
    """A recommender that fails on some items, every time or a few times."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.fails: dict[str, int] = {}

    def step(self, records: Sequence[Record], overlay: Overlay, *rest: object) -> Step:
        """Fail half-way through the records if one of them has such an item."""
        for number, each in enumerate(records):
            for line in each.interactions:
                if self.fails.get(line.item_id, 0) > 0:
                    self.fails[line.item_id] -= 1
                    super().step(records[:number], overlay, *rest)
                    raise ZeroDivisionError(f"cannot think of {line.item_id}")
        return super().step(records, overlay, *rest)


class Bench:
    """A lane on a fake partition and a fake transport."""

    def __init__(self, most_lists: int | None = None) -> None:
        """`most_lists`: so many lists are remembered, to be made again when an item is removed."""
        self.source, self.partition = FakeSource(), FakePartition()
        self.recommender = Fragile(SETTINGS)
        self.tools = tools_for(SETTINGS, self.recommender, now_seconds=lambda: START_MS / 1000 + 60)
        self.thread = ThreadPoolExecutor(1)
        self.caught_up = 0
        self.turns = Turns()
        self.published: PublishedLists | None = None
        work = (self.partition, self.source, self.tools, self.thread, self._catch_up, self.turns)
        self.lane = Lane(*work, republishing=self._republishing(most_lists) if most_lists else None)

    def _republishing(self, most_lists: int) -> Republishing:
        self.published = PublishedLists(most_lists, SETTINGS.list_length)
        return Republishing(
            0,
            self.published,
            self.recommender,
            partial(in_thread, executor=self.thread),
            partial(LogFollower, SETTINGS.topics.recommendations, servers=[]),
            Locks(asyncio.Lock(), asyncio.Lock()),
        )

    async def _catch_up(self, partition: int) -> None:
        self.caught_up += 1

    async def wait(self, condition: Callable[[], bool]) -> None:
        """Let the lane work until a condition holds."""
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.001)

    async def idle(self) -> None:
        """Let the lane work until everything that it was given is durable."""
        await self.wait(lambda: self.lane.readiness is None)
        await self.wait(lambda: not any(lag for lag in self.lane.describe()["lag"].values()))

    def metric(self, name: str) -> float:
        """Return the sum of a series over its labels."""
        lines = self.tools.metrics.render().decode().splitlines()
        values = [line.rsplit(" ", 1)[1] for line in lines if line.split("{")[0].split(" ")[0] == name]
        return sum(map(float, values))
