"""Runs an evaluation: the log in chunks, through one worker's recommender or through several."""

import time
from collections.abc import Callable, Iterable

import msgspec
import numpy as np

from streams.encoding import OnProgress
from streams.evaluation.catalogue import Listing
from streams.evaluation.chunks import SeenItems, cut
from streams.evaluation.outcome import Cost, Evaluation, Variant
from streams.evaluation.team import RankTable, Sharing, Team
from streams.events import Interaction
from streams.recommender import ACTION_CODES
from streams.settings import Exclude, Settings

CHUNK = 2000
# In the variant `new` a user is never recommended what they had, and a repeat is not scored.
_EXCLUDE: dict[Variant, Exclude] = {"all": "nothing", "new": "seen"}


def evaluate_log(
    interactions: Iterable[Interaction],
    settings: Settings,
    variant: Variant,
    chunk: int = CHUNK,
    on_progress: Callable[[int], None] | None = None,
    sharing: Sharing = Sharing(),  # noqa: B008 - frozen
    listing: Listing = Listing(),  # noqa: B008 - frozen
    on_encoded: OnProgress = lambda _done, _total: None,
) -> Evaluation:
    """Score every interaction before it is learned; `chunk` changes how many go into a step, never a rank.

    With `settings.batch_ties` chunks end where an instant ends. `settings.effort` "auto" is "full" here: the
    same log gives the same ranks, whatever else the machine has to do. `on_encoded` hears how many texts of
    the listing are encoded, of how many, before the first event.
    """
    effort = "full" if settings.effort == "auto" else settings.effort
    settings = msgspec.structs.replace(settings, exclude=_EXCLUDE[variant], effort=effort)
    ranks, seen, actions, late = RankTable(), SeenItems(settings.batch_ties), bytearray(), 0
    team = Team(settings, sharing, listing, ranks.put, on_encoded)
    size = min(chunk, sharing.transaction_events or chunk)
    started, cpu_started = time.perf_counter(), time.process_time()
    for events in cut(interactions, size, settings.batch_ties):
        first = len(seen)
        seen.add(events)
        actions += bytes(ACTION_CODES[event.action] for event in events)
        ranks.grow(len(seen))
        late += team.step(first, events)
        if on_progress is not None:
            on_progress(len(seen))
    counters = team.finish()
    cost = Cost(
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu_started,
        step_cpu_seconds=team.step_cpu_seconds,
        step_events=team.step_events,
    )
    conditions = {
        "device": team.device,
        "seed": settings.seed,
        "effort": effort,
        "batch_ties": settings.batch_ties,
        "targets": settings.targets,
        "workers": sharing.workers,
        "interest": settings.interest,
        "graph": settings.graph,
    }
    if listing.items and settings.content:
        conditions["encoder"] = settings.encoder
    if team.trial is not None and team.trial.worth is not None:
        worth = team.trial.worth._asdict()
        conditions["interest_worth"] = {**worth, "is_resting": team.trial.is_resting}
    if sharing.workers > 1:
        conditions["workers_late_events"] = sharing.late_events
        conditions["counters_equal"] = len(set(counters)) == 1
    codes = np.frombuffer(bytes(actions), np.uint8)
    return Evaluation(variant, ranks.by_scorer(), seen.mask(), codes, late, cost, conditions)
