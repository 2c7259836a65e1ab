"""Whether some columns earn their place: a second mixer does without them, on the same events.

How good columns are by themselves says little of what they add to the others. So a mixer that does not see
them learns from the same minibatches for a while, from the same weights, and both are tested by the events
that come: the difference of their log-losses is what the columns are worth. While that is being found out an
event costs as much more as a mixer costs; then nothing, until it is asked again.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.arrays import Floats
from models.mixer.backends import Backend
from models.mixer.layout import Integers
from models.mixer.replay import Minibatch
from models.rooms import of_room, with_rooms
from models.waiting import Waiting

ADAPTS = 500
"""Learner steps in which both mixers get used to what they see, before they are compared."""
ASKS_AGAIN = 6_000
"""Learner steps from a verdict to the next trial."""
LEAST_NATS = 0.005
"""What is worth less rests: about .2 % of NDCG@10, where that was measured."""
_LOOKS = 250  # learner steps after which a verdict is looked for, again and again
_SURE = 2.0  # standard errors

_ADAPTING, _COMPARING, _EARNING, _RESTING = range(4)


class Worth(NamedTuple):
    """What the columns were worth to the mixer in a trial."""

    nats: float  # by how much the log-loss of an event is less with them
    error_nats: float  # standard error of that
    events: int  # that were compared


class Trial:
    """Compares a mixer with one that does without the last columns, now and then; says whether these rest.

    A trial goes on until the worth is surely more than LEAST_NATS, or surely less.
    """

    def __init__(self, columns: int, without: Backend) -> None:
        """`columns` are the last of the features; `without` becomes the mixer that does without them."""
        self.worth: Worth | None = None  # in the last trial that came to an end
        self._columns = columns
        self._without = without
        self._phase, self._steps = _ADAPTING, 0  # learner steps in the phase
        self._count, self._sum, self._squares = 0, 0.0, 0.0  # of differences of log-losses

    @property
    def is_resting(self) -> bool:
        """Whether the columns were worth nothing, and are not on trial."""
        return self._phase == _RESTING

    @property
    def _is_on(self) -> bool:
        return self._phase in (_ADAPTING, _COMPARING)

    def compare(self, waiting: Waiting, start: int, stop: int, ranks: Integers, losses: Floats) -> None:
        """Take in ranks and log-losses, [stop - start] each, that the mixer has of events in these slots."""
        if self._phase != _COMPARING:
            return
        with _hidden(waiting.features[start:stop, :, -self._columns :]):  # a view [B, KEPT, columns]
            _, others = self._without.ranks(waiting, start, stop)
        differences = (others - losses)[ranks > 0].astype(np.float64)
        self._count += len(differences)
        self._sum += float(differences.sum())
        self._squares += float((differences * differences).sum())

    def learn(self, batch: Minibatch) -> None:
        """Have the other mixer learn from what the mixer has learned from."""
        if not self._is_on:
            return
        with _hidden(batch.features[:, :, -self._columns :]):  # a view [B, S, columns]
            self._without.descend(batch)

    def step(self, mixer: Backend) -> None:
        """Go on after a learner step."""
        self._steps += 1
        if self._phase == _ADAPTING:
            if self._steps == 1:
                self._without.restore(mixer.snapshot())
            elif self._steps > ADAPTS:
                self._enter(_COMPARING)
                self._count, self._sum, self._squares = 0, 0.0, 0.0
        elif self._phase == _COMPARING:
            if self._steps % _LOOKS == 0:
                self._look()
        elif self._steps >= ASKS_AGAIN:
            self._enter(_ADAPTING)

    def interrupt(self) -> None:
        """Begin a trial that is under way from its beginning: the columns were not there for a while."""
        if self._is_on:
            self._enter(_ADAPTING)

    def carry_on(self, earlier: "Trial") -> None:
        """Become what the trial of another mixer was, but that one under way begins anew."""
        self.worth, self._phase, self._steps = earlier.worth, earlier._phase, earlier._steps
        self.interrupt()

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of where it stands."""
        worth = () if self.worth is None else self.worth
        return {
            **with_rooms({"without": self._without.snapshot()}),
            "phase": np.array([self._phase, self._steps]),
            "compared": np.array([self._count, self._sum, self._squares]),
            "worth": np.array(worth, np.float64),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of. Raises ValueError for a mixer of another size."""
        self._without.restore(of_room("without", arrays))
        self._phase, self._steps = (int(number) for number in arrays["phase"])
        count, self._sum, self._squares = (float(number) for number in arrays["compared"])
        self._count = int(count)
        worth = arrays["worth"].tolist()
        self.worth = Worth(worth[0], worth[1], int(worth[2])) if worth else None

    def _look(self) -> None:
        """End the trial if it is clear what the columns are worth."""
        if self._count < 2:
            return
        mean = self._sum / self._count
        variance = max(self._squares / self._count - mean * mean, 0.0)
        error = math.sqrt(variance / self._count)
        if mean + _SURE * error < LEAST_NATS:
            self._enter(_RESTING)
        elif mean - _SURE * error > LEAST_NATS:
            self._enter(_EARNING)
        else:
            return
        self.worth = Worth(mean, error, self._count)

    def _enter(self, phase: int) -> None:
        self._phase, self._steps = phase, 0


@contextmanager
def _hidden(columns: Floats) -> Iterator[None]:
    """Let columns be 0 meanwhile, whatever happens."""
    kept = columns.copy()
    columns[:] = 0
    try:
        yield
    finally:
        columns[:] = kept
