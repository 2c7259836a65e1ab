"""What a recommender has learned survives a checkpoint whole, and is shared through examples."""

import random

import numpy as np
import pytest

from models.checkpoint import decode_checkpoint, encode_checkpoint
from state import MemoryStore
from state.overlay import Overlay
from streams.errors import ConfigurationError
from streams.events import Interaction
from streams.examples import ExampleHistory, ExamplesRecorder, decode_examples
from streams.learned import digests, restore, snapshot
from streams.past import Past
from streams.recommender import Recommender, Record
from streams.settings import Settings, load_settings
from tests.streams.ranks import ranks_of


def settings(*overrides: str) -> Settings:
    """Return the default settings on the CPU."""
    return load_settings(environment={}, overrides=("device=cpu", *overrides))


def stream(events: int, seed: int = 1, topic: str = "clicks", partition: int = 0) -> list[Record]:
    """Return records of a few users and items, some of them late."""
    rng = random.Random(seed)
    return [
        Record(
            topic,
            partition,
            offset,
            [
                Interaction(
                    f"u{rng.randrange(9)}",
                    f"i{int(rng.paretovariate(0.8)) % 60}",
                    rng.choice(("click", "purchase")),
                    1_700_000_000_000 + 1000 * (offset if rng.random() < 0.95 else offset // 2),
                )
            ],
        )
        for offset in range(events)
    ]


@pytest.mark.parametrize("stop_at", [0, 7, 160, 301])
def test_a_restored_recommender_goes_on_exactly(stop_at: int) -> None:
    """Stopped anywhere, saved, loaded and continued, a recommender gives the same ranks as if nothing was."""
    records = stream(400)
    store = MemoryStore()
    one = Recommender(settings())
    overlay = Overlay(store)
    one.step(records[:stop_at], overlay)
    arrays, facts = decode_checkpoint(encode_checkpoint(*snapshot(one)))
    other = Recommender(settings())
    restore(other, arrays, facts)
    store.write(overlay.changes())
    assert digests(other) == digests(one)
    expected = ranks_of(one, records[stop_at:], overlay)
    assert ranks_of(other, records[stop_at:], Overlay(store)) == expected
    assert digests(other) == digests(one)


def test_a_snapshot_is_a_copy() -> None:
    """What is learned after a snapshot does not change it."""
    one, overlay = Recommender(settings()), Overlay(MemoryStore())
    one.step(stream(100), overlay)
    arrays, facts = snapshot(one)
    before = encode_checkpoint(arrays, facts)
    one.step([record for record in stream(300) if record.offset >= 100], overlay)
    assert encode_checkpoint(arrays, facts) == before


def test_another_group_or_model_is_refused() -> None:
    """A checkpoint of another group, or with other features, is not taken for one's own."""
    one = Recommender(settings())
    arrays, facts = snapshot(one)
    with pytest.raises(ConfigurationError, match="group 'freshet'"):
        restore(Recommender(settings("group=other")), arrays, facts)
    with pytest.raises(ConfigurationError, match="another model"):
        restore(Recommender(settings()), arrays, {**facts, "columns": ["one"]})


def taught(
    records: list[Record], worker_id: str, cuts: list[int], *overrides: str
) -> tuple[Recommender, list[bytes]]:
    """Return a recommender that applied the records, and the examples of its transactions."""
    one, overlay = Recommender(settings(*overrides), worker_id), Overlay(MemoryStore())
    written = []
    for start, end in zip([0, *cuts], [*cuts, len(records)], strict=True):
        recorder = ExamplesRecorder("freshet", worker_id, records[0].partition)
        one.step(records[start:end], overlay, recorder)
        data = recorder.close({records[0].topic: (start, end)})
        assert data is not None
        written.append(data)
    return one, written


@pytest.mark.parametrize("history_length", [5, 500])
def test_examples_make_the_counters_equal(history_length: int) -> None:
    """Whoever counts the examples of a stream has the counters of the one that applied it."""
    one, written = taught(stream(300), "w1", [1, 2, 40, 280], f"history_length={history_length}")
    other = Recommender(settings(f"history_length={history_length}"), "w2")
    counted = [other.count_examples(decode_examples(data)) for data in written]
    assert sum(counted) == 300
    assert other.skipped == 0
    assert digests(other)["counters"] == digests(one)["counters"]
    assert other.marks == one.marks
    ours, theirs = other.counts.snapshot(), one.counts.snapshot()
    for name, array in ours.items():  # clicks and purchases told apart, too
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


def test_examples_count_once() -> None:
    """Copies, one's own, and records that overlap with what was counted teach nothing twice."""
    one, written = taught(stream(300), "w1", [100, 200])
    _, overlapping = taught(stream(300), "w3", [150])
    before = digests(one)["counters"]
    for data in (*written, *overlapping):
        assert one.count_examples(decode_examples(data)) == one.skipped == 0
    assert digests(one)["counters"] == before
    late = Recommender(settings(), "w2")
    for data in (written[0], overlapping[0], written[1], written[0], overlapping[1], written[2]):
        late.count_examples(decode_examples(data))
    assert digests(late)["counters"] == before


def test_what_a_crash_made_the_ranker_skip_is_counted() -> None:
    """A worker that finds examples of its own beyond its checkpoint counts them, and its next one says so."""
    records = stream(300)
    one, written = taught(records, "w1", [100, 200])
    back = Recommender(settings(), "w1")
    back.step(records[:100], Overlay(MemoryStore()))
    counted = [back.count_examples(decode_examples(data)) for data in written]
    assert counted == [0, 100, 100]
    assert back.skipped == 200
    assert digests(back)["counters"] == digests(one)["counters"]
    again = Recommender(settings(), "w1")
    restore(again, *decode_checkpoint(encode_checkpoint(*snapshot(back))))
    assert (again.events, again.skipped) == (100, 200)


def test_items_without_an_id_are_counted_but_not_recommended() -> None:
    """An item that is known by its key alone appears in lists only once its id was heard of."""
    one, written = taught(stream(200), "w1", [])
    other = Recommender(settings(), "w2")
    other.count_examples(decode_examples(written[0]))
    user = Overlay(MemoryStore()).user("new")
    assert other.recommend([user], 0)[0].items == []
    ids = [(one.catalog.key(row), f"{one.catalog.item_id(row)}") for row in range(len(one.catalog))]
    other.learn_item_ids(ids)
    assert len(other.recommend([user], 0)[0].items) == 10


def test_a_removed_item_leaves_lists_until_it_is_listed_again() -> None:
    """Removing an item takes it out of every list made from then on, checkpoint or not."""
    one, _ = taught(stream(200), "w1", [])
    user = Overlay(MemoryStore()).user("new")
    first = one.recommend([user], 0)[0].items[0].item_id
    one.assortment.remove(first)
    assert first not in [item.item_id for item in one.recommend([user], 0)[0].items]
    back = Recommender(settings())
    restore(back, *snapshot(one))
    assert first not in [item.item_id for item in back.recommend([user], 0)[0].items]


def test_counters_digest_knows_every_count() -> None:
    """One event more or less of one item changes the counters' digest; weights have one of their own."""
    one, _ = taught(stream(200), "w1", [])
    before = digests(one)
    one.counts.count(Past(one.catalog, ExampleHistory(0), 20).history(), 3, 0)
    assert digests(one)["counters"] != before["counters"]
    one.ranker.weights += 1
    assert digests(one)["weights"] != before["weights"]
