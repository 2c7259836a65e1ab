"""What columns are worth to the mixer: told by their difference, and by no look at what they are alone."""

from collections.abc import Iterator

import numpy as np
import pytest

from models import trial as trials
from models.columns import ROOTS, F, Q
from models.mixer.backends import CompiledBackend
from models.mixer.layout import Layout
from models.mixer.replay import Memory, empty_minibatch
from models.trial import Trial
from models.waiting import Waiting

COLUMNS, EVENTS, SIZE, TELLING = 2, 16, 20, 5
LAYOUT = Layout(F + COLUMNS, ROOTS, Q, hidden=16)


class Stream:
    """A mixer that learns from made-up events, and the trial of its last columns.

    Feature TELLING says which item it is. The last columns say `tells` of what that does not, or say the same
    as TELLING again, or nothing.
    """

    def __init__(self, tells: str, seed: int = 1) -> None:
        weights = np.zeros(F + COLUMNS, np.float32)
        initial = LAYOUT.initial(weights, seed)
        self.mixer = CompiledBackend(LAYOUT, initial)
        self.trial = Trial(COLUMNS, CompiledBackend(LAYOUT, initial))
        self._tells = tells
        self._random = np.random.default_rng(seed)
        self._waiting = Waiting(EVENTS, F + COLUMNS)
        self._memory = Memory(1, SIZE, F + COLUMNS, Q, seed)
        self._batch = empty_minibatch(EVENTS, SIZE, F + COLUMNS, Q)

    def steps(self, count: int) -> Iterator[None]:
        """Take steps, one at a time."""
        for _ in range(count):
            for slot in range(EVENTS):
                self._fill(slot)
            ranks, losses = self.mixer.ranks(self._waiting, 0, EVENTS)
            self.trial.compare(self._waiting, 0, EVENTS, ranks, losses)
            assert self._memory.sample(self._waiting, SIZE, self._batch)
            assert self.mixer.descend(self._batch)
            self.trial.learn(self._batch)
            self.trial.step(self.mixer)
            yield

    def run(self, count: int) -> None:
        """Take steps."""
        for _ in self.steps(count):
            pass

    def _fill(self, slot: int) -> None:
        random, waiting = self._random, self._waiting
        features = random.random((SIZE, F + COLUMNS), np.float32)
        features[:, :ROOTS] = 0
        hidden = random.random(SIZE)
        logits = 6 * features[:, TELLING] + 4 * hidden
        if self._tells == "more":
            features[:, -1] = hidden
        elif self._tells == "the same":
            features[:, -1] = features[:, TELLING]
        chances = np.exp(logits - logits.max())
        waiting.features[slot, :SIZE] = features
        waiting.sizes[slot] = SIZE
        waiting.targets[slot] = random.choice(SIZE, p=chances / chances.sum())
        waiting.first_ranks[slot] = 1


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trials come and end sooner."""
    monkeypatch.setattr(trials, "ADAPTS", 100)
    monkeypatch.setattr(trials, "ASKS_AGAIN", 50)
    monkeypatch.setattr(trials, "_LOOKS", 25)


def test_columns_that_tell_more_earn_their_place() -> None:
    """What no other column says is worth something, and does not rest."""
    stream = Stream("more")
    stream.run(250)
    assert stream.trial.worth is not None
    assert stream.trial.worth.nats > 0.05
    assert stream.trial.worth.nats > 2 * stream.trial.worth.error_nats
    assert not stream.trial.is_resting


@pytest.mark.parametrize("tells", ["the same", "nothing"])
def test_columns_that_tell_nothing_more_rest_and_are_asked_again(
    monkeypatch: pytest.MonkeyPatch, tells: str
) -> None:
    """However good they are alone, columns that say again what others say rest, and are tried anew later."""
    monkeypatch.setattr(trials, "LEAST_NATS", 0.05)  # surely less than that, after few events
    stream = Stream(tells)
    rested = [stream.trial.is_resting for _ in stream.steps(600)]
    assert any(rested)
    first = rested.index(True)
    assert all(rested[first : first + 50])
    assert not rested[first + 50]
    assert stream.trial.worth is not None
    assert stream.trial.worth.nats < 0.05


def test_a_trial_changes_nothing_of_the_mixer() -> None:
    """The mixer learns what it would have learned without one, bit for bit."""
    one, other = Stream("more"), Stream("more")
    other.trial.learn = other.trial.compare = lambda *_: None  # type: ignore[method-assign, assignment]
    for stream in (one, other):
        stream.run(150)
    ours, theirs = one.mixer.snapshot(), other.mixer.snapshot()
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_a_snapshot_goes_on_exactly() -> None:
    """Restored in the midst of comparing, it comes to the same verdict from the same numbers."""
    stream = Stream("more")
    stream.run(110)
    restored = Trial(COLUMNS, CompiledBackend(LAYOUT, LAYOUT.initial(np.zeros(F + COLUMNS, np.float32), 7)))
    restored.restore(stream.trial.snapshot())
    compare, learn, step = stream.trial.compare, stream.trial.learn, stream.trial.step

    def both(ours: object, theirs: object) -> object:
        return lambda *given: (ours(*given), theirs(*given))  # type: ignore[operator]

    stream.trial.compare = both(compare, restored.compare)  # type: ignore[method-assign, assignment]
    stream.trial.learn = both(learn, restored.learn)  # type: ignore[method-assign, assignment]
    stream.trial.step = both(step, restored.step)  # type: ignore[method-assign, assignment]
    stream.run(100)
    assert stream.trial.worth is not None
    assert restored.worth == stream.trial.worth
    again = Trial(COLUMNS, CompiledBackend(LAYOUT, LAYOUT.initial(np.zeros(F + COLUMNS, np.float32), 7)))
    again.restore(restored.snapshot())
    assert again.worth == restored.worth


def test_an_interrupted_trial_begins_anew_and_a_verdict_stays() -> None:
    """Where the columns were not there for a while, nothing of before is compared with what comes."""
    stream = Stream("more")
    stream.run(115)
    stream.trial.interrupt()
    stream.run(90)
    assert stream.trial.worth is None
    stream.run(120)
    verdict = stream.trial.worth
    assert verdict is not None
    stream.trial.interrupt()
    assert stream.trial.worth == verdict
    carried = Trial(COLUMNS, CompiledBackend(LAYOUT, LAYOUT.initial(np.zeros(F + COLUMNS, np.float32), 7)))
    carried.carry_on(stream.trial)
    assert (carried.worth, carried.is_resting) == (verdict, False)
