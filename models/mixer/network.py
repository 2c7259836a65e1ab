"""The mixer in torch: the reference of the compiled kernel, and what runs on a GPU."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.mixer.kernel import LARGEST_FEATURE, LOG_SCALE, LOG_SHIFT
from models.mixer.layout import Floats, Integers, Layout
from models.mixer.replay import Minibatch
from models.mixer.settings import BETA_1, BETA_2, EPSILON, LEARNING_RATE, LONGEST_GRADIENT
from models.waiting import Waiting


class Mixer(nn.Module):
    """score = w x + o relu(A x + b + B q) of the features x of a candidate and the context q of its moment.

    The features are expanded by logarithms of the roots among them, so that it tells small from smaller.
    """

    def __init__(self, layout: Layout, flat: Tensor) -> None:
        super().__init__()
        self._layout = layout
        self.flat = nn.Parameter(flat)  # [P], laid out as for the kernel

    def expand(self, features: Tensor) -> Tensor:
        """Return [..., D] from features [..., F]; what is not a number counts as zero."""
        bounded = features.nan_to_num(0.0).clamp(-LARGEST_FEATURE, LARGEST_FEATURE)
        logs = (bounded[..., : self._layout.roots].square() + LOG_SHIFT).log() * LOG_SCALE + 1.0
        filling = self._layout.expanded - bounded.shape[-1] - logs.shape[-1]
        return nn.functional.pad(torch.cat([bounded, logs], dim=-1), (0, filling))  # [..., F + R] -> [..., D]

    def forward(self, features: Tensor, contexts: Tensor) -> Tensor:
        """Return the scores [B, S] of features [B, S, F] in contexts [B, Q]."""
        layout = self._layout
        d, h, q = layout.expanded, layout.hidden, layout.contexts
        parts = torch.split(self.flat, [d, d * h, h, q * h, h])
        linear, first, bias, context, output = parts
        x = self.expand(features)  # [B, S, D]
        start = bias + contexts.nan_to_num(0.0, 0.0, 0.0) @ context.view(q, h)  # [B, Q] @ [Q, H] -> [B, H]
        hidden = torch.relu(x @ first.view(d, h) + start[:, None])  # [B, S, D] @ [D, H] -> [B, S, H]
        scores: Tensor = x @ linear + hidden @ output  # [B, S]
        return scores


class TorchBackend:
    """The mixer on any device of torch, learned by torch's Adam."""

    def __init__(self, layout: Layout, flat: Floats, device: str) -> None:
        self._device = torch.device(device)
        self.device = self._device.type
        self._mixer = Mixer(layout, torch.from_numpy(flat.copy())).to(self._device)
        self._adam = torch.optim.Adam(
            self._mixer.parameters(), lr=LEARNING_RATE, betas=(BETA_1, BETA_2), eps=EPSILON
        )

    @torch.no_grad()
    def scores(self, features: Floats, context: Floats) -> Floats:
        """Return the scores [n] of features [n, F] in a context [Q]."""
        scores: Tensor = self._mixer(self._tensor(features)[None], self._tensor(context)[None])  # [1, n]
        return scores[0].cpu().numpy()

    @torch.no_grad()
    def ranks(self, waiting: Waiting, start: int, stop: int) -> tuple[Integers, Floats]:
        """Return rank and log-loss, [stop - start] each, of the targets of those slots; 0 without one."""
        slots = slice(start, stop)
        scores = self._mixer(self._tensor(waiting.features[slots]), self._tensor(waiting.contexts[slots]))
        there = self._there(waiting.sizes[slots], scores)
        targets = self._tensor(waiting.targets[slots]).long()[:, None]  # [B, 1]
        known = targets[:, 0] >= 0
        theirs = scores.gather(1, targets.clamp(min=0))  # [B, 1]
        ranks = ((scores >= theirs) & there).sum(dim=1) * known  # [B, S] -> [B]
        losses = scores.masked_fill(~there, -torch.inf).logsumexp(dim=1) - theirs[:, 0]  # [B]
        losses = torch.where(known, losses, 0.0)
        return ranks.int().cpu().numpy(), losses.cpu().numpy()

    def gradient(self, batch: Minibatch) -> Tensor:
        """Return the gradient [P] of a minibatch's mean weighted log-loss."""
        used = (batch.sizes > 0) & (batch.weights > 0)
        scores = self._mixer(self._tensor(batch.features[used]), self._tensor(batch.contexts[used]))  # [B, S]
        others = torch.cat([scores[:, :1], scores[:, 1:] + self._tensor(batch.corrections[used])[:, None]], 1)
        masked = others.masked_fill(~self._there(batch.sizes[used], scores), -torch.inf)
        losses = masked.logsumexp(dim=1) - masked[:, 0]  # [B, S] -> [B]
        loss = (losses * self._tensor(batch.weights[used])).sum() / max(1, int(used.sum()))
        return torch.autograd.grad(loss, [self._mixer.flat])[0]

    def descend(self, batch: Minibatch) -> bool:
        """Take a step on a minibatch; return False, and stay, if its gradient is not finite."""
        self._mixer.flat.grad = self.gradient(batch)
        length = nn.utils.clip_grad_norm_([self._mixer.flat], LONGEST_GRADIENT)
        if not torch.isfinite(length):
            return False
        self._adam.step()
        return True

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Return a copy of parameters and moments, [P] each, and the number of steps."""
        zeros = torch.zeros_like(self._mixer.flat.detach())
        state = self._adam.state.get(self._mixer.flat, {})
        return {
            "parameters": self._array(self._mixer.flat.detach()),
            "mean": self._array(state.get("exp_avg", zeros)),
            "square": self._array(state.get("exp_avg_sq", zeros)),
            "descents": np.array([int(state.get("step", 0))]),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become what the snapshot of any backend was of. Raises ValueError if it does not fit."""
        flat = self._mixer.flat
        if arrays["parameters"].shape != tuple(flat.shape):
            raise ValueError(f"{len(arrays['parameters'])} weights, expected {len(flat)}")
        with torch.no_grad():
            flat.copy_(self._tensor(arrays["parameters"]))
        self._adam.state[flat] = {
            "step": torch.tensor(float(arrays["descents"][0])),
            "exp_avg": self._tensor(arrays["mean"]).clone(),
            "exp_avg_sq": self._tensor(arrays["square"]).clone(),
        }

    def _there(self, sizes: Integers, scores: Tensor) -> Tensor:
        """Return which of the rows [B, S] are there, by the events' sizes [B]."""
        return torch.arange(scores.shape[1], device=self._device) < self._tensor(sizes)[:, None]

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self._device)

    @staticmethod
    def _array(tensor: Tensor) -> NDArray[Any]:
        return tensor.cpu().numpy().copy()
