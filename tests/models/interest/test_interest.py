"""The interest model: that it learns, what it may know, and what does not change its answers."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.devices import mixed_precision
from models.interest import (
    INTEREST_FEATURES,
    InterestModel,
    InterestSettings,
    Sequences,
    columns,
    hashed,
    in_sequences,
)
from models.interest.network import Events, Network
from models.interest.optimizers import OPTIMIZERS
from models.interest.parameters import Parameters
from models.interest.settings import OptimizerName
from tests.models.histories import NOW_MS, history
from tests.models.interest.streams import BATCH, ITEMS, SMALL, Batch, batch, first_rank_share, taught

_STEPS = 400


def _same(one: InterestModel, other: InterestModel) -> bool:
    pairs = zip(one.snapshot().items(), other.snapshot().items(), strict=True)
    return all(a == b and x.dtype == y.dtype and np.array_equal(x, y) for (a, x), (b, y) in pairs)


def _fresh(count: int, seed: int = 99) -> list[Batch]:
    random = np.random.default_rng(seed)
    return [batch(random) for _ in range(count)]


def _rows(each: Sequences, start: int, stop: int) -> Sequences:
    return Sequences(*(column[start:stop] for column in each))


def test_it_learns_what_follows_and_when_and_without_projection_only_what_follows() -> None:
    """Where the next item depends on the last and on the elapsed time, only a projected interest tells it."""
    whole, without = taught(steps=_STEPS), taught(replace(SMALL, uses_projection=False), steps=_STEPS)
    held_out = _fresh(20)
    assert first_rank_share(whole, held_out) > 0.8
    assert 0.2 < first_rank_share(without, held_out) < 0.65


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adamw"])
def test_the_loss_falls_with_every_optimizer(optimizer: OptimizerName) -> None:
    """Each optimizer gets the loss well below that of who knows nothing."""
    rates = {"sgd": 0.02, "adagrad": 0.02, "adamw": 3e-3}
    settings = replace(
        SMALL,
        optimizer=optimizer,
        row_optimizer=optimizer,
        learning_rate=rates[optimizer],
        row_learning_rate=3 * rates[optimizer],
    )
    early, late = taught(settings, steps=10), taught(settings, steps=_STEPS)
    assert early.loss is not None
    assert late.loss is not None
    assert late.loss < 0.7 * early.loss
    assert late.skipped == 0


def test_a_snapshot_goes_on_exactly() -> None:
    """Restored in another model and continued, it is the same to the last bit; asking changed nothing."""
    model = taught(steps=40)
    restored = InterestModel(SMALL, seed=1)
    restored.restore(model.snapshot())
    for each in _fresh(30):
        asked = model.logits(each.sequences, each.candidates)
        assert np.array_equal(asked, restored.logits(each.sequences, each.candidates))
        each.teach(model)
        each.teach(restored)
    assert _same(model, restored)


@pytest.mark.parametrize("name", ["sgd", "adagrad", "adamw"])
@pytest.mark.parametrize("was", ["sgd", "adagrad", "adamw"])
def test_weights_outlive_a_change_of_optimizer(
    was: OptimizerName, name: OptimizerName, caplog: pytest.LogCaptureFixture
) -> None:
    """Restored by another optimizer it answers the same, says what changed, and goes on learning."""
    caplog.set_level(logging.INFO, "models")
    theirs = replace(SMALL, optimizer=was, row_optimizer=was, learning_rate=0.003)
    model, batches = taught(theirs), _fresh(12)
    mine = replace(theirs, optimizer=name, row_optimizer=name)
    restored = InterestModel(mine, seed=1)
    restored.restore(model.snapshot())
    each = batches[0]
    asked = each.sequences, each.candidates
    assert np.array_equal(model.logits(*asked), restored.logits(*asked))
    for each in batches:
        each.teach(restored)
    assert restored.skipped == 0
    assert np.isfinite(restored.logits(*asked)).all()
    again = InterestModel(mine, seed=1)
    again.restore(restored.snapshot())
    assert _same(again, restored)
    said = [record.message for record in caplog.records if "remembers nothing yet" in record.message]
    assert len(said) == (0 if was == name else 2)


@pytest.mark.parametrize(("was", "name"), [("sgd", "adagrad"), ("adagrad", "sgd"), ("sgd", "adamw")])
def test_another_optimizer_goes_on_as_if_there_had_been_no_steps(
    was: OptimizerName, name: OptimizerName
) -> None:
    """The common weights' first step by another optimizer is its first step from nothing."""
    settings = replace(SMALL, optimizer=was)
    theirs = Parameters(settings, torch.device("cpu"), seed=1)
    gradient = torch.linspace(-1, 1, len(theirs.flat))
    with torch.no_grad():
        for steps in range(1, 6):
            theirs.descend(gradient, steps)
        mine = Parameters(replace(settings, optimizer=name), torch.device("cpu"), seed=2)
        mine.restore(theirs.snapshot(), 5)
        start = mine.flat.clone()
        mine.descend(gradient, 6)
        fresh = Parameters(replace(settings, optimizer=name), torch.device("cpu"), seed=3)
        fresh.flat.copy_(start)
        fresh.descend(gradient, 1)
    assert torch.equal(mine.flat, fresh.flat)


