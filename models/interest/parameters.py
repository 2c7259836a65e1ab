"""The weights that all events share, in one flat vector: names, shapes, where they start, how they move."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.devices import on_device
from models.graph import RELATIONS
from models.interest.optimizers import OPTIMIZERS, as_array, decayed, goes_on, name_in
from models.interest.sequences import GAPS, KINDS
from models.interest.settings import InterestSettings
from models.text.projection import WORDS

DECAYS = (0.5, 0.85, 0.97)
"""What a step back in the history weighs less, for each of the means of it."""
_SMALL = 0.05
_ZERO = frozenset({"outer", "drift_outer", "pair_weight", "text", "words", "paths", "path_vectors"})
_EVEN = {"path_user": 1.0, "path_item": 1.0, "gate": 0.3}
_TABLES = frozenset({"kinds", "places", "start", "gaps", "pair_kinds"})

Shape = tuple[int, ...]


class Weights(NamedTuple):
    """The weights as views of the flat vector.

    D: dimensions, H: heads, N: history, P: pair dimensions, T: dimensions of texts.
    """

    kinds: Tensor  # [KINDS, D] added to the item of an event
    asks: Tensor  # [D, H D] what each head of the attention looks for
    places: Tensor  # [H, N] added to the logits of the attention, newest first
    join: Tensor  # [(3 + H) D, D] of the means and of what the attention saw
    inner: Tensor  # [(3 + H) D, 2 D]
    outer: Tensor  # [2 D, D]
    start: Tensor  # [D] the interest of who has no history
    gaps: Tensor  # [GAPS + 1, 3 D] by the elapsed time: everybody's shift, and what the projection adds
    drift_inner: Tensor  # [D, 2 D] of the projection
    drift_outer: Tensor  # [2 D, D]
    pair_item: Tensor  # [D, P]
    pair_event: Tensor  # [D, P]
    pair_kinds: Tensor  # [KINDS, P + D + 2] keys, an item's response to the time since, and both's biases
    pair_weight: Tensor  # [1]
    text: Tensor  # [T, D] of what items say
    words: Tensor  # [WORDS, D] of how their texts read
    gate: (
        Tensor  # [2, D] how much of what items are related to they are: items without their own vector, with
    )
    paths: Tensor  # [RELATIONS] what a path is worth by itself
    path_vectors: Tensor  # [RELATIONS, D] and to whom, and towards what
    path_user: Tensor  # [D] alpha
    path_item: Tensor  # [D] beta


def shapes(settings: InterestSettings) -> Weights:
    """Return the shape of every weight, in the place of the weight."""
    d, n, p, h = settings.dimensions, settings.history, settings.pair_dimensions, settings.heads
    every: tuple[Shape, ...] = (
        *((KINDS, d), (d, h * d), (h, n), ((3 + h) * d, d), ((3 + h) * d, 2 * d), (2 * d, d), (d,)),
        *((GAPS + 1, 3 * d), (d, 2 * d), (2 * d, d)),
        *((d, p), (d, p), (KINDS, p + d + 2), (1,)),
        *((settings.text_dimensions, d), (WORDS, d), (2, d)),
        *((RELATIONS,), (RELATIONS, d), (d,), (d,)),
    )
    return Weights(*every)  # type: ignore[arg-type] # shapes stand where the tensors of these shapes will


def views(flat: Tensor, of: Weights) -> Weights:
    """Return the weights in a flat vector [P]."""
    parts = torch.split(flat, [math.prod(shape) for shape in of])
    return Weights(*(part.view(*shape) for part, shape in zip(parts, of, strict=True)))


def initial(settings: InterestSettings, seed: int) -> Tensor:
    """Return a flat vector [P] whose user is a mixture of means of the history, until it has learned.

    What leads to an output is 0: the projection moves nothing, a pair adds nothing.
    """
    random = torch.Generator().manual_seed(seed)
    parts = []
    for name, shape in shapes(settings)._asdict().items():
        scale = 1 / math.sqrt(max(1, shape[0]))
        scale = 0.0 if name in _ZERO else _SMALL if name in _TABLES else scale
        parts.append(torch.randn(shape, generator=random) * scale)
        if name in _EVEN:
            parts[-1][:] = _EVEN[name]
        if name == "pair_kinds":
            parts[-1][:, settings.pair_dimensions :] = 0
        if name == "gaps":
            parts[-1][:, : settings.dimensions] = 0
    return torch.cat([part.flatten() for part in parts])


class Parameters:
    """The weights as they are, with what their optimizer remembers of the steps that led there."""

    def __init__(self, settings: InterestSettings, device: torch.device, seed: int) -> None:
        self._settings = settings
        self._device = device
        self._shapes = shapes(settings)
        self._optimizer = OPTIMIZERS[settings.optimizer]
        self.flat = initial(settings, seed).to(device).requires_grad_()  # [P], a leaf to be differentiated
        self._memory = self._nothing()
        self._began = 0  # steps there had been when the optimizer remembered nothing

    def views(self) -> Weights:
        """Return the weights as views."""
        return views(self.flat, self._shapes)

    def descend(self, gradient: Tensor, steps: int) -> None:
        """Take a step down a gradient [P], without building a graph; `steps` counts this one."""
        rate = self._settings.learning_rate
        decayed(self.flat, rate, self._settings.l2)
        self._optimizer.descend(self.flat, gradient, self._memory, rate, steps - self._began)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the weights, of what is remembered, and by which optimizer."""
        return {
            "parameters": torch.stack((self.flat.detach(), *self._memory)).cpu().numpy().copy(),
            "optimizer": as_array(self._settings.optimizer),
            "began": np.array([self._began]),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]], steps: int) -> None:
        """Become what the snapshot was of, after `steps`; what another optimizer remembered is left behind.

        Raises ValueError for one of other sizes.
        """
        was = name_in(arrays["optimizer"])
        expected = (1 + OPTIMIZERS[was].remembered, len(self.flat))
        if arrays["parameters"].shape != expected:
            raise ValueError(f"parameters of shape {arrays['parameters'].shape}, expected {expected}")
        dense = on_device(arrays["parameters"], self._device).clone()
        self.flat = dense[0].requires_grad_()
        if goes_on("the interest model's common weights", was, self._settings.optimizer):
            self._memory, self._began = tuple(dense[1:]), int(arrays["began"][0])
        else:
            self._memory, self._began = self._nothing(), steps

    def _nothing(self) -> tuple[Tensor, ...]:
        return tuple(torch.zeros_like(self.flat) for _ in range(self._optimizer.remembered))
