"""What computes the mixer: the compiled kernel on a CPU, or torch on any device. Both do the same."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.mixer import kernel
from models.mixer.layout import Floats, Integers, Layout
from models.mixer.replay import Minibatch
from models.mixer.settings import LEARNING_RATE, LONGEST_GRADIENT
from models.waiting import Waiting


class Backend(Protocol):
    """Holds the parameters and Adam's moments; `device` says where."""

    device: str

    def __init__(self, layout: Layout, flat: Floats, device: str) -> None:
        """Start from a flat vector of parameters [P]."""

    def scores(self, features: Floats, context: Floats) -> Floats:
        """Return the scores [n] of features [n, F] in a context [Q]; each row's depends on no other row."""

    def ranks(self, waiting: Waiting, start: int, stop: int) -> tuple[Integers, Floats]:
        """Return rank and log-loss, [stop - start] each, of the targets of those slots; 0 without one."""

    def descend(self, batch: Minibatch) -> bool:
        """Take a step on a minibatch; return False, and stay, if its gradient is not finite."""

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of parameters and moments, [P] each, and the number of steps."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot of any backend was of. Raises ValueError if it does not fit."""


class CompiledBackend:
    """The kernel's functions on one flat vector of parameters."""

    def __init__(self, layout: Layout, flat: Floats, device: str = "cpu") -> None:
        self.device = device
        self._layout = layout
        self._flat = flat.copy()
        self._gradient = np.zeros_like(flat)
        self._mean, self._square = np.zeros_like(flat), np.zeros_like(flat)
        self._steps = 0
        self._parameters = layout.views(self._flat)
        self._gradients = layout.views(self._gradient)

    def scores(self, features: Floats, context: Floats) -> Floats:
        """Return the scores [n] of features [n, F] in a context [Q]; each row's depends on no other row."""
        return kernel.scores(features, context, self._layout.roots, self._parameters)

    def ranks(self, waiting: Waiting, start: int, stop: int) -> tuple[Integers, Floats]:
        """Return rank and log-loss, [stop - start] each, of the targets of those slots; 0 without one."""
        slots = slice(start, stop)
        ranks, losses = np.zeros(stop - start, np.int32), np.zeros(stop - start, np.float32)
        kernel.ranks(
            waiting.features[slots],
            waiting.contexts[slots],
            waiting.sizes[slots],
            waiting.targets[slots],
            self._layout.roots,
            self._parameters,
            ranks,
            losses,
        )
        return ranks, losses

    def descend(self, batch: Minibatch) -> bool:
        """Take a step on a minibatch; return False, and stay, if its gradient is not finite."""
        kernel.gradients(batch, self._layout.roots, self._parameters, self._gradients)
        is_finite = kernel.adam(
            self._flat,
            self._gradient,
            self._mean,
            self._square,
            self._steps + 1,
            LEARNING_RATE,
            LONGEST_GRADIENT,
        )
        self._steps += is_finite
        return is_finite

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of parameters and moments, [P] each, and the number of steps."""
        return {
            "parameters": self._flat.copy(),
            "mean": self._mean.copy(),
            "square": self._square.copy(),
            "descents": np.array([self._steps]),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot of any backend was of. Raises ValueError if it does not fit."""
        if arrays["parameters"].shape != self._flat.shape:
            raise ValueError(f"{len(arrays['parameters'])} weights, expected {len(self._flat)}")
        self._flat[:], self._mean[:] = arrays["parameters"], arrays["mean"]
        self._square[:] = arrays["square"]
        self._steps = int(arrays["descents"][0])
