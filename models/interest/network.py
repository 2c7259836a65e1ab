"""From a history to the interest at the moment of use, and from there to the scores of items.

v_u(t) is what attention and decayed means see of the history; it is projected to the moment of use,
v_u(t + tau) = v_u(t) + delta(v_u(t), tau); the score of an item is v_u(t + tau) v_i' + b_i. Beside that,
each candidate meets every event by itself, as in DIN (Zhou et al. 2018, arXiv:1706.06978), and what the user
had before asks for itself by an item's own response to the time since.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import embedding

from models.devices import is_mixed
from models.interest.parameters import DECAYS, Weights
from models.interest.settings import InterestSettings

_NOWHERE = -1e4
"""Added to the logit of an event that is not there: its share is exactly 0."""


class Events(NamedTuple):
    """Moments as tensors; `places` are those of the events' items among the items of the batch."""

    places: Tensor  # int64[B, N]
    is_there: Tensor  # float32[B, N]: 1 where there is an event
    kinds: Tensor  # int64[B, N]
    kinds_now: Tensor  # int64[B, N]
    gaps: Tensor  # int64[B]


class Joins(NamedTuple):
    """What joins candidates with what users did, by the catalogue's relations."""

    paths: Tensor  # float32[B, K, RELATIONS]
    related: Tensor | None  # float32[U, D], v_r of the items


class Network:
    """The forward pass: a function of the weights and of the items' vectors, and of nothing else.

    Written for few and large operations, as each costs some microseconds whatever it does: what would be
    projected for every event is projected for what meets it instead, and tables of one index are one table.
    """

    def __init__(self, settings: InterestSettings, device: torch.device) -> None:
        self._settings = settings
        steps = torch.arange(settings.history, device=device)  # [N]
        decays = torch.tensor(DECAYS).to(device)[:, None]  # [3, 1]
        self._is_mixed = is_mixed(settings.mixed_precision, device)
        self._decays = decays**steps * (1 - decays)  # [3, N]

    def users(self, weights: Weights, items: Tensor, events: Events) -> tuple[Tensor, Tensor]:
        """Return interest at the moment of use [B, D] and the events [B, N, D], of items [U, D]."""
        there = events.is_there[..., None]  # [B, N, 1]
        happened = (embedding(events.places, items) + embedding(events.kinds, weights.kinds)) * there
        means = torch.matmul(self._decays, happened)  # [3, N] @ [B, N, D] -> [B, 3, D]
        if self._settings.uses_attention:
            means = torch.cat([means, self._attend(weights, happened, means, events)], 1)  # [B, 3 + H, D]
            seen, join, inner = means.flatten(1), weights.join, weights.inner
        else:
            seen = means.flatten(1)  # [B, 3 D]
            join, inner = weights.join[: seen.shape[1]], weights.inner[: seen.shape[1]]
        interest = self._plus(weights.start, seen, join)  # [B, (3 + H) D] @ [(3 + H) D, D] -> [B, D]
        interest = self._plus(interest, torch.relu(seen @ inner), weights.outer)
        return self._project(weights, interest, events.gaps), happened

    def _attend(self, weights: Weights, happened: Tensor, means: Tensor, events: Events) -> Tensor:
        """Return what the newest event and the mean of late see [B, H, D] of the events [B, N, D]."""
        size = (len(happened), -1, happened.shape[2])
        asks = ((happened[:, 0] + means[:, 1]) @ weights.asks).view(size)  # [B, H D] -> [B, H, D]
        logits = torch.bmm(asks, happened.transpose(1, 2)) + weights.places  # [B, H, N] + [H, N]
        shares = (logits + (events.is_there[:, None] - 1) * -_NOWHERE).softmax(2)
        return torch.bmm(shares, happened)  # [B, H, N] @ [B, N, D] -> [B, H, D]

    def _project(self, weights: Weights, interest: Tensor, gaps: Tensor) -> Tensor:
        """Return interest [B, D] as it will be after elapsed times [B]: v + delta(v, tau)."""
        if not self._settings.uses_projection:
            return interest
        elapsed, d = embedding(gaps, weights.gaps), self._settings.dimensions  # [B, 3 D]
        inner = torch.relu(self._plus(elapsed[:, d:], interest, weights.drift_inner))  # [B, 2 D]
        return self._plus(interest + elapsed[:, :d], inner, weights.drift_outer)

    def _plus(self, base: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Return base [B, D] or [D] + left [B, K] @ right [K, D], at once where that rounds no sum."""
        return base + left @ right if self._is_mixed else torch.addmm(base, left, right)

    def scores(
        self,
        weights: Weights,
        items: Tensor,
        biases: Tensor,
        events: Events,
        candidates: Tensor,
        joins: "Joins | None" = None,
    ) -> tuple[Tensor, Tensor]:
        """Return scores [B, K] of candidates, places [B, K] in items [U, D], and interest [B, D]."""
        interest, happened = self.users(weights, items, events)
        vectors = embedding(candidates, items)  # [B, K, D]
        scores = torch.bmm(vectors, interest[..., None])[..., 0]  # [B, K, D] @ [B, D, 1] -> [B, K]
        scores = scores + embedding(candidates, biases[:, None])[..., 0]
        if self._settings.uses_pairs:
            scores = scores + self._meet(weights, vectors, happened, events, candidates)
        if joins is not None:
            scores = scores + joined(weights, interest, joins, candidates)
        return scores, interest

    def _meet(
        self, weights: Weights, vectors: Tensor, happened: Tensor, events: Events, candidates: Tensor
    ) -> Tensor:
        """Return what candidates [B, K, D] gain [B, K] by each of the events [B, N, D] alone."""
        d, p = self._settings.dimensions, self._settings.pair_dimensions
        kinds = events.kinds_now if self._settings.uses_projection else events.kinds
        table = embedding(kinds, weights.pair_kinds)  # [B, N, P + D + 2]
        keys = happened @ weights.pair_event + table[..., :p]  # [B, N, P]
        logits = torch.bmm(vectors @ weights.pair_item, keys.transpose(1, 2))  # [B, K, N]
        alike = torch.sigmoid(logits + table[:, None, :, p + d]) * weights.pair_weight  # [B, K, N]
        is_same = candidates[..., None] == events.places[:, None]  # [B, K, N]
        again = torch.bmm(vectors, table[..., p : p + d].transpose(1, 2)) + table[:, None, :, p + d + 1]
        return torch.bmm(alike + again * is_same, events.is_there[..., None])[..., 0]  # [B, K]


def joined(weights: Weights, interest: Tensor, joins: Joins, candidates: Tensor) -> Tensor:
    """Return the direct relation term [B, K]: E(r_ui) = sum of paths p of w_p + e_p r_ui.

    r_ui = alpha z_u + beta z_i, of the interest [B, D] and of what the candidate is related to.
    """
    own = weights.paths + (interest * weights.path_user) @ weights.path_vectors.T  # [B, D] -> [B, RELATIONS]
    worth = torch.bmm(joins.paths, own[..., None])[..., 0]  # [B, K, RELATIONS] -> [B, K]
    if joins.related is not None:
        theirs = (joins.related * weights.path_item) @ weights.path_vectors.T  # [U, D] -> [U, RELATIONS]
        worth = worth + (joins.paths * embedding(candidates, theirs)).sum(2)
    return worth
