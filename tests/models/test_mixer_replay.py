"""The replay memory: what is sampled, what is kept of it, for how long, and what it costs."""

import numpy as np

from models.columns import KEPT, F, Q
from models.effort import EFFORTS
from models.mixer.replay import UNITS, Memory, Minibatch, empty_minibatch
from models.waiting import Waiting
from tests.models.mixer_streams import fill


def _waiting(seed: int) -> Waiting:
    random, waiting = np.random.default_rng(seed), Waiting(16)
    for slot in range(16):
        fill(waiting, slot, random)
        waiting.users[slot] = seed
    return waiting


def _filled(memory: Memory, rounds: int, rows: int = 32) -> list[Minibatch]:
    batches = []
    for seed in range(rounds):
        batch = empty_minibatch(16, rows, F, Q)
        memory.sample(_waiting(seed + 1), rows, batch)
        memory.take_in(batch)
        batches.append(batch)
    return batches


def test_a_sample_is_the_target_and_different_others() -> None:
    """The target comes first, no row comes twice, and the others' correction makes them stand for all."""
    waiting, batch = _waiting(1), empty_minibatch(16, 32, F, Q)
    assert Memory(1, 32, F, Q, seed=0).sample(waiting, 12, batch) == int((waiting.targets >= 0).sum())
    for event in range(16):
        total, target = int(waiting.sizes[event]), int(waiting.targets[event])
        if target < 0:
            assert batch.sizes[event] == 0
            continue
        size = int(batch.sizes[event])
        assert size == min(total, 12)
        assert np.array_equal(batch.features[event, 0], waiting.features[event, target])
        kept = {row.tobytes() for row in waiting.features[event, :total]}
        assert len({row.tobytes() for row in batch.features[event, :size]} & kept) == size
        assert batch.corrections[event] == np.float32(np.log((total - 1) / (size - 1)) if size > 1 else 0)


def test_every_other_is_sampled_alike() -> None:
    """Over many samples each of the others comes equally often."""
    waiting, batch, memory = Waiting(16), empty_minibatch(16, 32, F, Q), Memory(1, 32, F, Q, seed=2)
    waiting.sizes[:], waiting.targets[:] = KEPT, 9
    waiting.features[:, :, 0] = np.arange(KEPT)
    seen = np.zeros(KEPT, np.int64)
    for _ in range(200):
        memory.sample(waiting, 12, batch)
        seen += np.bincount(batch.features[:, 1:12, 0].astype(int).ravel(), minlength=KEPT)
    assert seen[9] == 0
    expected = 200 * 16 * 11 / (KEPT - 1)
    assert np.abs(np.delete(seen, 9) - expected).max() < 5 * np.sqrt(expected)


def test_what_is_recalled_is_what_was_learned() -> None:
    """Recalled events are stored ones, to half of the unit of storage, with their weights and users."""
    memory, again = Memory(1_000, 32, F, Q, seed=0), empty_minibatch(16, 32, F, Q)
    batches = _filled(memory, 3)
    known = {
        batch.contexts[event].tobytes(): (batch, event)
        for batch in batches
        for event in np.flatnonzero(batch.sizes)
    }
    memory.recall(1_000, 32, again)
    for event in range(16):
        batch, at = known[again.contexts[event].tobytes()]
        size = int(again.sizes[event])
        assert size == batch.sizes[at]
        difference = np.abs(again.features[event, :size] - batch.features[at, :size])
        assert difference.max() <= 0.5 / UNITS + 1e-6
        for name in ("weights", "users", "totals", "corrections"):
            assert getattr(again, name)[event] == getattr(batch, name)[at]


def test_fewer_rows_can_be_recalled_than_stored() -> None:
    """The target stays first, the others are different ones of those stored, and their correction follows."""
    memory, again = Memory(1_000, 32, F, Q, seed=0), empty_minibatch(16, 32, F, Q)
    _filled(memory, 2)
    memory.recall(1_000, 5, again)
    assert again.sizes.max() == 5
    for event in np.flatnonzero(again.sizes == 5):
        rows = again.features[event, :5]
        assert len({row.tobytes() for row in rows}) == 5
        assert again.corrections[event] == np.float32(np.log((again.totals[event] - 1) / 4))


def test_only_the_newest_are_kept_and_fewer_still_are_recalled() -> None:
    """The ring overwrites the oldest, and a recall of the newest n returns none older than that."""
    memory, again = Memory(40, 32, F, Q, seed=0), empty_minibatch(64, 32, F, Q)
    batches = _filled(memory, 10)
    newest = np.concatenate([batch.users[batch.sizes > 0] for batch in batches])
    memory.recall(1_000, 32, again)
    assert set(again.users.tolist()) == set(newest[-40:].tolist())
    memory.recall(12, 32, again)
    assert set(again.users.tolist()) == set(newest[-12:].tolist())


def test_what_is_not_a_number_is_kept_as_zero() -> None:
    """The memory holds whole numbers: nothing in it can be infinite or not a number."""
    memory, batch = Memory(16, 32, F, Q, seed=0), empty_minibatch(16, 32, F, Q)
    memory.sample(_waiting(1), 32, batch)
    batch.features[:, :, 0], batch.features[:, :, 1], batch.features[:, :, 2] = np.nan, np.inf, -np.inf
    memory.take_in(batch)
    memory.recall(16, 32, batch)
    for event in range(16):
        rows = batch.features[event, : batch.sizes[event], :3]
        assert np.allclose(rows, np.array([0, 8, -8], np.float32), atol=1e-3)


def test_the_memory_is_bounded() -> None:
    """A full memory of the default size stays under 48 MiB, in the process and in a checkpoint."""
    effort = EFFORTS["full"]
    memory = Memory(effort.memory, effort.sampled, F, Q, seed=0)
    bytes_an_event = sum(array.nbytes for array in memory._ring) / effort.memory
    assert bytes_an_event * effort.memory < 48 * 2**20
    _filled(memory, 2)
    assert sum(array.nbytes for array in memory.snapshot().values()) < 40 * bytes_an_event
