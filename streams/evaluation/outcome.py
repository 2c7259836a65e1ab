"""What an evaluation found: ranks, event by event, and what they add up to."""

import resource
import sys
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.prequential import BASELINES, CUTOFF
from streams.events import ACTIONS
from streams.scoreboard import INTEREST, SCORER

Variant = Literal["all", "new"]
# Which part of the stream, by the share of all its events that lie before it.
SLICES = {"full": 0.0, "last15": 0.85, "last10": 0.9}
UNSCORED, UNRANKED = -1, 0
TENTHS = 10
VALLEY = 0.97
"""A tenth of the stream in which the model has less than this share of the best baseline's NDCG@10."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took; `step` is `Recommender.step` alone, without the chunk in which code is loaded."""

    seconds: float
    cpu_seconds: float
    step_cpu_seconds: float
    step_events: int

    def report(self, events: int) -> dict[str, float | None]:
        """Return it by the names of the report."""
        each = self.step_cpu_seconds / self.step_events if self.step_events else None
        return {
            "events_per_second": events / max(self.seconds, 1e-9),
            "cpu_seconds": self.cpu_seconds,
            "cpu_microseconds_per_event": None if each is None else 1e6 * each,
            "peak_rss_bytes": peak_rss_bytes(),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The ranks of every scorer at every event, under which conditions, and what the run cost."""

    variant: Variant
    ranks: dict[str, NDArray[np.int32]]  # scorer -> int32[events]: 0 without a rank, -1 not scored
    was_seen: NDArray[np.bool_]  # bool[events]: whether the stream had had the item before
    actions: NDArray[np.uint8]  # uint8[events], indexes into ACTIONS
    late: int
    cost: Cost
    conditions: dict[str, Any] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """All events, scored or not."""
        return len(self.was_seen)

    @property
    def has_interest(self) -> bool:
        """Whether there was an interest model, whose ranks by itself are those of the scorer INTEREST."""
        return INTEREST in self.ranks

    def gains(self, scorer: str) -> NDArray[np.float64]:
        """Return float64[events], what each event adds to NDCG@10: 0 also where it is not scored."""
        return gains_of(self.ranks[scorer])

    def metrics(self, scorer: str, part: str) -> dict[str, float]:
        """Return hit@10, ndcg@10, mrr@10 and mrr of a scorer in a part of the stream, 0 if it scored none."""
        return metrics_of(self.ranks[scorer][int(SLICES[part] * self.events) :])

    def by_action(self) -> dict[str, dict[str, Any]]:
        """Return action -> how many events of it were scored and ndcg@10 by part; only of what was scored."""
        found: dict[str, dict[str, Any]] = {}
        for code, action in enumerate(ACTIONS):
            ranks = np.where(self.actions == code, self.ranks[SCORER], UNSCORED)
            scored = int((ranks != UNSCORED).sum())
            parts = {part: ranks[int(share * self.events) :] for part, share in SLICES.items()}
            if scored:
                ndcg = {part: metrics_of(cut)["ndcg@10"] for part, cut in parts.items()}
                found[action] = {"scored": scored, "ndcg@10": ndcg}
        return found

    def by_novelty(self) -> dict[str, dict[str, Any]]:
        """Return of targets that had occurred ("warm") and others ("cold") how many, and ndcg@10 by part."""
        found: dict[str, dict[str, Any]] = {}
        for name, is_theirs in (("warm", self.was_seen), ("cold", ~self.was_seen)):
            ranks = np.where(is_theirs, self.ranks[SCORER], UNSCORED)
            parts = {part: ranks[int(share * self.events) :] for part, share in SLICES.items()}
            ndcg = {part: metrics_of(cut)["ndcg@10"] for part, cut in parts.items()}
            found[name] = {"scored": int((ranks != UNSCORED).sum()), "ndcg@10": ndcg}
        return found

    def best_baseline(self, part: str) -> tuple[str, float]:
        """Return the baseline with the highest NDCG@10 in a part of the stream, and that NDCG@10."""
        scores = {name: self.metrics(name, part)["ndcg@10"] for name in BASELINES}
        best = max(BASELINES, key=scores.__getitem__)
        return best, scores[best]

    def curve(self, scorer: str, window: int, points: int = 500) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return int[P] events and float[P], NDCG@10 over the `window` events up to each (nan: none)."""
        ranks = self.ranks[scorer]
        gains = np.concatenate([[0.0], np.cumsum(self.gains(scorer))])  # [events + 1]
        scored = np.concatenate([[0], np.cumsum(ranks != UNSCORED)])  # [events + 1]
        ends = np.unique(np.linspace(min(window, len(ranks)), len(ranks), points).astype(np.int64))  # [P]
        starts = np.maximum(ends - window, 0)
        counts = (scored[ends] - scored[starts]).astype(np.float64)
        counts[counts == 0] = np.nan
        return ends, (gains[ends] - gains[starts]) / counts

    def valleys(self) -> list[dict[str, Any]]:
        """Return the tenths of the stream in which the best baseline is ahead by more than VALLEY allows."""
        cuts = [tenth * self.events // TENTHS for tenth in range(TENTHS + 1)]
        found = []
        for tenth, (start, end) in enumerate(pairwise(cuts), 1):
            scores = {name: metrics_of(ranks[start:end])["ndcg@10"] for name, ranks in self.ranks.items()}
            best = max(BASELINES, key=scores.__getitem__)
            if scores[SCORER] < VALLEY * scores[best]:
                ndcg = {"ndcg@10": scores[SCORER], "best_ndcg@10": scores[best]}
                ratio = scores[SCORER] / scores[best]
                found.append({"tenth": tenth, "best": best, **ndcg, "ratio": ratio})
        return found

    def report(self) -> dict[str, Any]:
        """Return everything as one JSON object: the model's metrics by part, `heuristics` beside them."""
        is_scored = self.ranks[SCORER] != UNSCORED
        best = {part: self.best_baseline(part) for part in SLICES}
        ours = {part: self.metrics(SCORER, part) for part in SLICES}
        interest = {part: self.metrics(INTEREST, part) for part in SLICES} if self.has_interest else None
        return {
            "variant": self.variant,
            "events": self.events,
            "scored": int(is_scored.sum()),
            "late": self.late,
            "seen_share": float(self.was_seen[is_scored].mean()) if is_scored.any() else 0.0,
            **ours,
            **({"interest_alone": interest} if interest else {}),
            "heuristics": {name: {part: self.metrics(name, part) for part in SLICES} for name in BASELINES},
            "best_heuristic": {part: name for part, (name, _) in best.items()},
            "ratio": {
                part: ours[part]["ndcg@10"] / score if score else None for part, (_, score) in best.items()
            },
            "by_action": self.by_action(),
            "by_novelty": self.by_novelty(),
            "valleys": self.valleys(),
            **self.cost.report(self.events),
            **self.conditions,
        }


def gains_of(ranks: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return float64[n], what each event adds to NDCG@10: 1 / log2(1 + rank) up to rank 10, else 0."""
    is_top = (ranks > UNRANKED) & (ranks <= CUTOFF)
    return np.where(is_top, 1.0 / np.log2(1.0 + np.maximum(ranks, 1)), 0.0)


def metrics_of(ranks: NDArray[np.int32]) -> dict[str, float]:
    """Return hit@10, ndcg@10, mrr@10 and mrr: means over those that are scored, 0 if none is."""
    scored = ranks[ranks != UNSCORED]
    count = max(1, len(scored))
    found = scored[scored != UNRANKED].astype(np.float64)
    top = found[found <= CUTOFF]
    return {
        "hit@10": len(top) / count,
        "ndcg@10": float(gains_of(scored).sum()) / count,
        "mrr@10": float((1.0 / top).sum()) / count,
        "mrr": float((1.0 / found).sum()) / count,
    }


def peak_rss_bytes() -> int:
    """Return the most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
