"""Online learning: a step of gradient descent every 16 events, on the log-loss of what happened next."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from models.ranking import Query, Ranker

EVENTS_PER_STEP = 16
LEARNING_RATE = 0.3
# What a step forgets of the earlier gradients' size: after about a thousand steps, step sizes only adapt.
_FORGETS = 0.001
_SMALLEST_SQUARES = 0.01
_LOSS_MOVES = 0.01
_INITIAL_NOISE = 0.01

Ticket = int


class _OrderedSum(torch.autograd.Function):
    """The sum over the first dimension of features times weights, added up one feature after the other."""

    @staticmethod
    def forward(context: FunctionCtx, features: Tensor, weights: Tensor) -> Tensor:
        """Return [B, C] from features [F, B, C] and weights [F]."""
        context.save_for_backward(features)
        total = features[0] * weights[0]  # [B, C]
        for feature, weight in zip(features[1:], weights[1:], strict=True):
            total += feature * weight
        return total

    @staticmethod
    def backward(context: FunctionCtx, *gradients: Tensor) -> tuple[None, Tensor]:
        """Return the gradient [F] of the weights from that of the sums [B, C]."""
        (features,) = context.saved_tensors  # type: ignore[attr-defined]
        return None, features.flatten(1) @ gradients[0].flatten()  # [F, B * C] @ [B * C]


class LinearMixer(nn.Module):
    """Scores candidates by a weighted sum of their features."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)  # [F]

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores [B, C] of features [F, B, C].

        Every product and every partial sum is rounded by itself. So a score is the same to the last bit
        whatever stands beside it in the batch, and candidates with equal features tie exactly.
        """
        scores: Tensor = _OrderedSum.apply(features, self.weights)
        return scores


class _Event:
    """One observed event that waits for its step."""

    __slots__ = ("place", "query", "ticket", "user_hash", "weight")

    def __init__(
        self, query: Query, place: int | None, weight: float, ticket: Ticket, user_hash: int
    ) -> None:
        self.query = query
        self.place = place
        self.weight = weight
        self.ticket = ticket
        self.user_hash = user_hash


class Learner:
    """Tests each event with the weights of before it, and learns from every 16 of them together.

    The weights stand still between two steps, so the forward pass of a step also gives the test ranks of its
    events: whatever is asked for in between, no event is scored by weights that have seen it.

    The step is Adagrad's (Duchi, Hazan, Singer 2011, JMLR 12): each weight moves by its gradient over the
    root of the sum of its squared gradients. Here that sum slowly forgets, so that weights follow a drift.
    """

    def __init__(self, ranker: Ranker, device: str = "auto", seed: int = 0) -> None:
        """Start from the features' initial weights, with a little noise so that seeds show what is chance."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        # Waking a second thread costs more than all the arithmetic of a step.
        torch.set_num_threads(1)
        self.steps = 0
        self.loss: float | None = None  # moving mean, None before the first target
        self._ranker = ranker
        noise = np.random.default_rng(seed).normal(0, _INITIAL_NOISE, len(ranker.weights))
        weights = ranker.weights + noise.astype(np.float32)
        self.mixer = LinearMixer(torch.from_numpy(weights).to(self.device))
        self._squares = torch.zeros_like(self.mixer.weights.data)  # [F]
        self._publish()
        self._waiting: list[_Event] = []
        self._scored = 0  # how many of the waiting have their rank
        self._ready: deque[tuple[Ticket, int | None]] = deque()

    def observe(
        self, query: Query, target_row: int, weight: float, ticket: Ticket = 0, user_hash: int = 0
    ) -> None:
        """Queue an event: what could have been recommended before it, what happened, and how much it counts.

        The sixteenth is followed by a step. A target that is not among the candidates has no rank and teaches
        nothing, but counts towards the sixteen.
        """
        self._waiting.append(_Event(query, query.place(target_row), weight, ticket, user_hash))
        if len(self._waiting) == EVENTS_PER_STEP:
            try:
                self._step()
            finally:  # a step that fails takes its events with it, and the next sixteen have theirs
                self._waiting, self._scored = [], 0

    def forget(self, user_hash: int) -> int:
        """Score, and then forget, the waiting events of a user; return how many there were."""
        theirs = sum(event.user_hash == user_hash for event in self._waiting)
        if theirs:
            self._ready.extend(self.flush_scores())
            self._waiting = [event for event in self._waiting if event.user_hash != user_hash]
            self._scored = len(self._waiting)
        return theirs

    def scored(self) -> list[tuple[Ticket, int | None]]:
        """Return (ticket, rank) of every event scored since the last call, in the order of observation.

        The rank is 1 + the number of other candidates whose score is at least the target's.
        """
        ready = list(self._ready)
        self._ready.clear()
        return ready

    def flush_scores(self) -> list[tuple[Ticket, int | None]]:
        """Score the events that wait for their step, too, without learning; return what `scored` would."""
        waiting = self._waiting[self._scored :]
        if waiting:
            with torch.no_grad():
                features, mask = self._batch(waiting)
                self._rank(waiting, self.mixer(features), mask)
            self._scored = len(self._waiting)
        return self.scored()

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the weights, of what steps remember, and of the events that wait for one."""
        waiting = self._waiting
        rows = [event.query.rows for event in waiting]
        features = [event.query.features for event in waiting]  # [C, F] each
        return {
            "weights": self.mixer.weights.detach().cpu().numpy().copy(),
            "squares": self._squares.cpu().numpy().copy(),
            "steps": np.array([self.steps, self._scored]),
            "loss": np.array([] if self.loss is None else [self.loss]),
            "waiting_sizes": np.array([len(each) for each in rows], np.int64),
            "waiting_rows": np.concatenate([np.zeros(0, np.int32), *rows]),
            "waiting_features": np.concatenate(
                [np.zeros((0, len(self._ranker.features)), np.float32), *features]
            ),
            "waiting_places": np.array([-1 if e.place is None else e.place for e in waiting], np.int64),
            "waiting_weights": np.array([event.weight for event in waiting], np.float64),
            "waiting_tickets": np.array([event.ticket for event in waiting], np.int64),
            "waiting_users": np.array([event.user_hash for event in waiting], np.uint64),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of. Raises ValueError for one of another number of features."""
        if arrays["weights"].shape != tuple(self.mixer.weights.shape):
            raise ValueError(f"{len(arrays['weights'])} weights, expected {len(self.mixer.weights)}")
        with torch.no_grad():
            self.mixer.weights.copy_(torch.from_numpy(arrays["weights"]))
            self._squares.copy_(torch.from_numpy(arrays["squares"]))
        self.steps, self._scored = (int(number) for number in arrays["steps"])
        self.loss = float(arrays["loss"][0]) if len(arrays["loss"]) else None
        ends = np.cumsum(arrays["waiting_sizes"])[:-1]
        rows = np.split(arrays["waiting_rows"], ends)
        features = np.split(arrays["waiting_features"], ends)
        places = (None if place < 0 else place for place in arrays["waiting_places"].tolist())
        columns = zip(
            places,
            arrays["waiting_weights"].tolist(),
            arrays["waiting_tickets"].tolist(),
            arrays["waiting_users"].tolist(),
            strict=True,
        )
        self._waiting = [
            _Event(Query(rows[number], features[number]), place, weight, ticket, user_hash)
            for number, (place, weight, ticket, user_hash) in enumerate(columns)
        ]
        self._publish()

    def _step(self) -> None:
        """Rank those that have no rank yet; from the same scores, descend the weighted mean log-loss."""
        events = self._waiting
        features, mask = self._batch(events)  # [F, B, C], [B, C]
        scores = self.mixer(features)  # [B, C]
        self._rank(events[self._scored :], scores.detach()[self._scored :], mask[self._scored :])
        if any(event.place is not None for event in events):
            self._descend(events, scores, mask)
            self._publish()
        self.steps += 1

    def _descend(self, events: list[_Event], scores: Tensor, mask: Tensor) -> None:
        """One step on the mean over all events of weight times log-loss; those without a target add none."""
        known = [number for number, event in enumerate(events) if event.place is not None]
        places = torch.tensor([events[number].place for number in known], device=self.device)  # [targets]
        weights = torch.tensor([event.weight for event in events], device=self.device)  # [B]
        log_chances = torch.log_softmax(scores.masked_fill(~mask, -torch.inf)[known], dim=1)  # [targets, C]
        losses = -log_chances.gather(1, places[:, None])[:, 0]  # [targets, C] -> [targets]
        loss = (losses * weights[known]).sum() / weights.sum()
        (gradient,) = torch.autograd.grad(loss, [self.mixer.weights])  # [F]
        with torch.no_grad():
            self._squares.mul_(1.0 - _FORGETS).addcmul_(gradient, gradient)
            self.mixer.weights.sub_(LEARNING_RATE * gradient / (self._squares + _SMALLEST_SQUARES).sqrt())
        mean = float(losses.detach().mean())
        self.loss = mean if self.loss is None else self.loss + _LOSS_MOVES * (mean - self.loss)

    def _batch(self, events: list[_Event]) -> tuple[Tensor, Tensor]:
        """Return features [F, B, C], padded with zeros, and a mask [B, C] of what is there."""
        sizes = np.array([len(event.query.rows) for event in events])
        width = max(1, int(sizes.max()))
        features = np.zeros((len(self._ranker.features), len(events), width), np.float32)
        for number, event in enumerate(events):
            features[:, number, : sizes[number]] = event.query.features.T  # [C, F] -> [F, C]
        mask = np.arange(width) < sizes[:, None]
        return torch.from_numpy(features).to(self.device), torch.from_numpy(mask).to(self.device)

    def _rank(self, events: list[_Event], scores: Tensor, mask: Tensor) -> None:
        """Make (ticket, rank) ready for events with scores [B, C]."""
        places = torch.tensor([event.place or 0 for event in events], device=self.device)  # [B]
        targets = scores.gather(1, places[:, None])  # [B, 1]
        ranks = (
            ((scores >= targets) & mask).sum(dim=1).tolist()
        )  # [B]; the target itself is the 1 of 1 + others
        for event, rank in zip(events, ranks, strict=True):
            self._ready.append((event.ticket, rank if event.place is not None else None))

    def _publish(self) -> None:
        self._ranker.weights = self.mixer.weights.detach().cpu().numpy().copy()
