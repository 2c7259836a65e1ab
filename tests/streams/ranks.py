"""The ranks that a recommender tells of while it goes on."""

from collections.abc import Sequence

from state.overlay import Overlay
from streams.recommender import Recommender, Record

Told = tuple[int, str, int | None]  # an event's number, a scorer, the rank of its item: None without one


def ranks_of(recommender: Recommender, records: Sequence[Record], users: Overlay) -> list[Told]:
    """Step through the records and return every rank that was told."""
    told: list[Told] = []
    recommender.scoreboard.on_rank = lambda number, scorer, rank: told.append((number, scorer, rank))
    recommender.step(records, users)
    recommender.scoreboard.take_waiting()
    return told
