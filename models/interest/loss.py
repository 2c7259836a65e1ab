"""What is learned from: the log-loss of what came, among what the ranker kept, and among what others took.

Sampled negatives are corrected for how likely they were to be drawn: logQ, Bengio and Senecal 2008 (IEEE
Transactions on Neural Networks 19); for items drawn as often as they are taken, Yi et al. 2019 (RecSys).
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.arrays import Floats, Rows
from models.interest.replay import Learned

_OUT = -1e9


def draw_own(events: Learned, count: int, random: np.random.Generator) -> tuple[Rows, NDArray[np.bool_]]:
    """Return `count` kept candidates of each event, in a row from a random one, and which are valid."""
    sizes = np.maximum(events.sizes, 1)
    first = (random.random(len(sizes)) * sizes).astype(np.int64)
    own = np.take_along_axis(events.candidates, (first[:, None] + np.arange(count)) % sizes[:, None], 1)
    is_own = (np.arange(count) < events.sizes[:, None]) & (own != events.targets[:, None])
    return own, is_own


def is_kept(events: Learned) -> NDArray[np.bool_]:
    """Return of each event whether its target is among the candidates, bool[B]."""
    is_there = np.arange(events.candidates.shape[1]) < events.sizes[:, None]
    kept: NDArray[np.bool_] = ((events.candidates == events.targets[:, None]) & is_there).any(1)
    return kept


def corrections(events: Learned, is_own: NDArray[np.bool_]) -> Floats:
    """Return what the scores of the drawn gain, so that they stand for all that were kept, float32[B]."""
    others, drawn = np.maximum(events.sizes - 1, 1), np.maximum(is_own.sum(1), 1)
    gained: Floats = np.log(others / drawn).astype(np.float32)
    return gained


def own_loss(scores: Tensor, is_own: Tensor, corrections: Tensor) -> Tensor:
    """Return the log-loss [B] of the first column of scores [B, 1 + J] against the others that are valid."""
    others = (scores[:, 1:] + corrections[:, None]).masked_fill(~is_own, _OUT)  # [B, J]
    return torch.cat([scores[:, :1], others], 1).logsumexp(1) - scores[:, 0]


def shared_loss(target_scores: Tensor, scores: Tensor, log_q: Tensor, is_target: Tensor) -> Tensor:
    """Return the log-loss [B] of targets [B] against shared negatives [B, S], expected exp(log_q) times."""
    others = (scores - log_q).masked_fill(is_target, _OUT)  # [B, S]
    return torch.cat([target_scores[:, None], others], 1).logsumexp(1) - target_scores
