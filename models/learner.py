"""Online learning: every 16 events the mixer learns from them, and again from a few of those before."""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.columns import FEATURES, ROOTS, Feature, Q
from models.effort import EFFORTS, FULL, Effort
from models.interest import INTEREST_FEATURES, InterestModel, columns_of, fill_in, learn_from, ranks_alone
from models.mixer.backends import Backend, CompiledBackend
from models.mixer.layout import Floats, Layout
from models.mixer.network import TorchBackend
from models.mixer.replay import Memory, Minibatch, empty_minibatch
from models.ranking import Query
from models.remapping import places_of, remap_learner
from models.rooms import of_room, with_rooms
from models.trial import Trial
from models.waiting import Waiting

EVENTS_PER_STEP = 16
HIDDEN = 64
# Every second replay step looks at no more than these newest ones, to follow a drift.
RECENT = 3_000
MOST_FOR_OTHERS = 3
"""A learner that has a part of the stream replays more of it, up to so many times what the effort says."""
FIRST_REPLAY = 200  # events in the memory before it is of use
_TAUGHT_AT_REST = 4
"""An interest model that rests learns at every so many steps, to be of use if it is asked again."""
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
        self.trial: Trial | None = None  # of the interest model
        self._lay_out(self._with_interest(features))

    def use_columns(self, features: Sequence[Feature]) -> None:
        """Go on over other columns of the ranker: of those that are new nothing is learned yet."""
        self.use_all_columns(self._with_interest(features))

    def use_all_columns(self, features: Sequence[Feature]) -> None:
        """Go on over just these columns, known by their names."""
        if [each.name for each in features] == [each.name for each in self.features]:
            return
        trial, self.trial = self.trial, None
        theirs, was = self.snapshot(), self._layout
        columns = places_of(features, self.features)
        self._lay_out(features)
        if self.steps > 0 or self.next_slot > 0:
            self.restore(remap_learner(theirs, self.snapshot(), columns, was, self._layout))
        if self.trial is not None and trial is not None:
            self.trial.carry_on(trial)

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

    @property
    def most_at_once(self) -> int:
        """How many queries are best completed together."""
        return EVENTS_PER_STEP if self.interest is None else self.interest.most_at_once

    def complete(self, queries: Sequence[Query]) -> None:
        """Add to the features of queries what only the learner knows of their candidates."""
        if self.interest is None or not queries:
            return
        if self._asks_interest:
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
        for name, column in self.waiting.slots._asdict().items():
            if name != "tickets":  # by which its rank is asked for
                column[theirs] = -1 if name in ("targets", "items", "past_rows") else 0
        remembered = self._memory.forget(user)
        if self.interest is not None:
            self.interest.forget(user)
        return len(theirs) + remembered

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the weights, of what steps remember, and of the events that wait for one."""
        rooms = {"waiting": self.waiting.snapshot(), "memory": self._memory.snapshot()}
        if self.interest is not None:
            rooms["interest"] = self.interest.snapshot()
        if self.trial is not None:
            rooms["trial"] = self.trial.snapshot()
        return {
            **self._backend.snapshot(),
            "steps": np.array([self.steps, self.skipped, self.next_slot, self._ranked]),
            "loss": np.array([] if self.loss is None else [self.loss]),
            **with_rooms(rooms),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of, but for the effort. Raises ValueError for one of other sizes."""
        self._backend.restore(arrays)
        self.waiting.restore(of_room("waiting", arrays))
        self._memory.restore(of_room("memory", arrays))
        self.steps, self.skipped, self.next_slot, self._ranked = (int(number) for number in arrays["steps"])
        self.loss = float(arrays["loss"][0]) if len(arrays["loss"]) else None
        self._ready.clear()
        self._ready_alone.clear()
        of_interest = of_room("interest", arrays)
        if self.interest is not None and of_interest:
            self.interest.restore(of_interest)
        of_trial = of_room("trial", arrays)
        if self.trial is not None and of_trial:
            self.trial.restore(of_trial)

    @property
    def _asks_interest(self) -> bool:
        is_resting = self.trial is not None and self.trial.is_resting
        return self.interest is not None and self.effort.has_interest and not is_resting

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
        if self.interest is not None and self.interest.settings.may_rest:
            without = self._backend_type(self._layout, initial, self._wanted_device)
            self.trial = Trial(len(INTEREST_FEATURES), without)
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
        if self._memory.stored >= FIRST_REPLAY:
            for number in range(self._replays()):
                newest = min(effort.memory, RECENT) if number % 2 else effort.memory
                if self._memory.recall(newest, effort.sampled, self._again):
                    self._descend(self._again)
        if self.interest is not None:
            self._teach(self.interest)
        self.steps += 1

    def _teach(self, interest: InterestModel) -> None:
        """Have the interest model learn what waits, and its trial go on, if there is the effort for it."""
        trial, has_effort = self.trial, self.effort.has_interest
        is_resting = trial is not None and trial.is_resting
        if has_effort and not (is_resting and self.steps % _TAUGHT_AT_REST):
            learn_from(interest, self.waiting)
        if trial is not None and has_effort:
            trial.step(self._backend)
        elif trial is not None:
            trial.interrupt()

    def _replays(self) -> int:
        """Return how often to replay: the less of the stream comes here, the more can be made of it.

        So several learners together do as much for an event of the stream as a single one.
        """
        return round(self.effort.replays * min(1 / self.share, MOST_FOR_OTHERS))

    def _descend(self, batch: Minibatch) -> bool:
        is_finite = self._backend.descend(batch)
        self.skipped += not is_finite
        if self.trial is not None and self.effort.has_interest:
            self.trial.learn(batch)
        return is_finite

    def _rank(self) -> None:
        """Make (ticket, rank) ready for the waiting that have no rank yet."""
        start, stop = self._ranked, self.next_slot
        if start != stop:
            self._rank_slots(self.waiting, start, stop)
            self._ranked = stop

    def _rank_slots(self, waiting: Waiting, start: int, stop: int) -> None:
        if self.interest is not None and self._asks_interest and start < stop:
            fill_in(self.interest, waiting, start, stop)
            alone = ranks_alone(waiting, start, stop)
            self._ready_alone.extend(zip(waiting.tickets[start:stop].tolist(), alone, strict=True))
        ranks, losses = self._backend.ranks(waiting, start, stop)
        if self.trial is not None and self._asks_interest:
            self.trial.compare(waiting, start, stop, ranks, losses)
        slots = slice(start, stop)
        behind = np.where(waiting.first_ranks > 0, np.maximum(waiting.sizes + 1, waiting.first_ranks), 0)[
            slots
        ]
        tickets, final = waiting.tickets[slots].tolist(), np.where(ranks > 0, ranks, behind).tolist()
        self._ready.extend((ticket, rank or None) for ticket, rank in zip(tickets, final, strict=True))
        for loss in losses[ranks > 0].tolist():
            self.loss = loss if self.loss is None else self.loss + _LOSS_MOVES * (loss - self.loss)
