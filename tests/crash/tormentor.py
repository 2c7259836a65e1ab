"""Draws faults from a seed, does them one after the other, and measures how long each takes to heal."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.crash.faults import FAULTS, Scene, end_compaction
from tests.crash.freshness import Freshness

FRESH_SECONDS = 2.0  # lists older than this are not fresh
LOOK_SECONDS = 0.2
HEAL_SECONDS = 90.0  # whoever is not well by then is stuck
PAUSE_SECONDS = (0.5, 3.5)
OVERLAP = 0.3  # share of the faults that the next one does not wait for


@dataclass(slots=True)
class Happened:
    """One fault: when, what, and how many seconds from its beginning until all was well again.

    `away_seconds`: until what it took away was there again, or was starting. `ready_seconds`: until all
    workers said that they are ready. `fresh_seconds`: until every partition had a list of an event of after
    the fault. The latter two are None for a fault that the next one did not wait for.
    """

    at: float
    kind: str
    what: str
    away_seconds: float = 0.0
    ready_seconds: float | None = None
    fresh_seconds: float | None = None
    healed: bool | None = None


class Tormentor:
    """Torments a scene for some time."""

    def __init__(
        self,
        scene: Scene,
        freshness: Freshness,
        seed: int,
        kinds: list[str],
        say: Callable[[str], None],
        check_stream: Callable[[], None],
    ) -> None:
        self.happened: list[Happened] = []
        self._scene = scene
        self._freshness = freshness
        self._rng = random.Random(seed)
        self._kinds = kinds
        self._say = say
        self._check_stream = check_stream  # raises if nothing is sent any more
        self._began = time.time()

    def torment(self, seconds: float) -> None:
        """Do faults for some time; the last one heals before this returns."""
        self._began = time.time()
        while time.time() < self._began + seconds:
            self._rest(self._rng.uniform(*PAUSE_SECONDS))
            happened = self._one()
            self.happened.append(happened)
            if self._rng.random() < OVERLAP and time.time() < self._began + seconds:
                self._say(self._line(happened))
                continue
            self._heal(happened)
            self._say(self._line(happened))
        self.finish()

    def finish(self) -> None:
        """Leave nothing behind that would go on."""
        if self._scene.compacting_until is not None:
            end_compaction(self._scene)

    def _one(self) -> Happened:
        """Do the first fault drawn that makes sense now."""
        weights = [FAULTS[kind][1] for kind in self._kinds]
        while True:
            kind = self._rng.choices(self._kinds, weights)[0]
            chance = random.Random(self._rng.random())
            at = time.time()
            done = FAULTS[kind][0](self._scene, chance)
            if done is not None:
                return Happened(at, kind, done.what, done.away_seconds)
            self._rest(LOOK_SECONDS)

    def _heal(self, happened: Happened) -> None:
        """Wait until all is well again, and say for how long it was not."""
        while time.time() < happened.at + HEAL_SECONDS:
            self._tend()
            if self._scene.crew.all_ready() and happened.ready_seconds is None:
                happened.ready_seconds = time.time() - happened.at
            fresh_at = self._freshness.fresh_at(happened.at)
            is_fresh = self._freshness.are_fresh_since(happened.at, FRESH_SECONDS)
            if fresh_at is not None and is_fresh and happened.ready_seconds is not None:
                happened.fresh_seconds = fresh_at - happened.at
                happened.healed = True
                return
            time.sleep(LOOK_SECONDS)
        happened.healed = False

    def _rest(self, seconds: float) -> None:
        until = time.time() + seconds
        while time.time() < until:
            self._tend()
            time.sleep(LOOK_SECONDS)

    def _tend(self) -> None:
        scene = self._scene
        self._check_stream()
        scene.crew.tend()
        if scene.compacting_until is not None and time.time() > scene.compacting_until:
            end_compaction(scene)

    def _line(self, happened: Happened) -> str:
        if happened.healed is None:
            healed = "the next fault does not wait"
        elif not happened.healed:
            partition, seconds = self._freshness.stalest()
            healed = f"NOT WELL within {HEAL_SECONDS:.0f} s, partition {partition} stale for {seconds:.0f} s"
        else:
            healed = f"ready after {happened.ready_seconds:.1f} s, fresh after {happened.fresh_seconds:.1f} s"
        return f"{happened.at - self._began:7.1f} s  {happened.what}: {healed}"
