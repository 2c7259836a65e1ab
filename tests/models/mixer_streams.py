"""Made-up events for the mixer: as the first stage would leave them, without a first stage."""

import numpy as np

from models.columns import KEPT, ROOTS, F, Q
from models.learner import Learner
from models.waiting import Waiting

TELLING = 5  # the feature that mostly decides


def fill(waiting: Waiting, slot: int, random: np.random.Generator, telling: int = TELLING) -> None:
    """Write an event into a slot; a feature and the context say which item it is, more often than not.

    One event in five has its target not among the kept.
    """
    size = int(random.integers(2, KEPT + 1))
    features = random.random((size, F), np.float32)
    features[:, :ROOTS] *= random.random((size, ROOTS)) < 0.5
    context = random.random(Q, np.float32)
    chances = np.exp(6 * features[:, telling] + 4 * features[:, 0] * (context[0] > 0.5))
    target = int(random.choice(size, p=chances / chances.sum()))
    waiting.features[slot, :size] = features
    waiting.contexts[slot] = context
    waiting.sizes[slot] = size
    waiting.targets[slot] = target if random.random() < 0.8 else -1
    waiting.first_ranks[slot] = 0 if random.random() < 0.5 else target + 1


def observe(learner: Learner, weight: float, ticket: int, user: int = 0) -> None:
    """Have a learner take the event that was written, but for these columns, into its next slot."""
    waiting, slot = learner.waiting, learner.next_slot
    waiting.weights[slot], waiting.tickets[slot], waiting.users[slot] = weight, ticket, user
    learner.advance(1)


def feed(
    learner: Learner, events: int, random: np.random.Generator, user: int = 0, telling: int = TELLING
) -> list[tuple[int, int | None]]:
    """Let a learner take events; return (ticket, rank) of those that its steps ranked."""
    ranked = []
    for ticket in range(events):
        fill(learner.waiting, learner.next_slot, random, telling)
        observe(learner, 1.0, ticket, user)
        ranked += learner.scored()
    return ranked


def mean_reciprocal_rank(ranked: list[tuple[int, int | None]]) -> float:
    """Return the mean of 1 / rank over the ranks that there are."""
    return float(np.mean([1 / rank for _, rank in ranked if rank is not None]))
