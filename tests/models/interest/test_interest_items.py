"""The vectors of items: who has one, who loses it, and that nobody else's moves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.interest import InterestModel
from models.interest.items import SHARED, ItemEncoder
from tests.models.interest.streams import BATCH, SMALL, batch, taught

_CPU = torch.device("cpu")


def _learn(encoder: ItemEncoder, rows: list[int], steps: int) -> None:
    """Let the vectors of rows go up by a step of the optimizer."""
    gathered, _ = encoder.gather(np.array(rows, np.int32))
    encoder.descend(gathered, -torch.ones_like(gathered.values), 0.1, steps)


def _values(encoder: ItemEncoder, row: int) -> list[float]:
    gathered, places = encoder.gather(np.array([row], np.int32))
    return gathered.values[min(int(places[0]), len(gathered.slots) - 1)].tolist()


def test_an_item_gets_a_vector_of_its_own_after_a_few_events() -> None:
    """Before that many events it shares one, which says nothing of it in particular."""
    encoder = ItemEncoder(replace(SMALL, admit_after=3), _CPU, seed=0)
    encoder.reserve(10)
    for _ in range(2):
        encoder.admit(np.array([4], np.int32))
        assert encoder.slot(4) == SHARED
        assert _values(encoder, 4) == _values(encoder, 9)
    encoder.admit(np.array([4], np.int32))
    assert encoder.slot(4) != SHARED
    assert _values(encoder, 4) != _values(encoder, 9)


def test_a_step_touches_what_it_used_and_nothing_else() -> None:
    """The vectors of items that are in no event and no negative stay as they are, to the last bit."""
    encoder = ItemEncoder(replace(SMALL, admit_after=1), _CPU, seed=0)
    encoder.reserve(10)
    encoder.admit(np.array([1, 2, 3], np.int32))
    before = {row: _values(encoder, row) for row in (1, 2, 3)}
    _learn(encoder, [2], 1)
    assert _values(encoder, 2) != before[2]
    assert [_values(encoder, row) for row in (1, 3)] == [before[1], before[3]]


def test_a_step_of_the_model_leaves_the_items_alone_that_it_did_not_see() -> None:
    """Items of earlier events, which are neither in histories nor candidates nor drawn, stay as they are."""
    model = InterestModel(replace(SMALL, recent=16, replayed=0, admit_after=1), seed=1)
    random = np.random.default_rng(3)
    each = batch(random, items=20)
    each.targets[:] = random.integers(20, 40, BATCH)
    each.teach(model)
    before = model.snapshot()
    batch(random, items=20).teach(model)  # replaces all recent targets by items below 20
    batch(random, items=20).teach(model)
    after, early = model.snapshot(), (before["items_owners"] >= 20)
    batch(random, items=20).teach(model)
    last = model.snapshot()
    assert early.any()
    unused = np.flatnonzero(early)
    assert np.array_equal(after["items_table"][unused], last["items_table"][unused])
    assert not np.array_equal(after["items_table"], last["items_table"])


def test_a_vector_that_is_not_used_expires_and_its_room_is_used_again() -> None:
    """An item not used for long shares a vector again; another takes its room, from a fresh start."""
    encoder = ItemEncoder(replace(SMALL, admit_after=1, expire_after=20), _CPU, seed=0)
    encoder.reserve(100)
    encoder.admit(np.array([5], np.int32))
    slot = encoder.slot(5)
    _learn(encoder, [5], 1)
    learned = _values(encoder, 5)
    for _ in range(30):
        encoder.admit(np.array([6], np.int32))
        _learn(encoder, [6], 1)
    assert encoder.slot(5) == SHARED
    assert encoder.slot(6) != SHARED
    encoder.admit(np.array([7], np.int32))
    assert encoder.slot(7) == slot
    assert _values(encoder, 7) != learned


def test_slots_grow_with_the_items_in_use_and_keep_what_was_learned() -> None:
    """More items than there was room for: all have vectors, and those of before are as they were."""
    encoder = ItemEncoder(replace(SMALL, admit_after=1), _CPU, seed=0)
    encoder.reserve(5000)
    encoder.admit(np.array([0], np.int32))
    before = _values(encoder, 0)
    encoder.admit(np.arange(1, 5000, dtype=np.int32))
    assert _values(encoder, 0) == before
    assert len({encoder.slot(row) for row in range(5000)}) == 5000
    restored = ItemEncoder(replace(SMALL, admit_after=1), _CPU, seed=0)
    restored.restore(encoder.snapshot())
    assert _values(restored, 4321) == _values(encoder, 4321)


def test_rows_that_nothing_was_heard_of_can_be_asked_about() -> None:
    """A row beyond all that was learned scores like any other unknown item, and asking makes no room."""
    model, random = taught(), np.random.default_rng(0)
    each, before = batch(random), model.snapshot()
    asked = each.candidates.copy()
    asked[:, 0], asked[:, 1] = 1_000_000, 999
    logits = model.logits(each.sequences, asked)
    assert np.array_equal(logits[:, 0], logits[:, 1])
    assert all(np.array_equal(array, before[name]) for name, array in model.snapshot().items())


def test_an_item_of_many_events_keeps_its_vector() -> None:
    """However often an item is taken, it stays where it is."""
    encoder = ItemEncoder(SMALL, _CPU, seed=0)
    encoder.reserve(10)
    encoder.admit(np.full(3, 4, np.int32))
    slot, values = encoder.slot(4), _values(encoder, 4)
    encoder.admit(np.full(600, 4, np.int32))
    assert encoder.slot(4) == slot
    assert _values(encoder, 4) == values


@pytest.mark.parametrize("events", [3, 8])
def test_items_that_come_and_go_need_no_more_room_as_the_stream_grows_old(events: int) -> None:
    """Where items have a few events and are gone, vectors take the room of those in use, whatever came."""
    encoder = ItemEncoder(replace(SMALL, expire_after=1000), _CPU, seed=0)
    first, a_step = 0, 32 // events
    for _ in range(1500):
        targets = np.repeat(np.arange(first, first + a_step, dtype=np.int32), events)
        first += a_step
        encoder.reserve(first)
        encoder.admit(targets)
        _learn(encoder, targets.tolist(), 1)
    assert len(encoder.snapshot()["owners"]) < 3 * 1000 // events
