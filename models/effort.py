"""How much work an event may cost: three levels that can be switched while the stream runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """The amounts of work of one level. All levels share counters, weights and replay memory.

    So a level can be left and come back to at any moment, and nothing that was learned at one is lost to
    another. The mixer has the same hidden units at all of them: fewer would save only two microseconds.
    `replays` steps of `batch` replayed events follow every step on the events that just happened. `sampled`
    is how many of the kept items a learning step looks at, the true one included.
    """

    name: str
    history: int  # newest interactions of a user whose neighbours are looked up
    candidates: int  # generated for one list, at most
    leaders: int  # candidates from each popularity half-life, at most
    kept: int  # candidates that go on from the linear ranker to the mixer
    replays: int  # replay steps a learner step
    batch: int  # replayed events a replay step
    sampled: int  # kept items that one learned event looks at
    memory: int  # newest replayable events that replay draws from


FULL = Effort(
    name="full",
    history=20,
    candidates=1_200,
    leaders=100,
    kept=64,
    replays=4,
    batch=16,
    sampled=32,
    memory=20_000,
)
HALF = Effort(
    name="half",
    history=20,
    candidates=600,
    leaders=60,
    kept=64,
    replays=2,
    batch=16,
    sampled=16,
    memory=20_000,
)
LOW = Effort(
    name="low",
    history=10,
    candidates=300,
    leaders=30,
    kept=32,
    replays=1,
    batch=16,
    sampled=12,
    memory=20_000,
)
EFFORTS = {effort.name: effort for effort in (FULL, HALF, LOW)}
