"""What items are related to, as vectors: kept for every item, worked out anew for the few that need it.

A network over the whole catalogue at every step would cost what the catalogue is large. So the vectors of all
items are kept, as historical embeddings are (Fey et al. 2021, arXiv:2106.05609): a step works out those of a
sample of the items that it used, learns from these, and brings up to date those that waited longest.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.arrays import Floats, Rows, Times
from models.content import Content
from models.counts import Counts
from models.devices import on_device
from models.graph.layout import GraphKind
from models.graph.network import GraphNetwork
from models.graph.relations import Relations, bring_forward
from models.graph.sampling import as_data, draw

LEARNED, REFRESHED = 64, 64
"""Items a step whose vectors are learned from, and others that are brought up to date."""
_LEARNING_RATE, _FORGETTING, _EPSILON = 0.03, 0.999, 1e-8
_LONGEST = 10.0
_NEVER = -1
_FIRST_ROWS = 1024

Vectors = Callable[[Rows], Tensor]
"""Returns float32[n, D], what is known of int32[n] items without their relations."""


class Neighbourhoods(NamedTuple):
    """Where neighbours are found."""

    relations: Relations
    counts: Counts
    content: Content


class GraphEncoder:
    """Vectors v_r of items, float16[R, D]. Memory: 72 bytes an item, beside the network's 12 D^2 or so."""

    def __init__(
        self, kind: GraphKind, dimensions: int, neighbourhoods: Neighbourhoods, device: str, seed: int
    ) -> None:
        """Say nothing of anything until it was asked to learn."""
        self.dimensions = dimensions
        self.relations = neighbourhoods.relations
        self._of = neighbourhoods
        self._device = torch.device(device)
        self._seed = seed
        self._kind = kind
        self._network = GraphNetwork(kind, dimensions, seed).to(self._device)
        self._parameters = list(self._network.parameters())
        self._squares = [torch.zeros_like(each) for each in self._parameters]
        self._vectors: NDArray[np.float16] = np.zeros((_FIRST_ROWS, dimensions), np.float16)
        self._refreshed: Times = np.full(_FIRST_ROWS, _NEVER, np.int64)  # the step that did
        self.steps = 0

    def vectors(self, rows: Rows) -> Floats:
        """Return float32[n, D] of int32[n] rows, zeros for those that were not worked out yet."""
        self._reserve(rows)
        return self._vectors[rows].astype(np.float32)

    def change(self, row: int) -> None:
        """Have a row worked out soon: what it is linked to is another."""
        if row < len(self._refreshed):
            self._refreshed[row] = _NEVER

    def learn(self, rows: Rows, gradient: Tensor, asked: Rows, targets: Rows, alone: Vectors) -> None:
        """Learn from the gradient [n, D] of a loss by the vectors of distinct int32[n] rows.

        `asked` are rows that were asked about, of which some are brought up to date; `targets`
        those that users took, which their entities remember.
        """
        self.steps += 1
        bring_forward(self.relations.graph, targets)
        random = np.random.Generator(np.random.Philox(key=[self._seed, self.steps]))
        sizes = gradient.norm(dim=1).cpu().numpy().astype(np.float64)  # [n, D] -> [n]
        sizes = np.where(np.isfinite(sizes), sizes, 0.0)
        chances = np.minimum(1.0, LEARNED * sizes / max(float(sizes.sum()), _EPSILON))
        picked = np.flatnonzero(random.random(len(rows)) < chances)
        mine = np.concatenate([rows[picked], self._stale(asked, rows[picked])])
        if not len(mine):
            return
        # Whoever was picked stands for all that could have been: Horvitz and Thompson 1952.
        pulls = np.zeros((len(mine), 1), np.float32)
        pulls[: len(picked), 0] = 1 / chances[picked]
        told = torch.zeros(len(mine), self.dimensions, device=self._device)  # [T, D]
        told[: len(picked)] = gradient[torch.from_numpy(picked).to(self._device)]
        vectors = self._work_out(mine, alone, int(random.integers(1 << 62)))
        self._descend(torch.autograd.grad(vectors, self._parameters, told * self._tensor(pulls)))
        self._reserve(mine)
        self._vectors[mine] = vectors.detach().cpu().numpy()
        self._refreshed[mine] = self.steps

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of the vectors and of what was learned."""
        flat = [torch.cat([each.detach().flatten() for each in part]) for part in self._learned]
        return {
            "vectors": self._vectors.copy(),
            "refreshed": self._refreshed.copy(),
            "learned": torch.stack(flat).cpu().numpy(),
            "steps": np.array([self.steps]),
            "kind": np.frombuffer(self._kind.encode(), np.uint8),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot was of; what another kind of network has learned is of no use to this one.

        Raises ValueError for other sizes.
        """
        if arrays["kind"].tobytes() != self._kind.encode():
            return
        sizes = [each.numel() for each in self._parameters]
        if arrays["learned"].shape != (2, sum(sizes)):
            raise ValueError(f"a graph network of {arrays['learned'].shape}, expected {(2, sum(sizes))}")
        with torch.no_grad():
            for mine, theirs in zip(self._learned, self._tensor(arrays["learned"]), strict=True):
                for each, values in zip(mine, theirs.split(sizes), strict=True):
                    each.copy_(values.view_as(each))
        self._vectors, self._refreshed = arrays["vectors"].copy(), arrays["refreshed"].copy()
        self.steps = int(arrays["steps"][0])

    @property
    def _learned(self) -> tuple[list[Any], list[Tensor]]:
        return self._parameters, self._squares

    def _work_out(self, rows: Rows, alone: Vectors, seed: int) -> Tensor:
        """Return v_r [T, D] of rows, by sampled neighbourhoods."""
        graph = self.relations.graph
        drawn = draw(graph, self._of.counts.tables, self._of.content.tables, rows, seed)
        data, items, entities = as_data(graph, rows, drawn)
        relations = self._tensor(graph.relations[entities]).long()
        with torch.no_grad():
            vectors = alone(items)
        worked_out: Tensor = self._network(
            data.to(self._device, non_blocking=True), vectors, relations, len(rows)
        )
        return worked_out

    def _stale(self, asked: Rows, picked: Rows) -> Rows:
        """Return those rows that waited longest, none of them picked; -1 is no row."""
        distinct = np.setdiff1d(asked[asked >= 0], picked)
        self._reserve(distinct)
        oldest = np.argsort(self._refreshed[distinct], kind="stable")
        stale: Rows = distinct[oldest[:REFRESHED]]
        return stale

    @torch.no_grad()
    def _descend(self, gradients: tuple[Tensor, ...]) -> None:
        """Take a step of Adagrad that forgets, unless the gradient is not finite."""
        length = float(torch.stack([each.square().sum() for each in gradients]).sum().sqrt())
        if not np.isfinite(length):
            return
        scale = min(1.0, _LONGEST / max(length, _EPSILON))
        for weights, squares, gradient in zip(*self._learned, gradients, strict=True):
            step = gradient * scale
            squares.mul_(_FORGETTING).addcmul_(step, step)
            weights.addcdiv_(step, squares.sqrt().add_(_EPSILON), value=-_LEARNING_RATE)

    def _reserve(self, rows: Rows) -> None:
        """Make room for these rows, by doubling."""
        room = int(rows.max(initial=-1)) + 1
        if room > len(self._vectors):
            size = max(room, 2 * len(self._vectors))
            vectors, refreshed = self._vectors, self._refreshed
            self._vectors = np.zeros((size, self.dimensions), np.float16)
            self._refreshed = np.full(size, _NEVER, np.int64)
            self._vectors[: len(vectors)], self._refreshed[: len(refreshed)] = vectors, refreshed

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return on_device(array, self._device)
