"""Learning rates that follow a drift: a factor on those of the settings, by what the last steps said."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.interest.settings import RateName

_LEAST, _MOST = 0.1, 10.0


class Rate(Protocol):
    """A factor on the learning rates, about 1."""

    @property
    def factor(self) -> float:
        """The factor of now."""

    def observe(self, loss: float, gradient: Tensor) -> None:
        """Take in the loss of a step, and its gradient [P], before the step is taken with `factor`."""

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what it remembers."""

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of."""


class Constant:
    """Always 1."""

    @property
    def factor(self) -> float:
        """The factor of now."""
        return 1.0

    def observe(self, loss: float, gradient: Tensor) -> None:
        """Take in the loss of a step, and its gradient [P], before the step is taken with `factor`."""

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what it remembers."""
        return {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of."""


class Hypergradient:
    """Up while gradients agree with those before them, down while they do not.

    Baydin et al. 2018 (arXiv:1703.04782), the multiplicative rule, by the cosine of two gradients.
    """

    _SPEED = 0.02

    def __init__(self) -> None:
        self.factor = 1.0
        self._before: Tensor | None = None

    def observe(self, loss: float, gradient: Tensor) -> None:
        """Take in the loss of a step, and its gradient [P], before the step is taken with `factor`."""
        if self._before is not None:
            cosine = float(torch.cosine_similarity(gradient, self._before, dim=0))
            self.factor = min(max(self.factor * math.exp(self._SPEED * cosine), _LEAST), _MOST)
        self._before = gradient.clone()

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what it remembers."""
        before = np.zeros(0, np.float32) if self._before is None else self._before.cpu().numpy().copy()
        return {"factor": np.array([self.factor]), "before": before}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; the gradient comes to the right device with the next one."""
        self.factor = float(arrays["factor"][0])
        self._before = torch.from_numpy(arrays["before"].copy()) if len(arrays["before"]) else None


class Restart:
    """Up at once where the loss has risen, and back to 1 within some hundred steps.

    The rise is found by the test of Page and Hinkley (Page 1954, Biometrika 41): the sum of what the losses
    lie above their mean, from where it was least.
    """

    _TOLERANCE, _THRESHOLD = 0.02, 5.0  # nats of loss
    _RAISED, _KEPT = 3.0, 0.99  # the factor, and the share of what it is above 1 after a step

    def __init__(self) -> None:
        self._state = np.array([1.0, 0.0, 0.0, 0.0, 0.0])  # factor, steps, mean loss, sum, least sum

    @property
    def factor(self) -> float:
        """The factor of now."""
        return float(self._state[0])

    def observe(self, loss: float, gradient: Tensor) -> None:
        """Take in the loss of a step, and its gradient [P], before the step is taken with `factor`."""
        factor, steps, mean, total, least = self._state
        steps += 1
        mean += (loss - mean) / steps
        total += loss - mean - self._TOLERANCE
        least = min(least, total)
        factor = 1 + (factor - 1) * self._KEPT
        if total - least > self._THRESHOLD:
            factor, steps, mean, total, least = self._RAISED, 0.0, 0.0, 0.0, 0.0
        self._state[:] = factor, steps, mean, total, least

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of what it remembers."""
        return {"state": self._state.copy()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of."""
        self._state[:] = arrays["state"]


RATES: dict[RateName, Callable[[], Rate]] = {
    "constant": Constant,
    "hypergradient": Hypergradient,
    "restart": Restart,
}
