"""Where each parameter of the mixer lies in one flat vector, and what it starts from."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]

# Kernels take four columns and four rows at a time.
BLOCK = 4


class Parameters(NamedTuple):
    """The mixer's parameters (or their gradients) as views of one flat vector."""

    linear: Floats  # [D] straight from the expanded features to the score
    first: Floats  # [D, H] from the expanded features to the hidden units
    bias: Floats  # [H]
    context: Floats  # [Q, H]
    output: Floats  # [H] from the hidden units to the score


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of the mixer: F features of which the first `roots` are expanded, Q of context, H hidden."""

    features: int
    roots: int
    contexts: int
    hidden: int

    @property
    def expanded(self) -> int:
        """Return D: features and the logarithms of the roots, filled up to whole blocks with zeros."""
        return -(-(self.features + self.roots) // BLOCK) * BLOCK

    @property
    def size(self) -> int:
        """Return the number of parameters."""
        return self.expanded * (1 + self.hidden) + self.hidden * (2 + self.contexts)

    def views(self, flat: Floats) -> Parameters:
        """Return the parts of a flat vector [size]."""
        ends = np.cumsum(
            [self.expanded, self.expanded * self.hidden, self.hidden, self.contexts * self.hidden]
        )
        linear, first, bias, context, output = np.split(flat, ends)
        return Parameters(
            linear,
            first.reshape(self.expanded, self.hidden),  # [D * H] -> [D, H]
            bias,
            context.reshape(self.contexts, self.hidden),  # [Q * H] -> [Q, H]
            output,
        )

    def initial(self, weights: Floats, seed: int) -> Floats:
        """Return a flat vector [size] that scores by the weights [F] alone until it has learned.

        The hidden units start as torch's linear layers do, uniform within one over the root of their inputs'
        number; as nothing leads from them to the score yet, only their gradients differ.
        """
        flat = np.zeros(self.size, np.float32)
        parameters = self.views(flat)
        used = self.features + self.roots
        parameters.linear[: self.features] = weights
        random = np.random.default_rng(seed)
        from_features, from_context = 1 / math.sqrt(used), 1 / math.sqrt(self.contexts)
        parameters.first[:used] = random.uniform(-from_features, from_features, (used, self.hidden))
        parameters.bias[:] = random.uniform(-from_features, from_features, self.hidden)
        parameters.context[:] = random.uniform(-from_context, from_context, (self.contexts, self.hidden))
        return flat
