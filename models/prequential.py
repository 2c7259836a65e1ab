"""Test-then-learn: what the ranks of a stream add up to."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

CUTOFF = 10
POPULARITY = "popularity"
RECENT = ("recent_popularity_300", "recent_popularity_1500", "recent_popularity_6000")
REPEAT = "repeat"
BASELINES = (POPULARITY, *RECENT, REPEAT)
"""Who is tested beside the model; models/baselines.py says how."""


@dataclass(slots=True)
class Prequential:
    """Sums over the scored events of one scorer; sums of several workers add up to those of all."""

    scored: int = 0
    hits: int = 0
    ndcg_sum: float = 0.0
    mrr_at_10_sum: float = 0.0
    mrr_sum: float = 0.0

    def add(self, ranks: Iterable[int | None]) -> None:
        """Add scored events: the rank of what happened, None or 0 (in every metric) if it had none.

        With one relevant item NDCG@10 is 1 / log2(1 + rank), up to rank 10.
        """
        for rank in ranks:
            self.scored += 1
            if rank:
                self.mrr_sum += 1.0 / rank
                if rank <= CUTOFF:
                    self.hits += 1
                    self.ndcg_sum += 1.0 / math.log2(1.0 + rank)
                    self.mrr_at_10_sum += 1.0 / rank

    def metrics(self) -> dict[str, float]:
        """Return hit@10, ndcg@10, mrr@10 and mrr: means over the scored events, 0 if there are none."""
        count = max(1, self.scored)
        return {
            "hit@10": self.hits / count,
            "ndcg@10": self.ndcg_sum / count,
            "mrr@10": self.mrr_at_10_sum / count,
            "mrr": self.mrr_sum / count,
        }
