"""The ranks that a recommender tells of while it goes on."""

from collections.abc import Sequence

from models.checkpoint import decode_checkpoint, encode_checkpoint
from state import MemoryStore
from state.overlay import Overlay
from streams.learned import restore, snapshot
from streams.recommender import Recommender, Record
from streams.settings import Settings

Told = tuple[int, str, int | None]  # an event's number, a scorer, the rank of its item: None without one


def ranks_of(recommender: Recommender, records: Sequence[Record], users: Overlay) -> list[Told]:
    """Step through the records and return every rank that was told."""
    told: list[Told] = []
    recommender.scoreboard.on_rank = lambda number, scorer, rank: told.append((number, scorer, rank))
    recommender.step(records, users)
    recommender.scoreboard.take_waiting()
    return told


def ranks_after_restart(
    settings: Settings, records: Sequence[Record], stop_at: int
) -> tuple[list[Told], list[Told]]:
    """Return the ranks of what comes after the first `stop_at` records, by one and by its restored copy."""
    one, overlay, store = Recommender(settings), Overlay(MemoryStore()), MemoryStore()
    one.step(records[:stop_at], overlay)
    other = Recommender(settings)
    restore(other, *decode_checkpoint(encode_checkpoint(*snapshot(one))))
    store.write(overlay.changes())
    return ranks_of(one, records[stop_at:], overlay), ranks_of(other, records[stop_at:], Overlay(store))
