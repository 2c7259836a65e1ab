"""A worker that is killed, or loses its partitions, at any named point: nothing is lost, nothing twice."""

import functools
import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.crash_points.points import (
    CHECKPOINT,
    COMMIT,
    ERASURE,
    LEARNING,
    SEND,
    STARTING,
    STOPPING,
    TRANSACTION,
    WRITE,
    Point,
)
from tests.crash_points.stage import AT_ONCE, FAIL, FREEZE, KILL, Stage

ALL = (*LEARNING, *TRANSACTION, *CHECKPOINT, *ERASURE, *STARTING, *STOPPING)
# Whatever fails here is the broker's or the disk's fault, and repaired by the worker itself.
REPAIRED = tuple(point for point in TRANSACTION if point.target in (SEND, COMMIT, WRITE))

Round = tuple[Point, ...]
Played = Callable[[Round, signal.Signals | None], dict[str, str | None]]


def cases(points: Round) -> list[Any]:
    """Return the points, each with those that are tried at the same time."""
    rounds = [points[first : first + AT_ONCE] for first in range(0, len(points), AT_ONCE)]
    return [pytest.param(together, point, id=point.name) for together in rounds for point in together]


@pytest.fixture(scope="module")
def played(stage: Stage) -> Played:
    """Give a function that says what went wrong at the points of a round, which are tried together."""
    return functools.cache(stage.play)


@pytest.mark.parametrize(("points", "point"), cases(ALL))
def test_a_kill_changes_nothing(played: Played, points: Round, point: Point) -> None:
    """What a worker was killed in is done by the next, once: states, counters, dead letters, lists."""
    wrong = played(points, KILL)[point.name]
    assert wrong is None, wrong


@pytest.mark.parametrize(("points", "point"), cases(ALL))
def test_a_lost_partition_changes_nothing(played: Played, points: Round, point: Point) -> None:
    """Frozen while another takes over, then going on where it was: nothing it had in hand takes effect."""
    wrong = played(points, FREEZE)[point.name]
    assert wrong is None, wrong


@pytest.mark.parametrize(("points", "point"), cases(REPAIRED))
def test_a_failure_changes_nothing(played: Played, points: Round, point: Point) -> None:
    """A call that fails, be it after it was done: the partition is opened again, and nothing is twice."""
    wrong = played(points, FAIL)[point.name]
    assert wrong is None, wrong