def test_a_snapshot_of_an_unknown_optimizer_is_refused() -> None:
    """What was learned by an optimizer that there is not is refused by its name."""
    arrays = taught(steps=2).snapshot()
    with pytest.raises(ValueError, match="'lion', expected one of sgd, adagrad, adamw"):
        InterestModel(SMALL).restore({**arrays, "optimizer": np.frombuffer(b"lion", np.uint8)})


def test_a_snapshot_of_other_sizes_is_refused() -> None:
    """A snapshot that does not fit is refused with the sizes, not taken in part."""
    arrays = taught(steps=2).snapshot()
    with pytest.raises(ValueError, match="expected"):
        InterestModel(replace(SMALL, dimensions=32)).restore(arrays)
    with pytest.raises(ValueError, match="expected"):
        InterestModel(replace(SMALL, memory=500)).restore({**arrays, "memory_stored": np.array([500])})


def test_what_comes_later_changes_no_logits_of_before() -> None:
    """Asked again before anything is learned, logits are the same, whatever lies behind a sequence's end."""
    model, (each,) = taught(), _fresh(1)
    before = model.logits(each.sequences, each.candidates)
    rows, times_ms = each.sequences.rows.copy(), each.sequences.times_ms.copy()
    behind = np.arange(rows.shape[1]) >= each.sequences.lengths[:, None]
    rows[behind], times_ms[behind] = 7, times_ms.max() + 1000
    changed = each.sequences._replace(rows=rows, times_ms=times_ms)
    assert behind.any()
    assert np.array_equal(before, model.logits(changed, each.candidates))
    each.teach(model)
    assert not np.array_equal(before, model.logits(each.sequences, each.candidates))


def test_logits_depend_on_nobody_else_in_the_batch() -> None:
    """One user alone, or with fewer candidates, or among many, gets the same logits to the last bit."""
    model, (each, other) = taught(), _fresh(2)
    together = Sequences(
        *(np.concatenate(pair) for pair in zip(each.sequences, other.sequences, strict=True))
    )
    everything = model.logits(together, np.concatenate([each.candidates, other.candidates]))
    for user in (0, 5, BATCH + 3):
        alone = _rows(together, user, user + 1)
        asked = (each.candidates if user < BATCH else other.candidates)[user % BATCH][None]
        assert np.array_equal(model.logits(alone, asked)[0], everything[user])
        assert np.array_equal(model.logits(alone, asked[:, :11])[0], everything[user, :11])


def test_logits_of_few_items_depend_on_nobody_else_in_the_batch() -> None:
    """One event and two candidates get the same logits alone and among others, bit for bit."""
    model = taught(SMALL, 30)
    for each in _fresh(20):
        short = each.sequences._replace(lengths=np.ones(BATCH, np.int32))
        asked = each.candidates[:, :2]
        everything = model.logits(short, asked)
        for user in range(BATCH):
            alone = model.logits(_rows(short, user, user + 1), asked[user : user + 1])
            assert np.array_equal(alone[0], everything[user])


def test_padding_changes_nothing() -> None:
    """A sequence in a wider array, or one whose oldest events lie beyond what is looked at, is the same."""
    model, (each,) = taught(), _fresh(1)
    wide = each.sequences._replace(
        rows=np.pad(each.sequences.rows, ((0, 0), (0, 5)), constant_values=3),
        actions=np.pad(each.sequences.actions, ((0, 0), (0, 5))),
        times_ms=np.pad(each.sequences.times_ms, ((0, 0), (0, 5))),
    )
    expected = model.logits(each.sequences, each.candidates)
    assert np.array_equal(expected, model.logits(wide, each.candidates))
    older = each.sequences._replace(
        rows=np.concatenate([each.sequences.rows[:, :3], each.sequences.rows], 1),
        actions=np.concatenate([each.sequences.actions[:, :3], each.sequences.actions], 1),
        times_ms=np.concatenate([each.sequences.times_ms[:, :3], each.sequences.times_ms], 1),
        lengths=each.sequences.lengths + 3,
    )
    full = each.sequences.lengths == SMALL.history
    assert full.any()
    assert np.array_equal(expected[full], model.logits(older, each.candidates)[full])


