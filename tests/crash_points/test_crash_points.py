"""A worker that is killed, or loses its partitions, at any named point: nothing is lost, nothing twice."""

import functools
import signal
from collections.abc import Callable

import pytest

from tests.crash_points.points import CHECKPOINT, ERASURE, LEARNING, STARTING, STOPPING, TRANSACTION, Point
from tests.crash_points.stage import AT_ONCE, FREEZE, KILL, Stage

ALL = (*LEARNING, *TRANSACTION, *CHECKPOINT, *ERASURE, *STARTING, *STOPPING)
ROUNDS = [ALL[first : first + AT_ONCE] for first in range(0, len(ALL), AT_ONCE)]
CASES = [pytest.param(points, point, id=point.name) for points in ROUNDS for point in points]

Round = tuple[Point, ...]
Played = Callable[[Round, signal.Signals], dict[str, str | None]]


@pytest.fixture(scope="module")
def played(stage: Stage) -> Played:
    """Give a function that says what went wrong at the points of a round, which are tried together."""
    return functools.cache(stage.play)


@pytest.mark.parametrize(("points", "point"), CASES)
def test_a_kill_changes_nothing(played: Played, points: Round, point: Point) -> None:
    """What a worker was killed in is done by the next, once: states, counters, dead letters, lists."""
    wrong = played(points, KILL)[point.name]
    assert wrong is None, wrong


@pytest.mark.parametrize(("points", "point"), CASES)
def test_a_lost_partition_changes_nothing(played: Played, points: Round, point: Point) -> None:
    """Frozen while another takes over, then going on where it was: nothing it had in hand takes effect."""
    wrong = played(points, FREEZE)[point.name]
    assert wrong is None, wrong
