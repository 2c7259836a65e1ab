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
from tests.streams.running import expel

KILL, FREEZE, FAIL = signal.SIGKILL, signal.SIGSTOP, None
AT_ONCE = 6  # groups that are hit at the same time


class Stage:
    """A stream that all groups read, one group that is left alone, and some that are hit."""

    def __init__(self, settings: Settings, directory: Path, groups: int) -> None:
        self.settings = settings
        self.source = Source(settings)
        self._directory = directory
        self.source.send_burst()
        # All are here from the first burst on: who came later would not count what was erased meanwhile.
        self.undisturbed, *self._groups = (self._make(number) for number in range(groups + 1))
        for group in (self.undisturbed, *self._groups):
            group.wait_level(group.worker, self.source)

    def close(self) -> None:
        """End everything."""
        for group in (self.undisturbed, *self._groups):
            group.close()
        self.source.close()

    def play(self, points: tuple[Point, ...], number: signal.Signals | None) -> dict[str, str | None]:
        """Stop a worker at each of the points, each in a group of its own, all at the same time.

        Returns what went wrong, by the point's name: None if nothing did.
        """
        cast = list(zip(points, self._groups, strict=False))
        told: dict[str, str | None] = dict.fromkeys(
            [point.name for point in points], "no group is left whose past is as it must be"
        )
        with ThreadPoolExecutor(len(points)) as threads:
            for point, group in cast:
                if point.phase == "working":
                    group.worker.arm(Order(point.name, number))
            self.source.send_burst()
            plays = [threads.submit(_Play(self, point, group, number).run) for point, group in cast]
        for (point, group), play in zip(cast, plays, strict=True):
            error = play.exception()
            told[point.name] = None if error is None else f"{type(error).__name__}: {error}"
            if error is not None:
                self._restore(group)
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
            "examples": (dict(outputs.examples), dict.fromkeys(source.counted, 1)),
            "receipts": (dict(outputs.receipts), dict.fromkeys(source.erasures, 1)),
            "newest lists": (outputs.newest, source.positions),
            "committed offsets": (group.committed(), source.ends),
            "lists made twice": ([made for made, times in outputs.lists.items() if times > 1], []),
            "sequences": (
                {user: _items(worker.user(user)) for user in source.users},
                source.sequences(),
            ),
        }
        return [f"{what}: {_difference(*pair)}" for what, pair in compared.items() if pair[0] != pair[1]]

    def _make(self, number: int) -> Group:
        group = Group(self.settings, f"{self.settings.group}-{number}", self._directory)
        group.worker = group.start("a")
        return group

    def _restore(self, group: Group) -> None:
        """Let a group in which something went wrong go on, if what it has done is right all the same."""
        group.close()
        try:
            expel(group.settings)
            group.worker = group.start("restored")
            group.wait_level(group.worker, self.source)
            wrong = bool(self.differences(group, group.worker))
        except (AssertionError, pytest.fail.Exception):
            wrong = True
        if wrong:
            group.close()
            self._groups.remove(group)

    def _true_counters(self) -> str:
        recommender = Recommender(self.settings)
        for item_id in self.source.counted.values():
            recommender.counts.correct(recommender.catalog.admit(item_id), 1)
        return digests(recommender)["counters"]


def _difference(found: Any, expected: Any) -> str:  # noqa: ANN401 - of whatever kind is compared
    """Say how two values differ; of mappings only the entries that do, and not all of these."""
    if not isinstance(found, dict):
        return f"{found} instead of {expected}"
    keys = [key for key in {**found, **expected} if found.get(key) != expected.get(key)]
    told = [f"{key}: {found.get(key)} instead of {expected.get(key)}" for key in keys[:5]]
    return f"{len(keys)} differ: " + "; ".join(told)


def _digests(worker: Worker) -> dict[str, str]:
    return {"users": "", "counters": "", **worker.describe().get("digests", {})}


def _items(user: dict[str, Any] | None) -> list[str]:
    return [event["item_id"] for event in user["sequence"]] if user is not None else []


class _Play:
    """One point, one group: from the stop to the comparison."""

    def __init__(self, stage: Stage, point: Point, group: Group, number: signal.Signals | None) -> None:
        self.stage, self.point, self.group, self.number = stage, point, group, number

    def run(self) -> None:
        """Stop the worker there, let another take over, compare; raises what is wrong."""
        victim = self._victim()
        victim.hear(self.point.name)
        if self.number == KILL:
            _expect_end(victim, -KILL)
            expel(self.group.settings)
            self.group.worker = self.group.start(victim.place)
        elif self.number == FREEZE:
            self._replace(victim)
        self._compare(self.group.worker)

    def _victim(self) -> Worker:
        """Return the worker that is on its way to the point."""
        worker = self.group.worker
        if self.point.phase == "starting":
            worker.kill()
            expel(self.group.settings)
            return self.group.start("empty", Order(self.point.name, self.number))
        if self.point.phase == "stopping":
            worker.arm(Order(self.point.name, self.number))
            worker.process.terminate()
        return worker

    def _replace(self, victim: Worker) -> None:
        """Let another worker take over everything from one that is frozen, which then goes on."""
        expel(self.group.settings)
        heir = self.group.worker = self.group.start("b" if victim.place == "a" else "a")
        self.group.wait_level(heir, self.stage.source)
        victim.go_on()
        if self.point.phase != "stopping":
            heir.wait_until(
                lambda: heir.partitions() and victim.partitions() and heir.is_ready and victim.is_ready,
                "the two share the partitions",
                LEVEL_SECONDS,
            )
            victim.process.terminate()
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
    found = worker.process.wait(30)
    if found != code:
        pytest.fail(
            f"it ended with {found}, not with {code}\n{worker.log.read_text(encoding='utf-8')[-3000:]}"
        )
