"""Online learning: a step of gradient descent every 16 events, on the log-loss of what happened next."""

from collections import deque

import numpy as np
import torch
from torch import Tensor, nn

from models.ranking import Query, Ranker

EVENTS_PER_STEP = 16
LEARNING_RATE = 0.01
_LOSS_MOVES = 0.01
_INITIAL_NOISE = 0.01

Ticket = object


class LinearMixer(nn.Module):
    """Scores candidates by a weighted sum of their features."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)  # [F]

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores [B, C] of features [F, B, C].

        The products are added one feature after the other, each sum rounded by itself: so a score is the same
        to the last bit whatever stands beside it in the batch, and candidates with equal features tie.
        """
        products = features * self.weights[:, None, None]  # [F, B, C]
        total = products[0]  # [B, C]
        for product in products[1:].unbind(0):
            total = total + product
        return total


class _Event:
    """One observed event that waits for its step."""

    __slots__ = ("place", "query", "ticket", "weight")

    def __init__(self, query: Query, place: int | None, weight: float, ticket: Ticket) -> None:
        self.query = query
        self.place = place
        self.weight = weight
        self.ticket = ticket


class Learner:
    """Tests each event with the weights of before it, and learns from every 16 of them together.

    The weights stand still between two steps, so the forward pass of a step also gives the test ranks of its
    events: whatever is asked for in between, no event is scored by weights that have seen it.
    """

    def __init__(self, ranker: Ranker, device: str = "auto", seed: int = 0) -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(device)
        self.steps = 0
        self.loss: float | None = None
        self._ranker = ranker
        noise = np.random.default_rng(seed).normal(0, _INITIAL_NOISE, len(ranker.weights))
        weights = ranker.weights + noise.astype(np.float32)
        self.mixer = LinearMixer(torch.from_numpy(weights).to(self.device))
        self._publish()
        self._optimizer = torch.optim.Adam(self.mixer.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99))
        self._waiting: list[_Event] = []
        self._scored = 0  # how many of the waiting have their rank
        self._ready: deque[tuple[Ticket, int | None]] = deque()

    def observe(self, query: Query, target_row: int, weight: float, ticket: Ticket = None) -> None:
        """Queue an event: what could have been recommended before it, what happened, and how much it counts.

        The sixteenth is followed by a step. A target that is not among the candidates has no rank and teaches
        nothing, but counts towards the sixteen.
        """
        self._waiting.append(_Event(query, query.place(target_row), weight, ticket))
        if len(self._waiting) == EVENTS_PER_STEP:
            self._step()

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

    def _step(self) -> None:
        """Rank those that have no rank yet; from the same scores, descend the weighted mean log-loss."""
        events = self._waiting
        features, mask = self._batch(events)  # [F, B, C], [B, C]
        scores = self.mixer(features)  # [B, C]
        self._rank(events[self._scored :], scores.detach()[self._scored :], mask[self._scored :])
        known = [number for number, event in enumerate(events) if event.place is not None]
        if known:
            places = torch.tensor([event.place for event in events if event.place is not None]).to(
                self.device
            )
            weights = torch.tensor([event.weight for event in events]).to(self.device)  # [B]
            log_chances = torch.log_softmax(scores.masked_fill(~mask, -torch.inf), dim=1)  # [B, C]
            losses = -log_chances[known, places]  # [targets]
            loss = (losses * weights[known]).sum() / weights.sum()
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
            self._publish()
            mean = float(losses.detach().mean())
            self.loss = mean if self.loss is None else self.loss + _LOSS_MOVES * (mean - self.loss)
        self.steps += 1
        self._waiting = []
        self._scored = 0

    def _batch(self, events: list[_Event]) -> tuple[Tensor, Tensor]:
        """Return features [F, B, C], padded with zeros, and a mask [B, C] of what is there."""
        width = max(1, *(len(event.query.rows) for event in events))
        features = torch.zeros(len(self._ranker.features), len(events), width)
        mask = torch.zeros(len(events), width, dtype=torch.bool)
        array = features.numpy()
        for number, event in enumerate(events):
            size = len(event.query.rows)
            array[:, number, :size] = event.query.features.T  # [C, F] -> [F, C]
            mask[number, :size] = True
        return features.to(self.device), mask.to(self.device)

    def _rank(self, events: list[_Event], scores: Tensor, mask: Tensor) -> None:
        """Append (ticket, rank) of events with scores [B, C]."""
        places = torch.tensor([event.place or 0 for event in events], device=self.device)  # [B]
        targets = scores.gather(1, places[:, None])  # [B, 1]
        ranks = (
            ((scores >= targets) & mask).sum(dim=1).tolist()
        )  # [B]; the target itself is the 1 of 1 + others
        for event, rank in zip(events, ranks, strict=True):
            self._ready.append((event.ticket, rank if event.place is not None else None))

    def _publish(self) -> None:
        self._ranker.weights = self.mixer.weights.detach().cpu().numpy().copy()
