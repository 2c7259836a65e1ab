"""Replicas agree on how often each item occurred, whatever a partition's two owners saw."""

from collections.abc import Sequence

from models.checkpoint import decode_checkpoint, encode_checkpoint
from state import MemoryStore
from state.overlay import Overlay
from streams.events import Interaction
from streams.examples import ExamplesRecorder, decode_examples
from streams.learned import digests, restore, snapshot
from streams.recommender import Recommender, Record
from streams.settings import Settings

SETTINGS = Settings(device="cpu", effort="low")
START_MS = 1_700_000_000_000


def record(offset: int, item_id: str, topic: str = "clicks", event_id: str | None = None) -> Record:
    """Return a click of user u."""
    line = Interaction("u", item_id, "click", START_MS + offset, None, event_id)
    return Record(topic, 0, offset, [line])


def transaction(worker: Recommender, records: Sequence[Record], ends: dict[str, int]) -> bytes:
    """Let a worker apply records to a user nobody knows; return what the examples log gets if it commits."""
    recorder = ExamplesRecorder("freshet", worker.worker_id, 0)
    worker.step(records, Overlay(MemoryStore()), recorder)
    told = recorder.close({topic: (0, end) for topic, end in ends.items()})
    assert told is not None
    return told


def counters(worker: Recommender) -> str:
    """Return the digest of how often each item occurred."""
    return digests(worker)["counters"]


def test_what_an_erasure_overtook_is_not_counted_by_who_was_frozen() -> None:
    """One counts three records and loses them; the next owner drops one of them: both have counted two."""
    frozen, owner = Recommender(SETTINGS, "frozen"), Recommender(SETTINGS, "owner")
    records = [record(0, "a"), record(1, "b"), record(2, "a")]
    transaction(frozen, records, {"clicks": 3})
    told = transaction(owner, [records[0], records[2]], {"clicks": 3})
    assert counters(frozen) != counters(owner)
    for worker in (frozen, owner):
        worker.count_examples(decode_examples(told))
    assert counters(frozen) == counters(owner)
    assert frozen.counts.occurrences().tolist() == [2, 0]


def test_the_other_one_of_a_pair_may_be_the_repetition() -> None:
    """Two sources bring one event, merged in another order by each owner: it is counted once, everywhere."""
    first, second = Recommender(SETTINGS, "one"), Recommender(SETTINGS, "two")
    pair = [record(5, "a", "clicks", "e"), record(7, "b", "purchases", "e")]
    ends = {"clicks": 6, "purchases": 8}
    transaction(first, pair, ends)
    told = transaction(second, pair[::-1], ends)
    for worker in (first, second):
        worker.count_examples(decode_examples(told))
    assert counters(first) == counters(second)
    assert first.counts.occurrences().tolist() == [0, 1]


def test_what_is_told_as_it_was_counted_changes_nothing() -> None:
    """A worker's own examples confirm what it counted, each event once, orders of several lines as well."""
    worker = Recommender(SETTINGS, "one")
    order = Record("clicks", 0, 0, [line for n in (1, 2, 2) for line in record(0, f"i{n}").interactions])
    told = transaction(worker, [order, record(1, "i1")], {"clicks": 2})
    before = worker.counts.occurrences().tolist()
    assert worker.count_examples(decode_examples(told)) == worker.skipped == 0
    assert worker.counts.occurrences().tolist() == before == [2, 2]
    assert worker.teaching.unconfirmed.facts() == []


def test_a_checkpoint_knows_what_is_unconfirmed() -> None:
    """Who goes on from it corrects what was counted before, too."""
    frozen, owner = Recommender(SETTINGS, "frozen"), Recommender(SETTINGS, "owner")
    transaction(frozen, [record(0, "a"), record(1, "b")], {"clicks": 2})
    told = transaction(owner, [record(0, "a")], {"clicks": 2})
    again = Recommender(SETTINGS, "frozen")
    restore(again, *decode_checkpoint(encode_checkpoint(*snapshot(frozen))))
    for worker in (again, owner):
        worker.count_examples(decode_examples(told))
    assert counters(again) == counters(owner)