def test_who_has_no_history_is_asked_about_too() -> None:
    """Without any event, or with unknown items alone, there are finite logits, and learning goes on."""
    model = taught()
    nobody = in_sequences([history(), history([-1, -1])], [NOW_MS, NOW_MS], SMALL.history)
    asked = np.tile(np.arange(64, dtype=np.int32), (2, 1))
    assert np.isfinite(model.logits(nobody, asked)).all()
    model.learn(
        nobody, np.array([1, 2], np.int32), asked, np.array([64, 0], np.int32), np.ones(2, np.float32)
    )
    assert model.skipped == 0
    assert np.isfinite(model.logits(nobody, asked)).all()


def test_the_same_history_read_from_histories() -> None:
    """`in_sequences` keeps the newest events of each history, oldest first."""
    read = in_sequences([history([4, 5, 6]), history([7])], [NOW_MS, NOW_MS + 1], 2)
    assert read.rows.tolist() == [[5, 6], [7, -1]]
    assert read.lengths.tolist() == [2, 1]
    assert read.now_ms.tolist() == [NOW_MS, NOW_MS + 1]
    assert read.times_ms[0].tolist() == [NOW_MS - 2000, NOW_MS - 1000]


def test_events_without_a_known_item_teach_nothing() -> None:
    """A step of nothing but unknown targets leaves the model as it was."""
    model, other, (each,) = taught(), taught(), _fresh(1)
    each.targets[:] = -1
    each.teach(model)
    assert _same(model, other)


def test_a_gradient_that_is_not_finite_changes_no_weights() -> None:
    """A step that cannot be taken is counted and left out."""
    model, (each,) = taught(), _fresh(1)
    parameters = model.snapshot()["parameters"]
    each.weights[:] = np.inf
    each.teach(model)
    assert model.skipped == 1
    assert np.array_equal(parameters, model.snapshot()["parameters"])


def test_what_is_forgotten_is_not_replayed() -> None:
    """Of a forgotten user nothing is left in the memory but what counts for how often items are taken."""
    model, each = taught(), _fresh(1)[0]
    each.teach(model, np.full(BATCH, 77, np.uint64))
    assert model.forget(77) == BATCH
    assert model.forget(77) == 0
    assert model.forget(0) == 0
    assert not (model.snapshot()["memory_users"] == 77).any()
    _fresh(2)[1].teach(model)
    assert model.skipped == 0


@pytest.mark.parametrize(
    ("switch", "value"),
    [
        ("uses_attention", False),
        ("uses_ids", False),
        ("uses_pairs", True),
        ("replayed", 0),
        ("shared_negatives", 0),
    ],
)
def test_every_part_can_be_switched(switch: str, value: int) -> None:
    """With another choice of parts it answers and learns as well, and answers differently."""
    settings = replace(SMALL, **{switch: value})
    model, whole, (each,) = taught(settings), taught(), _fresh(1)
    logits = model.logits(each.sequences, each.candidates)
    assert np.isfinite(logits).all()
    assert not np.array_equal(logits, whole.logits(each.sequences, each.candidates))


def test_what_they_say_tells_items_apart_that_have_no_vector_of_their_own() -> None:
    """New items differ by what they are described by, and by nothing without; widths are checked."""
    model, random, rows = taught(), np.random.default_rng(5), np.arange(ITEMS, dtype=np.int32)
    texts = random.random((ITEMS + 2, 4), np.float32)
    asked = np.tile(np.arange(ITEMS, ITEMS + 2, dtype=np.int32), (1, 1))
    someone = in_sequences([history([1, 2])], [NOW_MS], SMALL.history)
    before = model.logits(someone, asked)[0]
    assert before[0] == before[1]
    model.describe(np.arange(ITEMS + 2, dtype=np.int32), texts)
    for each in _fresh(20):
        each.teach(model)
    after = model.logits(someone, asked)[0]
    assert after[0] != after[1]
    with pytest.raises(ValueError, match="expected"):
        model.describe(rows, texts[:ITEMS, :3])


@pytest.mark.parametrize(
    "wrong", [{"heads": 0}, {"history": 0}, {"replayed": -1}, {"recent": 30_000}, {"admit_after": -1}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, int]) -> None:
    """Sizes that do not fit together are refused with the rule."""
    with pytest.raises(ValueError, match="must"):
        InterestSettings(**wrong)


