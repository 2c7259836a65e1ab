"""What happens at a point: a worker is stopped there, another takes over, and all is as if it were not so."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from streams.learned import digests
from streams.recommender import Recommender
from streams.settings import Settings
from tests.crash_points.groups import LEVEL_SECONDS, Group, Worker
from tests.crash_points.launcher import Order
from tests.crash_points.points import Point
from tests.crash_points.source import Source

KILL, FREEZE = signal.SIGKILL, signal.SIGSTOP


class Stage:
    """A stream that all groups read, one group that is left alone, and as many others as points are tried."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        self.settings = settings
        self.source = Source(settings)
        self._directory = directory
        self._made = 0
        self._spare: list[Group] = []  # level, with a worker each
        self._groups: list[Group] = []
        self.source.send_burst()
        self.undisturbed = self._make()

    def close(self) -> None:
        """End everything."""
        for group in self._groups:
            group.close()
        self.source.close()

    def play(self, points: tuple[Point, ...], number: signal.Signals) -> dict[str, str | None]:
        """Stop a worker at each of the points, each in a group of its own, all at the same time.

        Returns what went wrong, by the point's name: None if nothing did.
        """
        missing = len(points) - len(self._spare)
        with ThreadPoolExecutor(len(points)) as threads:
            self._spare += threads.map(lambda _: self._make(), range(missing))
            groups = [self._spare.pop(0) for _ in points]
            for point, group in zip(points, groups, strict=True):
                if point.phase == "working":
                    group.worker.arm(Order(point.name, number))
            self.source.send_burst()
            plays = [
                threads.submit(_Play(self, point, group, number).run)
                for point, group in zip(points, groups, strict=True)
            ]
        told: dict[str, str | None] = {}
        for point, group, play in zip(points, groups, plays, strict=True):
            error = play.exception()
            told[point.name] = None if error is None else f"{type(error).__name__}: {error}"
            if error is None:
                self._spare.append(group)
            else:
                group.close()
        return told

    def differences(self, group: Group, worker: Worker) -> list[str]:
        """Return how a group that has applied everything differs from the undisturbed one and the truth."""
        source, outputs = self.source, group.outputs()
        ours, theirs = _digests(worker), _digests(self.undisturbed.worker)
        compared = {
            "users' digest": (ours["users"], theirs["users"]),
            "counters' digest": (ours["counters"], theirs["counters"]),
            "counters": (ours["counters"], self._true_counters()),
            "dead letters": (dict(outputs.dead_letters), dict.fromkeys(source.bad, 1)),
            "examples": (dict(outputs.examples), dict.fromkeys(source.good, 1)),
            "newest lists": (outputs.newest, source.positions()),
            "committed offsets": (group.committed(), source.ends),
            "lists made twice": ([made for made, times in outputs.lists.items() if times > 1], []),
            "sequences": (
                {user: _items(worker.user(user)) for user in source.users},
                {user: source.sequence(user) for user in source.users},
            ),
        }
        return [
            f"{what}: {is_} instead of {should}" for what, (is_, should) in compared.items() if is_ != should
        ]

    def _make(self) -> Group:
        """Return a new group, whose worker has applied everything."""
        self._made += 1
        group = Group(self.settings, f"{self.settings.group}-{self._made}", self._directory)
        self._groups.append(group)
        group.worker = group.start("a")
        group.wait_level(group.worker, self.source)
        return group

    def _true_counters(self) -> str:
        recommender = Recommender(self.settings)
        for events in self.source.users.values():
            for event in events:
                recommender.counts.count(recommender.catalog.admit(event.item_id))
        return digests(recommender)["counters"]


def _digests(worker: Worker) -> dict[str, str]:
    return {"users": "", "counters": "", **worker.describe().get("digests", {})}


def _items(user: dict[str, Any] | None) -> list[str]:
    return [event["item_id"] for event in user["sequence"]] if user is not None else []


class _Play:
    """One point, one group: from the stop to the comparison."""

    def __init__(self, stage: Stage, point: Point, group: Group, number: signal.Signals) -> None:
        self.stage, self.point, self.group, self.number = stage, point, group, number

    def run(self) -> None:
        """Stop the worker there, let another take over, compare; raises what is wrong."""
        victim = self._victim()
        victim.hear(self.point.name)
        if self.number == KILL:
            _expect_end(victim, -KILL)
            self.group.expel()
            self.group.worker = self.group.start(victim.place)
        else:
            self._replace(victim)
        self._compare(self.group.worker)

    def _victim(self) -> Worker:
        """Return the worker that is on its way to the point."""
        worker = self.group.worker
        if self.point.phase == "starting":
            worker.guarded.kill()
            worker.guarded.wait(10)
            self.group.expel()
            return self.group.start("empty", Order(self.point.name, self.number))
        if self.point.phase == "stopping":
            worker.arm(Order(self.point.name, self.number))
            worker.guarded.terminate()
        return worker

    def _replace(self, victim: Worker) -> None:
        """Let another worker take over everything from one that is frozen, which then goes on."""
        self.group.expel()
        heir = self.group.worker = self.group.start("b" if victim.place == "a" else "a")
        self.group.wait_level(heir, self.stage.source)
        victim.go_on()
        if self.point.phase != "stopping":
            heir.wait_until(
                lambda: heir.partitions() and victim.partitions() and heir.is_ready and victim.is_ready,
                "the two share the partitions",
                LEVEL_SECONDS,
            )
            victim.guarded.terminate()
        _expect_end(victim, 0)

    def _compare(self, worker: Worker) -> None:
        """Wait until nothing is different; a rebalance may yet come, so one look is not enough to say so."""
        source, deadline = self.stage.source, time.monotonic() + LEVEL_SECONDS
        different = ["it never applied everything"]
        while different and time.monotonic() < deadline:
            self.group.wait_level(worker, source)
            self.group.wait_level(self.stage.undisturbed.worker, source)
            different = self.stage.differences(self.group, worker)
            time.sleep(0.2 if different else 0.0)
        if different:
            pytest.fail("\n".join(different))


def _expect_end(worker: Worker, code: int) -> None:
    found = worker.guarded.wait(30)
    if found != code:
        pytest.fail(
            f"it ended with {found}, not with {code}\n{worker.log.read_text(encoding='utf-8')[-3000:]}"
        )
