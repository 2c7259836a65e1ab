"""The interest of users, learned online: it says what is likely next, and learns from what came."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.arrays import NONE, Floats, Rows
from models.columns import KEPT
from models.devices import is_mixed, mixed_precision, on_device
from models.graph import PathCounter, Relations
from models.interest import loss
from models.interest.items import Gathered, ItemEncoder
from models.interest.network import Events, Joins, Network
from models.interest.optimizers import length
from models.interest.parameters import Parameters
from models.interest.replay import Learned, Memory
from models.interest.sequences import Moments, Sequences, as_moments
from models.interest.settings import InterestSettings
from models.rooms import of_room, with_rooms
from models.text.projection import TextVectors

if TYPE_CHECKING:  # torch_geometric takes seconds to load, and who has no catalogue does without it
    from models.graph.encoder import GraphEncoder

BLOCK = 16
"""Users that are worked out together, always so many: a result does not depend on who else is asked for."""
LARGE_BLOCK = 256
"""The same where more are asked for and each launch costs, whatever it does: on a GPU."""
_FILLING = np.arange(16, dtype=np.int32)
"""Rows that are asked for beside the others: sums over very few items are taken in another order."""
DEFAULTS = InterestSettings()
_FIRST_REPLAY = 200  # events in the memory before it is of use
_LOSS_MOVES = 0.01


class InterestModel:
    """Scores candidates by the interest of users at the moment of use, and learns by its own log-loss.

    It changes in `learn` and nowhere else, and its random numbers follow from the seed and the number of
    steps: the same calls of `learn` leave the same model, whatever was asked in between.
    """

    def __init__(self, settings: InterestSettings = DEFAULTS, device: str = "cpu", seed: int = 0) -> None:
        """Know nothing; `device` is one of torch's."""
        self.settings = settings
        self.steps = 0
        self._fresh = 0  # events since the last step
        self.skipped = 0  # steps whose gradient was not finite
        self.loss: float | None = None  # moving mean, None before the first step
        self.device, self.seed = device, seed
        self._device = torch.device(device)
        self._parameters = Parameters(settings, self._device, seed)
        self._network = Network(settings, self._device)
        self._items = ItemEncoder(settings, self._device, seed)
        self._memory = Memory(settings, KEPT)
        self._relations: Relations | None = None
        self._path_counter = PathCounter()
        self.graph: GraphEncoder | None = None

    @property
    def most_at_once(self) -> int:
        """How many users it is best asked about together."""
        return BLOCK if self.device == "cpu" else LARGE_BLOCK

    @torch.no_grad()
    def logits(self, batch: Sequences, candidates: Rows) -> Floats:
        """Return the scores float32[B, K] of candidates int32[B, K], by the weights of now.

        What stands for no candidate must be a row all the same, or -1; its score means nothing.
        """
        weights, told = self._parameters.views(), []
        size = BLOCK if len(candidates) <= BLOCK else self.most_at_once
        for start in range(0, len(candidates), size):
            part = slice(start, start + size)
            moments, asked = self._block(batch, part, candidates[part], size)
            gathered, events, (places, _) = self._encoded(moments, asked, _FILLING)
            joins = self._joins(moments, asked, gathered)
            with self._precision():
                items, biases = self._items.encode(weights, gathered)
                theirs, _ = self._network.scores(weights, items, biases, events, places, joins)
            told.append(theirs.float())  # a GPU works on this block while the next is prepared
        scores: Floats = torch.cat(told).cpu().numpy()  # [blocks, size, K] -> [blocks * size, K]
        return scores[: len(candidates), : candidates.shape[1]]

    def learn(
        self,
        batch: Sequences,
        targets: Rows,
        candidates: Rows,
        sizes: Rows,
        weights: Floats,
        users: NDArray[np.uint64] | None = None,
    ) -> None:
        """Take in B events; once there are enough since the last step, take one, on earlier ones, too.

        `targets` int32[B] are the rows of what came, whether they are among the candidates or not;
        `candidates` int32[B, KEPT] the rows that the ranker kept, `sizes` of them; `weights` float32[B] says
        how much an event counts; `users` are hashes for `forget`. An event with a negative target is none.
        """
        is_known = targets >= 0
        if not is_known.any():
            return
        owners = np.zeros(len(targets), np.uint64) if users is None else users
        moments = as_moments(batch, self.settings.history)
        events = Learned(*moments, targets, candidates, sizes, weights, owners)
        events = events.pick(is_known)
        self._reserve(events.moments, events.targets, events.candidates)
        self._memory.take_in(events)
        self._fresh += len(events.targets)
        if self._fresh < self.settings.events_a_step:
            return
        self.steps += 1
        events = self._memory.newest(self._fresh)
        self._items.admit(events.targets)
        random = np.random.Generator(np.random.Philox(key=[self.seed, self.steps]))
        if self.settings.replayed and self._memory.stored >= _FIRST_REPLAY:
            events = events.and_then(self._memory.recall(self.settings.replayed, self._fresh, random))
        fresh, self._fresh = self._fresh, 0
        self._descend(events, fresh, random)

    def use_catalog(
        self, relations: Relations, words: TextVectors, graph: "GraphEncoder | None" = None
    ) -> None:
        """Look, from now on, at what items have in common, at their texts, and at what a network says."""
        self._relations, self._items.words, self.graph = relations, words, graph

    def describe(self, rows: Rows, texts: Floats) -> None:
        """Take in vectors of what rows say, float32[n, T].

        They are not in a snapshot: describe the items again after it was restored.
        """
        self._items.describe(rows, texts)

    def forget(self, user: int) -> int:
        """Blot out what is stored of a user to be replayed; return how many events that were. 0 is nobody."""
        return self._memory.forget(user) if user else 0

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the weights, of the items' vectors, and of what is remembered."""
        rooms = {
            "items": self._items.snapshot(),
            "memory": self._memory.snapshot(),
            **({} if self.graph is None else {"graph": self.graph.snapshot()}),
        }
        return {
            **self._parameters.snapshot(),
            "steps": np.array([self.steps, self.skipped, self._fresh]),
            "loss": np.array([] if self.loss is None else [self.loss]),
            **with_rooms(rooms),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; by another optimizer, with nothing remembered of its steps.

        Raises ValueError for one of other sizes.
        """
        steps, skipped, fresh = (int(number) for number in arrays["steps"])
        self._parameters.restore(arrays, steps)
        self.steps, self.skipped, self._fresh = steps, skipped, fresh
        self.loss = float(arrays["loss"][0]) if len(arrays["loss"]) else None
        self._items.restore(of_room("items", arrays))
        self._memory.restore(of_room("memory", arrays))
        of_graph = of_room("graph", arrays)
        if self.graph is not None and of_graph:
            self.graph.restore(of_graph)

    def _block(self, batch: Sequences, part: slice, candidates: Rows, size: int) -> tuple[Moments, Rows]:
        """Return a part of a batch, filled up to `size` users, and their candidates to whole KEPT."""
        theirs: list[Any] = [each[part] for each in batch]
        columns, users = -candidates.shape[1] % KEPT, size - len(theirs[0])
        if columns or users:
            theirs = [np.pad(each, ((0, users), *((0, 0),) * (each.ndim - 1))) for each in theirs]
            candidates = np.pad(candidates, ((0, size - len(candidates)), (0, columns)), constant_values=-1)
        return as_moments(Sequences(*theirs), self.settings.history), candidates

    def _encoded(
        self, moments: Moments, *others: Rows, fill: int = 0
    ) -> tuple[Gathered, Events, list[Tensor]]:
        """Return the items of moments and of other arrays of rows, the events, and places for the others.

        Where there is no row, it is that of `fill`.
        """
        every = np.concatenate([moments.rows.ravel(), *(other.ravel() for other in others)])
        gathered, places = self._items.gather(np.where(every < 0, fill, every))
        if self.graph is not None:
            gathered = gathered._replace(related=self._tensor(self.graph.vectors(gathered.rows)))
        parts = np.split(places, np.cumsum([moments.rows.size, *(other.size for other in others)])[:-1])
        events = Events(
            places=self._tensor(parts[0].reshape(moments.rows.shape)),  # [B * N] -> [B, N]
            is_there=self._tensor((moments.rows >= 0).astype(np.float32)),
            kinds=self._tensor(moments.kinds).long(),
            kinds_now=self._tensor(moments.kinds_now).long(),
            gaps=self._tensor(moments.gaps).long(),
        )
        shaped = zip(parts[1:], others, strict=True)
        return gathered, events, [self._tensor(part.reshape(other.shape)) for part, other in shaped]

    def _descend(self, learned: Learned, fresh: int, random: np.random.Generator) -> None:
        """Take a step down the gradient of the loss over events, of which the first are `fresh`."""
        settings, targets = self.settings, learned.targets
        own, is_own = loss.draw_own(learned, settings.kept_negatives, random)
        drawn = self._memory.recent_targets(settings.shared_negatives, random)
        shared = np.concatenate([targets, drawn]) if settings.shared_negatives else drawn
        fill = int(targets[0])
        asked = np.concatenate([targets[:, None], np.where(is_own, own, fill)], 1)  # [B, 1 + J]
        gathered, events, (places, pool) = self._encoded(learned.moments, asked, shared, fill=fill)
        leaves = [gathered.values, *([] if gathered.related is None else [gathered.related])]
        for leaf in leaves:
            leaf.requires_grad_()
        weights, joins = self._parameters.views(), self._joins(learned.moments, asked, gathered)
        with self._precision():
            items, biases = self._items.encode(weights, gathered)
            scores, interest = self._network.scores(weights, items, biases, events, places, joins)
            against = interest @ items[pool].T + biases[pool]  # [B, D] @ [D, S] -> [B, S]
            alone = (interest * items[places[:, 0]]).sum(1) + biases[places[:, 0]]  # [B]
        mean = self._mean_loss(learned, is_own, shared, scores.float(), alone.float(), against.float())
        dense, rows, *related = torch.autograd.grad(mean, [self._parameters.flat, *leaves], allow_unused=True)
        if self._apply(gathered, mean, dense, rows) and self.graph is not None and related[0] is not None:
            is_there = np.arange(learned.candidates.shape[1]) < learned.sizes[:, None]
            kept = np.where(is_there, learned.candidates, NONE)
            self.graph.learn(gathered.rows, related[0], kept, targets[:fresh], self._alone)

    def _mean_loss(
        self,
        learned: Learned,
        is_own: NDArray[np.bool_],
        shared: Rows,
        scores: Tensor,
        alone: Tensor,
        against: Tensor,
    ) -> Tensor:
        """Return the loss [] by scores [B, 1 + J], those of targets [B], and of `shared` rows [B, S]."""
        counts = self._tensor(learned.weights)
        kept = self._tensor(loss.is_kept(learned).astype(np.float32))
        corrections = self._tensor(loss.corrections(learned, is_own))
        total = (loss.own_loss(scores, self._tensor(is_own), corrections) * kept * counts).sum()
        if len(shared):
            log_q = self._tensor(np.log(self._memory.share(shared) * np.float32(len(shared))))
            is_target = self._tensor(shared == learned.targets[:, None])  # [B, S]
            others = loss.shared_loss(alone, against, log_q, is_target)
            total = total + self.settings.shared_weight * (others * counts).sum()
        return total / len(learned.targets)

    def _joins(self, moments: Moments, asked: Rows, gathered: Gathered) -> Joins | None:
        """Return what joins the asked int32[B, K] with what users did; -1 stands for none."""
        if self._relations is None or not self.settings.uses_paths:
            return None
        paths = self._path_counter.count(self._relations.graph, moments.rows, asked)
        return Joins(self._tensor(paths), gathered.related)

    def _alone(self, rows: Rows) -> Tensor:
        """Return the vectors [n, D] of items by themselves."""
        gathered, places = self._items.gather(rows)
        vectors, _ = self._items.encode(self._parameters.views(), gathered)
        return vectors[self._tensor(places)]

    def _apply(self, gathered: Gathered, mean: Tensor, dense: Tensor, rows: Tensor | None) -> bool:
        """Step down the gradients of weights [P] and gathered rows; return whether they are finite."""
        if rows is None:  # without id vectors
            rows = torch.zeros_like(gathered.values)
        norm = float(length(dense, rows))
        if not math.isfinite(norm):
            self.skipped += 1
            return False
        settings, now = self.settings, float(mean.detach())
        scale = min(1.0, settings.longest_gradient / max(norm, 1e-12))
        with torch.no_grad():
            self._parameters.descend(dense * scale, self.steps)
            self._items.descend(gathered, rows * scale, settings.row_learning_rate, self.steps)
        self.loss = now if self.loss is None else self.loss + _LOSS_MOVES * (now - self.loss)
        return True

    def _reserve(self, moments: Moments, *others: Rows) -> None:
        """Make room for all these rows."""
        rows = 1 + int(max(other.max(initial=-1) for other in (moments.rows, *others)))
        self._items.reserve(rows)
        self._memory.reserve(rows)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return on_device(array, self._device)

    def _precision(self) -> AbstractContextManager[Any]:
        is_on = is_mixed(self.settings.mixed_precision, self._device)
        return mixed_precision(self._device, is_on)
