"""A worker in a process of its own that stops itself exactly where it is told to.

Nothing in the worker knows of this: the point's function is wrapped, in this process alone, when the order
comes. A worker that is killed is dead before its next line runs; one that is frozen goes on with that line.
"""

import asyncio
import functools
import importlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from aiokafka.errors import KafkaConnectionError

from streams.settings import Settings
from tests.crash_points.points import POINTS, Point, When

ARMED, GO_ON = "armed", "go on"


@dataclass(frozen=True)
class Order:
    """What to do at a point: die of SIGKILL, freeze by SIGSTOP until told to go on, or (None) fail."""

    point: str
    number: signal.Signals | None


@dataclass
class Trap:
    """What a worker is told, and what it tells: that it is armed, and the point's name when it is there."""

    control: Connection
    _told: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def obey(self) -> None:
        """Arm what is ordered, until whoever orders is gone."""
        while True:
            try:
                word = self.control.recv()
            except EOFError:
                os._exit(1)
            if word == GO_ON:
                self._told.set()
            else:
                self.arm(word)

    def arm(self, order: Order) -> None:
        """Wrap the point's function, so that it is stopped at."""
        point = POINTS[order.point]
        module, _, path = point.target.partition(":")
        *classes, name = path.split(".")
        try:
            owner = functools.reduce(getattr, classes, importlib.import_module(module))
            original = getattr(owner, name)
        except (AttributeError, ImportError) as error:
            self.control.send(f"there is no {point.target}: {error}")
            return
        with self._lock:
            setattr(owner, name, self._wrapped(point, original, order.number))
            self.control.send(ARMED)

    def _wrapped(
        self, point: Point, original: Callable[..., Any], number: signal.Signals | None
    ) -> Callable[..., Any]:
        calls = itertools.count(1)

        def reach(*arguments: object, **options: object) -> None:
            if point.counted(*arguments, **options) and next(calls) == point.hit:
                point.first(*arguments, **options)
                self._stop(point, number)

        return (_awaiting if asyncio.iscoroutinefunction(original) else _calling)(original, point.when, reach)

    def _stop(self, point: Point, number: signal.Signals | None) -> None:
        with self._lock:
            self.control.send(point.name)
        if number is None:
            raise KafkaConnectionError("as ordered")
        os.kill(os.getpid(), number)
        self._told.wait()  # the signal may reach another thread first


def _awaiting(original: Callable[..., Any], when: When, reach: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def wrapped(*arguments: object, **options: object) -> object:
        if when == "before":
            reach(*arguments, **options)
        result = await original(*arguments, **options)
        if when == "acknowledged":
            await asyncio.shield(result)
        if when != "before":
            reach(*arguments, **options)
        return result

    return wrapped


def _calling(original: Callable[..., Any], when: When, reach: Callable[..., None]) -> Callable[..., Any]:
    @functools.wraps(original)
    def wrapped(*arguments: object, **options: object) -> object:
        if when == "before":
            reach(*arguments, **options)
        result = original(*arguments, **options)
        if when == "after":
            reach(*arguments, **options)
        return result

    return wrapped


def run(settings: Settings, control: Connection, order: Order | None) -> None:
    """Be a worker with these settings; `order` is obeyed from its first moment on, others when they come."""
    _make_small()
    trap = Trap(control)
    if order is not None:
        trap.arm(order)
    threading.Thread(target=trap.obey, daemon=True).start()

    from streams.commands.worker import log_to_stderr
    from streams.worker import run_worker

    log_to_stderr("info")
    sys.exit(run_worker(settings))


def _make_small() -> None:
    """Let a few users' states need several batches, and their restoring several reads; purge often."""
    from aiokafka import AIOKafkaConsumer

    from streams import partition, worker

    worker.PURGE_SECONDS = 1.0
    partition.BATCH_BYTES = 2048
    AIOKafkaConsumer.getmany.__kwdefaults__["max_records"] = 4
