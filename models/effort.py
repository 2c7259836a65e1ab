"""How much work an event may cost: three levels that can be switched while the stream runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """The amounts of work of one level. All levels share counters, weights and replay memory.

    So a level can be left and come back to at any moment, and nothing that was learned at one is lost to
    another. The mixer has the same hidden units at all of them: fewer would save only two microseconds.
    `replays` steps of `batch` replayed events follow every step on the events that just happened, more where
    a learner has only a part of the stream. `sampled` is how many of the kept items a learning step looks at,
    the true one included.
    """

    name: str
    history: int  # newest interactions of a user whose neighbours are looked up
    candidates: int  # generated for one list, at most
    leaders: int  # candidates from each popularity half-life, at most
    kinds: int  # of the likeliest values of each kind items are candidates, at most
    kept: int  # candidates that go on from the linear ranker to the mixer
    replays: int  # replay steps a learner step
    batch: int  # replayed events a replay step
    sampled: int  # kept items that one learned event looks at
    memory: int  # newest replayable events that replay draws from
    has_interest: bool  # whether the interest model is asked, and learns, where there is one


FULL = Effort(
    name="full",
    history=20,
    candidates=1_200,
    leaders=100,
    kinds=6,
    kept=64,
    replays=4,
    batch=16,
    sampled=32,
    memory=20_000,
    has_interest=True,
)
HALF = Effort(
    name="half",
    history=20,
    candidates=600,
    leaders=60,
    kinds=4,
    kept=64,
    replays=2,
    batch=16,
    sampled=16,
    memory=20_000,
    has_interest=False,
)
LOW = Effort(
    name="low",
    history=10,
    candidates=300,
    leaders=30,
    kinds=2,
    kept=32,
    replays=1,
    batch=16,
    sampled=12,
    memory=20_000,
    has_interest=False,
)
LEVELS = (FULL, HALF, LOW)
EFFORTS = {effort.name: effort for effort in LEVELS}


class Pace:
    """Chooses the level by how far the work is behind: soon a lower one, a higher one only after a while.

    One step down when the oldest event that waits has waited too long, and no further before the last step
    has had time to tell. One step up after a long time without any backlog. Between the two nothing changes,
    so that a load at the limit does not go up and down. It knows no clock: whoever asks says the time.
    """

    BEHIND_SECONDS = 5.0
    ON_TIME_SECONDS = 0.5
    PATIENCE_DOWN_SECONDS = 10.0
    PATIENCE_UP_SECONDS = 120.0

    def __init__(self) -> None:
        """Begin at full effort."""
        self.effort = FULL
        self._changed_at = float("-inf")
        self._late_at = float("-inf")  # when there last was a backlog

    def choose(self, behind_seconds: float, now_seconds: float) -> Effort:
        """Return the level to go on with, when the oldest waiting event is `behind_seconds` old."""
        if behind_seconds > self.ON_TIME_SECONDS:
            self._late_at = now_seconds
        level = LEVELS.index(self.effort)
        rests = now_seconds - self._changed_at
        if behind_seconds > self.BEHIND_SECONDS and rests >= self.PATIENCE_DOWN_SECONDS:
            level = min(level + 1, len(LEVELS) - 1)
        elif min(rests, now_seconds - self._late_at) >= self.PATIENCE_UP_SECONDS:
            level = max(level - 1, 0)
        if LEVELS[level] is not self.effort:
            self.effort, self._changed_at = LEVELS[level], now_seconds
        return self.effort
