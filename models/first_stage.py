"""The first stage: a softmax over all candidates, linear in their features, that learns at every event.

Its best go on to the second stage. The step is Adagrad's (Duchi, Hazan, Singer 2011, JMLR 12) on the log-loss
of what happened; an event whose item was no candidate teaches nothing.
"""

import numpy as np

from models.arrays import Doubles, Floats, Rows
from models.candidates import BINS, STATE_OWN, STATE_SIZE, Scratch
from models.columns import F
from models.compiled import compiled, inlined
from models.fast_math import largest
from models.features import OWN

LEARNING_RATE = 0.3
FIRST_SQUARES = 0.01
# Scores that are further below the best are as good as none.
_RANGE = np.float32(16.0)
_BINS_A_POINT = np.float32((BINS - 1) / _RANGE)
_ONE = np.float32(1.0)


@inlined
def is_used(scratch: Scratch, column: int) -> bool:
    """Return whether a column can differ from 0: those of what the user had need a past."""
    return bool(scratch.state[STATE_OWN] > 0 or column < OWN or column >= F)


@compiled
def score(scratch: Scratch, weights: Doubles) -> None:
    """Write the score of every candidate, float32[C]."""
    size, scores, features = scratch.state[STATE_SIZE], scratch.scores, scratch.features
    scores[:size] = np.float32(0.0)
    for column in range(len(features)):
        if not is_used(scratch, column):
            continue
        weight, values = np.float32(weights[column]), features[column]
        for place in range(size):
            scores[place] += weight * values[place]


@compiled
def rank(scratch: Scratch, place: int) -> int:
    """Return 1 + how many others have a score that is at least this candidate's."""
    above, scores = 0, scratch.scores
    for other in range(scratch.state[STATE_SIZE]):
        above += scores[other] >= scores[place]
    return above


@compiled
def keep_best(scratch: Scratch, goal: int, kept: int, rows: Rows, features: Floats) -> tuple[int, int]:
    """Copy the best `kept` candidates to int32[KEPT] and float32[KEPT, F], in the order of gathering.

    Returns how many these are, and the place among them of the candidate at `goal`, -1 if it is not there.
    Scores that are less than RANGE / BINS apart count as equal; of these, the first gathered are kept.
    """
    size, scores, bins = scratch.state[STATE_SIZE], scratch.scores, scratch.bins
    if size == 0:
        return 0, -1
    numbers = scratch.spare.view(np.int32)
    best = largest(scores, size)
    bins[:] = 0
    for place in range(size):
        number = np.int32(max((scores[place] - best + _RANGE) * _BINS_A_POINT, np.float32(0.0)))
        numbers[place] = number
        bins[number] += 1
    worst, above = BINS - 1, 0
    while worst > 0 and above + bins[worst] < kept:
        above += bins[worst]
        worst -= 1
    left, count, found = min(size, kept) - above, 0, -1
    columns = len(scratch.features) if scratch.state[STATE_OWN] > 0 else OWN
    for place in range(size):
        if numbers[place] < worst or (numbers[place] == worst and left <= 0):
            continue
        left -= numbers[place] == worst
        if place == goal:
            found = count
        rows[count] = scratch.rows[place]
        for column in range(columns):
            features[count, column] = scratch.features[column, place]
        for column in range(columns, features.shape[1]):
            features[count, column] = np.float32(0.0)
        for column in range(max(columns, F), len(scratch.features)):
            features[count, column] = scratch.features[column, place]
        count += 1
    return count, found


@compiled
def learn(scratch: Scratch, goal: int, weight: float, weights: Doubles, squares: Doubles) -> None:
    """Take a step towards the candidate at `goal`, on float64[F] weights and their squared gradients."""
    size, scores = scratch.state[STATE_SIZE], scratch.scores
    chances, best, total = scratch.spare, largest(scores, size), np.float32(0.0)
    for place in range(size):
        chances[place] = np.exp(scores[place] - best)
        total += chances[place]
    inverse = _ONE / total
    for column in range(len(scratch.features)):
        if not is_used(scratch, column):
            continue
        expected, values = np.float32(0.0), scratch.features[column]
        for place in range(size):
            expected += chances[place] * values[place]
        gradient = weight * (values[goal] - expected * inverse)
        squares[column] += gradient * gradient
        weights[column] += LEARNING_RATE * gradient / np.sqrt(squares[column] + 1.0)
