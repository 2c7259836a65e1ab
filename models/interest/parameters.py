"""The weights that all events share, in one flat vector: names, shapes, and what they start from."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from models.interest.sequences import GAPS, KINDS
from models.interest.settings import InterestSettings

DECAYS = (0.5, 0.85, 0.97)
"""What a step back in the history weighs less, for each of the means of it."""
_SMALL = 0.05
_ZERO = frozenset({"outer", "drift_outer", "shift", "again", "text", "graph_gate"})
_TABLES = frozenset({"kinds", "places", "start", "drift_gaps", "pair_kinds"})

Shape = tuple[int, ...]


class Weights(NamedTuple):
    """The weights as views of the flat vector.

    D: dimensions, N: history, P: pair dimensions, T: dimensions of texts.
    """

    kinds: Tensor  # [KINDS, D] added to the item of an event
    places: Tensor  # [N, D] added to the keys, newest first
    query: Tensor  # [D, D]
    key: Tensor  # [D, D]
    value: Tensor  # [D, D]
    join: Tensor  # [4 D, D] of the means and of what the attention saw
    inner: Tensor  # [2 D, 2 D]
    outer: Tensor  # [2 D, D]
    start: Tensor  # [D] the interest of who has no history
    drift_inner: Tensor  # [D, 2 D] of the projection
    drift_gaps: Tensor  # [GAPS + 1, 2 D]
    drift_outer: Tensor  # [2 D, D]
    shift: Tensor  # [GAPS + 1, D] of everybody's interest, by the elapsed time
    pair_item: Tensor  # [D, P]
    pair_event: Tensor  # [D, P]
    pair_kinds: Tensor  # [KINDS, P]
    pair_bias: Tensor  # [KINDS]
    pair_weight: Tensor  # [1]
    again: Tensor  # [KINDS, D] how much an item asks to be taken again, by the time since
    again_bias: Tensor  # [KINDS]
    text: Tensor  # [T, D]
    graph_gate: Tensor  # [D]


def shapes(settings: InterestSettings) -> Weights:
    """Return the shape of every weight, in the place of the weight."""
    d, n, p = settings.dimensions, settings.history, settings.pair_dimensions
    every: tuple[Shape, ...] = (
        *((KINDS, d), (n, d), (d, d), (d, d), (d, d), (4 * d, d), (2 * d, 2 * d), (2 * d, d), (d,)),
        *((d, 2 * d), (GAPS + 1, 2 * d), (2 * d, d), (GAPS + 1, d)),
        *((d, p), (d, p), (KINDS, p), (KINDS,), (1,), (KINDS, d), (KINDS,)),
        *((settings.text_dimensions, d), (d,)),
    )
    return Weights(*every)  # type: ignore[arg-type] # shapes stand where the tensors of these shapes will


def views(flat: Tensor, of: Weights) -> Weights:
    """Return the weights in a flat vector [P]."""
    parts = torch.split(flat, [math.prod(shape) for shape in of])
    return Weights(*(part.view(*shape) for part, shape in zip(parts, of, strict=True)))


def initial(of: Weights, seed: int) -> Tensor:
    """Return a flat vector [P] whose user is a mixture of means of the history, until it has learned.

    What leads to an output is 0: the projection moves nothing, a pair adds nothing.
    """
    random = torch.Generator().manual_seed(seed)
    parts = []
    for name, shape in of._asdict().items():
        scale = 1 / math.sqrt(max(1, shape[0]))
        scale = 0.0 if name in _ZERO else _SMALL if name in _TABLES else scale
        scale = 0.0 if name in ("pair_weight", "pair_bias", "again_bias") else scale
        parts.append(torch.randn(math.prod(shape), generator=random) * scale)
    return torch.cat(parts)
