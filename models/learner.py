"""Online learning: every 16 events the mixer learns from them, and again from a few of those before."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.columns import FEATURES, KEPT, ROOTS, Feature, Q
from models.effort import EFFORTS, FULL, Effort
from models.interest import INTEREST_FEATURES, InterestModel, columns_of, fill_in, learn_from, ranks_alone
from models.mixer.backends import Backend, CompiledBackend
from models.mixer.layout import Floats, Layout
from models.mixer.network import TorchBackend
from models.mixer.replay import Memory, Minibatch, empty_minibatch
from models.ranking import Query
from models.remapping import places_of, remap_learner
from models.waiting import Waiting

EVENTS_PER_STEP = 16
HIDDEN = 64
# Every second replay step looks at no more than these newest ones, to follow a drift.
RECENT = 3_000
MOST_FOR_OTHERS = 3
"""A learner that has a part of the stream replays more of it, up to so many times what the effort says."""
_FIRST_REPLAY = 200  # events in the memory before it is of use
_LOSS_MOVES = 0.01

Ticket = int


class Learner:
    """Tests each event with the weights of before it, and learns from every 16 of them together.

    The weights stand still between two steps, so that no event is scored by weights that have seen it, and
    ranks do not depend on how the stream was cut into chunks. It learns only from events whose true item
    reached the second stage by itself: with the others forced in, its scores would answer another question.
    """

    def __init__(
        self,
        device: str = "auto",
        seed: int = 0,
        effort: Effort = FULL,
        backend: type[Backend] | None = None,
        features: Sequence[Feature] = FEATURES,
        interest: InterestModel | None = None,
    ) -> None:
        """Score by the features' initial weights until it has learned.

        `device`: "auto" and "cpu" run the compiled kernel, anything else torch. The seed decides where the
        hidden units start and what is replayed.
        """
        # Waking a second thread costs more than all the arithmetic of a step.
        torch.set_num_threads(1)
        self._backend_type = backend or (CompiledBackend if device in ("auto", "cpu") else TorchBackend)
        self._wanted_device = "cpu" if device == "auto" else device
        self._seed = seed
        self.effort = effort
        self.share = 1.0  # of the stream's events that come to this learner
        self.steps = 0
        self.skipped = 0  # descents whose gradient was not finite
        self.loss: float | None = None  # moving mean over the kept, None before the first target
        self.next_slot = 0
        self._ranked = 0  # how many of the waiting have their rank
        self._ready: deque[tuple[Ticket, int | None]] = deque()
        self._ready_alone: deque[tuple[Ticket, int | None]] = deque()
        self.interest = interest
        self._lay_out(self._with_interest(features))

    def use_columns(self, features: Sequence[Feature]) -> None:
        """Go on over other columns of the ranker: of those that are new nothing is learned yet."""
        self.use_all_columns(self._with_interest(features))

    def use_all_columns(self, features: Sequence[Feature]) -> None:
        """Go on over just these columns, known by their names."""
        if [each.name for each in features] == [each.name for each in self.features]:
            return
        theirs, was = self.snapshot(), self._layout
        columns = places_of(features, self.features)
        self._lay_out(features)
        if self.steps > 0 or self.next_slot > 0:
            self.restore(remap_learner(theirs, self.snapshot(), columns, was, self._layout))

    def advance(self, slots: int) -> None:
        """Take the events that were written, whole, into so many slots from `next_slot` on.

        The sixteenth is followed by a step. An event whose target is not among the kept teaches nothing, but
        counts towards the sixteen.
        """
        self.next_slot += slots
        if self.next_slot == EVENTS_PER_STEP:
            try:
                self._step()
            finally:  # a step that fails takes its events with it, and the next sixteen have theirs
                self.next_slot = self._ranked = 0

    def test(self, tested: Waiting, count: int) -> None:
        """Rank the events in the first `count` slots of other buffers, all by the weights of now.

        They are learned from when they are handed to `take`, one after the other.
        """
        self._rank()
        self._rank_slots(tested, 0, count)

    def take(self, tested: Waiting, slot: int) -> None:
        """Take an event that `test` has ranked."""
        at = self.next_slot
        theirs = tested.slots._asdict()
        for name, column in self.waiting.slots._asdict().items():
            column[at] = theirs[name][slot]
        self._ranked = at + 1
        self.advance(1)

    def scored(self) -> list[tuple[Ticket, int | None]]:
        """Return (ticket, rank) of every event ranked since the last call, in the order of observation.

        The rank is 1 + the number of other candidates whose score is at least the target's; those that the
        mixer scores stand before those that only the first stage did. None: it was no candidate.
        """
        ready = list(self._ready)
        self._ready.clear()
        return ready

    def scored_alone(self) -> list[tuple[Ticket, int | None]]:
        """Return the (ticket, rank) that events have by the interest model alone, since the last call.

        That is among the kept: which these are the first stage has said. None: not kept.
        """
        ready = list(self._ready_alone)
        self._ready_alone.clear()
        return ready

    def flush_scores(self) -> list[tuple[Ticket, int | None]]:
        """Rank the events that wait for their step, too, without learning; return what `scored` would."""
        self._rank()
        return self.scored()

    def scores(self, features: Floats, context: Floats) -> Floats:
        """Return the scores [n] of features [n, F] in a context [Q]; each row's depends on no other row."""
        return self._backend.scores(features, context)

    def complete(self, queries: Sequence[Query]) -> None:
        """Add to the features of queries what only the learner knows of their candidates."""
        if self.interest is None or not queries:
            return
        if self.effort.has_interest:
            histories, moments_ms = [each.history for each in queries], [each.now_ms for each in queries]
            more = columns_of(self.interest, histories, moments_ms, [each.rows for each in queries])
        else:
            more = [np.zeros((len(each.rows), len(INTEREST_FEATURES)), np.float32) for each in queries]
        for query, theirs in zip(queries, more, strict=True):
            query.features = np.concatenate([query.features, theirs], axis=1)  # [n, F] -> [n, all columns]

    def weights(self) -> Floats:
        """Return a copy of the mixer's parameters [P]."""
        parameters: Floats = self._backend.snapshot()["parameters"]
        return parameters

    def forget(self, user: int) -> int:
        """Blot out what is stored of a user, waiting or to be replayed; return how many events that were.

        The user 0 is nobody. What the weights have learned from them stays in the weights.
        """
        if user == 0:
            return 0
        theirs = np.flatnonzero(self.waiting.users[: self.next_slot] == np.uint64(user))
        for array in (self.waiting.features, self.waiting.contexts, self.waiting.rows, self.waiting.users):
            array[theirs] = 0
        self.waiting.sizes[theirs] = self.waiting.first_ranks[theirs] = 0
        self.waiting.targets[theirs] = self.waiting.slots.items[theirs] = -1
        self.waiting.slots.lengths[theirs] = 0
        self.waiting.slots.past_rows[theirs] = -1
        remembered = self._memory.forget(user)
        if self.interest is not None:
            self.interest.forget(user)
        return len(theirs) + remembered

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the weights, of what steps remember, and of the events that wait for one."""
        rooms = {"waiting": self.waiting.snapshot(), "memory": self._memory.snapshot()}
        if self.interest is not None:
            rooms["interest"] = self.interest.snapshot()
        return {
            **self._backend.snapshot(),
            "steps": np.array([self.steps, self.skipped, self.next_slot, self._ranked]),
            "loss": np.array([] if self.loss is None else [self.loss]),
            **{f"{room}_{name}": array for room, arrays in rooms.items() for name, array in arrays.items()},
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of, but for the effort. Raises ValueError for one of other sizes."""
        self._backend.restore(arrays)
        self.waiting.restore(_of("waiting", arrays))
        self._memory.restore(_of("memory", arrays))
        self.steps, self.skipped, self.next_slot, self._ranked = (int(number) for number in arrays["steps"])
        self.loss = float(arrays["loss"][0]) if len(arrays["loss"]) else None
        self._ready.clear()
        self._ready_alone.clear()
        of_interest = _of("interest", arrays)
        if self.interest is not None and of_interest:
            self.interest.restore(of_interest)

    def _with_interest(self, features: Sequence[Feature]) -> tuple[Feature, ...]:
        return (*features, *INTEREST_FEATURES) if self.interest is not None else tuple(features)

    def _lay_out(self, features: Sequence[Feature]) -> None:
        """Begin anew over these columns."""
        self.features = tuple(features)
        self._layout = Layout(len(features), ROOTS, Q, HIDDEN)
        weights = np.array([feature.initial_weight for feature in features], np.float32)
        initial = self._layout.initial(weights, self._seed)
        self._backend = self._backend_type(self._layout, initial, self._wanted_device)
        self.device = self._backend.device
        self.waiting = Waiting(EVENTS_PER_STEP, len(features))
        rows = max(each.sampled for each in EFFORTS.values())
        batch = max(each.batch for each in EFFORTS.values())
        newest = max(each.memory for each in EFFORTS.values())
        self._memory = Memory(newest, rows, len(features), Q, self._seed)
        self._own = empty_minibatch(EVENTS_PER_STEP, rows, len(features), Q)
        self._again = empty_minibatch(batch, rows, len(features), Q)

    def _step(self) -> None:
        """Rank those that have no rank yet; then descend on their log-loss, and on that of earlier ones."""
        self._rank()
        effort = self.effort
        if self._memory.sample(self.waiting, effort.sampled, self._own) and self._descend(self._own):
            self._memory.take_in(self._own)  # what could not be learned would fail again in every replay
        if self._memory.stored >= _FIRST_REPLAY:
            for number in range(self._replays()):
                newest = min(effort.memory, RECENT) if number % 2 else effort.memory
                if self._memory.recall(newest, effort.sampled, self._again):
                    self._descend(self._again)
        if self.interest is not None and effort.has_interest:
            learn_from(self.interest, self.waiting)
        self.steps += 1

    def _replays(self) -> int:
        """Return how often to replay: the less of the stream comes here, the more can be made of it.

        So several learners together do as much for an event of the stream as a single one.
        """
        return round(self.effort.replays * min(1 / self.share, MOST_FOR_OTHERS))

    def _descend(self, batch: Minibatch) -> bool:
        is_finite = self._backend.descend(batch)
        self.skipped += not is_finite
        return is_finite

    def _rank(self) -> None:
        """Make (ticket, rank) ready for the waiting that have no rank yet."""
        start, stop = self._ranked, self.next_slot
        if start != stop:
            self._rank_slots(self.waiting, start, stop)
            self._ranked = stop

    def _rank_slots(self, waiting: Waiting, start: int, stop: int) -> None:
        if self.interest is not None and self.effort.has_interest and start < stop:
            fill_in(self.interest, waiting, start, stop)
            alone = ranks_alone(waiting, start, stop)
            self._ready_alone.extend(zip(waiting.tickets[start:stop].tolist(), alone, strict=True))
        ranks, losses = self._backend.ranks(waiting, start, stop)
        slots = slice(start, stop)
        behind = np.where(waiting.first_ranks > 0, np.maximum(waiting.sizes + 1, waiting.first_ranks), 0)[
            slots
        ]
        tickets, final = waiting.tickets[slots].tolist(), np.where(ranks > 0, ranks, behind).tolist()
        self._ready.extend((ticket, rank or None) for ticket, rank in zip(tickets, final, strict=True))
        for loss in losses[ranks > 0].tolist():
            self.loss = loss if self.loss is None else self.loss + _LOSS_MOVES * (loss - self.loss)


def _of(room: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(f"{room}_"): each for name, each in arrays.items() if name.startswith(f"{room}_")
    }


def compile_kernels() -> None:
    """Have every compiled function of the mixer compiled, or loaded, for the types that a worker uses."""
    learner = Learner(device="cpu")
    learner.waiting.sizes[:] = KEPT
    learner.waiting.targets[:] = 0
    while learner.steps * EVENTS_PER_STEP <= _FIRST_REPLAY:
        learner.advance(1)
    learner.scores(learner.waiting.features[0], learner.waiting.contexts[0])
