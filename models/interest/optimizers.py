"""Steps down a gradient, in place: on weights that all events share, and on the few rows that a step uses."""

import logging
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.interest.settings import OptimizerName

_MOMENTUM = 0.9
_BETA_1, _BETA_2 = 0.9, 0.99
_FORGETTING = 0.999  # a step
_EPSILON = 1e-8
log = logging.getLogger(__name__)


class Optimizer(Protocol):
    """A way to descend; `remembered` tensors of the values' shape go from one step to the next."""

    remembered: int

    def descend(
        self, values: Tensor, gradient: Tensor, memory: tuple[Tensor, ...], rate: float, steps: int
    ) -> None:
        """Change values and memory in place; `steps` counts this one, `rate` is the learning rate."""


class Sgd:
    """Stochastic gradient descent with momentum (Polyak 1964), the momentum of a row only when it is used."""

    remembered = 1

    def descend(
        self, values: Tensor, gradient: Tensor, memory: tuple[Tensor, ...], rate: float, steps: int
    ) -> None:
        """Change values and memory in place; `steps` counts this one, `rate` is the learning rate."""
        memory[0].mul_(_MOMENTUM).add_(gradient)
        values.add_(memory[0], alpha=-rate)


class Adagrad:
    """Adagrad (Duchi, Hazan, Singer 2011, JMLR 12): rare items take longer steps than frequent ones.

    Its sums forget, as those of RMSprop do (Tieleman and Hinton 2012), so that its steps do not become
    shorter for ever, and it follows a drift.
    """

    remembered = 1

    def descend(
        self, values: Tensor, gradient: Tensor, memory: tuple[Tensor, ...], rate: float, steps: int
    ) -> None:
        """Change values and memory in place; `steps` counts this one, `rate` is the learning rate."""
        memory[0].mul_(_FORGETTING).addcmul_(gradient, gradient)
        values.addcdiv_(gradient, memory[0].sqrt().add_(_EPSILON), value=-rate)


class AdamW:
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101); moments of a row move only when it is used."""

    remembered = 2

    def descend(
        self, values: Tensor, gradient: Tensor, memory: tuple[Tensor, ...], rate: float, steps: int
    ) -> None:
        """Change values and memory in place; `steps` counts this one, `rate` is the learning rate."""
        mean, square = memory
        mean.mul_(_BETA_1).add_(gradient, alpha=1 - _BETA_1)
        square.mul_(_BETA_2).addcmul_(gradient, gradient, value=1 - _BETA_2)
        scale = (square / (1 - _BETA_2**steps)).sqrt_().add_(_EPSILON)
        values.addcdiv_(mean, scale, value=-rate / (1 - _BETA_1**steps))


OPTIMIZERS: dict[OptimizerName, Optimizer] = {"sgd": Sgd(), "adagrad": Adagrad(), "adamw": AdamW()}


def as_array(name: OptimizerName) -> NDArray[np.uint8]:
    """Return an optimizer's name as a snapshot holds it."""
    return np.frombuffer(name.encode(), np.uint8)


def name_in(array: NDArray[Any]) -> OptimizerName:
    """Return the name that `as_array` made an array of; raises ValueError for none that is known."""
    was = array.tobytes()
    for name in OPTIMIZERS:
        if name.encode() == was:
            return name
    raise ValueError(f"learned by the optimizer {was!r}, expected one of {', '.join(OPTIMIZERS)}")


def goes_on(whose: str, was: OptimizerName, name: OptimizerName) -> bool:
    """Whether what an optimizer remembered is of use to the one there is now; say so where it is not.

    Momentum taken for a sum of squares would be negative: the first step would not be finite.
    """
    if was == name:
        return True
    log.info("%s were learned by %s and go on by %s, which remembers nothing yet", whose, was, name)
    return False


def decayed(values: Tensor, rate: float, l2: float) -> None:
    """Shrink values in place: L2, decoupled from the gradient as in AdamW."""
    if l2:
        values.mul_(1 - rate * l2)


def length(*gradients: Tensor) -> Tensor:
    """Return the length [] of all gradients together."""
    return torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