def test_mixed_precision_says_and_learns_the_same_within_its_tolerance() -> None:
    """By products in bfloat16 logits differ by little, and what follows is learned as well."""
    whole, mixed_settings = taught(), replace(SMALL, mixed_precision="on")
    mixed = InterestModel(mixed_settings, seed=1)
    mixed.restore(whole.snapshot())
    for each in _fresh(4):
        expected = whole.logits(each.sequences, each.candidates)
        told = mixed.logits(each.sequences, each.candidates)
        assert not np.array_equal(expected, told)
        assert np.abs(expected - told).max() < 0.03 * np.abs(expected).max()
    assert first_rank_share(taught(mixed_settings, steps=_STEPS), _fresh(20)) > 0.8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use")
def test_a_gpu_gives_what_a_cpu_gives() -> None:
    """The same stream on a GPU leaves the same logits, within the tolerance of its arithmetic."""
    settings = replace(SMALL, mixed_precision="off")
    cpu, gpu, held_out = taught(settings, 60), taught(settings, 60, device="cuda"), _fresh(4)
    for each in held_out:
        expected = cpu.logits(each.sequences, each.candidates)
        assert np.allclose(expected, gpu.logits(each.sequences, each.candidates), rtol=0.02, atol=0.02)
    restored = InterestModel(SMALL, device="cpu", seed=1)
    restored.restore(gpu.snapshot())
    each = held_out[0]
    assert np.allclose(
        restored.logits(each.sequences, each.candidates),
        gpu.logits(each.sequences, each.candidates),
        rtol=1e-4,
        atol=1e-4,
    )


def test_an_item_is_described_by_its_values() -> None:
    """Items that share values are alike, whatever their order; without values there are zeros."""
    one, same = hashed(["brand=a", "year=1"], 64), hashed(["year=1", "brand=a", "brand=a"], 64)
    near, far = hashed(["brand=a", "year=2"], 64), hashed(["brand=b", "year=2"], 64)
    assert np.array_equal(one, same)
    assert one @ near > 3 * abs(one @ far)
    assert not hashed([], 64).any()


def test_the_mixer_is_told_where_a_candidate_stands_among_the_kept() -> None:
    """The columns are of the first `sizes` logits alone: centred, scaled, and measured from the best."""
    logits = np.array([[1.0, 3.0, 5.0, 99.0], [2.0, 2.0, 7.0, 7.0], [4.0, 4.0, 4.0, 4.0]], np.float32)
    told = columns(logits, np.array([3, 2, 0], np.int32))
    assert told.shape == (3, 4, len(INTEREST_FEATURES))
    assert np.allclose(told[0, :, 0], [-1.2247, 0, 1.2247, 0], atol=1e-3)
    assert np.allclose(told[0, :, 1], [-1.0, -0.5, 0, 0])
    assert not told[1:].any()


def test_a_step_waits_for_its_events_wherever_it_is_interrupted() -> None:
    """With steps of three batches two teach nothing yet; with the third all are learned from."""
    settings = replace(SMALL, events_a_step=3 * BATCH)
    model, (one, two, three) = InterestModel(settings, seed=1), _fresh(3)
    before = model.logits(one.sequences, one.candidates)
    one.teach(model)
    two.teach(model)
    assert np.array_equal(before, model.logits(one.sequences, one.candidates))
    restored = InterestModel(settings, seed=1)
    restored.restore(model.snapshot())
    for each in (model, restored):
        three.teach(each)
    assert model.steps == 1
    assert not np.array_equal(before, model.logits(one.sequences, one.candidates))
    assert _same(model, restored)


def test_adagrad_goes_on_moving_in_a_long_stream() -> None:
    """After ten thousand equal gradients a step is as long as after five thousand, and not nothing."""
    values, squares, steps = torch.zeros(1), torch.zeros(1), []
    for number in range(1, 10_001):
        before = float(values)
        OPTIMIZERS["adagrad"].descend(values, torch.ones(1), (squares,), rate=1.0, steps=number)
        steps.append(before - float(values))
    assert steps[-1] > 0.03
    assert steps[-1] == pytest.approx(steps[4_999], rel=0.05)


def test_sums_are_not_rounded_in_mixed_precision() -> None:
    """Where products are in bfloat16, the interest that they are added to remains float32."""
    settings = replace(SMALL, mixed_precision="on")
    network, weights = Network(settings, torch.device("cpu")), Parameters(settings, torch.device("cpu"), 1)
    items, events = torch.randn(5, settings.dimensions), torch.zeros(2, settings.history, dtype=torch.int64)
    told = Events(events, torch.ones(2, settings.history), events, events, torch.zeros(2, dtype=torch.int64))
    with torch.no_grad(), mixed_precision(torch.device("cpu"), True):
        interest, _ = network.users(weights.views(), items, told)
    assert interest.dtype == torch.float32
