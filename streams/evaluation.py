"""Test-then-learn over a log, through the very step that a worker runs; the store is in memory.

rank = 1 + the number of other allowed candidates whose score is at least that of what happened. An event
whose item is no candidate has no rank: it counts 0 in every metric, but it counts.
"""

import resource
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.prequential import BASELINES, CUTOFF
from state.memory import MemoryStore
from state.overlay import Overlay
from streams.events import Interaction
from streams.recommender import SCORER, Recommender, Record
from streams.settings import Exclude, Settings

Variant = Literal["all", "new"]
CHUNK = 2000
# Which part of the stream, by the share of all its events that lie before it.
SLICES = {"full": 0.0, "last15": 0.85, "last10": 0.9}
# In the variant `new` a user is never recommended what they had, and a repeat is not scored.
_EXCLUDE: dict[Variant, Exclude] = {"all": "nothing", "new": "seen"}
_UNSCORED, _UNRANKED = -1, 0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a run found: the ranks of every scorer, event by event, and what the run cost."""

    variant: Variant
    seed: int
    device: str
    ranks: dict[str, NDArray[np.int32]]  # scorer -> int32[events]: 0 without a rank, -1 not scored
    was_seen: NDArray[np.bool_]  # bool[events]: whether the stream had had the item before
    late: int
    seconds: float
    cpu_seconds: float

    @property
    def events(self) -> int:
        """All events, scored or not."""
        return len(self.was_seen)

    def metrics(self, scorer: str, part: str) -> dict[str, float]:
        """Return hit@10, ndcg@10, mrr@10 and mrr of a scorer in a part of the stream, 0 if it scored none."""
        ranks = self.ranks[scorer][int(SLICES[part] * self.events) :]
        ranks = ranks[ranks != _UNSCORED].astype(np.float64)
        count = max(1, len(ranks))
        ranks = ranks[ranks != _UNRANKED]
        top = ranks[ranks <= CUTOFF]
        return {
            "hit@10": len(top) / count,
            "ndcg@10": float((1.0 / np.log2(1.0 + top)).sum()) / count,
            "mrr@10": float((1.0 / top).sum()) / count,
            "mrr": float((1.0 / ranks).sum()) / count,
        }

    def report(self) -> dict[str, Any]:
        """Return everything as one JSON object: the model's metrics by part, `heuristics` beside them."""
        is_scored = self.ranks[SCORER] != _UNSCORED
        return {
            "variant": self.variant,
            "events": self.events,
            "scored": int(is_scored.sum()),
            "late": self.late,
            "seen_share": float(self.was_seen[is_scored].mean()) if is_scored.any() else 0.0,
            **{part: self.metrics(SCORER, part) for part in SLICES},
            "heuristics": {name: {part: self.metrics(name, part) for part in SLICES} for name in BASELINES},
            "events_per_second": self.events / self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "peak_rss_bytes": peak_rss_bytes(),
            "device": self.device,
            "seed": self.seed,
        }


def evaluate_log(
    interactions: Iterable[Interaction],
    settings: Settings,
    variant: Variant,
    chunk: int = CHUNK,
    on_progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Score every interaction before it is learned; `chunk` changes how many go into a step, never a rank."""
    settings = msgspec.structs.replace(settings, exclude=_EXCLUDE[variant])
    recommender, overlay = Recommender(settings), _MemoryOverlay()
    ranks = _Ranks(recommender)
    was_seen, seen, late = bytearray(), set[str](), 0
    started, cpu_started = time.perf_counter(), time.process_time()
    for records in _chunks(interactions, settings, chunk):
        for record in records:
            item_id = str(record.interactions[0].item_id)
            was_seen.append(item_id in seen)
            seen.add(item_id)
        ranks.grow(len(was_seen))
        step = recommender.step(records, overlay.users)
        recommender.score_waiting()
        late += sum(step.late.values())
        overlay.write()
        if on_progress is not None:
            on_progress(len(was_seen))
    return Evaluation(
        variant=variant,
        seed=settings.seed,
        device=str(recommender.learner.device),
        ranks=ranks.by_scorer(),
        was_seen=np.frombuffer(bytes(was_seen), np.bool_),
        late=late,
        seconds=max(time.perf_counter() - started, 1e-9),
        cpu_seconds=time.process_time() - cpu_started,
    )


def peak_rss_bytes() -> int:
    """Return the most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class _MemoryOverlay:
    """The users of the evaluation: written after every chunk, as a worker writes them, but into memory."""

    def __init__(self) -> None:
        self._store = MemoryStore()
        self.users = Overlay(self._store)

    def write(self) -> None:
        self._store.write(self.users.changes())
        self.users.settle()


class _Ranks:
    """Collects what the recommender finds, by the number of the event."""

    def __init__(self, recommender: Recommender) -> None:
        self._ranks = {scorer: array("i") for scorer in (SCORER, *BASELINES)}
        recommender.on_rank = self._put

    def grow(self, events: int) -> None:
        for ranks in self._ranks.values():
            ranks.extend([_UNSCORED] * (events - len(ranks)))

    def by_scorer(self) -> dict[str, NDArray[np.int32]]:
        return {scorer: np.array(ranks, np.int32) for scorer, ranks in self._ranks.items()}

    def _put(self, event: int, scorer: str, rank: int | None) -> None:
        self._ranks[scorer][event] = rank or _UNRANKED


def _chunks(interactions: Iterable[Interaction], settings: Settings, size: int) -> Iterator[list[Record]]:
    """Yield the log as a worker's records: each from the source of its action, in the log's order."""
    numbered = enumerate(interactions)
    while chunk := list(islice(numbered, size)):
        yield [
            Record(settings.source_of(interaction.action), 0, offset, [interaction])
            for offset, interaction in chunk
        ]
